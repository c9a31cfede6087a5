"""The price of one call by the prices that are shipped with the library."""

from __future__ import annotations

from datetime import date
from typing import Mapping, Optional, Union

from llm_orchestrator.pricing.query import NOTHING, PricingQuery, RawUsage
from llm_orchestrator.pricing.table import PriceTable
from llm_orchestrator.types import CostDetails
from llm_orchestrator.utils.json import JSON

__all__ = ["price_usage"]

_default_table = PriceTable()


def price_usage(
    provider: str,
    model: str,
    usage: RawUsage,
    *,
    requested_model: Optional[str] = None,
    api: Optional[str] = None,
    at: Union[date, str, None] = None,
    service_tier: Optional[str] = None,
    batch: bool = False,
    base_url: Optional[str] = None,
    headers: Optional[Mapping[str, str]] = None,
    request: Optional[JSON] = None,
    response: Optional[JSON] = None,
) -> CostDetails:
    """Price one call from what the provider reported. Uses no network, and no clock but ``at``.

    Args:
        provider: ``openai``, ``anthropic``, ``gemini`` or ``local`` (free); any other is somebody else's
            price list and unpriced.
        model: Model that served the call, as the provider names it.
        usage: The provider's usage object in REST names; for a stream the list of its usage objects in order,
            None where a chunk had none; None when there was none at all.
        requested_model: Model that was asked for; priced when the served one is unknown.
        api: ``chat``, ``responses``, ``messages``, ``generate_content`` or ``embeddings``.
        at: When the request was sent: a datetime (naive is local time), a date or an ISO 8601 string. None
            prices by the day the table was made.
        service_tier: Tier that was served, where the caller knows it; fields of the response come first.
        batch: Whether the request was part of a batch.
        base_url: Base URL of the request; shows a region with a surcharge.
        headers: Response headers; Gemini names the served tier there.
        request: The request's JSON body: requested tier, cache lifetime, tools.
        response: The response's JSON body without its usage: served tier, tool usage, output items.

    Returns:
        The cost and how it came about; ``total`` is None when it is unknown.

    Raises:
        ValueError: ``at`` is a string that is not a date.
    """
    query = PricingQuery(
        provider,
        model,
        usage,
        requested_model=requested_model,
        api=api,
        at=at,
        service_tier=service_tier,
        batch=batch,
        base_url=base_url,
        headers=headers or NOTHING,
        request=request or NOTHING,
        response=response or NOTHING,
    )
    return _default_table.price(query)
