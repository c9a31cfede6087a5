"""A server for benchmarks that answers every request with the same bytes, as fast as asyncio allows.

    python benchmarks/canned_server.py

It prints its port and serves until its standard input is closed. It runs in a process of its own, so that the
CPU time of the process that measures is the client's alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any, Dict

TEXT = "The quick brown fox jumps over the lazy dog. " * 50

ANSWERS: Dict[str, Any] = {
    "/chat/completions": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "canned",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 500, "total_tokens": 512},
    },
    "/responses": {
        "id": "resp_1",
        "object": "response",
        "created_at": 1767225600,
        "status": "completed",
        "model": "canned",
        "output": [
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": TEXT, "annotations": []}],
            }
        ],
        "usage": {"input_tokens": 12, "output_tokens": 500, "total_tokens": 512},
    },
    "/messages": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "canned",
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 12, "output_tokens": 500},
    },
    ":generateContent": {
        "candidates": [
            {"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [{"text": TEXT}]}}
        ],
        "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 500, "totalTokenCount": 512},
        "modelVersion": "canned",
    },
}


def _encoded(answer: Any) -> bytes:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


ENCODED = {path: _encoded(answer) for path, answer in ANSWERS.items()}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode().partition("?")[0]
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            writer.write(next(answer for end, answer in ENCODED.items() if path.endswith(end)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve until standard input is closed."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=wait, daemon=True).start()
    await closed.wait()


if __name__ == "__main__":
    asyncio.run(main())
