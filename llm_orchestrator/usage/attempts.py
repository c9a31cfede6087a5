"""The record of an attempt, made once, when it ends: what is kept of it, and whether it costs anything.

A call hands over what it knows, ``CostTracker.log_usage`` what its caller says; both get their
``UsageRecord`` here.
"""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple, Optional, Union

from llm_orchestrator.exceptions import ConfigurationError, OrchestratorError, ProviderError
from llm_orchestrator.types import MISSING_USAGE, Attempt, CostDetails, Exchange, LLMResponse, TokenUsage
from llm_orchestrator.usage.estimates import ESTIMATOR
from llm_orchestrator.usage.record import BLANK, UsageRecord
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
    final: bool = True,
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
    # The copy of a dict with every name in it, changed in place, costs a third of a display of so many.
    fields = BLANK.copy()
    fields["timestamp"] = ended_at or datetime.now(timezone.utc)
    fields["provider"] = answer.provider
    fields["model"] = answer.model
    fields["cost"] = details.total
    fields["session_id"], fields["call_id"], fields["streamed"], tags, base_url = call
    fields["tags"] = {str(name): str(value) for name, value in tags.items()} if tags else {}
    fields["base_url"] = base_url and _origin(base_url)
    fields["attempt"] = number
    fields["final"] = final
    fields["status"] = status
    fields["error_type"] = attempt.error
    fields["status_code"] = attempt.status_code
    fields["request_id"] = attempt.request_id
    fields["requested_model"] = attempt.model or None
    fields["latency"] = attempt.latency
    fields["time_to_first_token"] = attempt.time_to_first_token
    fields["started_at"] = attempt.started_at
    fields["finish_reason"] = answer.raw_finish_reason
    fields["price_status"] = details.status
    fields["price_provider"] = details.provider
    fields["cost_details"] = details
    _add_tokens(fields, usage, estimated)
    if exchange is not None:
        _add_audit_facts(fields, answer, exchange)
    return build(UsageRecord, fields)


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


def _add_tokens(fields: Dict[str, Any], usage: TokenUsage, estimated: Optional[Mapping[str, int]]) -> None:
    """Add what was reported; what had to be estimated stands apart from it."""
    fields["prompt_tokens"] = usage.prompt_tokens
    fields["completion_tokens"] = usage.completion_tokens
    fields["total_tokens"] = usage.total_tokens
    fields["cached_tokens"] = usage.cached_tokens
    fields["cache_write_tokens"] = usage.cache_write_tokens
    fields["reasoning_tokens"] = usage.reasoning_tokens
    fields["usage_status"] = usage.source
    if estimated:
        fields["estimated_counts"] = estimated
        fields["estimator"] = ESTIMATOR
        fields["total_tokens"] = None
        if "in" in estimated:
            fields["prompt_tokens"] = None
        if "out" in estimated:
            fields["completion_tokens"] = None


def _add_audit_facts(fields: Dict[str, Any], answer: LLMResponse, exchange: Exchange) -> None:
    """Add what an audit needs to price the answer again."""
    fields["api"] = exchange.api or None
    fields["usage_raw"] = answer.usage.raw
    fields["price_facts"] = facts.price_facts(
        exchange.request, exchange.headers, answer.raw_response or {}, batch=exchange.batch
    )


@lru_cache(maxsize=64)
def _origin(base_url: str) -> str:
    """Reduce a URL to what decides a price; path and query are nobody's business."""
    return "/".join(base_url.split("/", 3)[:3])
