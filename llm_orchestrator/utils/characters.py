"""Halves of characters: JSON may escape a character as two surrogates, and servers cut answers between them.

Python keeps such a half in a string, but no string that holds one can be sent, printed or stored. Two that
follow each other are joined to the character they mean, and a lone one is replaced by U+FFFD.
"""

from __future__ import annotations

from collections import abc
from typing import Any, List

__all__ = ["has_halves", "lone_halves", "texts_in", "whole_text", "with_whole_characters"]

REPLACEMENT = "\ufffd"
#: What holds no text; to ask whether it is a mapping takes long.
_PLAIN = frozenset((int, float, bool, type(None)))


def has_halves(value: Any) -> bool:
    """Whether a JSON value holds a half of a character anywhere."""
    return any(not text.isascii() and _is_cut(text) for text in texts_in(value))


def texts_in(value: Any) -> List[str]:
    """All strings of a JSON value, those that are keys too."""
    texts: List[str] = []
    left: List[Any] = [value]
    for each in left:
        kind = type(each)
        if kind is str:
            texts.append(each)
        elif kind is dict:
            texts += each
            left += each.values()
        elif kind is list:
            left += each
        elif kind not in _PLAIN:
            left += _parts_of(each)
    return texts


def _parts_of(value: Any) -> List[Any]:
    """What stands in a value of a type of its own."""
    if isinstance(value, str):
        return ["".join((value, ""))]  # as a plain string
    if isinstance(value, abc.Mapping):
        return [*value, *value.values()]
    return [*value] if isinstance(value, (list, tuple)) else []


def _is_cut(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def whole_text(text: str) -> str:
    """A text with its halves joined or replaced."""
    if text.isascii() or not _is_cut(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def lone_halves(value: Any) -> bool:
    """Whether a JSON value holds a half that has no other half beside it."""
    if isinstance(value, str):
        return whole_text(value).count(REPLACEMENT) > value.count(REPLACEMENT)
    if isinstance(value, abc.Mapping):
        return any(map(lone_halves, [*value, *value.values()]))
    return isinstance(value, (list, tuple)) and any(map(lone_halves, value))


def with_whole_characters(value: Any) -> Any:
    """A JSON value with the halves in all its strings joined or replaced."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, abc.Mapping):
        return {whole_text(key): with_whole_characters(each) for key, each in value.items()}
    return [with_whole_characters(each) for each in value] if isinstance(value, (list, tuple)) else value
