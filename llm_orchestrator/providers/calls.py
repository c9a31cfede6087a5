"""Tool calls as providers send them: ids that are not unique, and arguments in one form or another."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Set, Tuple

from llm_orchestrator.types import ToolCall, arguments_text
from llm_orchestrator.utils.values import evolve

__all__ = ["OwnIds", "sent_arguments", "with_own_ids"]


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
    return tuple(evolve(call, id=ids.take(call.id)) for call in calls)
