"""What attempts cost: prices them when they end, and prices rows of the ledger again.

This joins what a call knows (answer, usage, estimates) with the price table; the arithmetic is in
``pricing``. Imported with the first price only, as all of ``pricing`` comes with it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Mapping, Optional

from llm_orchestrator.pricing import PriceTable, PricingQuery
from llm_orchestrator.pricing.query import NOTHING
from llm_orchestrator.types import CostDetails, Exchange, LLMResponse, TokenUsage
from llm_orchestrator.usage.attempts import GIVEN, NOT_BILLED, UNKNOWN_COST
from llm_orchestrator.usage.record import parse_counts, parse_timestamp
from llm_orchestrator.utils.json import read_json

__all__ = ["Billing"]

logger = logging.getLogger(__name__)

_NO_EXCHANGE = Exchange("", NOTHING, NOTHING)


class Billing:
    """Prices answers when they arrive, and rows of the ledger again, by one price table."""

    def __init__(self, table: Optional[PriceTable] = None) -> None:
        self.table = PriceTable() if table is None else table

    def price(
        self,
        response: LLMResponse,
        price_provider: str,
        base_url: Optional[str],
        *,
        at: Optional[datetime],
        estimated: Optional[Mapping[str, int]],
        exchange: Optional[Exchange],
    ) -> CostDetails:
        """Price an answer; the arguments are those of ``CostTracker.price_response``."""
        try:
            query = _query(response, exchange, base_url, at or datetime.now(timezone.utc), estimated)
            details = self.table.price(query)
            if details.status == "unpriced" and price_provider != response.provider:
                details = self.table.price(query._replace(provider=price_provider))
        except Exception:  # whatever is wrong with a price, the answer was paid for and has to arrive
            logger.exception("%s/%s could not be priced.", response.provider, response.model)
            details = UNKNOWN_COST
        return details

    def price_tokens(
        self, provider: str, model: str, usage: TokenUsage, requested_model: Optional[str], at: datetime
    ) -> CostDetails:
        """Price counts, for a call of which nothing else is known."""
        return self.table.price(PricingQuery(provider, model, usage, requested_model, at=at))

    def recompute(self, row: Mapping[str, Any]) -> Optional[Decimal]:
        """Price a row of the ledger again; see ``CostTracker.recompute``."""
        if row.get("price_source") in (GIVEN, NOT_BILLED):
            given = row["cost"]  # text of a file, or the amount itself, which may be 0
            cost = (
                "" if given is None else str(given).lstrip("'")
            )  # the mark in front of what looks like a formula
            return Decimal(cost) if cost else None
        try:
            return self.table.price(_query_of_row(row)).total
        except (ValueError, TypeError, AttributeError):  # a file may have been edited by hand
            return None


def _query(
    response: LLMResponse,
    exchange: Optional[Exchange],
    base_url: Optional[str],
    at: datetime,
    estimated: Optional[Mapping[str, int]],
) -> PricingQuery:
    """What is known of an answer; without a usage object its counts are priced, by what was requested."""
    usage, known = response.usage, exchange or _NO_EXCHANGE
    has_object = exchange is not None and usage.raw is not None
    return PricingQuery(
        response.provider,
        response.model,
        _as_reported(usage.raw, usage.source) if has_object else usage,
        response.requested_model,
        api=known.api or None,
        at=at,
        batch=known.batch,
        base_url=base_url,
        headers=known.headers if has_object else NOTHING,
        request=known.request,
        response=response.raw_response or NOTHING if has_object else NOTHING,
        estimated=estimated,
    )


def _query_of_row(row: Mapping[str, Any]) -> PricingQuery:
    """The same of a row of the ledger."""
    raw, known = _json(row.get("usage_raw")), _json(row.get("price_facts")) or NOTHING
    has_object = raw is not None
    return PricingQuery(
        row.get("price_provider") or row["provider"],
        row["model"],
        _as_reported(raw, row["usage_status"]) if has_object else _counted(row),
        row.get("requested_model") or None,
        api=row.get("api") or None,
        at=_moment(row.get("started_at") or row["timestamp"]),
        batch=known.get("batch") is True,
        base_url=row.get("base_url") or None,
        headers=known.get("headers") or NOTHING if has_object else NOTHING,
        request=known.get("request") or NOTHING,
        response=known.get("response") or NOTHING if has_object else NOTHING,
        estimated=_estimated(row.get("estimated_counts")),
    )


def _as_reported(raw: Any, source: str) -> Any:
    """A list is a stream's: the counts of one that broke off are then not taken for final ones."""
    return [raw] if source == "partial" else raw


def _json(value: Any) -> Any:
    return read_json(value) if isinstance(value, str) and value else value or None


def _moment(value: Any) -> datetime:
    return parse_timestamp(value) if isinstance(value, str) else value


def _estimated(text: Optional[str]) -> Optional[Mapping[str, int]]:
    return parse_counts(text) if text else None


def _counted(row: Mapping[str, Any]) -> TokenUsage:
    def count(name: str) -> Optional[int]:
        return int(row[name]) if row.get(name) not in ("", None) else None

    return TokenUsage(
        prompt_tokens=count("prompt_tokens"),
        completion_tokens=count("completion_tokens"),
        total_tokens=count("total_tokens"),
        cached_tokens=count("cached_tokens"),
        cache_write_tokens=count("cache_write_tokens"),
    )
