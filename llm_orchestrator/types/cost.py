"""The result of pricing one call: the amounts, and everything needed to check them by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Dict, Mapping, Optional, Tuple

from llm_orchestrator.utils.values import Value, evolve

__all__ = ["CostDetails"]


@dataclass(frozen=True, eq=False, repr=False)
class CostDetails(Value):
    """The price of one call in US dollars, its parts, and how it came about.

    Attributes:
        status: ``priced``; ``partial`` (a part is unknown, ``total`` is a lower bound); ``stale`` (computed
            from rates that may be out of date); ``unpriced`` (``total`` is None); ``free`` (zero by its
            price).
        total: The sum of the parts; None when the call could not be priced, never zero instead.
        input: Uncached input of every kind, tool prompts and search content included.
        cache_read: Input read from a cache.
        cache_write: Input written to a cache.
        output: Output of every kind, reasoning included.
        fees: Fees per call of the provider's own tools.
        counts: Tokens and calls billed, by class, without overlap. A class of another model that took part in
            the call is written ``model:class``.
        rates: The rates used, in dollars per million tokens (fees: per thousand calls), under the same names.
        recorded: Counts that are not charged separately or cannot be priced from one call, for information.
        model: The model priced, as the price table names it.
        provider: The provider whose prices were used.
        match: How that model was found: ``exact``, ``dated`` (one date suffix removed), ``override``, or
            ``requested`` (the served name is unknown, so the requested model was priced).
        source: ``table``, ``user`` (an override), ``given`` (the caller passed the cost) or ``not_billed``
            (the provider refused the request).
        price_version: Version of the price table.
        period_from: First day (UTC, ISO 8601) of the price period used; None when it is not known.
        tier: Service tier billed: ``standard``, ``batch``, ``flex``, ``priority``, ``fast`` ...
        long_context: True when the prompt was long enough for the provider's long-context rates.
        multiplier: Regional surcharge on the token lines; 1 when there is none.
        discount: Factor applied to table prices; 1 when there is none.
        estimated: The part of ``total`` computed from estimated counts; None when nothing was estimated.
        reported_cost: What the host itself says that the call costs; None when it does not say. It is kept
            beside ``total`` and never takes its place.
        unpriced: What could not be priced.
        notes: Remarks about how the price was computed, one sentence each.
    """

    status: str
    total: Optional[Decimal] = None
    input: Optional[Decimal] = None
    cache_read: Optional[Decimal] = None
    cache_write: Optional[Decimal] = None
    output: Optional[Decimal] = None
    fees: Optional[Decimal] = None
    counts: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    recorded: Mapping[str, int] = field(default_factory=dict)
    model: Optional[str] = None
    provider: Optional[str] = None
    match: Optional[str] = None
    source: Optional[str] = None
    price_version: Optional[str] = None
    period_from: Optional[str] = None
    tier: Optional[str] = None
    long_context: bool = False
    multiplier: Decimal = Decimal(1)
    discount: Decimal = Decimal(1)
    estimated: Optional[Decimal] = None
    reported_cost: Optional[Decimal] = None
    unpriced: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Dict[str, Any]) -> CostDetails:
        """Make one from its fields by name.

        Args:
            fields: Every field that is not left at its default.

        Returns:
            The details.
        """
        return evolve(_EMPTY, **fields)


_EMPTY = CostDetails("")
