"""Reads the conversation of a call: a text, dicts in the OpenAI Chat form, ``Message`` objects, or a mix.

What comes out is a tuple of ``Message``; anything that no provider could be sent is refused with its index.
"""

from __future__ import annotations

from collections import abc
from typing import Sequence, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError, ProviderSwitchError
from llm_orchestrator.types import Message, Messages
from llm_orchestrator.types.messages import read_message

__all__ = ["check_owner", "read_messages"]


def read_messages(messages: Messages) -> Tuple[Message, ...]:
    """Read a conversation."""
    if isinstance(messages, str):
        return (Message("user", messages),)
    if isinstance(messages, (abc.Mapping, bytes)) or not isinstance(messages, abc.Sequence):
        raise InvalidMessagesError(
            f"messages is a {type(messages).__name__}. Give a text, or a list of messages."
        )
    if not messages:
        raise InvalidMessagesError("messages is empty. Give at least one message.")
    return tuple(read_message(message, index) for index, message in enumerate(messages))


def check_owner(turns: Sequence[Message], provider: str) -> None:
    """Refuse a history that another provider wrote."""
    for index, turn in enumerate(turns):
        if turn.provider is not None and turn.provider != provider:
            raise ProviderSwitchError(
                f"messages[{index}] was written by {turn.provider!r} and cannot be sent to {provider!r}. "
                f"Go on with {turn.provider!r}, or start a new conversation from plain dicts."
            )
