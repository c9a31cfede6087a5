"""The record of an attempt, made once, when it ends: what is kept of it, and whether it costs anything.

A call hands over what it knows, ``CostTracker.log_usage`` what its caller says; both get their
``UsageRecord`` here.
"""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple, Optional, Union

from llm_orchestrator.exceptions import ConfigurationError, OrchestratorError, ProviderError
from llm_orchestrator.types import MISSING_USAGE, Attempt, CostDetails, Exchange, LLMResponse, TokenUsage
from llm_orchestrator.usage.estimates import ESTIMATOR
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.numbers import is_amount
from llm_orchestrator.utils.values import build

if TYPE_CHECKING:
    from llm_orchestrator.pricing import facts
else:
    facts = LazyModule("llm_orchestrator.pricing.facts")  # a program without calls needs no prices

__all__ = [
    "GIVEN",
    "NOT_BILLED",
    "UNKNOWN_COST",
    "CallFacts",
    "given_cost",
    "is_refused",
    "may_be_billed",
    "may_have_been_sent",
    "reported_usage",
    "usage_record_of",
]

#: Sources of a cost that is not computed from a price.
GIVEN, NOT_BILLED = "given", "not_billed"

# Providers do not charge for a request that they refuse (Anthropic help centre: "Failed requests aren't
# charged"; Gemini billing FAQ on 400 and 500; OpenAI flex processing guide on 429).
_NO_CHARGE = CostDetails("free", total=Decimal(0), source=NOT_BILLED)
#: Of what could not be priced.
UNKNOWN_COST = CostDetails("unpriced", unpriced=("error",))
_NOTHING_USED = TokenUsage(source="none")


class CallFacts(NamedTuple):
    """What all attempts of one call have in common; the fields are those of ``UsageRecord``."""

    session_id: str
    call_id: str
    streamed: bool
    tags: Mapping[str, str]
    base_url: Optional[str]


def usage_record_of(
    call: CallFacts,
    attempt: Attempt,
    answer: LLMResponse,
    *,
    number: int,
    status: str,
    details: Optional[CostDetails],
    estimated: Optional[Mapping[str, int]] = None,
    exchange: Optional[Exchange] = None,
    ended_at: Optional[datetime] = None,
) -> UsageRecord:
    """Make the record of an attempt that ended; it counts as the last of its call until another one follows.

    Without ``details`` its provider refused it, and it costs nothing. Where no answer came, ``answer`` is an
    empty one.
    """
    usage = answer.usage
    if details is None:
        details, usage = _NO_CHARGE, _NOTHING_USED
    return build(
        UsageRecord,
        {
            "timestamp": ended_at or datetime.now(timezone.utc),
            "provider": answer.provider,
            "model": answer.model,
            **_reported_tokens(usage, estimated or {}),
            "cost": details.total,
            "session_id": call.session_id,
            "call_id": call.call_id,
            "attempt": number,
            "final": True,
            "status": status,
            "error_type": attempt.error,
            "status_code": attempt.status_code,
            "request_id": attempt.request_id,
            "requested_model": attempt.model or None,
            "price_status": details.status,
            "streamed": call.streamed,
            "latency": attempt.latency,
            "tags": {str(name): str(value) for name, value in call.tags.items()},
            "finish_reason": answer.raw_finish_reason,
            "time_to_first_token": attempt.time_to_first_token,
            "started_at": attempt.started_at,
            "estimated_counts": estimated or {},
            "estimator": ESTIMATOR if estimated else None,
            "cost_details": details,
            "price_provider": details.provider,
            "base_url": call.base_url and _origin(call.base_url),
            **_audit_facts(answer, exchange),
        },
    )


def given_cost(cost: Union[Decimal, float, str], status: str = "priced") -> CostDetails:
    """Describe a cost that the caller named."""
    try:
        total = Decimal(str(cost))
    except ArithmeticError:
        total = Decimal("NaN")
    if not is_amount(total):
        raise ValueError(
            f"{str(cost)[:50]!r} is not an amount of money. Use US dollars, or None when they are unknown."
        )
    return CostDetails(status, total=total, source=GIVEN)


def may_be_billed(error: Optional[BaseException]) -> bool:
    """Whether a request without an answer may cost: a lost one may, a refused one does not."""
    if reported_usage(error).source != "missing":
        return True
    return error.may_be_billed if isinstance(error, (ProviderError, ConfigurationError)) else True


def may_have_been_sent(error: Exception) -> bool:
    """Judge by the error; one of an unknown kind counts, for a paid request must not go unrecorded."""
    if isinstance(error, (ProviderError, ConfigurationError)):
        return error.sent
    return not isinstance(error, OrchestratorError)


def reported_usage(error: Optional[BaseException]) -> TokenUsage:
    """What a provider told of the usage of an answer inside which it failed."""
    return (error.usage if isinstance(error, ProviderError) else None) or MISSING_USAGE


def is_refused(status: str, status_code: Optional[int], usage: TokenUsage) -> bool:
    """The same by the HTTP status, for ``log_usage``, which gets no error."""
    # Without a status, after a timeout for instance, the request may have been billed: its cost is unknown.
    rejected = status == "error" and status_code is not None and status_code >= 400
    return rejected and usage.total_tokens is None


def _reported_tokens(usage: TokenUsage, estimated: Mapping[str, int]) -> Dict[str, Any]:
    """The fields of a record that hold tokens: what was reported, and nothing that had to be estimated."""
    return {
        "prompt_tokens": None if "in" in estimated else usage.prompt_tokens,
        "completion_tokens": None if "out" in estimated else usage.completion_tokens,
        "total_tokens": None if estimated else usage.total_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "usage_status": usage.source,
    }


def _audit_facts(answer: LLMResponse, exchange: Optional[Exchange]) -> Dict[str, Any]:
    """The fields of a record that an audit needs to price the answer again."""
    if exchange is None:
        return {"api": None, "usage_raw": None, "price_facts": {}}
    return {
        "api": exchange.api or None,
        "usage_raw": answer.usage.raw,
        "price_facts": facts.price_facts(
            exchange.request, exchange.headers, answer.raw_response or {}, batch=exchange.batch
        ),
    }


def _origin(base_url: str) -> str:
    """Reduce a URL to what decides a price; path and query are nobody's business."""
    return "/".join(base_url.split("/", 3)[:3])
