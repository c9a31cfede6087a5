"""Small translations that several adapters share: parts of a message, data URLs, tool calls, counts."""

from __future__ import annotations

import json
import re
from collections import abc
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.types import JSON, Message, ToolCall

__all__ = [
    "InlineData",
    "arguments_text",
    "as_count",
    "parse_arguments",
    "parse_data_url",
    "parts_of",
    "tool_call",
]

_DATA_URL = re.compile(r"data:(?P<mime>[^;,]*)(?:;[^;,]*)*?;base64,(?P<data>.*)", re.DOTALL)


class InlineData(NamedTuple):
    """Bytes carried inside a message, as base64 in the standard alphabet."""

    mime_type: str
    base64: str


def parse_data_url(url: str) -> Optional[InlineData]:
    """Take a data URL apart.

    Args:
        url: Any URL.

    Returns:
        Media type and base64 text; None for a URL of another kind.
    """
    match = _DATA_URL.fullmatch(url)
    return InlineData(match["mime"], match["data"]) if match else None


def parts_of(message: Message, index: int) -> List[JSON]:
    """The content of a message as a list of parts in the OpenAI Chat form.

    Args:
        message: The message.
        index: Its position in the conversation, for the error.

    Returns:
        Its parts; text becomes one text part, no content an empty list.

    Raises:
        InvalidMessagesError: A part has no type.
    """
    if message.content is None or message.content == "":
        return []
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}]
    parts: Sequence[Any] = message.content
    for part in parts:
        if not isinstance(part, abc.Mapping) or not isinstance(part.get("type"), str):
            raise InvalidMessagesError(
                f"messages[{index}] holds a part without a type. Write parts as "
                '{"type": "text", "text": ...} or {"type": "image_url", "image_url": {"url": ...}}.',
                index=index,
            )
    return list(parts)


def parse_arguments(raw: str) -> Optional[Dict[str, Any]]:
    """Read a tool call's arguments.

    Args:
        raw: What the model wrote.

    Returns:
        The arguments; ``{}`` when it wrote nothing, None when it did not write a JSON object.
    """
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def tool_call(identifier: str, name: str, raw: str) -> ToolCall:
    """Make a tool call from the text of its arguments.

    Args:
        identifier: The call's id.
        name: The tool's name.
        raw: The arguments as the model wrote them.

    Returns:
        The tool call.
    """
    return ToolCall(identifier, name, parse_arguments(raw), raw)


def arguments_text(arguments: Any) -> str:
    """Write arguments that a provider sent as an object in the form of those sent as text.

    Args:
        arguments: The object; None means none were given.

    Returns:
        JSON text.
    """
    return json.dumps(arguments if arguments is not None else {}, ensure_ascii=False)


def as_count(value: Any) -> Optional[int]:
    """Read a count of tokens.

    Args:
        value: What stands in a reply's JSON.

    Returns:
        The count; None when it is no whole number from 0.
    """
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
