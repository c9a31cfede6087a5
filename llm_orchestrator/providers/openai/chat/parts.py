"""The content of one message in Chat: a string, or a list of parts."""

from __future__ import annotations

from typing import Any, Sequence

from llm_orchestrator.providers.contents import parts_in, text_in
from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.providers.openai.messages import is_web_address, read_image
from llm_orchestrator.providers.reading import as_mapping
from llm_orchestrator.types import JSON, Message, parts_of

__all__ = ["check_media", "read_content", "write_content"]

#: Parts that are more than text.
MEDIA = ("image_url", "file", "input_audio")


def read_content(content: Any) -> str:
    """The text of a content; some compatible servers send parts where OpenAI sends a string."""
    if isinstance(content, str):
        return content
    return text_in(parts_in(content)) if content else ""


def write_content(message: Message, index: int) -> Any:
    """Translate the content of a message."""
    if isinstance(message.content, str):
        return message.content
    return [_part(part, index) for part in parts_of(message, index)] or ""


def _part(part: JSON, index: int) -> JSON:
    if part["type"] == "image_url":
        return {**part, "image_url": read_image(part, index)}
    file = as_mapping(part.get("file"))
    if file.get("file_url") or is_web_address(file.get("file_data")):
        raise message_error(
            index,
            "holds a file by its URL, which OpenAI's Chat API does not take",
            "Pass the file as a data URL, or set api: responses",
        )
    return part


def check_media(messages: Sequence[Message]) -> None:
    """Reject images and files where OpenAI takes only text; compatible servers may take them there."""
    for index, message in enumerate(messages):
        parts = parts_of(message, index) if message.role != "user" else []
        kind = next((part["type"] for part in parts if part["type"] in MEDIA), None)
        if kind is not None:
            raise message_error(
                index,
                f"holds a part of type {kind!r}, which OpenAI's Chat API takes only from the user",
                "Put it into a user message, or set api: responses",
            )
