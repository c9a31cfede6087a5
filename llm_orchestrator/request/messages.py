"""Reads the ``messages`` of a call: a string, dicts in the OpenAI Chat form, ``Message`` objects, or a mix.

How one message is read is in ``types/messages.py``; here are the checks of the whole list.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError, ProviderSwitchError
from llm_orchestrator.types import Message, Messages, read_message
from llm_orchestrator.utils.values import make

__all__ = ["check_owner", "read_messages"]


def read_messages(messages: Messages) -> Tuple[Message, ...]:
    """Read the ``messages`` of a call."""
    if isinstance(messages, str):
        if not messages.strip():
            raise InvalidMessagesError("messages is empty. Pass the text of a prompt.")
        return (make(Message, role="user", content=messages),)
    if not _is_a_list(messages):
        raise InvalidMessagesError(
            f"messages is a {type(messages).__name__}. Pass a string or a list of messages."
        )
    if not messages:
        raise InvalidMessagesError("messages is empty. Pass at least one message.")
    # A turn that says nothing may be meant: most providers answer it, and the adapters of others refuse it.
    return tuple(read_message(message, index) for index, message in enumerate(messages))


def _is_a_list(messages: Any) -> bool:
    """Whether it may be a list of messages; a real one, as most are, is recognized several times faster."""
    return isinstance(messages, (list, abc.Sequence)) and not isinstance(messages, bytes)


def check_owner(messages: Sequence[Message], provider: str) -> None:
    """Refuse a history that another provider wrote."""
    for index, message in enumerate(messages):
        if message.provider is not None and message.provider != provider:
            raise ProviderSwitchError(
                f"messages[{index}] was written by {message.provider!r} and cannot be sent to {provider!r}. "
                f"Continue with {message.provider!r}, or start a new conversation from plain dicts."
            )
