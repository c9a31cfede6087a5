"""Tool calls as providers send them: ids that are not unique, and arguments in one form or another."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Set, Tuple

from llm_orchestrator.types import Message, ToolCall, arguments_text
from llm_orchestrator.utils.values import evolve

__all__ = ["OwnIds", "sent_arguments", "with_ids_across_turns", "with_own_ids"]


def sent_arguments(value: Any) -> str:
    """The arguments of a call as text, in whatever form they were sent; empty where nothing was."""
    if isinstance(value, str):
        return value
    return "" if value is None else arguments_text(value)


class OwnIds:
    """Gives every call of an answer an id of its own: the same ones whether it was streamed or not.

    Where a host uses an id twice, a result could not find its call, and providers refuse the next turn.
    """

    def __init__(self) -> None:
        self._taken: Set[str] = set()
        self._uses: Dict[str, int] = {}

    def take(self, identifier: str) -> str:
        """The id itself where no call before has it."""
        own = identifier
        while own in self._taken:
            self._uses[identifier] = number = self._uses.get(identifier, 1) + 1
            own = f"{identifier}_{number}"
        self._taken.add(own)
        return own


def with_own_ids(calls: Iterable[ToolCall]) -> Tuple[ToolCall, ...]:
    """Give every call of an answer an id of its own."""
    ids = OwnIds()
    return tuple([evolve(call, id=ids.take(call.id)) for call in calls])


def with_ids_across_turns(messages: Tuple[Message, ...]) -> Tuple[Message, ...]:
    """A history in which no two turns use one id, as hosts do that count from one in every answer.

    A result belongs to the last turn before it. What a turn keeps of its provider has the new ids too.
    """
    used = [call.id for message in messages for call in message.tool_calls]
    if len(set(used)) == len(used):
        return messages
    ids, names = OwnIds(), {}
    written: List[Message] = []
    for given in messages:
        message = given
        if message.tool_calls:
            names.update({name: ids.take(name) for name in dict.fromkeys(c.id for c in message.tool_calls)})
            message = _renamed(message, names)
        elif message.tool_call_id:
            message = evolve(message, tool_call_id=names.get(message.tool_call_id, message.tool_call_id))
        written.append(message)
    return tuple(written)


def _renamed(message: Message, names: Mapping[str, str]) -> Message:
    calls = tuple(evolve(call, id=names[call.id]) for call in message.tool_calls)
    changed = {call.id: names[call.id] for call in message.tool_calls if names[call.id] != call.id}
    if not changed:
        return message
    return evolve(message, tool_calls=calls, provider_state=_replaced(message.provider_state, changed))


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {key: _replaced(part, names) for key, part in value.items()}
    return [_replaced(part, names) for part in value] if isinstance(value, (list, tuple)) else value
