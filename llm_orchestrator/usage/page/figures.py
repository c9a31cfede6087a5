"""What is told of each model besides its costs: how fast and how reliable it was, and what caching saved.

Rows are summed up one by one, in memory that does not grow with them. Durations are counted in bins whose
width grows with the duration, so that milliseconds and minutes fit into one distribution.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Dict, Iterable, Optional, Sequence

from llm_orchestrator.usage.columns import DETAIL_COLUMNS
from llm_orchestrator.utils.money import ZERO, add_money
from llm_orchestrator.utils.numbers import is_amount

__all__ = ["Durations", "Figures", "ModelFigures"]

#: Bins of a distribution between a duration and ten times as much: each is 12 % wide.
BINS_PER_DECADE = 20
#: No request takes a year.
MOST_SECONDS = 365 * 24 * 3600
#: So many lists of rates are remembered at once.
_REMEMBERED = 4096
_MILLION = Decimal(1_000_000)


class Durations:
    """A distribution of seconds."""

    def __init__(self) -> None:
        self.bins: Dict[int, int] = {}
        self.count = 0

    def add(self, text: str) -> None:
        """Count one more."""
        try:
            seconds = float(text)
        except ValueError:  # a file may have been edited by hand
            return
        if not 0 < seconds <= MOST_SECONDS:
            return
        number = math.floor(math.log10(seconds) * BINS_PER_DECADE)
        self.bins[number] = self.bins.get(number, 0) + 1
        self.count += 1

    @staticmethod
    def start(number: int) -> float:
        """Where a bin begins."""
        return float(10 ** (number / BINS_PER_DECADE))

    def quantile(self, share: float) -> Optional[float]:
        """The duration that a share of all stays below, within the width of a bin."""
        seen = 0
        for number in sorted(self.bins):
            seen += self.bins[number]
            if seen >= share * self.count:
                return self.start(number) * float(10 ** (0.5 / BINS_PER_DECADE))
        return None


class ModelFigures:
    """The sums of one model.

    Attributes:
        saved: US dollars that reading from caches saved, less what writing to them cost more; None while no
            price is known.
        lacks_usage: Whether the cost of a request is unknown because its usage is.
        stale: Requests whose price was out of date when they were made.
        answered: Requests that were answered.
        failed: Requests that ended with an error.
        left: Requests whose stream broke off, or that were cancelled.
        retries: Requests that were made again on the same model.
        fallbacks: Requests that took over from another model.
        latency: Seconds that answers took.
        first_token: Seconds to the first piece of streamed answers.
    """

    def __init__(self) -> None:
        self.saved: Optional[Decimal] = None
        self.lacks_usage = False
        self.stale = self.answered = self.failed = self.left = self.retries = self.fallbacks = 0
        self.latency, self.first_token = Durations(), Durations()

    @property
    def has_figures(self) -> bool:
        """Whether there is anything to show."""
        troubles = self.failed or self.left or self.retries or self.fallbacks
        return bool(troubles or self.saved or self.latency.count)


class Figures:
    """The sums of all models.

    Attributes:
        models: The sums by model.
    """

    def __init__(self) -> None:
        self.models: Dict[str, ModelFigures] = {}
        self._rates: Dict[str, Dict[str, Decimal]] = {}
        self._asked: Dict[str, str] = {}  # by call, the model last asked while the call goes on

    @classmethod
    def of(cls, rows: Iterable[Sequence[str]]) -> Figures:
        """Sum up rows."""
        figures = cls()
        for row in rows:
            figures.add(row)
        return figures

    def add(self, row: Sequence[str]) -> None:
        """Add one row."""
        served = self._model(row[_MODEL])
        if row[_COST] and served.saved is None:
            served.saved = ZERO
        if row[_PRICE] == "stale":
            served.stale += 1
        elif not row[_COST] and not row[_TOKENS]:
            served.lacks_usage = True
        if "cache_" in row[_COUNTS]:
            served.saved = add_money(served.saved or ZERO, self._saved(row))
        if row[_STATUS] in ("ok", ""):  # a ledger of version 0.1 has rows of answers only
            served.latency.add(row[_LATENCY])
            served.first_token.add(row[_FIRST])
        self._count(row)

    def _model(self, name: str) -> ModelFigures:
        found = self.models.get(name)
        if found is None:
            found = self.models[name] = ModelFigures()
        return found

    def _count(self, row: Sequence[str]) -> None:
        """Count how the request ended, under the model that was asked."""
        model = row[_REQUESTED] or row[_MODEL]
        asked = self._model(model)
        status, call = row[_STATUS], row[_CALL]
        if status == "error":
            asked.failed += 1
        elif status in ("interrupted", "cancelled"):
            asked.left += 1
        else:
            asked.answered += 1
        before = self._asked.pop(call, None) if self._asked else None
        if row[_ATTEMPT] not in ("", "1"):
            if before in (None, model):
                asked.retries += 1
            else:
                asked.fallbacks += 1
        if row[_FINAL] == "false":
            self._asked[call] = model

    # ---------------------------------------------------------------- caching

    def _saved(self, row: Sequence[str]) -> Decimal:
        """What the prompt would have cost without a cache, less what it did cost."""
        rates = self._rates.get(row[_RATES])
        if rates is None:
            if len(self._rates) >= _REMEMBERED:
                self._rates.clear()
            rates = self._rates[row[_RATES]] = _pairs(row[_RATES])
        saved = ZERO
        for pair in row[_COUNTS].split():
            if not pair.startswith("cache_"):
                continue
            label, _, count = pair.rpartition("=")
            name, separator, suffix = label.partition(":")
            if name in _CACHE_CLASSES and label in rates and count != "0":
                plain = rates.get("in" + separator + suffix, rates.get("in"))
                if plain is not None:
                    saved += _number(count) * (plain - rates[label]) / _MILLION
        for factor in (row[_MULTIPLIER], row[_DISCOUNT]):
            if factor and factor != "1":
                saved *= _number(factor)
        return saved


_CACHE_CLASSES = ("cache_read", "cache_write", "cache_write_1h", "cache_write_12h")

# Where the cells stand.
_MODEL, _TOKENS, _COST, _PRICE, _CALL, _ATTEMPT, _FINAL, _STATUS, _REQUESTED = map(
    DETAIL_COLUMNS.index,
    (
        "model",
        "total_tokens",
        "cost",
        "price_status",
        "call_id",
        "attempt",
        "final",
        "status",
        "requested_model",
    ),
)
_MULTIPLIER, _DISCOUNT, _COUNTS, _RATES, _LATENCY, _FIRST = map(
    DETAIL_COLUMNS.index,
    ("multiplier", "discount", "counts", "rates", "latency", "time_to_first_token"),
)


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except ArithmeticError:  # a file may have been edited by hand
        return ZERO
    return number if is_amount(number) else ZERO


def _pairs(text: str) -> Dict[str, Decimal]:
    pairs = (pair.rpartition("=") for pair in text.split())
    return {name: _number(number) for name, _, number in pairs}
