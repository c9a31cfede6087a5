"""Sums over ledger rows that charts are drawn from, taken row by row in memory that does not grow with them.

Spend is kept by hour as long as there are few hours, then by day. Durations are counted in bins whose width
grows with the duration, so that milliseconds and minutes fit into one distribution.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Dict, Iterable, Optional, Sequence, Tuple

from llm_orchestrator.usage.columns import DETAIL_COLUMNS
from llm_orchestrator.usage.days import LocalClock
from llm_orchestrator.utils.money import ZERO, add_money
from llm_orchestrator.utils.numbers import MOST_TOKENS, is_amount, is_count

__all__ = ["Durations", "Figures", "ModelFigures"]

#: Bins of a distribution between a duration and ten times as much: each is 12 % wide.
BINS_PER_DECADE = 20
#: No request takes a year.
MOST_SECONDS = 365 * 24 * 3600
#: Different hours, times models, from which on spend is kept by day.
MOST_PERIODS = 2_000
#: So many lists of rates are remembered at once.
_REMEMBERED = 4096
_MILLION = Decimal(1_000_000)
_MOST_DIGITS = len(str(MOST_TOKENS))


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
        tokens: Tokens by class: ``input``, ``cache read``, ``cache write``, ``output``, ``reasoning``.
        cost: US dollars, as far as known.
        saved: US dollars that reading from caches saved, less what writing to them cost more; None while no
            price is known.
        answered: Requests that were answered.
        failed: Requests that ended with an error.
        left: Requests whose stream broke off, or that were cancelled.
        retries: Requests that were made again on the same model.
        fallbacks: Requests that took over from another model.
        latency: Seconds that answers took.
        first_token: Seconds to the first piece of streamed answers.
    """

    def __init__(self) -> None:
        self.tokens: Dict[str, int] = dict.fromkeys(
            ("input", "cache read", "cache write", "output", "reasoning"), 0
        )
        self.cost = ZERO
        self.saved: Optional[Decimal] = None
        self.answered = self.failed = self.left = self.retries = self.fallbacks = 0
        self.latency, self.first_token = Durations(), Durations()


class Figures:
    """All that the charts show.

    Attributes:
        models: The sums by model.
        spend: US dollars by period and model; a period is ``YYYY-MM-DDTHH`` or ``YYYY-MM-DD``, in local time.
        rows: Number of rows.
    """

    def __init__(self) -> None:
        self.models: Dict[str, ModelFigures] = {}
        self.spend: Dict[Tuple[str, str], Decimal] = {}
        self.rows = 0
        self._by_day = False
        self._clock = LocalClock()
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
        self.rows += 1
        served = self._model(row[_MODEL])
        if row[_COST]:
            cost = Decimal(row[_COST])
            served.cost = add_money(served.cost, cost)
            self._add_spend(row[_TIME], row[_MODEL], cost)
            served.saved = served.saved or ZERO
        _add_tokens(served.tokens, row)
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

    # ---------------------------------------------------------------- spend over time

    def _add_spend(self, timestamp: str, model: str, cost: Decimal) -> None:
        day, hour = self._clock.read(timestamp)
        key = (day if self._by_day else hour, model)
        before = self.spend.get(key)
        if before is None and not self._by_day and len(self.spend) >= MOST_PERIODS:
            self._go_on_by_day()
            key = (day, model)
            before = self.spend.get(key)
        self.spend[key] = cost if before is None else add_money(before, cost)

    def _go_on_by_day(self) -> None:
        hours, self.spend, self._by_day = self.spend, {}, True
        for (hour, model), cost in hours.items():
            key = (hour.partition("T")[0], model)
            self.spend[key] = add_money(self.spend.get(key, ZERO), cost)

    # ---------------------------------------------------------------- caching

    def _saved(self, row: Sequence[str]) -> Decimal:
        """What the prompt would have cost without a cache, less what it did cost."""
        rates = self._rates.get(row[_RATES])
        if rates is None:
            if len(self._rates) >= _REMEMBERED:
                self._rates.clear()
            rates = self._rates[row[_RATES]] = _pairs(row[_RATES])
        saved = ZERO
        for label, count in _pairs(row[_COUNTS]).items():
            name, separator, suffix = label.partition(":")
            if name in _CACHE_CLASSES and label in rates:
                plain = rates.get("in" + separator + suffix, rates.get("in"))
                if plain is not None:
                    saved += count * (plain - rates[label]) / _MILLION
        for factor in (row[_MULTIPLIER], row[_DISCOUNT]):
            if factor and factor != "1":
                saved *= _number(factor)
        return saved


_CACHE_CLASSES = ("cache_read", "cache_write", "cache_write_1h", "cache_write_12h")

# Where the cells stand.
_TIME, _MODEL, _PROMPT, _COMPLETION, _COST, _CALL, _ATTEMPT, _FINAL, _STATUS, _REQUESTED = map(
    DETAIL_COLUMNS.index,
    (
        "timestamp",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "cost",
        "call_id",
        "attempt",
        "final",
        "status",
        "requested_model",
    ),
)
_CACHED, _WRITTEN, _REASONING, _MULTIPLIER, _DISCOUNT, _COUNTS, _RATES, _LATENCY, _FIRST = map(
    DETAIL_COLUMNS.index,
    (
        "cached_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "multiplier",
        "discount",
        "counts",
        "rates",
        "latency",
        "time_to_first_token",
    ),
)


def _add_tokens(tokens: Dict[str, int], row: Sequence[str]) -> None:
    """Add the tokens of a row, each once: what was cached is part of the prompt, reasoning of the output."""
    cached, written, reasoning = _count_of(row[_CACHED]), _count_of(row[_WRITTEN]), _count_of(row[_REASONING])
    if row[_PROMPT]:
        tokens["input"] += max(int(row[_PROMPT]) - cached - written, 0)
        tokens["cache read"] += cached
        tokens["cache write"] += written
    if row[_COMPLETION]:
        tokens["output"] += max(int(row[_COMPLETION]) - reasoning, 0)
        tokens["reasoning"] += reasoning


def _count_of(text: str) -> int:
    count = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0
    return count if is_count(count) else 0


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except ArithmeticError:  # a file may have been edited by hand
        return ZERO
    return number if is_amount(number) else ZERO


def _pairs(text: str) -> Dict[str, Decimal]:
    pairs = (pair.rpartition("=") for pair in text.split())
    return {name: _number(number) for name, _, number in pairs}
