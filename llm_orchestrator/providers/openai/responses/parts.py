"""The content of one message in Responses, where a part has another type on each side of the conversation."""

from __future__ import annotations

from collections import abc
from typing import Any, Callable

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.providers.openai.messages import is_web_address, read_image
from llm_orchestrator.types import JSON, Message, parts_of
from llm_orchestrator.utils.json import beside

__all__ = ["assistant_part", "user_part", "write_content"]


def write_content(message: Message, index: int, write_part: Callable[[JSON, int], JSON]) -> Any:
    """Translate the content of a message."""
    if isinstance(message.content, str):
        return message.content
    return [write_part(part, index) for part in parts_of(message, index)] or ""


def user_part(part: JSON, index: int) -> JSON:
    """Translate a part that goes into the model."""
    kind = part["type"]
    if kind == "text":
        return {**part, "type": "input_text"}
    if kind == "image_url":
        image = read_image(part, index)
        url = image.pop("url")
        return {**part, **image, "type": "input_image", "image_url": url}
    if kind == "file" and isinstance(part.get("file"), abc.Mapping):
        return {**beside(part, "file"), "type": "input_file", **_file(part["file"])}
    if kind in ("input_text", "input_image", "input_file"):
        return part
    raise _unknown_part(kind, index)


def _file(file: JSON) -> JSON:
    data = file.get("file_data")
    if not is_web_address(data):
        return file
    return {**{key: value for key, value in file.items() if key == "file_id"}, "file_url": data}


def assistant_part(part: JSON, index: int) -> JSON:
    """Translate a part that came out of a model."""
    if part["type"] == "text":
        return {**part, "type": "output_text"}
    if part["type"] in ("output_text", "refusal"):
        return part
    raise _unknown_part(part["type"], index)


def _unknown_part(kind: str, index: int) -> InvalidMessagesError:
    return message_error(
        index,
        f"holds a part of type {kind!r}, which OpenAI's Responses API does not take there",
        "Leave it out, or set api: chat if the model takes it",
    )
