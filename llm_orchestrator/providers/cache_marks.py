"""Breakpoints of the prompt cache: the key ``cache`` of a part, which each protocol has another word for."""

from __future__ import annotations

from collections import abc
from typing import Any, Callable, Sequence, Tuple

from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.types import JSON, Message
from llm_orchestrator.utils.json import beside
from llm_orchestrator.utils.values import evolve

__all__ = ["HOUR", "MARK", "with_marks"]

#: The key of a part up to whose end the prompt is to be kept, and its values.
MARK = "cache"
HOUR = "1h"
MODES = ("auto", HOUR)


def with_marks(messages: Tuple[Message, ...], write: Callable[[str], JSON]) -> Tuple[Message, ...]:
    """Replace the key of every part that has it by what a protocol writes for its mode."""
    if not any(map(_is_marked, messages)):
        return messages
    return tuple(
        _written(message, index, write) if _is_marked(message) else message
        for index, message in enumerate(messages)
    )


def _is_marked(message: Message) -> bool:
    content = message.content
    if content is None or isinstance(content, str):
        return False
    return any(_has_mark(part) for part in content)


def _has_mark(part: Any) -> bool:
    return isinstance(part, abc.Mapping) and MARK in part


def _written(message: Message, index: int, write: Callable[[str], JSON]) -> Message:
    parts: Sequence[Any] = message.content or ()
    return evolve(
        message,
        content=[
            {**beside(part, MARK), **write(_mode(part, index))} if _has_mark(part) else part for part in parts
        ],
    )


def _mode(part: JSON, index: int) -> str:
    mode = part[MARK]
    if mode not in MODES:
        raise message_error(index, f"has a part with {MARK}: {mode!r}", f"Use {' or '.join(MODES)} there")
    return str(mode)
