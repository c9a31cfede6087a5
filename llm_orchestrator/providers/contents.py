"""The content of an answer in whatever shape a host sends it: a string, an object, or parts of many kinds.

What is there and cannot be read is an error, never an empty answer.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, List

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.reading import as_mapping, as_text
from llm_orchestrator.types import JSON

__all__ = [
    "NAMELESS_CALL",
    "UNREADABLE",
    "check_read",
    "part_of",
    "parts_in",
    "refusal_in",
    "text_in",
    "text_of",
    "thinking_in",
]

REFUSAL = "refusal"
THINKING = ("thinking", "reasoning", "reasoning_text", "summary_text")
TEXTS = ("text", "output_text")
#: Kinds of parts that are what they are even when they stand alone.
PARTS = (*TEXTS, REFUSAL, *THINKING)
#: Kinds of parts that are not the text of an answer.
NO_TEXT = (REFUSAL, *THINKING)
#: Words in the kind of a part that holds no text.
MEDIA = ("audio", "file", "image", "video")
#: How deep parts may stand in parts; two are known.
MAX_DEPTH = 8
#: What stands for a part that is neither an object nor a string.
UNREADABLE: JSON = {"type": "unreadable"}
#: What stands for a call of no tool that has arguments; without those it is no call, but empty fields.
NAMELESS_CALL: JSON = {"type": "call without a name"}


def parts_in(content: Any) -> List[JSON]:
    """The parts of a content; a structured answer that came as an object, or a list of them, is its JSON."""
    if not content and content in (None, "", [], {}):
        return []
    if isinstance(content, str):
        return [part_of(content)]
    if isinstance(content, list):
        parts = [part if _is_part(part) else None for part in content]
        if any(parts) or any(isinstance(part, str) for part in content):
            return [part_of(value) if part is None else part for part, value in zip(parts, content)]
    if as_text(as_mapping(content).get("type")) in PARTS:
        return [content]
    is_answer = not isinstance(content, list) or all(isinstance(item, dict) for item in content)
    return [part_of(content) if is_answer else UNREADABLE]


def _is_part(value: Any) -> bool:
    part = as_mapping(value)
    return isinstance(part.get("type"), str) or isinstance(part.get("text"), str)


def part_of(value: Any) -> JSON:
    """What is not a part as one: a string, or an object as its JSON."""
    text = value if isinstance(value, str) else _json(value)
    return {"type": "text", "text": text} if text else UNREADABLE


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else ""
    except (ValueError, RecursionError):  # nested deeper than anything that was meant
        return ""


def text_of(value: Any, depth: int = MAX_DEPTH) -> str:
    """The text in a field of a part: a string, parts of their own, or an object as its JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "annotations" in value and isinstance(value.get("value"), str):
        return as_text(value["value"])  # as OpenAI's Assistants write it
    if depth == 0:
        return ""
    return "".join(text_of(part.get("text"), depth - 1) for part in parts_in(value))


def text_in(parts: Iterable[JSON]) -> str:
    """The text of an answer."""
    return "".join([text_of(_text_field(part)) for part in parts if part.get("type") not in NO_TEXT])


def _text_field(part: JSON) -> Any:
    """The field with the text of a part; some hosts call it ``content``."""
    text = part.get("text")
    return part.get("content") if text is None and part.get("type") in TEXTS else text


def thinking_in(parts: Iterable[JSON]) -> str:
    """The reasoning among the parts of an answer."""
    return "".join([_thinking(part) for part in parts if part.get("type") in THINKING])


def _thinking(part: JSON) -> str:
    fields = (*THINKING, "text", "summary", "content")
    return next(filter(None, (text_of(part.get(field)) for field in fields)), "")


def refusal_in(parts: Iterable[JSON]) -> str:
    """What the model says instead of an answer."""
    return "".join([text_of(part.get(REFUSAL)) for part in parts if part.get("type") == REFUSAL])


def check_read(parts: Iterable[JSON], *read: Any) -> None:
    """Raise where an answer holds something and nothing of it could be read."""
    if any(read):
        return
    kinds = sorted({as_text(part.get("type")) for part in parts if _is_unread(part)})
    if kinds:
        raise InvalidResponseError(
            f"The answer holds what cannot be read ({', '.join(kinds)}). Try again, or ask another model."
        )


def _is_unread(part: JSON) -> bool:
    kind = as_text(part.get("type"))
    if kind in THINKING or any(word in kind for word in MEDIA):
        return False
    field = part.get(REFUSAL) if kind == REFUSAL else _text_field(part)
    is_empty = kind in PARTS and (field is None or field in ("", [], {}))
    return not is_empty and not text_of(field)
