"""Words of others, fit to stand in an error, a log or a terminal."""

from __future__ import annotations

from typing import Match

from llm_orchestrator.utils.lazy import LazyPattern

__all__ = ["harmless", "one_line"]

# Control characters but tab and line feed, other ends of lines, and what turns the direction of text.
_OBEYED = LazyPattern("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """Put a text on one line, and show what a terminal would obey or hide as an escape."""
    if text.isprintable():
        return text
    words = " ".join(text.split())
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in words)


def harmless(text: str) -> str:
    """Leave a text as it is, but for what a terminal would obey: that is shown as an escape."""
    return text if text.isprintable() else _OBEYED.sub(_escape, text.replace("\r\n", "\n"))


def _escape(found: Match[str]) -> str:
    return ascii(found[0])[1:-1]
