"""Counts as people read them."""

from __future__ import annotations

__all__ = ["number_of"]


def number_of(count: int, thing: str) -> str:
    """Say how many there are of a thing."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
