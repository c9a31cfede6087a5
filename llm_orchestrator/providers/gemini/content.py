"""One turn of a conversation in Gemini's words: the parts of its content, there and back.

A model's turn must go back with its thought signatures in the same places. So it keeps the parts it came in
as its ``provider_state`` wherever they say more than text and calls, and they are sent again unchanged
unless the message was edited.
"""

from __future__ import annotations

import json
from collections import abc
from itertools import groupby
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.providers.reading import parse_data_url
from llm_orchestrator.types import JSON, Message, ToolCall, parts_of
from llm_orchestrator.utils.json import without_none

__all__ = [
    "calls_of",
    "content_parts",
    "merge_text",
    "model_parts",
    "reasoning_of",
    "result_part",
    "state_of",
    "text_of",
]

Part = Dict[str, Any]

TEXT = "text"
THOUGHT = "thought"


# ---------------------------------------------------------------- reading Gemini's parts


def text_of(parts: Iterable[JSON]) -> str:
    """The answer's text."""
    return "".join(text for kind, text in map(_text, parts) if kind == TEXT)


def reasoning_of(parts: Iterable[JSON]) -> Optional[str]:
    """The thinking that the model shows."""
    return "".join(text for kind, text in map(_text, parts) if kind == THOUGHT) or None


def calls_of(parts: Iterable[JSON]) -> List[JSON]:
    """The calls of the application's functions; what Gemini ran itself is not among them."""
    return [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), abc.Mapping)]


def merge_text(parts: Iterable[JSON]) -> List[Part]:
    """Join neighbouring pieces of text, as an answer that was not streamed has them.

    A part that carries more than text, such as a signature, is never joined with another, as Gemini asks.
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
    text = part.get("text")
    if not isinstance(text, str):
        return None, ""
    return (THOUGHT if part.get("thought") is True else TEXT), text


def _mergeable(part: JSON) -> Optional[str]:
    return _text(part)[0] if part.keys() <= {"text", "thought"} else None


# ---------------------------------------------------------------- turns of the model


def state_of(message: Message, parts: Sequence[JSON]) -> Optional[JSON]:
    """What a message must carry so that its parts can be sent back unchanged."""
    plain = merge_text(parts)
    return None if plain == _neutral_parts(message) else {"parts": list(parts)}


def model_parts(message: Message, index: int) -> List[Part]:
    """The parts of a model's turn: those it came in, or new ones where it has none or was edited."""
    kept = (message.provider_state or {}).get("parts")
    if (
        isinstance(kept, list)
        and all(isinstance(part, abc.Mapping) for part in kept)
        and _says(kept, message)
    ):
        return list(kept)
    if any(call.arguments is None for call in message.tool_calls):
        raise InvalidMessagesError(
            f"messages[{index}] holds a tool call whose arguments are no JSON object. Correct them or leave "
            "the turn out.",
            index=index,
        )
    if message.content is None or isinstance(message.content, str):
        return _neutral_parts(message)
    return content_parts(message, index) + [_call_part(call) for call in message.tool_calls]


def _says(parts: Sequence[JSON], message: Message) -> bool:
    calls = [(call.get("name"), call.get("args") or {}) for call in calls_of(parts)]
    return text_of(parts) == message.text and calls == [
        (call.name, call.arguments or {}) for call in message.tool_calls
    ]


def _neutral_parts(message: Message) -> List[Part]:
    text: List[Part] = [{"text": message.text}] if message.text else []
    return text + [_call_part(call) for call in message.tool_calls]


def _call_part(call: ToolCall) -> Part:
    return {"functionCall": {"name": call.name, "args": call.arguments}}


# ---------------------------------------------------------------- turns of the application


def content_parts(message: Message, index: int) -> List[Part]:
    """The parts of a turn that the application wrote."""
    parts: List[Part] = []
    for part in parts_of(message, index):
        reader = PART_READERS.get(part["type"])
        translated = reader(part) if reader else None
        if translated is None:
            raise InvalidMessagesError(
                f"messages[{index}] holds a part of type {part['type']!r} that Gemini cannot be sent. "
                "Write text, image_url, file or input_audio parts; files and images by URL, or by a base64 "
                "data URL that names the media type.",
                index=index,
            )
        if translated != {"text": ""}:
            parts.append(translated)
    return parts


def result_part(message: Message, name: str, identifier: Optional[str], index: int) -> Part:
    """The result of one tool call."""
    value = _json_object(message.text)
    media = [part for part in content_parts(message, index) if "text" not in part]
    response = {
        "id": identifier,
        "name": name,
        "response": {"result": message.text} if value is None else value,
        "parts": media or None,
    }
    return {"functionResponse": without_none(response)}


def _json_object(text: str) -> Optional[Dict[str, Any]]:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    """Python reads NaN and Infinity, which are no JSON and which Gemini does not accept."""
    raise ValueError(constant)


def _text_part(part: JSON) -> Part:
    return {"text": str(part.get("text") or "")}


def _refusal_part(part: JSON) -> Part:
    return {"text": str(part.get("refusal") or "")}


def _image_part(part: JSON) -> Optional[Part]:
    image = part.get("image_url")
    return _media(image.get("url") if isinstance(image, abc.Mapping) else image)


def _file_part(part: JSON) -> Optional[Part]:
    file = part.get("file")
    if not isinstance(file, abc.Mapping):
        return None
    if isinstance(file.get("file_id"), str):
        return {"fileData": {"fileUri": file["file_id"]}}
    return _media(file.get("file_data"))


def _audio_part(part: JSON) -> Optional[Part]:
    audio = part.get("input_audio")
    if (
        not isinstance(audio, abc.Mapping)
        or not audio.get("format")
        or not isinstance(audio.get("data"), str)
    ):
        return None
    return {"inlineData": {"mimeType": f"audio/{audio['format']}", "data": audio["data"]}}


def _media(url: Any) -> Optional[Part]:
    if not isinstance(url, str):
        return None
    inline = parse_data_url(url)
    if inline is not None:
        return (
            {"inlineData": {"mimeType": inline.mime_type, "data": inline.base64}}
            if inline.mime_type
            else None
        )
    if url.startswith("data:") or "://" not in url:
        return None
    return {"fileData": without_none({"mimeType": _media_type_of(url), "fileUri": url})}


def _media_type_of(url: str) -> Optional[str]:
    from mimetypes import guess_type

    return guess_type(url.partition("?")[0])[0]


PART_READERS: Mapping[str, Callable[[JSON], Optional[Part]]] = {
    "file": _file_part,
    "image_url": _image_part,
    "input_audio": _audio_part,
    "refusal": _refusal_part,
    "text": _text_part,
}
