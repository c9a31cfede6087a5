"""Small translations that several adapters share: parts of a message, data URLs, tool calls, counts."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional

__all__ = [
    "InlineData",
    "as_count",
    "parse_data_url",
]

_DATA_URL = re.compile(r"data:(?P<mime>[^;,]*)(?:;[^;,]*)*?;base64,(?P<data>.*)", re.DOTALL)


class InlineData(NamedTuple):
    """Bytes carried inside a message, as base64 in the standard alphabet."""

    mime_type: str
    base64: str


def parse_data_url(url: str) -> Optional[InlineData]:
    """Take a data URL apart."""
    match = _DATA_URL.fullmatch(url)
    return InlineData(match["mime"], match["data"]) if match else None


def as_count(value: Any) -> Optional[int]:
    """Read a count of tokens."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
