"""A count with its noun, singular or plural."""

from __future__ import annotations

__all__ = ["number_of"]


def number_of(count: int, thing: str) -> str:
    """For example ``1 call`` or ``1,200 calls``."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
