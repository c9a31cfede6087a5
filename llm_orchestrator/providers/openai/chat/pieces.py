"""The entries of a list that was streamed in pieces, put together as the whole answer has them.

Pieces that carry an ``index`` belong together by it, else by their id; the parts of a content carry neither
and belong together while they follow each other.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, Hashable, List, Optional, Sequence, Tuple

from llm_orchestrator.types import JSON

__all__ = ["join_entries", "join_parts"]

#: Fields that name an entry and do not grow, although a piece may repeat them.
LABELS = ("format", "id", "index", "name", "role", "type")
#: What a part of a content may consist of and still go on with the next piece; anything else, such as a
#: signature, ends it.
GROWING_KEYS = {"type", "text", "thinking", "reasoning", "summary"}

Group = List[JSON]
Key = Tuple[Hashable, Hashable]


def join_entries(pieces: Sequence[Any]) -> List[Any]:
    """Put the entries of a list together."""
    return _Joiner(in_order=False).join(pieces)


def join_parts(pieces: Sequence[Any]) -> List[Any]:
    """Put the parts of a content together."""
    return _Joiner(in_order=True).join(pieces)


class _Joiner:
    def __init__(self, *, in_order: bool) -> None:
        self._in_order = in_order
        self._groups: List[Group] = []  # the pieces of each entry
        self._by_label: Dict[Key, Group] = {}

    def join(self, pieces: Sequence[Any]) -> List[Any]:
        for piece in pieces:
            label = _label(piece)
            group = self._group_of(piece, label)
            if group is None:
                group = []
                self._groups.append(group)
            group.append(piece)
            if label is not None:
                self._by_label[label, _kind(piece)] = self._by_label[label, None] = group
        return [_whole(group) if len(group) > 1 else group[0] for group in self._groups]

    def _group_of(self, piece: Any, label: Hashable) -> Optional[Group]:
        """The entry that a piece goes on with; None where it begins one."""
        if label is not None:
            group = self._by_label.get((label, _kind(piece)))
            return group if group is not None and _same(piece, group, "id") else None
        if not self._in_order or not self._groups:
            return None
        last = self._groups[-1]
        if not isinstance(piece, abc.Mapping) or not isinstance(last[-1], abc.Mapping):
            return None
        return last if last[-1].keys() <= GROWING_KEYS and _same(piece, last, "type") else None


def _label(piece: Any) -> Hashable:
    """By what the pieces of an entry are told from others."""
    if not isinstance(piece, abc.Mapping):
        return None
    index, identifier = piece.get("index"), piece.get("id")
    if isinstance(index, int):
        return index
    return identifier if isinstance(identifier, str) else None


def _kind(piece: JSON) -> Hashable:
    kind = piece.get("type")
    return kind if isinstance(kind, str) else None


def _same(piece: JSON, group: Group, name: str) -> bool:
    """Whether a piece has the same label as the one before it, where both have one."""
    labels = [part[name] for part in (group[0], group[-1], piece) if part.get(name) is not None]
    return all(label == labels[0] for label in labels)


def _whole(pieces: Sequence[JSON]) -> JSON:
    names = dict.fromkeys(name for piece in pieces for name in piece)
    return {name: _value(name, [piece[name] for piece in pieces if name in piece]) for name in names}


def _value(name: str, values: Sequence[Any]) -> Any:
    filled = [value for value in values if value is not None]
    if not filled:
        return None
    if name not in LABELS:
        if all(isinstance(value, str) for value in filled):
            return "".join(filled)
        if all(isinstance(value, list) for value in filled):
            return join_parts([entry for value in filled for entry in value])
        if all(isinstance(value, abc.Mapping) for value in filled):
            return _whole(filled)
    return filled[-1]
