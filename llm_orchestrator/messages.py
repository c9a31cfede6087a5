"""Reads the conversation of a call: a text, dicts in the OpenAI Chat form, ``Message`` objects, or a mix.

What comes out is a tuple of ``Message``; anything that no provider could be sent is refused with its index.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError, ProviderSwitchError
from llm_orchestrator.providers.content import arguments_text, parts_of, tool_call
from llm_orchestrator.types import JSON, Message, Messages, ToolCall
from llm_orchestrator.utils.values import evolve

__all__ = ["check_owner", "read_messages", "read_saved"]

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
KEYS = ("role", "content", "name", "tool_calls", "tool_call_id")
#: What a saved turn has beside them; dicts in a call's messages have no owner.
OWNER_KEYS = ("provider", "provider_state")


def read_messages(messages: Messages) -> Tuple[Message, ...]:
    """Read a conversation.

    Args:
        messages: One user turn as a text, or a sequence of turns.

    Returns:
        The turns, never none.

    Raises:
        InvalidMessagesError: A turn is malformed, or there is none.
    """
    if isinstance(messages, str):
        return (Message("user", messages),)
    if isinstance(messages, (abc.Mapping, bytes)) or not isinstance(messages, abc.Sequence):
        raise InvalidMessagesError(
            f"messages is a {type(messages).__name__}. Give a text, or a list of messages."
        )
    if not messages:
        raise InvalidMessagesError("messages is empty. Give at least one message.")
    return tuple(_read(message, index) for index, message in enumerate(messages))


def read_saved(documents: Sequence[JSON]) -> Tuple[Message, ...]:
    """Read turns that ``Message.to_dict`` wrote.

    Args:
        documents: The turns as dicts; the OpenAI Chat form is read, too.

    Returns:
        The turns, each with its provider and its opaque state.

    Raises:
        InvalidMessagesError: A turn is malformed.
    """
    return tuple(_read_saved(document, index) for index, document in enumerate(documents))


def check_owner(turns: Sequence[Message], provider: str) -> None:
    """Refuse a history that another provider wrote.

    Args:
        turns: The conversation.
        provider: Name of the provider entry it will be sent to.

    Raises:
        ProviderSwitchError: A turn was written by another provider.
    """
    for index, turn in enumerate(turns):
        if turn.provider is not None and turn.provider != provider:
            raise ProviderSwitchError(
                f"messages[{index}] was written by {turn.provider!r} and cannot be sent to {provider!r}. "
                f"Go on with {turn.provider!r}, or start a new conversation from plain dicts."
            )


def _read(message: Any, index: int) -> Message:
    if isinstance(message, Message):
        return _checked(message, index)
    if not isinstance(message, abc.Mapping):
        raise _error(index, f"is a {type(message).__name__}", 'Write {"role": "user", "content": "..."}.')
    unknown = [key for key in message if key not in KEYS and message[key] is not None]
    if unknown and message.get("role") != "assistant":
        raise _error(index, f"has an unknown key {unknown[0]!r}", f"Known are {', '.join(KEYS)}.")
    role = ROLES.get(str(message.get("role")))
    if role is None:
        raise _error(index, f"has the role {message.get('role')!r}", "Use system, user, assistant or tool.")
    calls = message.get("tool_calls") or ()
    if not isinstance(calls, abc.Sequence):
        raise _error(index, f"has tool_calls of type {type(calls).__name__}", "Give a list of tool calls.")
    turn = Message(
        role,
        message.get("content"),
        tool_calls=tuple(_read_call(call, index) for call in calls),
        tool_call_id=message.get("tool_call_id"),
        name=message.get("name"),
    )
    return _checked(turn, index)


def _read_saved(document: Any, index: int) -> Message:
    if not isinstance(document, abc.Mapping):
        raise _error(index, f"is a {type(document).__name__}", "Give what Message.to_dict wrote.")
    provider, state = (document.get(key) for key in OWNER_KEYS)
    if not isinstance(provider, (str, type(None))) or not isinstance(state, (abc.Mapping, type(None))):
        raise _error(index, "has a malformed provider or provider_state", "Give what Message.to_dict wrote.")
    turn = _read({key: value for key, value in document.items() if key not in OWNER_KEYS}, index)
    return evolve(turn, provider=provider, provider_state=state)


def _checked(turn: Message, index: int) -> Message:
    if turn.role not in ROLES.values():
        raise _error(index, f"has the role {turn.role!r}", "Use system, user, assistant or tool.")
    is_parts = isinstance(turn.content, abc.Sequence) and not isinstance(turn.content, (str, bytes))
    if not (turn.content is None or isinstance(turn.content, str) or is_parts):
        raise _error(
            index, f"has content of type {type(turn.content).__name__}", "Give a text or a list of parts."
        )
    parts_of(turn, index)  # refuses parts that are none
    if turn.content is None and turn.role != "assistant":
        raise _error(index, "has no content", "Give a text or a list of parts.")
    for name, value in (("tool_call_id", turn.tool_call_id), ("name", turn.name)):
        if not isinstance(value, (str, type(None))):
            raise _error(index, f"has a {name} of type {type(value).__name__}", "Give a text.")
    if turn.role == "tool" and not turn.tool_call_id:
        raise _error(index, "has no tool_call_id", "Name the call whose result it is.")
    if not all(isinstance(call, ToolCall) for call in turn.tool_calls or ()):
        calls = tuple(_read_call(call, index) for call in turn.tool_calls)
        return _checked(evolve(turn, tool_calls=calls), index)
    for call in turn.tool_calls or ():
        if not call.raw_arguments:  # made by hand, so that nobody has written its arguments yet
            _arguments_text(call.arguments, index)
    if turn.tool_calls and turn.role != "assistant":
        raise _error(index, "has tool calls but is no assistant turn", "Only the model calls tools.")
    return turn


def _read_call(call: Any, index: int) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    if isinstance(call, abc.Mapping) and "raw_arguments" in call:  # a ToolCall that was saved as a dict
        return _saved_call(call, index)
    function = call.get("function") if isinstance(call, abc.Mapping) else None
    if not isinstance(function, abc.Mapping) or not call.get("id") or not function.get("name"):
        raise _error(
            index,
            "has a malformed tool call",
            'Write {"id": ..., "type": "function", "function": {"name": ..., "arguments": "{...}"}}.',
        )
    arguments = function.get("arguments")
    raw = arguments if isinstance(arguments, str) else _arguments_text(arguments, index)
    return tool_call(str(call["id"]), str(function["name"]), raw)


def _arguments_text(arguments: Any, index: int) -> str:
    try:
        return arguments_text(arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise _error(
            index, f"has a tool call whose arguments are no JSON ({error})", "Give a dict."
        ) from error


def _saved_call(call: JSON, index: int) -> ToolCall:
    made = tool_call(str(call.get("id") or ""), str(call.get("name") or ""), str(call["raw_arguments"]))
    if not made.id or not made.name:
        raise _error(index, "has a saved tool call without id or name", "Give what Message.to_dict wrote.")
    arguments = call.get("arguments", made.arguments)
    return evolve(made, arguments=arguments if isinstance(arguments, dict) else None)


def _error(index: int, problem: str, remedy: str) -> InvalidMessagesError:
    return InvalidMessagesError(f"messages[{index}] {problem}. {remedy}", index=index)
