"""The arithmetic of one call: counts times rates, added up by part of the cost, exactly."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Dict, Iterable, List, Mapping, Optional

from llm_orchestrator.pricing.book import STANDARD, ModelPrices, PriceBook, Rates
from llm_orchestrator.pricing.terms import Terms
from llm_orchestrator.pricing.usage import Request, Usage

__all__ = ["NO_SUMS", "Bill"]

_ZERO = Decimal(0)
#: The sums of what has no price.
NO_SUMS = dict.fromkeys(("total", "input", "cache_read", "cache_write", "output", "fees", "estimated"))
_NO_AMOUNTS = dict.fromkeys(("input", "cache_read", "cache_write", "output", "fees"), _ZERO)
# The application may have set a coarser decimal context for its own work; prices stay exact.
_EXACT = Context(prec=60)
_add, _multiply, _multiply_add = _EXACT.add, _EXACT.multiply, _EXACT.fma


class Bill:
    """Adds up one call.

    Attributes:
        book: All prices of the provider.
        discount: Factor on the prices.
        amounts: Dollars by part of the cost.
        counts: What was billed, by class.
        rates: The rates used, by class.
        unpriced: What could not be priced.
        main: The rates of the call's own model; None when there are none.
        estimated: Dollars for estimated tokens; None when nothing was estimated.
        long_context: Whether long-context rates were used.
    """

    __slots__ = (
        "_day",
        "_prices",
        "_terms",
        "amounts",
        "book",
        "counts",
        "discount",
        "estimated",
        "long_context",
        "main",
        "rates",
        "unpriced",
    )

    def __init__(
        self, book: PriceBook, prices: ModelPrices, day: str, terms: Terms, discount: Decimal
    ) -> None:
        self.amounts = dict(_NO_AMOUNTS)
        self.counts: Dict[str, int] = {}
        self.rates: Dict[str, Decimal] = {}
        self.unpriced: List[str] = list(terms.unknown)
        self.main: Optional[Rates] = None
        self.estimated: Optional[Decimal] = None
        self.long_context = False
        self.book, self._prices, self._day, self._terms = book, prices, day, terms
        self.discount = discount

    def add_call(self, usage: Usage, estimated: Optional[Mapping[str, int]]) -> None:
        """Add what a call used: its requests, the provider's tools, and what is only estimated."""
        for request in usage.requests + self._terms.extra:
            self.add(request)
        if self._terms.calls:
            self._add_tools()
        if usage.missing:
            self._add_missing(name for name in usage.missing if not estimated or name not in estimated)
        if estimated is not None:
            prompt = sum(request.prompt for request in usage.requests[:1]) + estimated.get("in", 0)
            self._add_estimate(Request(dict(estimated), prompt))

    def add(self, request: Request) -> None:
        """Add the tokens of one request."""
        prices, tier = self._prices, self._terms.tier
        if request.model is not None:
            match = self.book.find(request.model, None, self._day)
            if match is None:
                self.unpriced.append(f"model:{request.model}")
                return
            prices = match.prices
            tier = self._tier_of_helper(prices)
        tier, share = self.book.share(tier)
        rates = prices.rates(self._day, tier, request.prompt)
        if rates is None:
            self.unpriced.append(f"service_tier:{tier}")
            return
        is_own = prices is self._prices
        if is_own and (self.main is None or rates.long_context):
            self.main = rates
        self.long_context |= rates.long_context
        factor = self.discount
        if self._terms.regional:
            factor = _multiply(factor, prices.region_multiplier)
        if share is not None and prices.source == "table":  # the user's prices are what is paid
            factor = _multiply(factor, share)
        prefix = "" if is_own else f"{request.model}:"
        self._add_tokens(request.tokens, rates, prefix, None if factor == 1 else factor)

    def _tier_of_helper(self, prices: ModelPrices) -> str:
        """A model that helps runs at the call's tier, unless only the call's own model has that tier."""
        tier = self._terms.tier
        only_own = tier in self._prices.tiers(self._day) and tier not in prices.tiers(self._day)
        return STANDARD if only_own else tier

    def _add_tokens(
        self, tokens: Dict[str, int], rates: Rates, prefix: str, factor: Optional[Decimal]
    ) -> None:
        amounts, counts, used = self.amounts, self.counts, self.rates
        for name, count in tokens.items():
            if not count:
                continue
            label = prefix + name
            line = rates.lines.get(name)
            if line is None:
                self.unpriced.append(label)
                continue
            part, rate, price = line
            if used.get(label, rate) != rate:  # another request of this call, longer or shorter
                label += ":long" if rates.long_context else ":short"
            used[label] = rate
            counts[label] = counts.get(label, 0) + count
            if factor is not None:
                price = _multiply(price, factor)
            amounts[part] = _multiply_add(count, price, amounts[part])

    def _add_tools(self) -> None:
        """Add the fees of the provider's tools, and the tokens of search results billed as a lump."""
        searches = self._terms.calls.get("web_search", 0)
        if searches and self._prices.search_tokens:
            self.add(Request({"search_in": searches * self._prices.search_tokens}, 0))
        for name, count in self._terms.calls.items():
            fee = self.book.fees.get(name)
            if fee is None:
                self.unpriced.append(name)
                continue
            self.counts[name] = count
            self.rates[name] = fee
            price = _multiply(_EXACT.scaleb(fee, -3), self.discount)
            self.amounts["fees"] = _multiply_add(count, price, self.amounts["fees"])

    def _add_estimate(self, request: Request) -> None:
        before = self.total()
        self.add(request)
        self.estimated = _EXACT.subtract(self.total(), before)

    def _add_missing(self, classes: Iterable[str]) -> None:
        """Note what the provider did not report; output of a model that has none is not missing."""
        for name in classes:
            if name != "out" or self.main is None or name in self.main.lines:
                self.unpriced.append(name)

    def sums(self) -> Dict[str, Optional[Decimal]]:
        """The dollars in all, by part, and those that are estimated."""
        return {**self.amounts, "total": self.total(), "estimated": self.estimated}

    def total(self) -> Decimal:
        """The sum of all parts."""
        total = _ZERO
        for amount in self.amounts.values():
            if amount:
                total = _add(total, amount)
        return total

    @property
    def status(self) -> Optional[str]:
        """``unpriced``, ``partial`` or ``free``; None when everything has a price."""
        if self.main is None or (self.unpriced and not self.rates):
            return "unpriced"
        if self.unpriced:
            return "partial"
        return "free" if self.main.free and not any(self.rates.values()) else None
