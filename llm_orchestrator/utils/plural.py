"""Counts as people read them."""

from __future__ import annotations

__all__ = ["number_of"]


def number_of(count: int, thing: str) -> str:
    """Say how many there are of a thing.

    Args:
        count: How many.
        thing: Its name, one whose plural ends in s.

    Returns:
        ``1 call``, ``1,200 calls``.
    """
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
