"""What one call costs, and how sure that is: where the pricing package is entered.

A ``PriceTable`` joins the shipped prices with the user's own (overrides, discount); ``price_usage`` in
``shipped`` is the same with the shipped prices alone. Unknown is never zero: what cannot be priced has
``total=None``.
"""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Dict, Iterable, List, Mapping, Optional, Set, Tuple, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.pricing.bill import NO_SUMS, Bill
from llm_orchestrator.pricing.book import STANDARD, Match, PriceBook, load
from llm_orchestrator.pricing.query import NOTHING, PricingQuery
from llm_orchestrator.pricing.terms import Terms, read_terms
from llm_orchestrator.pricing.usage import InvalidUsageError, Usage, read_usage
from llm_orchestrator.types import CostDetails
from llm_orchestrator.utils.json import JSON
from llm_orchestrator.utils.usage import reported_cost
from llm_orchestrator.utils.values import build, evolve

__all__ = ["PriceTable"]

logger = logging.getLogger(__name__)

_ZERO, _ONE = Decimal(0), Decimal(1)
_NO_USAGE = Usage((), NOTHING)
_UNPRICED = CostDetails("unpriced")
_warned: Set[str] = set()


class PriceTable:
    """The prices that hold for one configuration. Safe to share between threads.

    Args:
        overrides: The user's prices: mappings with ``provider``, ``model``, ``rates`` (dollars per million
            tokens by class, such as ``{"in": "1.25", "out": "10"}``), and optionally ``from`` (first day,
            UTC) and ``note``.
        discount: Factor on table prices, 0.9 for ten per cent off; overrides are not discounted.
        stale_after_days: Prices older than this many days are marked ``stale``; None never does.
        path: A price table in the format of the shipped ``prices.json``, to use instead of it.

    Raises:
        ConfigurationError: If an override lacks a part, names an unknown class or holds a value that is not
            a price or not a date, or the discount is not a factor.
    """

    def __init__(
        self,
        overrides: Iterable[Mapping[str, Any]] = (),
        discount: Union[Decimal, float, str] = 1,
        stale_after_days: Optional[int] = 30,
        path: Optional[str] = None,
    ) -> None:
        self._overrides: Dict[str, List[Mapping[str, Any]]] = {}
        for override in overrides:
            missing = [name for name in ("provider", "model", "rates") if not override.get(name)]
            if missing:
                raise ConfigurationError(f"price_overrides: {override} lacks {missing[0]!r}. Add it.")
            self._overrides.setdefault(str(override["provider"]), []).append(override)
        # Checked now, not at the first call that happens to need them.
        for provider, entries in self._overrides.items():
            PriceBook(provider, NOTHING, entries)
        self._discount = _factor(discount)
        self._stale_after_days = stale_after_days
        self._path = path
        self._table: Optional[JSON] = None
        self._by_provider: Dict[str, PriceBook] = {}
        self._version = self._as_of = ""
        self._fresh_until = "9999-12-31"

    @property
    def version(self) -> str:
        """Version of the price table in use."""
        self._loaded()
        return self._version

    def price(self, query: PricingQuery) -> CostDetails:
        """Price one call with this table.

        Args:
            query: What is known of the call.

        Returns:
            The cost and how it came about.

        Raises:
            ValueError: ``query.at`` is a string that is not a date.
        """
        details = self._price(query)
        usage = query.usage
        reported = reported_cost(usage[-1] if isinstance(usage, (list, tuple)) and usage else usage)
        return details if reported is None else evolve(details, reported_cost=reported)

    def _price(self, query: PricingQuery) -> CostDetails:
        book = self._book(query.provider)
        if book.free:
            return self._free(book, query.model)
        try:
            usage = read_usage(query, book.api)
            if usage is None and query.estimated is None:
                return self._unpriced("usage", "The provider reported no usage.")
            usage = usage or _NO_USAGE
            terms = read_terms(book, usage.raw, query)
        except InvalidUsageError as error:
            return self._unpriced("invalid_usage", str(error))
        except (AttributeError, TypeError) as error:  # what came from outside may have any shape
            return self._unpriced(
                "invalid_usage", f"The usage object does not have this provider's format: {error}."
            )
        day = _utc_day(query.at) if query.at is not None else self._as_of
        match = book.find(query.model, query.asked_model, day)
        if match is None:
            return self._unpriced("model", "The price table does not know this model.")
        discount = self._discount if match.prices.source == "table" else _ONE
        bill = Bill(book, match.prices, day, terms, discount)
        bill.add_call(usage, query.estimated)
        return self._details(match, bill, day, usage, terms)

    def knows(self, provider: str, model: str, at: Union[date, str]) -> bool:
        """Say whether a model has a price.

        Args:
            provider: Provider whose prices to use.
            model: Model that will be asked.
            at: The day, as for ``price_usage``.

        Returns:
            Whether calls of it can be priced.
        """
        book = self._book(provider)
        return book.free or book.find(model, None, _utc_day(at)) is not None

    def find(self, provider: str, model: str, at: Union[date, str]) -> Optional[Match]:
        """Find what the table, or an override, says of a model.

        Args:
            provider: Provider whose prices to use.
            model: The model's name, as it is configured or as the provider names it.
            at: The day, as for ``price_usage``.

        Returns:
            The model's prices and how they were found; None when there are none for that day.
        """
        return self._book(provider).find(model, None, _utc_day(at))

    def staleness(self, match: Match, at: Union[date, str]) -> Optional[str]:
        """Say why the standard price of a model may be out of date.

        Args:
            match: What ``find`` returned.
            at: The day, as for ``price_usage``.

        Returns:
            A sentence; None where nothing speaks against the price.
        """
        day = _utc_day(at)
        rates = match.prices.rates(day, STANDARD, 0)
        if rates is None or match.prices.source != "table":
            return None
        return self._why_stale(rates.confirmed_until, day)

    def is_free(self, provider: str) -> bool:
        """Say whether a provider charges nothing, whatever the model.

        Args:
            provider: Provider whose prices to use.

        Returns:
            Whether every call is free.
        """
        return self._book(provider).free

    def names(self, provider: str) -> Tuple[str, ...]:
        """Name the models of a provider that the table has, whether or not they have a price today.

        Args:
            provider: Provider whose prices to use.

        Returns:
            The names.
        """
        return self._book(provider).names

    @property
    def providers(self) -> Tuple[str, ...]:
        """The providers that the table or an override has prices for."""
        return tuple(dict.fromkeys((*self._overrides, *self._loaded()["providers"])))

    def _details(self, match: Match, bill: Bill, day: str, usage: Usage, terms: Terms) -> CostDetails:
        prices = match.prices
        stale = self._stale_note(match, bill, day) if prices.source == "table" else None
        status = bill.status or ("stale" if stale else "priced")
        return build(
            CostDetails,
            {
                "status": status,
                **(NO_SUMS if status == "unpriced" else bill.sums()),
                "counts": bill.counts,
                "rates": bill.rates,
                "recorded": terms.recorded,
                "model": prices.name,
                "provider": bill.book.provider,
                "match": match.how,
                "source": prices.source,
                "price_version": self._version,
                "period_from": bill.main.period_from if bill.main else None,
                "tier": terms.tier,
                "long_context": bill.long_context,
                "multiplier": prices.region_multiplier if terms.regional else _ONE,
                "discount": bill.discount,
                "reported_cost": None,
                "unpriced": tuple(bill.unpriced),
                "notes": usage.notes + terms.notes + _notes_on_price(match, stale),
            },
        )

    def _stale_note(self, match: Match, bill: Bill, day: str) -> Optional[str]:
        """Say why a price may be out of date, and warn about it once per process."""
        confirmed = bill.main.confirmed_until if bill.main else None
        why = self._why_stale(confirmed, day)
        if why and confirmed is not None and day > confirmed:
            name = match.prices.name
            self._warn(f"The price of {name} was confirmed until {confirmed} only; check what it costs now.")
        elif why:
            days = self._stale_after_days
            self._warn(f"The price table is of {self._as_of}, over {days} days ago; update the library.")
        return why

    def _why_stale(self, confirmed_until: Optional[str], day: str) -> Optional[str]:
        if confirmed_until is not None and day > confirmed_until:
            return f"This price was confirmed until {confirmed_until} only."
        self._loaded()  # it says how old it is
        return f"The price table is of {self._as_of}." if day > self._fresh_until else None

    def _free(self, book: PriceBook, model: str) -> CostDetails:
        return CostDetails(
            "free",
            total=_ZERO,
            input=_ZERO,
            cache_read=_ZERO,
            cache_write=_ZERO,
            output=_ZERO,
            fees=_ZERO,
            model=model,
            provider=book.provider,
            match="exact",
            source="table",
            price_version=self._version,
        )

    def _unpriced(self, unpriced: str, note: str) -> CostDetails:
        return evolve(_UNPRICED, price_version=self._version, unpriced=(unpriced,), notes=(note,))

    def _book(self, provider: str) -> PriceBook:
        book = self._by_provider.get(provider)
        if book is None:
            data = self._loaded()["providers"].get(provider, NOTHING)
            book = self._by_provider[provider] = PriceBook(provider, data, self._overrides.get(provider, ()))
        return book

    def _loaded(self) -> JSON:
        if self._table is None:
            table = load(self._path)
            self._version, self._as_of = str(table["version"]), str(table["as_of"])
            if self._stale_after_days is not None:
                self._fresh_until = _days_after(self._as_of, self._stale_after_days)
            self._table = table
        return self._table

    @staticmethod
    def _warn(message: str) -> None:
        if message not in _warned:
            _warned.add(message)
            logger.warning(message)


def _factor(discount: Union[Decimal, float, str]) -> Decimal:
    try:
        factor = Decimal(str(discount))
    except ArithmeticError:
        factor = _ZERO
    if not factor.is_finite() or factor <= 0:
        raise ConfigurationError(
            f"The discount {discount!r} is not a factor above 0. Write 0.9 for ten per cent off."
        )
    return factor


def _notes_on_price(match: Match, stale: Optional[str]) -> Tuple[str, ...]:
    notes: Tuple[str, ...] = (stale,) if stale else ()
    if match.how == "requested":
        notes += ("The served model has no price of its own; the requested model's was used.",)
    return (*notes, match.prices.note) if match.prices.note else notes


def _utc_day(at: Union[date, str]) -> str:
    """The UTC day of a moment, ``YYYY-MM-DD``; naive times are local, a bare date is taken as it is."""
    if isinstance(at, str):
        if len(at) == 10:
            return date.fromisoformat(at).isoformat()
        at = datetime.fromisoformat(at.replace("Z", "+00:00"))
    if isinstance(at, datetime):
        at = (at if at.tzinfo is timezone.utc else at.astimezone(timezone.utc)).date()
    return at.isoformat()


def _days_after(day: str, days: int) -> str:
    try:
        return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
    except OverflowError:  # somebody's way to say never
        return date.max.isoformat()
