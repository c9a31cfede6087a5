"""The model's turn at Gemini, a list of parts: read from a reply, and written into a history.

Thought signatures must go back in the same places. So a turn keeps its parts in ``Message.provider_state``
where they hold more than text and calls, and they go back unchanged, unless the message was edited since.
"""

from __future__ import annotations

from collections import abc
from itertools import groupby
from typing import Iterable, List, Optional, Sequence, Tuple

from llm_orchestrator.providers.contents import text_of
from llm_orchestrator.providers.gemini.calls import read_arguments
from llm_orchestrator.providers.gemini.parts import Part, write_parts
from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.providers.reading import as_mapping, as_text_or_none
from llm_orchestrator.types import JSON, Message, ToolCall

__all__ = [
    "call_id",
    "merge_text",
    "read_calls",
    "read_reasoning",
    "read_text",
    "state_to_keep",
    "write_turn",
]

TEXT = "text"
THOUGHT = "thought"


# ---------------------------------------------------------------- reading


def read_text(parts: Iterable[JSON]) -> str:
    """The text of the answer."""
    return "".join([text for kind, text in map(_text, parts) if kind == TEXT])


def read_reasoning(parts: Iterable[JSON]) -> Optional[str]:
    """The thinking that is shown."""
    return "".join([text for kind, text in map(_text, parts) if kind == THOUGHT]) or None


def read_calls(parts: Iterable[JSON]) -> List[JSON]:
    """The calls that the application is to make; what Gemini ran itself is not among them."""
    calls = [as_mapping(part["functionCall"]) for part in parts if "functionCall" in part]
    return [call for call in calls if as_text_or_none(call.get("name"))]


def call_id(call: JSON, number: int, response_id: Optional[str]) -> Optional[str]:
    """Gemini's id of a call, or one made of the reply's id: the same whether it is streamed or not."""
    return as_text_or_none(call.get("id")) or (f"call_{response_id}_{number}" if response_id else None)


def merge_text(parts: Iterable[JSON]) -> List[Part]:
    """Join neighbouring pieces of text, as they are in an answer that is not streamed.

    A part that holds more than text, such as a signature, is never joined with another, as Gemini requires.
    """
    merged: List[Part] = []
    for kind, run in groupby(parts, key=_mergeable):
        if kind is None:
            merged += [dict(part) for part in run]
            continue
        text = "".join(part["text"] for part in run)
        if text:
            merged.append({"text": text, "thought": True} if kind == THOUGHT else {"text": text})
    return merged


def _text(part: JSON) -> Tuple[Optional[str], str]:
    text = text_of(part.get("text"))
    if "text" not in part:
        return None, ""
    return (THOUGHT if part.get("thought") is True else TEXT), text


def _mergeable(part: JSON) -> Optional[str]:
    is_plain = part.keys() <= {"text", "thought"} and isinstance(part.get("text"), str)
    return _text(part)[0] if is_plain else None


# ---------------------------------------------------------------- kept state and writing


def state_to_keep(parts: List[JSON], text: str, calls: Sequence[ToolCall]) -> Optional[JSON]:
    """The parts as they must go back, where text and tool calls alone would lose something."""
    rebuilt = _new_parts(text, calls)
    is_plain = parts == rebuilt or merge_text(parts) == rebuilt  # most often without merging
    return None if is_plain else {"parts": list(parts)}


def write_turn(message: Message, index: int) -> List[Part]:
    """Write a model's turn of the history: as it came, or anew where it has no state or was edited."""
    kept = _kept_parts(message)
    if kept is not None:
        return list(kept)
    if any(call.arguments is None for call in message.tool_calls):
        raise message_error(
            index,
            "holds a tool call whose arguments are not a JSON object",
            "Correct them, or leave the turn out",
        )
    if message.content is None or isinstance(message.content, str):
        return _new_parts(message.text, message.tool_calls)
    return write_parts(message, index) + [_call_part(call) for call in message.tool_calls]


def _kept_parts(message: Message) -> Optional[List[Part]]:
    parts = (message.provider_state or {}).get("parts")
    if not isinstance(parts, list) or not all(isinstance(part, abc.Mapping) for part in parts):
        return None
    calls = [(call.get("name"), read_arguments(call)[0] or {}) for call in read_calls(parts)]
    expected = [(call.name, call.arguments or {}) for call in message.tool_calls]
    return parts if read_text(parts) == message.text and calls == expected else None


def _new_parts(text: str, calls: Sequence[ToolCall]) -> List[Part]:
    parts: List[Part] = [{"text": text}] if text else []
    return parts + [_call_part(call) for call in calls]


def _call_part(call: ToolCall) -> Part:
    return {"functionCall": {"name": call.name, "args": call.arguments}}
