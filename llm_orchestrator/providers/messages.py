"""What every adapter makes in one way: the message of an answer, and the error for a message it refuses."""

from __future__ import annotations

from typing import Optional, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.types import JSON, Message, ToolCall
from llm_orchestrator.utils.values import make

__all__ = ["answer_message", "message_error"]


def message_error(index: int, problem: str, remedy: str) -> InvalidMessagesError:
    """Make the error; the message at fault is the subject of ``problem``."""
    return InvalidMessagesError(f"messages[{index}] {problem}. {remedy}.", index=index)


def answer_message(
    text: str, calls: Tuple[ToolCall, ...], provider: str, state: Optional[JSON] = None
) -> Message:
    """Make the message of an answer, which continues a conversation; an empty text is none."""
    return make(
        Message,
        role="assistant",
        content=text or None,
        tool_calls=calls,
        provider=provider,
        provider_state=state,
    )
