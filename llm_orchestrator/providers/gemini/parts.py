"""The parts of one message as Gemini's parts, and the result of a tool call as one of them."""

from __future__ import annotations

from collections import abc
from typing import Any, Callable, Dict, List, Mapping, Optional

from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.providers.reading import as_mapping, parse_data_url
from llm_orchestrator.types import JSON, Message, parts_of
from llm_orchestrator.utils.json import read_json, without_none

__all__ = ["Part", "result_part", "write_parts"]

Part = Dict[str, Any]

#: What a part may be marked with in Gemini's words; it takes no others.
MARKS = ("mediaResolution", "partMetadata", "thought", "thoughtSignature", "videoMetadata")


def write_parts(message: Message, index: int) -> List[Part]:
    """Translate the content of a message."""
    parts: List[Part] = []
    for part in parts_of(message, index):
        writer = PARTS.get(part["type"])
        written = writer(part) if writer else None
        if written is None:
            raise message_error(
                index,
                f"holds a part of type {part['type']!r} that Gemini cannot be sent",
                "Use text, image_url, file or input_audio parts, with images and files as a URL, or as a "
                "base64 data URL that names the media type",
            )
        if written != {"text": ""}:
            parts.append({**{key: part[key] for key in MARKS if key in part}, **written})
    return parts


def result_part(message: Message, name: str, identifier: Optional[str], index: int) -> Part:
    """The result of one tool call."""
    value = _json_object(message.text)
    media = [part for part in write_parts(message, index) if "text" not in part]
    response = {
        "id": identifier,
        "name": name,
        "response": {"result": message.text} if value is None else value,
        "parts": media or None,
    }
    return {"functionResponse": without_none(response)}


def _json_object(text: str) -> Optional[Dict[str, Any]]:
    try:
        value = read_json(text, parse_constant=_reject_constant)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _reject_constant(constant: str) -> None:
    """Python reads NaN and Infinity, which are not JSON and which Gemini does not accept."""
    raise ValueError(constant)


def _text(part: JSON) -> Part:
    return {"text": str(part.get("text") or "")}


def _refusal(part: JSON) -> Part:
    return {"text": str(part.get("refusal") or "")}


def _image(part: JSON) -> Optional[Part]:
    image = part.get("image_url")
    return _media(image.get("url") if isinstance(image, abc.Mapping) else image)


def _file(part: JSON) -> Optional[Part]:
    file = as_mapping(part.get("file"))
    if isinstance(file.get("file_id"), str):
        return {"fileData": {"fileUri": file["file_id"]}}
    return _media(file.get("file_data"))


def _audio(part: JSON) -> Optional[Part]:
    audio = as_mapping(part.get("input_audio"))
    if not audio.get("format") or not isinstance(audio.get("data"), str):
        return None
    return {"inlineData": {"mimeType": f"audio/{audio['format']}", "data": audio["data"]}}


def _media(url: Any) -> Optional[Part]:
    if not isinstance(url, str):
        return None
    inline = parse_data_url(url)
    if inline is not None and inline.mime_type:
        return {"inlineData": {"mimeType": inline.mime_type, "data": inline.base64}}
    if url.startswith("data:") or "://" not in url:
        return None
    return {"fileData": without_none({"mimeType": _media_type(url), "fileUri": url})}


def _media_type(url: str) -> Optional[str]:
    from mimetypes import guess_type

    return guess_type(url.partition("?")[0])[0]


PARTS: Mapping[str, Callable[[JSON], Optional[Part]]] = {
    "file": _file,
    "image_url": _image,
    "input_audio": _audio,
    "refusal": _refusal,
    "text": _text,
}
