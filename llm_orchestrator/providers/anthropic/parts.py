"""The parts of one message as Anthropic's content blocks."""

from __future__ import annotations

import base64
from typing import Any, Callable, Dict, List, Mapping

from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.providers.reading import as_mapping, as_text, parse_data_url
from llm_orchestrator.types import JSON, Message, parts_of
from llm_orchestrator.utils.json import beside, without_none

__all__ = ["Block", "has_text", "write_blocks"]

Block = Dict[str, Any]

#: Parts of the OpenAI Chat form that the API has nothing for.
NO_BLOCK = ("input_audio", "refusal")


def write_blocks(message: Message, index: int) -> List[Block]:
    """Translate the content of a message."""
    blocks = [PARTS.get(part["type"], _unchanged)(part, index) for part in parts_of(message, index)]
    return [block for block in blocks if has_text(block)]


def has_text(block: JSON) -> bool:
    """Whether a block may be sent: the API rejects text blocks without any visible text."""
    return block.get("type") != "text" or bool(as_text(block.get("text")).strip())


def _unchanged(part: JSON, index: int) -> Block:
    """A text, or one of Anthropic's own blocks."""
    if part["type"] in NO_BLOCK:
        raise message_error(
            index, f"holds a part of type {part['type']!r}, which Anthropic does not take", "Leave it out"
        )
    return dict(part)


def _image(part: JSON, index: int) -> Block:
    image = part.get("image_url")
    source = _source(as_mapping(image).get("url", image), index)
    return {**_marks(part), "type": "image", "source": source}


def _marks(part: JSON) -> Block:
    """What an application marks a part with in Anthropic's words, such as ``cache_control``."""
    return beside(part, "type", "image_url", "file")


def _file(part: JSON, index: int) -> Block:
    file = as_mapping(part.get("file"))
    if file.get("file_id"):
        return {**_marks(part), "type": "document", "source": {"type": "file", "file_id": file["file_id"]}}
    source = _source(file.get("file_data"), index)
    kind = "image" if source.get("media_type", "").startswith("image/") else "document"
    title = file.get("filename") if kind == "document" else None
    block = {"type": kind, "source": _text_source(source, index), "title": title}
    return {**_marks(part), **without_none(block)}


def _source(url: Any, index: int) -> Dict[str, str]:
    data = parse_data_url(url) if isinstance(url, str) else None
    if data is not None and data.mime_type:
        return {"type": "base64", "media_type": data.mime_type, "data": data.base64}
    if not isinstance(url, str) or not url or url.startswith("data:"):
        raise message_error(
            index,
            "holds an image or file without a readable URL",
            "Give a URL, or a base64 data URL that names the media type",
        )
    return {"type": "url", "url": url}


def _text_source(source: Dict[str, str], index: int) -> Dict[str, str]:
    """Text is sent as text; base64 is for images and PDF."""
    media_type = source.get("media_type", "")
    if not media_type or media_type.startswith("image/") or media_type == "application/pdf":
        return source
    if not media_type.startswith("text/"):
        raise message_error(
            index, f"holds a file of type {media_type}, which Anthropic does not take", "Send PDF or text"
        )
    try:
        text = base64.b64decode(source["data"]).decode("utf-8")
    except ValueError as error:  # of base64 and UTF-8 alike
        problem = "holds a text file that is not valid UTF-8 in base64"
        raise message_error(index, problem, "Encode it that way, or pass it as a text part") from error
    return {"type": "text", "media_type": "text/plain", "data": text}


PARTS: Mapping[str, Callable[[JSON, int], Block]] = {"image_url": _image, "file": _file}
