"""What attempts cost: prices them when they end, and prices rows of the ledger again.

This joins what a call knows (answer, usage, estimates) with the price table; the arithmetic is in
``pricing``.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Union

from llm_orchestrator.types import Exchange, TokenUsage
from llm_orchestrator.usage.record import parse_counts, parse_timestamp

if TYPE_CHECKING:
    from llm_orchestrator.pricing import PriceTable
    from llm_orchestrator.types import CostDetails, LLMResponse

__all__ = [
    "NOTHING_USED",
    "Billing",
    "audit_facts",
    "given",
    "is_refused",
    "not_billed",
    "origin",
    "reported_tokens",
]

logger = logging.getLogger(__name__)

_GIVEN, _NOT_BILLED = "given", "not_billed"
#: The usage of a request that its provider refused.
NOTHING_USED = TokenUsage(source="none")
_NO_EXCHANGE = Exchange("", {}, {})


def given(cost: Union[Decimal, float, str], status: str = "priced") -> CostDetails:
    """Describe a cost that the caller named."""
    from llm_orchestrator.types import CostDetails

    try:
        total = Decimal(str(cost))
    except ArithmeticError:
        total = Decimal("NaN")
    if not total.is_finite():
        raise ValueError(f"{cost!r} is no amount of money. Use US dollars, or None when they are unknown.")
    return CostDetails(status, total=total, source=_GIVEN)


def not_billed() -> CostDetails:
    """Describe the cost of a request that its provider refused.

    Providers do not charge for these (Anthropic help centre: "Failed requests aren't charged"; Gemini billing
    FAQ on 400 and 500; OpenAI flex processing guide on 429).
    """
    from llm_orchestrator.types import CostDetails

    return CostDetails("free", total=Decimal(0), source=_NOT_BILLED)


class Billing:
    """Prices attempts."""

    def __init__(self, table: Optional[PriceTable] = None) -> None:
        self._table = table

    @property
    def table(self) -> PriceTable:
        """The prices in use."""
        if self._table is None:
            from llm_orchestrator.pricing import PriceTable

            self._table = PriceTable()
        return self._table

    def price(  # noqa: PLR0917
        self,
        response: LLMResponse,
        price_provider: str,
        base_url: Optional[str],
        at: Optional[datetime],
        estimated: Optional[Mapping[str, int]],
        exchange: Optional[Exchange],
    ) -> CostDetails:
        """Price an answer; the arguments are those of ``CostTracker.price_response``."""
        at = at or datetime.now(timezone.utc)
        try:
            details = self._priced(response, response.provider, base_url, at, estimated, exchange)
            if details.status == "unpriced" and price_provider != response.provider:
                details = self._priced(response, price_provider, base_url, at, estimated, exchange)
        except Exception:  # whatever is wrong with a price, the answer was paid for and has to arrive
            from llm_orchestrator.types import CostDetails

            logger.exception("%s/%s could not be priced.", response.provider, response.model)
            details = CostDetails("unpriced", unpriced=("error",))
        return details

    def _priced(  # noqa: PLR0917
        self,
        response: LLMResponse,
        price_provider: str,
        base_url: Optional[str],
        at: datetime,
        estimated: Optional[Mapping[str, int]],
        exchange: Optional[Exchange],
    ) -> CostDetails:
        usage, is_known = response.usage, exchange is not None
        exchange = exchange or _NO_EXCHANGE
        if usage.raw is None or not is_known:
            return self.table.price_tokens(
                price_provider,
                response.model,
                usage,
                requested_model=response.requested_model,
                at=at,
                base_url=base_url,
                request=exchange.request,
                estimated=estimated,
            )
        return self.table.price(
            price_provider,
            response.model,
            _as_reported(usage.raw, usage.source),
            requested_model=response.requested_model,
            api=exchange.api or None,
            at=at,
            base_url=base_url,
            headers=exchange.headers,
            request=exchange.request,
            response=response.raw_response,
            estimated=estimated,
        )

    def recompute(self, row: Mapping[str, Any]) -> Optional[Decimal]:
        """Price a row of the ledger again; see ``CostTracker.recompute``."""
        if row.get("price_source") in (_GIVEN, _NOT_BILLED):
            cost = str(row["cost"] or "").lstrip("'")  # the mark in front of what looks like a formula
            return Decimal(cost) if cost else None
        facts = _json(row.get("price_facts")) or {}
        common: Any = {
            "requested_model": row.get("requested_model") or None,
            "at": parse_timestamp(row.get("started_at") or row["timestamp"]),
            "base_url": row.get("base_url") or None,
            "request": facts.get("request"),
            "estimated": _counts(row.get("estimated_counts")),
        }
        provider = row.get("price_provider") or row["provider"]
        raw = _json(row.get("usage_raw"))
        if raw is None:
            return self.table.price_tokens(provider, row["model"], _usage(row), **common).total
        return self.table.price(
            provider,
            row["model"],
            _as_reported(raw, row["usage_status"]),
            api=row.get("api") or None,
            headers=facts.get("headers"),
            response=facts.get("response"),
            **common,
        ).total


def _as_reported(raw: Any, source: str) -> Any:
    """A list is a stream's: the table then knows that counts of a stream that broke off are no final ones."""
    return [raw] if source == "partial" else raw


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value else value or None


def _counts(text: Optional[str]) -> Optional[Mapping[str, int]]:
    return parse_counts(text) if text else None


def _usage(row: Mapping[str, Any]) -> TokenUsage:
    def count(name: str) -> Optional[int]:
        return int(row[name]) if row.get(name) not in ("", None) else None

    return TokenUsage(
        prompt_tokens=count("prompt_tokens"),
        completion_tokens=count("completion_tokens"),
        total_tokens=count("total_tokens"),
        cached_tokens=count("cached_tokens"),
        cache_write_tokens=count("cache_write_tokens"),
    )


def is_refused(status: str, status_code: Optional[int], usage: TokenUsage) -> bool:
    """Tell whether a provider refused a request, by its HTTP status."""
    # Without a status, after a timeout for instance, the request may have been billed: its cost is unknown.
    rejected = status == "error" and status_code is not None and status_code >= 400
    return rejected and usage.total_tokens is None


def reported_tokens(usage: TokenUsage, estimated: Optional[Mapping[str, int]]) -> Dict[str, Any]:
    """List the fields of a record that hold tokens: what was told, and nothing that had to be estimated."""
    guessed = estimated or {}
    prompt = None if "in" in guessed else usage.prompt_tokens
    completion = None if "out" in guessed else usage.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": None if guessed else usage.total_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "usage_status": usage.source,
    }


def audit_facts(response: Optional[LLMResponse], exchange: Optional[Exchange]) -> Dict[str, Any]:
    """List the fields of a record that an audit needs to price an answer again."""
    if response is None:
        return {}
    facts: Dict[str, Any] = {"finish_reason": response.raw_finish_reason}
    if exchange is not None:
        from llm_orchestrator.pricing.facts import price_facts

        facts["api"] = exchange.api or None
        facts["usage_raw"] = response.usage.raw
        facts["price_facts"] = price_facts(exchange.request, exchange.headers, response.raw_response or {})
    return facts


def origin(base_url: str) -> str:
    """Reduce a URL to what decides a price; path and query may hold what is nobody's business."""
    return "/".join(base_url.split("/", 3)[:3])
