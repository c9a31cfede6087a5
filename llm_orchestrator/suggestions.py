"""One place that guesses what a mistyped name was meant to be."""

from __future__ import annotations

from typing import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that helps with a name nobody knows.

    Args:
        word: The name as it was written.
        known: The names there are.

    Returns:
        ``Did you mean 'x'?`` when a known name is close, else a sentence that lists the known ones.
    """
    import difflib  # only errors need it

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "There are none."
