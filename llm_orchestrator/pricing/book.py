"""All prices of one provider: loading ``prices.json``, finding a model in it, and the rates of a given day.

Nothing here knows a token count. Prices are data: what differs between providers (names of tiers, regions,
which class replaces a missing one) is written in the table, not in this code.
"""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Context, Decimal
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.numbers import is_amount
from llm_orchestrator.utils.packaged import packaged_text

__all__ = ["COMPONENTS", "STANDARD", "Match", "ModelPrices", "PriceBook", "Rates", "load"]

#: Every class of billed tokens, and the part of the cost it belongs to.
COMPONENTS = {
    "in": "input",
    "tool_in": "input",
    "search_in": "input",
    "audio_in": "input",
    "image_in": "input",
    "video_in": "input",
    "cache_read": "cache_read",
    "audio_cache_read": "cache_read",
    "image_cache_read": "cache_read",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write",
    "cache_write_12h": "cache_write",
    "out": "output",
    "audio_out": "output",
    "image_out": "output",
    "video_out": "output",
}

#: Classes of tokens that never have a rate of their own in the table.
_DERIVED = ("tool_in", "search_in")

#: The name of the ordinary tier; providers have several for it.
STANDARD = "standard"

_EXACT = Context(prec=60)
_DATE_SUFFIX = re.compile(r"(?:-\d{8}|-\d{4}-\d{2}-\d{2}|@\d{8})$")
_PREFIXES = ("models/", "publishers/google/models/")


class Line(NamedTuple):
    """What one class of tokens costs: the part of the cost it belongs to, and its rate in dollars."""

    part: str
    per_million: Decimal
    per_token: Decimal


class Rates(NamedTuple):
    """The rates of one model for one kind of request, by class of tokens."""

    lines: Mapping[str, Line]
    long_context: bool
    period_from: Optional[str]
    confirmed_until: Optional[str]
    free: bool


class _Choice(NamedTuple):
    """The rates of one day and tier: those of short prompts, and of prompts over a number of tokens."""

    short: Optional[Rates]
    long: Optional[Rates]
    over: float


_NEVER = float("inf")
_NO_CHOICE = _Choice(None, None, _NEVER)


class ModelPrices:
    """The dated prices of one model."""

    def __init__(
        self,
        name: str,
        entry: Mapping[str, Any],
        parents: Mapping[str, Sequence[str]],
        source: str = "table",
    ) -> None:
        self.name = name
        self.source = source
        self.dated = bool(entry.get("dated"))
        self.note: Optional[str] = entry.get("note")
        self.search_tokens = int(entry.get("search_tokens", 0))
        self.region_multiplier = Decimal(entry.get("region", {}).get("multiplier", 1))
        self._periods: List[Mapping[str, Any]] = list(entry["periods"])
        self._spans = [(period.get("from") or "", period.get("to") or "9999") for period in self._periods]
        self._parents = parents
        self._choices: Dict[Tuple[str, str], _Choice] = {}

    def covers(self, day: str) -> bool:
        """Whether there is a price for that day (``YYYY-MM-DD``)."""
        return self._index(day) is not None

    def tiers(self, day: str) -> Tuple[str, ...]:
        """Name the service tiers that have rates of their own on that day."""
        index = self._index(day)
        return () if index is None else tuple(self._periods[index].get("tiers", ()))

    def rates(self, day: str, tier: str, prompt: int) -> Optional[Rates]:
        """Return the rates of one request; None when the table has none for that day and tier."""
        choice = self._choices.get((day, tier))
        if choice is None:
            choice = self._choices[day, tier] = self._choose(day, tier)
        return choice.long if prompt > choice.over else choice.short

    def long_prompt(self, day: str, tier: str) -> Optional[int]:
        """Return the tokens of a prompt above which other rates hold; None where they never do."""
        self.rates(day, tier, 0)
        over = self._choices[day, tier].over
        return None if over == _NEVER else int(over)

    def _index(self, day: str) -> Optional[int]:
        for index in range(len(self._spans) - 1, -1, -1):
            begin, end = self._spans[index]
            if begin <= day:
                return index if day < end else None
        return None

    def _choose(self, day: str, tier: str) -> _Choice:
        index = self._index(day)
        if index is None:
            return _NO_CHOICE
        period = self._periods[index]
        # The user's prices hold for every tier; the table has each tier's own.
        is_table = tier != STANDARD and self.source == "table"
        shape = period.get("tiers", {}).get(tier) if is_table else period
        if shape is None:
            return _NO_CHOICE
        short = self._compile(period, shape["rates"], False)
        if "long" not in shape:
            return _Choice(short, short, _NEVER)
        return _Choice(short, self._compile(period, shape["long"]["rates"], True), shape["long"]["over"])

    def _compile(self, period: Mapping[str, Any], listed: Mapping[str, Any], is_long: bool) -> Rates:
        own = {name: Decimal(rate) for name, rate in listed.items()}
        rates = dict(own)
        for name in COMPONENTS:
            stand_in = next((parent for parent in self._parents.get(name, ()) if parent in own), None)
            if name not in own and stand_in is not None:
                rates[name] = own[stand_in]
        lines = {name: Line(COMPONENTS[name], rate, rate.scaleb(-6, _EXACT)) for name, rate in rates.items()}
        return Rates(lines, is_long, period.get("from"), period.get("confirmed_until"), not any(own.values()))


class Match(NamedTuple):
    """A model found in the table, and how: ``exact``, ``dated``, ``override`` or ``requested``."""

    prices: ModelPrices
    how: str


#: Before the window, in the name of the tier of answers that are made in the background.
_IN_BACKGROUND = "background:"
#: Not the same as None, which is a model that was sought and has no price.
_NOT_SOUGHT = Match(ModelPrices("", {"periods": ()}, {}), "")


class PriceBook:
    """All prices of one provider: the table's, and the user's overrides in front of them."""

    def __init__(
        self, provider: str, data: Mapping[str, Any], overrides: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        self.provider = provider
        self.free = bool(data.get("free"))
        self.api: Optional[str] = data.get("api")
        self._host: Optional[str] = data.get("host")
        self._regional: Dict[str, bool] = {}
        self.regions = frozenset(data.get("regions", ()))
        self._tier_names: Mapping[str, str] = data.get("tier_names", {})
        #: What an answer costs of the standard rates where it may take so long in the background.
        self._windows = {name: Decimal(share) for name, share in data.get("windows", {}).items()}
        self.fees = {name: Decimal(rate) for name, rate in data.get("fees_per_1k", {}).items()}
        self._parents = data.get("parents", {"cache_read": ["in"], "tool_in": ["in"], "image_in": ["in"]})
        self._entries: Mapping[str, Any] = data.get("models", {})
        self._names = {name: key for key, entry in self._entries.items() for name in entry["names"]}
        self._models: Dict[str, ModelPrices] = {}
        self._overrides = self._read_overrides(overrides)
        self._found: Dict[Tuple[str, Optional[str], str], Optional[Match]] = {}

    @property
    def names(self) -> Tuple[str, ...]:
        """Every name of a model that has prices."""
        return tuple(sorted({*self._overrides, *self._names}))

    def window(self, name: Any) -> Optional[str]:
        """The tier of answers that may take as long as this window; None where it has no price of its own."""
        return f"{_IN_BACKGROUND}{name}" if isinstance(name, str) and name in self._windows else None

    def share(self, tier: str) -> Tuple[str, Optional[Decimal]]:
        """The tier whose rates hold, and what of them is paid where that is not all."""
        window = tier[len(_IN_BACKGROUND) :] if tier.startswith(_IN_BACKGROUND) else ""
        return (STANDARD, self._windows[window]) if window in self._windows else (tier, None)

    def tier(self, name: Optional[str]) -> str:
        """Translate a provider's name of a service tier into the table's."""
        if not name:
            return STANDARD
        name = name.lower()
        return self._tier_names.get(name, name)

    def is_regional(self, base_url: Optional[str]) -> bool:
        """Whether a base URL belongs to one of the provider's regions with a surcharge."""
        if base_url is None or self._host is None:
            return False
        if base_url not in self._regional:
            from urllib.parse import urlsplit

            region, _, host = (urlsplit(base_url).hostname or "").partition(".")
            self._regional[base_url] = host == self._host and region in self.regions
        return self._regional[base_url]

    def find(self, model: str, requested: Optional[str], day: str) -> Optional[Match]:
        """Find the price of a call: the served model's, else the requested one's; never by prefix."""
        key = (model, requested, day)
        match = self._found.get(key, _NOT_SOUGHT)
        if match is _NOT_SOUGHT:
            if len(self._found) > 4096:  # names come from outside; the cache must not grow for ever
                self._found.clear()
            candidates = self._search(model, requested)
            match = next((found for found in candidates if found.prices.covers(day)), None)
            self._found[key] = match
        return match

    def _search(self, model: str, requested: Optional[str]) -> Iterable[Match]:
        served = self._override(model)
        asked = self._override(requested) if requested else None
        if served:
            yield Match(served, "override")
        # A user prices the name written in the configuration; the response names its snapshot.
        if asked and requested and self._is_same(model, requested):
            yield Match(asked, "override")
        found = self._listed(model)
        if found:
            yield found
        if asked:
            yield Match(asked, "requested")
        found = self._listed(requested) if requested else None
        if found:
            yield Match(found.prices, "requested")

    def _override(self, model: str) -> Optional[ModelPrices]:
        return self._overrides.get(model) or self._overrides.get(self._normalize(model))

    def _listed(self, model: str) -> Optional[Match]:
        name = self._normalize(model)
        if name in self._names:
            return Match(self._prices(self._names[name]), "exact")
        base = self._names.get(_DATE_SUFFIX.sub("", name))
        if base is not None and self._prices(base).dated:
            return Match(self._prices(base), "dated")
        return None

    def _is_same(self, served: str, requested: str) -> bool:
        if _DATE_SUFFIX.sub("", self._normalize(served)) == self._normalize(requested):
            return True
        first, second = self._listed(served), self._listed(requested)
        return first is not None and second is not None and first.prices is second.prices

    def _normalize(self, model: str) -> str:
        name = model.lower()
        for prefix in (*_PREFIXES, self.provider + "/"):
            if name.startswith(prefix):
                name = name[len(prefix) :]
        return name

    def _prices(self, key: str) -> ModelPrices:
        if key not in self._models:
            self._models[key] = ModelPrices(key, self._entries[key], self._parents)
        return self._models[key]

    def _read_overrides(self, overrides: Iterable[Mapping[str, Any]]) -> Dict[str, ModelPrices]:
        by_model: Dict[str, List[Dict[str, Any]]] = {}
        for override in overrides:
            period = {"from": _checked_day(override), "rates": _checked_rates(override)}
            periods = by_model.setdefault(str(override["model"]), [])
            if any(period["from"] == other["from"] for other in periods):
                raise ConfigurationError(f"{_place(override)}: two prices begin on the same day. Remove one.")
            periods.append(period)
        return {
            model: ModelPrices(
                model,
                {"periods": sorted(periods, key=lambda period: period["from"] or "")},
                self._parents,
                "user",
            )
            for model, periods in by_model.items()
        }


def _place(override: Mapping[str, Any]) -> str:
    return f"price_overrides for {override.get('provider')}/{override.get('model')}"


def _checked_day(override: Mapping[str, Any]) -> Optional[str]:
    value = override.get("from")
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        raise ConfigurationError(
            f"{_place(override)}: {value!r} is not a date. Write one such as 2026-01-31."
        ) from None


def _checked_rates(override: Mapping[str, Any]) -> Dict[str, Decimal]:
    where = _place(override)
    allowed = [name for name in COMPONENTS if name not in _DERIVED]
    rates = {}
    for name, value in override["rates"].items():
        if name not in allowed:
            raise ConfigurationError(
                f"{where}: {name!r} is not a rate. Use dollars per million tokens under {', '.join(allowed)}."
            )
        try:
            # By way of a string: the number as the user wrote it, not its binary neighbour.
            rates[name] = Decimal(str(value))
        except ArithmeticError:
            rates[name] = Decimal("NaN")
        if not is_amount(rates[name]) or rates[name] < 0:
            raise ConfigurationError(
                f"{where}: {value!r} is not a price. Write dollars per million tokens, such as 0.25."
            )
    return rates


def load(file: Optional[str] = None) -> Mapping[str, Any]:
    """Read a price table: a file, or the one that is part of the library."""
    if file is None:
        return _shipped()
    with open(file, encoding="utf-8") as stream:
        table: Mapping[str, Any] = json.load(stream)
    return table


def _shipped() -> Mapping[str, Any]:
    try:
        table: Mapping[str, Any] = json.loads(packaged_text("llm_orchestrator.pricing", "prices.json"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The price table of llm_orchestrator cannot be read ({type(error).__name__}). Install it again; "
            "a frozen program has to take the library's data files along."
        ) from error
    return table
