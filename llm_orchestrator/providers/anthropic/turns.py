"""The assistant's turn at Anthropic, a list of content blocks: read from a reply, and written into a history.

Blocks that our message has no place for (signed thinking, what the provider's own tools did, citations)
travel in ``Message.provider_state`` and go back unchanged, unless the message was edited since.
"""

from __future__ import annotations

import os
from collections import abc
from typing import Any, List, Optional, Sequence, Tuple

from llm_orchestrator.providers.anthropic.parts import Block, has_text
from llm_orchestrator.providers.calls import OwnIds
from llm_orchestrator.providers.contents import NAMELESS_CALL, UNREADABLE, part_of, parts_in, text_of
from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.providers.reading import as_text
from llm_orchestrator.types import JSON, Message, ToolCall, arguments_text, parse_arguments
from llm_orchestrator.utils.json import without_none

__all__ = [
    "blocks_in",
    "kinds_beside_text",
    "new_call_id",
    "read_calls",
    "read_reasoning",
    "read_text",
    "state_to_keep",
    "unread_blocks",
    "with_own_calls",
    "write_turn",
    "written_input",
]


def blocks_in(content: Any) -> List[Block]:
    """The blocks of a content; servers that imitate the API may send a string, or an object."""
    if not isinstance(content, list):
        return [dict(part) for part in parts_in(content)]
    return [
        as_block(block) if isinstance(block, dict) else dict(part_of(block)) for block in content if block
    ]


def as_block(block: JSON) -> Block:
    """A block of the API; hosts may leave out that it is text, or call it as OpenAI does."""
    kind, text = block.get("type"), block.get("text", block.get("content"))
    if kind == "output_text" or (
        kind in (None, "", "text") and block.get("text") is None and text is not None
    ):
        return {**_without_content(block), "type": "text", "text": text}
    return {**block, "type": "text"} if kind in (None, "") and "text" in block else dict(block)


def _without_content(block: JSON) -> Block:
    return {key: value for key, value in block.items() if key != "content"}


def read_text(blocks: Sequence[JSON]) -> str:
    """The text of the answer; citations split one text into many blocks."""
    return _joined(blocks, "text")


def read_reasoning(blocks: Sequence[JSON]) -> Optional[str]:
    """The thinking that is shown."""
    return _joined(blocks, "thinking") or None


def _joined(blocks: Sequence[JSON], kind: str) -> str:
    """The text of all blocks of one kind, whose field is called like the block."""
    return "".join([text_of(block.get(kind)) for block in blocks if block.get("type") == kind])


def read_calls(blocks: Sequence[JSON]) -> Tuple[ToolCall, ...]:
    """The calls that the application is to make; what Anthropic ran itself is not among them."""
    return tuple([_read_call(block) for block in blocks if _is_call(block)])


def _is_call(block: JSON) -> bool:
    return block.get("type") == "tool_use" and bool(as_text(block.get("name")))


def unread_blocks(blocks: Sequence[JSON]) -> List[JSON]:
    """The blocks that must be understood and may not be; of the many other kinds none has to be."""
    answer = [block for block in blocks if as_text(block.get("type")) in ("text", UNREADABLE["type"], "")]
    calls = (block for block in blocks if block.get("type") == "tool_use" and not _is_call(block))
    return [*answer, *(NAMELESS_CALL for block in calls if block.get("input"))]


def kinds_beside_text(blocks: Sequence[JSON]) -> List[str]:
    """The kinds of the blocks that hold neither text nor thinking nor a call."""
    kinds = [as_text(block.get("type")) for block in blocks]
    return [
        kind for kind in kinds if kind and kind not in ("text", "thinking", "redacted_thinking", "tool_use")
    ]


def written_input(written: Any) -> str:
    """The input of a call as text."""
    return written if isinstance(written, str) else arguments_text(written)


def _read_call(block: JSON) -> ToolCall:
    raw = written_input(block.get("input"))
    return ToolCall(as_text(block.get("id")), as_text(block.get("name")), parse_arguments(raw), raw)


def with_own_calls(blocks: Sequence[JSON]) -> List[JSON]:
    """Give every tool call an id of its own, under which it goes back too, and its arguments as an object."""
    ids = OwnIds()
    return [_own_call(block, ids) if block.get("type") == "tool_use" else block for block in blocks]


def _own_call(block: JSON, ids: OwnIds) -> JSON:
    identifier = ids.take(as_text(block.get("id")) or new_call_id())
    written = block.get("input")
    read = parse_arguments(written) if isinstance(written, str) else None
    return {**block, "id": identifier, "input": written if read is None else read}


def new_call_id() -> str:
    """Make an id for a tool call that came without one."""
    return "toolu_" + os.urandom(12).hex()


def state_to_keep(blocks: Sequence[JSON], text: str, calls: Sequence[ToolCall]) -> Optional[JSON]:
    """The blocks as they must go back, where text and tool calls alone would lose something."""
    filled = [without_none(block) for block in blocks]
    return None if filled == _rebuilt(text, calls) else {"content": list(blocks)}


def write_turn(message: Message, index: int, parts: Sequence[Block]) -> List[Block]:
    """Write an assistant turn of the history: as it came, or anew where it has no state or was edited."""
    for call in message.tool_calls:
        if call.arguments is None:
            raise message_error(
                index,
                f"calls {call.name} with arguments that are not a JSON object, as Anthropic requires",
                "Correct them, or leave the turn out",
            )
    kept = _kept_blocks(message)
    return (
        [*parts, *_tool_uses(message.tool_calls)]
        if kept is None
        else [block for block in kept if has_text(block)]
    )


def _kept_blocks(message: Message) -> Optional[List[Block]]:
    blocks = (message.provider_state or {}).get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, abc.Mapping) for block in blocks):
        return None
    same = read_text(blocks) == message.text and _essence(read_calls(blocks)) == _essence(message.tool_calls)
    return blocks if same else None


def _essence(calls: Sequence[ToolCall]) -> List[Tuple[str, str, Any]]:
    return [(call.id, call.name, call.arguments) for call in calls]


def _rebuilt(text: str, calls: Sequence[ToolCall]) -> List[Block]:
    blocks = [{"type": "text", "text": text}, *_tool_uses(calls)]
    return [block for block in blocks if has_text(block)]


def _tool_uses(calls: Sequence[ToolCall]) -> List[Block]:
    return [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in calls]
