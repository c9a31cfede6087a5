"""The error for a message that a provider does not accept, with the same wording from every adapter."""

from __future__ import annotations

from llm_orchestrator.exceptions import InvalidMessagesError

__all__ = ["message_error"]


def message_error(index: int, problem: str, remedy: str) -> InvalidMessagesError:
    """Make the error; the message at fault is the subject of ``problem``."""
    return InvalidMessagesError(f"messages[{index}] {problem}. {remedy}.", index=index)
