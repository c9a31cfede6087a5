"""What is told of each model besides its costs: how fast and how reliable it was, and what caching saved.

Rows are summed up one by one, in memory that does not grow with them. Durations are counted in bins whose
width grows with the duration, so that milliseconds and minutes fit into one distribution.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Dict, Iterable, NamedTuple, Optional, Sequence

from llm_orchestrator.usage.columns import DETAIL_COLUMNS
from llm_orchestrator.utils.money import ZERO, add_money
from llm_orchestrator.utils.numbers import is_amount

__all__ = [
    "BINS_PER_DECADE",
    "CACHE_CLASSES",
    "MOST_SECONDS",
    "Durations",
    "Figures",
    "ModelFigures",
    "Request",
]

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

    def add(self, number: Optional[int], count: int = 1) -> None:
        """Count some more in a bin; None is the bin of what is no duration."""
        if number is not None:
            self.bins[number] = self.bins.get(number, 0) + count
            self.count += count

    @staticmethod
    def bin_of(text: str) -> Optional[int]:
        """The bin of seconds as a ledger has them."""
        try:
            seconds = float(text)
        except ValueError:  # a file may have been edited by hand
            return None
        return math.floor(math.log10(seconds) * BINS_PER_DECADE) if 0 < seconds <= MOST_SECONDS else None

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


class Request(NamedTuple):
    """What is told of a request, or of several that are alike.

    Attributes:
        served: The model that answered.
        asked: The model that was asked.
        status: How it ended; empty in a ledger of version 0.1, which has answers only.
        is_stale: Whether its price was out of date.
        is_priced: Whether its cost is known.
        lacks_usage: Whether neither its cost nor its tokens are known.
        latency: The bin of its duration.
        first_token: The bin of the time to its first token.
    """

    served: str
    asked: str
    status: str
    is_stale: bool
    is_priced: bool
    lacks_usage: bool
    latency: Optional[int]
    first_token: Optional[int]


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
        request = Request(
            row[_MODEL],
            row[_REQUESTED] or row[_MODEL],
            row[_STATUS],
            row[_PRICE] == "stale",
            bool(row[_COST]),
            not row[_COST] and not row[_TOKENS],
            Durations.bin_of(row[_LATENCY]),
            Durations.bin_of(row[_FIRST]),
        )
        self.add_requests(request)
        if "cache_" in row[_COUNTS]:
            self.add_savings(row[_MODEL], *(row[place] for place in _OF_CACHES))
        self._note_attempt(row, request.asked)

    def add_requests(self, request: Request, count: int = 1) -> None:
        """Add requests that are alike."""
        served, asked = self._model(request.served), self._model(request.asked)
        if request.is_priced and served.saved is None:
            served.saved = ZERO
        if request.is_stale:
            served.stale += count
        elif request.lacks_usage:
            served.lacks_usage = True
        if request.status in ("ok", ""):
            served.latency.add(request.latency, count)
            served.first_token.add(request.first_token, count)
        if request.status == "error":
            asked.failed += count
        elif request.status in ("interrupted", "cancelled"):
            asked.left += count
        else:
            asked.answered += count

    def add_savings(self, model: str, counts: str, rates: str, multiplier: str, discount: str) -> None:
        """Add what reading tokens from caches saved, from the cells of a row."""
        served = self._model(model)
        saved = self._saved(counts, rates)
        for factor in (multiplier, discount):
            if factor and factor != "1":
                saved *= _number(factor)
        served.saved = add_money(served.saved or ZERO, saved)

    def _model(self, name: str) -> ModelFigures:
        found = self.models.get(name)
        if found is None:
            found = self.models[name] = ModelFigures()
        return found

    def _note_attempt(self, row: Sequence[str], model: str) -> None:
        """Count whether the request was made again, or took over from another model."""
        asked, call = self._model(model), row[_CALL]
        before = self._asked.pop(call, None) if self._asked else None
        if row[_ATTEMPT] not in ("", "1"):
            if before in (None, model):
                asked.retries += 1
            else:
                asked.fallbacks += 1
        if row[_FINAL] == "false":
            self._asked[call] = model

    # ---------------------------------------------------------------- caching

    def _saved(self, counts: str, listed: str) -> Decimal:
        """What the prompt would have cost without a cache, less what it did cost."""
        rates = self._rates.get(listed)
        if rates is None:
            if len(self._rates) >= _REMEMBERED:
                self._rates.clear()
            rates = self._rates[listed] = _pairs(listed)
        saved = ZERO
        for pair in counts.split():
            if not pair.startswith("cache_"):
                continue
            label, _, count = pair.rpartition("=")
            name, separator, suffix = label.partition(":")
            if name in CACHE_CLASSES and label in rates and count != "0":
                plain = rates.get("in" + separator + suffix, rates.get("in"))
                if plain is not None:
                    saved += _number(count) * (plain - rates[label]) / _MILLION
        return saved


CACHE_CLASSES = ("cache_read", "cache_write", "cache_write_1h", "cache_write_12h")

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
_OF_CACHES = (_COUNTS, _RATES, _MULTIPLIER, _DISCOUNT)


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except ArithmeticError:  # a file may have been edited by hand
        return ZERO
    return number if is_amount(number) else ZERO


def _pairs(text: str) -> Dict[str, Decimal]:
    pairs = (pair.rpartition("=") for pair in text.split())
    return {name: _number(number) for name, _, number in pairs}
