"""Words of others, fit to stand in an error, a log or a terminal."""

from __future__ import annotations

__all__ = ["one_line"]


def one_line(text: str) -> str:
    """Put a text on one line, and show what a terminal would obey or hide as an escape."""
    if text.isprintable():
        return text
    words = " ".join(text.split())
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in words)
