"""The history of a conversation while a loop of tools has it; others see one that can go on at any time."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from llm_orchestrator.calls.conversation_state import ConversationState, History
from llm_orchestrator.types import Message, ToolCall
from llm_orchestrator.utils.values import evolve

__all__ = ["HeldHistory"]

_NOT_RUN = "This call has no result: the loop ended before it. Call again if it is still wanted."


class HeldHistory:
    """Takes a history once for all turns of a loop; these begin and end on it as on the history itself.

    No provider takes a history with a call that has no result. So the history only gets what has been paid,
    until every call of the last answer is answered, or the loop ends, however it does: calls that were not
    made then get a result that says so.

    Args:
        history: The history of the conversation.

    Attributes:
        is_kept: Whether the answer of the last turn is in it.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._own: Optional[ConversationState] = None  # while it is held
        self._results: Dict[int, Message] = {}  # of the open calls, by their place
        self._start = 0
        self.is_kept = False

    # ---------------------------------------------------------------- what a turn does with it

    @property
    def state(self) -> ConversationState:
        """What the conversation has come to, the open calls included."""
        return self._history.state if self._own is None else self._own

    @state.setter
    def state(self, state: ConversationState) -> None:
        if state.messages is not self.state.messages:
            self._results = {}
            self.is_kept = True
        self._own = state
        seen = self._history.state.messages if self.open_calls else state.messages
        self._history.state = evolve(state, messages=seen)

    def check_free(self) -> None:
        """Refuse a loop while another call runs."""
        if self._own is None:
            self._history.check_free()

    def take(self) -> None:
        """Begin a turn, for which the history is held already."""
        self.is_kept = False

    def release(self) -> None:
        """End a turn, and go on holding the history."""

    # ---------------------------------------------------------------- what the loop does with it

    def __enter__(self) -> HeldHistory:
        if self._own is None:
            self._history.take()
            self._own = self._history.state
            self._start = len(self._own.messages)
        return self

    def __exit__(self, *error: object) -> None:
        if self._own is not None:
            if self.open_calls:
                self.state = evolve(self.state, messages=(*self.state.messages, *self.results))
            self._own = None
            self._history.release()

    @property
    def open_calls(self) -> Tuple[ToolCall, ...]:
        """The calls of the last answer, where it is the last of the messages."""
        messages = self.state.messages
        return messages[-1].tool_calls if messages else ()

    @property
    def results(self) -> Tuple[Message, ...]:
        """A result for each open call, whether it was made or not."""
        return tuple(
            self._results.get(place) or call.result(_NOT_RUN) for place, call in enumerate(self.open_calls)
        )

    def note(self, place: int, result: Message) -> None:
        """Keep the result of an open call."""
        self._results[place] = result

    def drop_answer(self) -> None:
        """Take back an answer that no history can hold, and the question, where it answered that."""
        messages = self.state.messages[:-1]
        while len(messages) > self._start and messages[-1].role == "user":
            messages = messages[:-1]
        self.state = evolve(self.state, messages=messages)

    def mend_answer(self) -> None:
        """Empty arguments that are not JSON: most providers refuse them in a history."""
        *before, answer = self.state.messages
        if any(call.arguments is None for call in answer.tool_calls):
            calls = tuple(_mended(call) for call in answer.tool_calls)
            mended = evolve(answer, tool_calls=calls, provider_state=None)
            self.state = evolve(self.state, messages=(*before, mended))


def _mended(call: ToolCall) -> ToolCall:
    return evolve(call, arguments={}, raw_arguments="{}") if call.arguments is None else call
