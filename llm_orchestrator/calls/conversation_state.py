"""What a conversation has come to, as a frozen value and as JSON: its messages, cost and tokens."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Dict, Mapping, Optional, Tuple

from llm_orchestrator.calls.continuation import COUNTS, sum_of_usage
from llm_orchestrator.exceptions import InvalidMessagesError, OrchestratorError
from llm_orchestrator.types import JSON, LLMResponse, Message, TokenUsage, read_saved
from llm_orchestrator.utils.json import read_json
from llm_orchestrator.utils.money import ZERO, add_money
from llm_orchestrator.utils.numbers import MOST_TOKENS_IN_ALL, is_amount, is_count, shown
from llm_orchestrator.utils.values import Value, evolve

__all__ = ["ConversationState", "History", "read_document", "write_document"]

#: Of the JSON's form; a form that older versions of the library would misread gets the next one.
VERSION = 1
NOTHING = LLMResponse("", "", "")


@dataclass(frozen=True, eq=False, repr=False)
class ConversationState(Value):
    """What a conversation has come to; replaced as a whole, so that nobody ever sees half a turn.

    Attributes:
        messages: The history.
        cost: US dollars its calls cost, as far as known.
        unpriced_requests: Number of calls whose cost, or a part of it, is not known.
        usage: The tokens of its calls, as far as reported.
    """

    messages: Tuple[Message, ...] = ()
    cost: Decimal = Decimal(0)
    unpriced_requests: int = 0
    usage: TokenUsage = TokenUsage()  # noqa: RUF009  # it is frozen

    def with_turn(self, turn: Tuple[Message, ...], answer: LLMResponse) -> ConversationState:
        """Add a turn and what it cost."""
        return evolve(self.with_cost_of(answer), messages=self.messages + turn)

    def with_cost_of(self, answer: Optional[LLMResponse]) -> ConversationState:
        """Add what a call cost and used, and nothing else."""
        answer = answer or NOTHING
        details = answer.cost_details
        is_partial = answer.cost is None or (details is not None and details.status == "partial")
        return evolve(
            self,
            cost=add_money(self.cost, answer.cost or ZERO),
            unpriced_requests=self.unpriced_requests + is_partial,
            usage=sum_of_usage(self.usage, answer.usage),
        )

    def to_dict(self) -> Dict[str, Any]:
        """Write it for JSON."""
        return {
            "messages": [message.to_dict() for message in self.messages],
            "cost": str(self.cost),  # text keeps money exact
            "unpriced_requests": self.unpriced_requests,
            "usage": {name: getattr(self.usage, name) for name in (*COUNTS, "source")},
        }

    @classmethod
    def from_dict(cls, document: JSON) -> ConversationState:
        """Read what ``to_dict`` wrote."""
        try:
            return cls(
                read_saved(document["messages"]),
                _money(document["cost"]),
                _count("unpriced_requests", document["unpriced_requests"]),
                _usage(document["usage"]),
            )
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise InvalidMessagesError(_unreadable(error)) from error


class History:
    """The state of a conversation, which one call at a time may use."""

    def __init__(self, state: ConversationState) -> None:
        self.state = state
        self._in_use = threading.Lock()  # held while a call runs; never waited for

    def check_free(self) -> None:
        """Refuse a call while another one runs."""
        if self._in_use.locked():
            raise _busy()

    def take(self) -> None:
        """Begin to use it, or refuse because another call does."""
        if not self._in_use.acquire(blocking=False):
            raise _busy()

    def release(self) -> None:
        """Let the next call use it."""
        self._in_use.release()


def _busy() -> OrchestratorError:
    return OrchestratorError(
        "Another call of this conversation is running. Let it end, or close its stream, and send again."
    )


def write_document(provider: str, adapter: str, model: Optional[str], state: ConversationState) -> str:
    """Write a conversation as JSON."""
    document = {"version": VERSION, "provider": provider, "adapter": adapter, "model": model}
    try:
        return json.dumps({**document, **state.to_dict()}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessagesError(
            f"The conversation holds more than JSON can: {error}. Send messages made of plain data."
        ) from error


def read_document(text: str) -> Mapping[str, Any]:
    """Read the JSON of a conversation."""
    try:
        document = dict(read_json(text))
        version, provider, model = document["version"], document["provider"], document.get("model")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidMessagesError(_unreadable(error)) from error
    if not isinstance(provider, str) or not isinstance(model, (str, type(None))):
        raise InvalidMessagesError(_unreadable(TypeError(f"provider is {provider!r}, model is {model!r}")))
    if version != VERSION:
        raise InvalidMessagesError(
            f"The conversation is saved in version {version!r} of its form; only {VERSION} is known here. "
            "Load it with the version of llm_orchestrator that saved it, or a later one."
        )
    return document


def _unreadable(error: Exception) -> str:
    return (
        f"This is not a saved conversation ({type(error).__name__}: {error}). Pass the string that to_json "
        "returned."
    )


def _money(text: str) -> Decimal:
    amount = Decimal(text)
    if not is_amount(amount) or amount < 0:
        raise ValueError(f"cost is {text[:50]!r}")
    return amount


def _count(name: str, value: Any) -> int:
    if not is_count(value, MOST_TOKENS_IN_ALL):
        raise ValueError(f"{name} is {shown(value)}")
    return int(value)


def _usage(counts: JSON) -> TokenUsage:
    read = {name: None if counts[name] is None else _count(name, counts[name]) for name in COUNTS}
    return TokenUsage(**read, source=str(counts["source"]))
