"""What an MCP server says, as the library has it: its tools, the text of a result, the words of an error."""

from __future__ import annotations

import re
from typing import Any, Iterator, NamedTuple

from llm_orchestrator.exceptions import ToolServerError
from llm_orchestrator.types.tool_functions import faults_of
from llm_orchestrator.utils.json import JSON

__all__ = ["Description", "description_of", "reason_of", "result_of"]


class Description(NamedTuple):
    """What a server tells of a tool.

    Attributes:
        served_as: Its name at the server.
        name: The same in characters that all providers take.
        description: Its words; empty where there are none.
        parameters: The schema of its arguments.
    """

    served_as: str
    name: str
    description: str
    parameters: JSON


def description_of(tool: Any, prefix: str) -> Description:
    """Read what a server tells of a tool; the SDK has checked that its schema is that of an object."""
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", prefix + tool.name)
    name = name if re.match(r"[a-zA-Z_]", name) else f"_{name}"
    return Description(tool.name, name[:64], tool.description or tool.title or "", tool.input_schema)


def result_of(result: Any) -> Any:
    """The value that answers a call: the text, else the structured content; ToolServerError for a failure."""
    text = "\n".join(_text_of(block) for block in result.content)
    if result.is_error:
        raise ToolServerError(text or "It did not say why.")
    return result.structured_content if not text and result.structured_content is not None else text


def _text_of(block: Any) -> str:
    """The text of a part of a result; providers take no media there, so the model is told what there was."""
    if block.type == "text":
        return str(block.text)
    if block.type == "resource_link":
        return f"[resource {block.uri}: {block.description or block.title or block.name}]"
    if block.type == "resource":
        held = block.resource
        return str(held.text) if hasattr(held, "text") else f"[resource {held.uri}{_media(held, held.blob)}]"
    return f"[{block.type}{_media(block, block.data)}]"


def _media(block: Any, data: str) -> str:
    return f", {block.mime_type or 'unknown type'}, {len(data) * 3 // 4} bytes, which cannot be shown here"


def reason_of(error: BaseException) -> str:
    """What went wrong, in words: the first error of a group, for the SDK works in groups of tasks."""
    from pydantic import ValidationError

    first = next(_leaves(error))
    if isinstance(first, ValidationError):
        return f"What it said breaks the protocol: {faults_of(first)}"[:500]
    text = " ".join(str(first).split())[:500]
    return f"{type(first).__name__}: {text}" if text else type(first).__name__


def _leaves(error: BaseException) -> Iterator[BaseException]:
    for inner in getattr(error, "exceptions", ()):
        yield from _leaves(inner)
    yield error
