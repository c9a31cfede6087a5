"""The assistant's turn, both ways: what the content blocks of an answer say, and how they go back later.

Blocks that our neutral form cannot carry (signed thinking, what the provider's own tools did, citations)
travel in ``Message.provider_state`` and are sent back unchanged, unless the message was edited since.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, List, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.types import JSON, Message, ToolCall, arguments_text, parse_arguments
from llm_orchestrator.utils.json import without_none

__all__ = ["Block", "as_text", "assistant_message", "has_text", "read_calls", "read_text", "write_turn"]

Block = Dict[str, Any]


def read_text(blocks: Sequence[JSON], kind: str = "text") -> str:
    """Join the text of all blocks of one kind; citations split one text into many blocks."""
    return "".join(as_text(block.get(kind)) for block in blocks if block.get("type") == kind)


def read_calls(blocks: Sequence[JSON]) -> Tuple[ToolCall, ...]:
    """Read the calls the application is to make; what the provider ran itself is none of them."""
    return tuple(_read_call(block) for block in blocks if block.get("type") == "tool_use")


def _read_call(block: JSON) -> ToolCall:
    written = block.get("input")
    raw = written if isinstance(written, str) else arguments_text(written)
    return ToolCall(as_text(block.get("id")), as_text(block.get("name")), parse_arguments(raw), raw)


def as_text(value: Any) -> str:
    """Read a field that should be a text."""
    return value if isinstance(value, str) else ""


def has_text(block: JSON) -> bool:
    """Tell whether a block may be sent: the API rejects text blocks without any visible text."""
    return block.get("type") != "text" or bool(as_text(block.get("text")).strip())


def assistant_message(blocks: Sequence[JSON], provider: str) -> Message:
    """Make the message that continues a conversation."""
    message = Message("assistant", read_text(blocks) or None, read_calls(blocks), provider=provider)
    told = [without_none(block) for block in blocks]
    state = None if told == _rebuilt(message) else {"content": list(blocks)}
    return Message("assistant", message.content, message.tool_calls, provider=provider, provider_state=state)


def write_turn(message: Message, index: int, parts: Sequence[Block]) -> List[Block]:
    """Write an assistant turn of the history."""
    for call in message.tool_calls:
        if call.arguments is None:
            raise InvalidMessagesError(
                f"messages[{index}] calls {call.name} with arguments that are no JSON object, and Anthropic "
                "takes nothing else. Leave the turn out, or repair its arguments.",
                index=index,
            )
    blocks = _unchanged_state(message)
    return (
        [*parts, *_tool_uses(message)] if blocks is None else [block for block in blocks if has_text(block)]
    )


def _unchanged_state(message: Message) -> Optional[List[Block]]:
    blocks = (message.provider_state or {}).get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, abc.Mapping) for block in blocks):
        return None
    same = read_text(blocks) == message.text and _essence(read_calls(blocks)) == _essence(message.tool_calls)
    return blocks if same else None


def _essence(calls: Sequence[ToolCall]) -> List[Tuple[str, str, Any]]:
    return [(call.id, call.name, call.arguments) for call in calls]


def _rebuilt(message: Message) -> List[Block]:
    text: List[Block] = [{"type": "text", "text": message.text}] if message.text else []
    return [block for block in text if has_text(block)] + _tool_uses(message)


def _tool_uses(message: Message) -> List[Block]:
    return [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in message.tool_calls
    ]
