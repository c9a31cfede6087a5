"""What passes between a call and its provider beside the request and the answer, for one attempt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import FrozenSet, NamedTuple, Optional

from llm_orchestrator.exceptions import ProviderTimeoutError
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import Exchange, LLMRequest, ModelInfo
from llm_orchestrator.utils.clock import monotonic

__all__ = ["AttemptContext", "SentRequest"]


@dataclass
class AttemptContext:
    """One attempt: what the call knows of it, and what its provider notes for the price.

    Attributes:
        deadline: When the whole call must have ended, on the clock of ``utils.clock``.
        without: Parameters, and forms of parameters, that the model is known to reject.
        strict: Refuse parameters the protocol has no field for, instead of leaving them out with a warning.
        known: What the registry knows of the model; None where it knows nothing.
        exchange: What decides the price beside the usage; set by the provider when an answer has come.
    """

    deadline: float = math.inf
    without: FrozenSet[str] = frozenset()
    strict: bool = False
    known: Optional[ModelInfo] = None
    exchange: Optional[Exchange] = None

    def check_time(self) -> None:
        """Refuse to send when the time of the whole call is over."""
        if self.deadline <= monotonic():
            error = ProviderTimeoutError("total_timeout was over before the request could be sent. Raise it.")
            error.sent = False
            raise error


class SentRequest(NamedTuple):
    """A request that was sent: the call, its form in the provider's words, and its attempt."""

    request: LLMRequest
    wire: WireRequest
    context: AttemptContext
