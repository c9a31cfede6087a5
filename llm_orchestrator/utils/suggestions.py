"""One place that guesses what a mistyped name was meant to be."""

from __future__ import annotations

from typing import Iterable, Optional

__all__ = ["did_you_mean", "nearly"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that helps with a name nobody knows."""
    import difflib  # only errors need it

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "There are none."


def nearly(word: str, known: Iterable[str]) -> Optional[str]:
    """Find the name that a word is most likely a slip of."""
    import difflib  # few words are ever looked at

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.85)
    return close[0] if close and close[0] != word else None
