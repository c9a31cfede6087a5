"""What HTTP can carry as a header."""

from __future__ import annotations

import re

__all__ = ["is_header_name", "is_header_text"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_header_name(text: str) -> bool:
    """Whether a string can be the name of a header (RFC 9110, section 5.6.2)."""
    return _NAME.fullmatch(text) is not None


def is_header_text(text: str) -> bool:
    """Whether a string can be the value of a header: printable ASCII without blanks at its ends."""
    return text.isascii() and text.isprintable() and text == text.strip()
