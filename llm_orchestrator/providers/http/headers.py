"""What HTTP can carry as a header, and headers whose values no repr shows."""

from __future__ import annotations

import re
from typing import Dict, Mapping

__all__ = ["HiddenBytes", "hidden", "is_header_name", "is_header_text"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_header_name(text: str) -> bool:
    """Whether a string can be the name of a header (RFC 9110, section 5.6.2)."""
    return _NAME.fullmatch(text) is not None


def is_header_text(text: str) -> bool:
    """Whether a string can be the value of a header: printable ASCII without blanks at its ends."""
    return text.isascii() and text.isprintable() and text == text.strip()


class _Hidden(Dict[str, str]):
    """Headers: tracebacks with local variables show their names only."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, "..."))


def hidden(headers: Mapping[str, str]) -> Dict[str, str]:
    """Headers whose repr does not show their values."""
    return _Hidden(headers)


class HiddenBytes(bytes):
    """A request as it is sent, with its credentials: its repr shows how long it is."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"
