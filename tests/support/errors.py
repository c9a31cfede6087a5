"""One error of every class, with every field set."""

from __future__ import annotations

from typing import Any, Dict, Type

from llm_orchestrator import exceptions
from llm_orchestrator.exceptions import OrchestratorError, ProviderError
from llm_orchestrator.types import Attempt, FinishReason, LLMResponse, TokenUsage

FAMILY: Dict[str, Type[OrchestratorError]] = {
    name: getattr(exceptions, name) for name in exceptions.__all__ if name != "OrchestratorError"
}
ATTEMPTS = (Attempt("a", error="ServerError", status_code=500, request_id="r1", latency=0.5), Attempt("b"))
RESPONSE = LLMResponse(
    "Half", "a", "p", usage=TokenUsage(1, 2, 3), finish_reason=FinishReason.LENGTH, raw_response={"id": "x"}
)
#: All fields of ProviderError.
FIELDS: Dict[str, Any] = {
    "provider": "p",
    "model": "a",
    "status_code": 429,
    "code": "slow_down",
    "request_id": "r2",
    "retry_after": 2.5,
}
#: What single classes take beside the fields of their base.
OWN: Dict[str, Dict[str, Any]] = {
    "InvalidMessagesError": {"index": 3},
    "UnsupportedParameterError": {"parameter": "temperature"},
    "StreamInterruptedError": {"partial_text": "Half", "partial_response": RESPONSE},
    "OutputTruncatedError": {"response": RESPONSE},
    "OutputParseError": {"response": RESPONSE},
}


def make(name: str) -> OrchestratorError:
    """One error with every field set, as it leaves a call."""
    kind = FAMILY[name]
    error = kind("What happened.", **(FIELDS if issubclass(kind, ProviderError) else {}), **OWN.get(name, {}))
    error.attempts = ATTEMPTS
    return error


def throw(name: str) -> None:
    """Raise an error with a cause that no other process could read."""
    raise make(name) from ValueError(lambda: None)
