"""Suggestions for mistyped names."""

from __future__ import annotations

from typing import Iterable, Optional

__all__ = ["closest", "did_you_mean"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence for an error about an unknown name: the closest known one, or all of them."""
    import difflib  # only errors need it

    names = sorted(known)
    matches = difflib.get_close_matches(word, names, n=1)
    if matches:
        return f"Did you mean {matches[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "There are none."


def closest(word: str, known: Iterable[str], cutoff: float = 0.85) -> Optional[str]:
    """The name that a word is probably a typing error of, if it is close to one."""
    import difflib  # rarely needed

    matches = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    return matches[0] if matches and matches[0] != word else None
