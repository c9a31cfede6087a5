"""A conversation as the items of Responses' ``input``."""

from __future__ import annotations

from typing import Iterator, List, Sequence, Set

from llm_orchestrator.providers.openai.messages import check_tool_results
from llm_orchestrator.providers.openai.responses.parts import user_part, write_content
from llm_orchestrator.providers.openai.responses.turns import CUSTOM_CALL, message_item, write_turn
from llm_orchestrator.providers.reading import as_text
from llm_orchestrator.types import JSON, Message

__all__ = ["write_messages"]


def write_messages(messages: Sequence[Message]) -> List[JSON]:
    """Translate a conversation; system messages keep their places, so that several keep their order."""
    check_tool_results(messages, at_once=False)
    return list(_items(messages))


def _items(messages: Sequence[Message]) -> Iterator[JSON]:
    custom_calls: Set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "assistant":
            items = write_turn(message, index)
            custom_calls |= {
                as_text(item.get("call_id")) for item in items if item.get("type") == CUSTOM_CALL
            }
            yield from items
            continue
        content = write_content(message, index, user_part)
        if message.role == "tool":
            kind = CUSTOM_CALL if message.tool_call_id in custom_calls else "function_call"
            yield {"type": f"{kind}_output", "call_id": message.tool_call_id, "output": content}
        else:
            yield message_item(message.role, content)
