"""A turn of a conversation: what its call does to the history when it begins and when it ends."""

from __future__ import annotations

from copy import deepcopy
from typing import Optional, Protocol, Tuple

from llm_orchestrator.calls.conversation_state import ConversationState
from llm_orchestrator.types import LLMResponse, Message

__all__ = ["Turn", "TurnHistory"]


class TurnHistory(Protocol):
    """The history that a turn belongs to."""

    state: ConversationState

    def take(self) -> None:
        """Begin to use it."""

    def release(self) -> None:
        """Let the next call use it."""


class Turn:
    """One turn: its call uses the history until its end, and adds to it only when the answer is whole."""

    def __init__(self, history: TurnHistory, messages: Tuple[Message, ...]) -> None:
        self._history = history
        self._messages = messages
        self._is_open = False

    def begin(self) -> Tuple[Message, ...]:
        """Take the history; its messages go before the turn's own."""
        self._history.take()
        self._is_open = True
        return self._history.state.messages

    def keep(self, response: LLMResponse) -> None:
        """Add what was sent and its whole answer."""
        plain = Message("assistant", response.content, response.tool_calls, provider=response.provider)
        answer = response.message or plain
        if answer.tool_calls or answer.provider_state:
            answer = deepcopy(answer)  # a tool may change the arguments it is given
        self._history.state = self._history.state.with_turn((*self._messages, answer), response)
        self._close()

    def end(self) -> None:
        """End without an answer; nothing was paid for."""
        self._close()

    def end_with_cost_of(self, partial: Optional[LLMResponse]) -> None:
        """End with an answer that is not kept but costs; None where nothing is known of it."""
        if self._is_open:
            self._history.state = self._history.state.with_cost_of(partial)
            self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._history.release()
