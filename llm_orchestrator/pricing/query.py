"""What is known of one call that decides its price, in one value from the caller to the last step.

Every part of the pricing package is given the whole query and reads of it what it needs.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Union

from llm_orchestrator.types import TokenUsage
from llm_orchestrator.utils.json import JSON

__all__ = ["NOTHING", "PricingQuery", "RawUsage"]

#: A usage object as its provider sends it, or those of a stream in order.
RawUsage = Union[JSON, Sequence[Optional[JSON]], None]

#: A JSON object that nothing is known of.
NOTHING: Dict[str, Any] = {}


class PricingQuery(NamedTuple):
    """One call whose price is asked.

    Attributes:
        provider: Provider whose prices to use.
        model: Model that served the call.
        usage: The provider's usage object, the list of those of a stream, or None when there was none; a
            ``TokenUsage`` where only counts are known, of which cache writes are taken at the lifetime that
            was requested, else at the shortest.
        requested_model: Model that was asked for.
        api: The provider's API, in the words of ``price_usage``; None: the provider's usual one.
        at: When the request was sent, as for ``price_usage``.
        service_tier: Tier that was served, where the caller knows it.
        batch: Whether the call was part of a batch.
        base_url: Base URL the request went to.
        headers: Response headers.
        request: The request's JSON body, or what is known of it.
        response: The response's JSON body, or what is known of it.
        estimated: Tokens that were not reported, by class (``in``, ``out``). They are priced like the others,
            and ``CostDetails.estimated`` says what they came to.
    """

    provider: str
    model: str
    usage: Union[RawUsage, TokenUsage]
    requested_model: Optional[str] = None
    api: Optional[str] = None
    at: Union[date, str, None] = None
    service_tier: Optional[str] = None
    batch: bool = False
    base_url: Optional[str] = None
    headers: Mapping[str, str] = NOTHING
    request: JSON = NOTHING
    response: JSON = NOTHING
    estimated: Optional[Mapping[str, int]] = None

    @property
    def asked_model(self) -> Optional[str]:
        """Model that was asked for, from the request's body where nobody names it."""
        return self.requested_model or self.request.get("model")
