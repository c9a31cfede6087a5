"""An image in a question: from bytes, from a file or from a URL, the same part for every provider.

    python examples/images.py [config.yaml]

The local model of the examples reads text alone and says so.
"""

import struct
import sys
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

from llm_orchestrator import LLMOrchestrator, ProviderError, image_part

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")


def square(red: int, green: int, blue: int, size: int = 64) -> bytes:
    """A PNG file of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([red, green, blue]) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


with TemporaryDirectory() as folder, LLMOrchestrator(CONFIG) as orchestrator:
    path = Path(folder, "blue.png")
    path.write_bytes(square(0, 0, 255))
    content = [
        {"type": "text", "text": "Which colours have these two squares?"},
        image_part(square(255, 0, 0)),
        image_part(path),
    ]
    try:
        response = orchestrator.send_request([{"role": "user", "content": content}], max_tokens=200)
        print(response.content)
    except ProviderError as error:
        print(f"No answer about images: {error}")
