"""Characters that come cut in two are made whole, in a reply and across the events of a stream."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from llm_orchestrator.types import JSON, StreamEvent, ToolCallDelta
from llm_orchestrator.utils.characters import has_halves, lone_halves, whole_text, with_whole_characters
from llm_orchestrator.utils.values import evolve

__all__ = ["HalfCharacters", "without_halves"]

#: The range of the halves that a character begins with.
FIRST_HALVES = ("\ud800", "\udbff")

Key = Tuple[Any, Any]


#: Said of an answer that could not be kept as it came.
REPLACED = ("The answer held half of a character, which was replaced.",)


def without_halves(body: JSON) -> Tuple[JSON, Tuple[str, ...]]:
    """A reply with whole characters, or its next turn could not be sent; and what is to be said of it."""
    if not has_halves(body):
        return body, ()
    return with_whole_characters(body), REPLACED if lone_halves(body) else ()


class HalfCharacters:
    """Holds the first half of a character back until the next piece of the same text brings the other."""

    def __init__(self) -> None:
        self._held: Dict[Key, StreamEvent] = {}

    def joined(self, pieces: Sequence[StreamEvent]) -> Sequence[StreamEvent]:
        """The pieces with whole characters; the very same where none is cut."""
        if not self._held and all(_text(piece).isascii() for piece in pieces):
            return pieces
        return [whole for piece in pieces for whole in self._whole(piece)]

    def rest(self) -> List[StreamEvent]:
        """What is held back at the end of the stream: halves whose others never came."""
        pieces = [_with_text(piece, whole_text(_text(piece))) for piece in self._held.values()]
        self._held.clear()
        return pieces

    def _whole(self, piece: StreamEvent) -> List[StreamEvent]:
        key = (type(piece), getattr(piece, "index", None))
        before = self._held.pop(key, None)
        text = ("" if before is None else _text(before)) + _text(piece)
        if not FIRST_HALVES[0] <= text[-1:] <= FIRST_HALVES[1]:
            return [_with_text(piece, whole_text(text))]
        half = text[-1]
        if isinstance(piece, ToolCallDelta):
            self._held[key] = ToolCallDelta(piece.index, arguments=half)
            return [_with_text(piece, whole_text(text[:-1]))]
        self._held[key] = _with_text(piece, half)
        return [_with_text(piece, whole_text(text[:-1]))] if text[:-1] else []


def _text(piece: StreamEvent) -> str:
    return piece.arguments if isinstance(piece, ToolCallDelta) else piece.text


def _with_text(piece: StreamEvent, text: str) -> StreamEvent:
    if text == _text(piece):
        return piece
    return evolve(piece, **{"arguments" if isinstance(piece, ToolCallDelta) else "text": text})
