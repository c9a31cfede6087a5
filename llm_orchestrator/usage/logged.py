"""A request that an application sent itself, as it tells ``log_usage`` of it, on its way to a record."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from decimal import Decimal
from typing import Callable, Mapping, NamedTuple, Optional

from llm_orchestrator.types import Attempt, CostDetails, LLMResponse, TokenUsage
from llm_orchestrator.usage.attempts import CallFacts, given_cost, is_refused, usage_record_of
from llm_orchestrator.usage.record import Tokens, UsageRecord, as_usage, as_utc
from llm_orchestrator.utils.values import evolve

__all__ = ["LoggedRequest", "PriceTokens", "logged_request", "new_id"]

#: Prices counts: provider, model, usage, requested model, and the moment that decides the price.
PriceTokens = Callable[[str, str, TokenUsage, Optional[str], datetime], CostDetails]

_NO_ANSWER = LLMResponse("", "", "")


class LoggedRequest(NamedTuple):
    """What was told of a request, checked; its session is empty where none was named."""

    call: CallFacts
    attempt: Attempt
    answer: LLMResponse
    number: int
    final: bool
    status: str
    details: Optional[CostDetails]
    estimated: Optional[Mapping[str, int]]
    ended_at: datetime
    has_to_be_priced: bool

    def record(self, session_id: str, price_tokens: PriceTokens) -> UsageRecord:
        """Make its record, of this session where it named none."""
        return usage_record_of(
            self.call if self.call.session_id else self.call._replace(session_id=session_id),
            self.attempt,
            self.answer,
            number=self.number,
            final=self.final,
            status=self.status,
            details=self._priced(price_tokens) if self.has_to_be_priced else self.details,
            estimated=self.estimated,
            ended_at=self.ended_at,
        )

    def _priced(self, price_tokens: PriceTokens) -> CostDetails:
        answer, attempt = self.answer, self.attempt
        at = attempt.started_at or self.ended_at
        return price_tokens(answer.provider, answer.model, answer.usage, attempt.model or None, at)


def logged_request(
    provider: str,
    model: str,
    tokens: Tokens,
    session_id: Optional[str] = None,
    *,
    cost: Optional[Decimal] = None,
    cost_details: Optional[CostDetails] = None,
    status: str = "ok",
    call_id: Optional[str] = None,
    attempt: int = 1,
    final: bool = True,
    requested_model: Optional[str] = None,
    request_id: Optional[str] = None,
    error_type: Optional[str] = None,
    status_code: Optional[int] = None,
    latency: Optional[float] = None,
    streamed: bool = False,
    tags: Optional[Mapping[str, str]] = None,
    timestamp: Optional[datetime] = None,
    started_at: Optional[datetime] = None,
    time_to_first_token: Optional[float] = None,
    response: Optional[LLMResponse] = None,
    base_url: Optional[str] = None,
    estimated: Optional[Mapping[str, int]] = None,
    billed: bool = True,
) -> LoggedRequest:
    """Read what is told of a request; ``CostTracker.log_usage`` documents it."""
    usage = as_usage(tokens)
    if cost is not None:
        cost_details = given_cost(cost, cost_details.status if cost_details else "priced")
    return LoggedRequest(
        CallFacts(session_id or "", call_id or new_id(), streamed, tags or {}, base_url),
        Attempt(
            requested_model or "",
            error=error_type,
            status_code=status_code,
            request_id=request_id,
            latency=latency,
            started_at=as_utc(started_at),
            time_to_first_token=time_to_first_token,
        ),
        evolve(response or _NO_ANSWER, provider=provider, model=model, usage=usage),
        number=attempt,
        final=final,
        status=status,
        details=cost_details,
        estimated=estimated,
        ended_at=as_utc(timestamp) or datetime.now(timezone.utc),
        has_to_be_priced=cost_details is None and billed and not is_refused(status, status_code, usage),
    )


def new_id() -> str:
    """A new id of a call or a session."""
    return os.urandom(16).hex()
