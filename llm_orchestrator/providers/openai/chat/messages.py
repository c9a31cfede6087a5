"""A conversation as Chat's ``messages``."""

from __future__ import annotations

from typing import List, Sequence

from llm_orchestrator.providers.openai.chat.parts import write_content
from llm_orchestrator.providers.openai.chat.turns import write_turn
from llm_orchestrator.providers.openai.messages import check_tool_results
from llm_orchestrator.types import JSON, Message
from llm_orchestrator.utils.json import without_none

__all__ = ["write_messages"]


def write_messages(messages: Sequence[Message]) -> List[JSON]:
    """Translate a conversation."""
    check_tool_results(messages, at_once=True)
    return [_message(message, index) for index, message in enumerate(messages)]


def _message(message: Message, index: int) -> JSON:
    if message.role == "assistant":
        return write_turn(message, index)
    content = write_content(message, index)
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}
    return without_none({"role": message.role, "content": content, "name": message.name})
