"""The cross table of the page: sums by day, model and tags, small enough to be filtered in a browser.

A ledger may have any number of days, models and tag values. What does not fit is drawn together: rare names
become ``(all others)``, then days become weeks and months.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Sequence, Tuple

from llm_orchestrator.usage.columns import DETAIL_COLUMNS
from llm_orchestrator.usage.days import LocalClock
from llm_orchestrator.usage.groups import tags_of
from llm_orchestrator.usage.report import EARLIER, UsageReport
from llm_orchestrator.usage.totals import UsageTotals
from llm_orchestrator.utils.money import ZERO, add_money, subtract_money
from llm_orchestrator.utils.numbers import MOST_TOKENS, is_count

__all__ = ["OTHERS", "Cell", "Cube", "CubeKey", "period_of"]

#: The name of all that have no row of their own; no name of a tag or model is taken for it (see ``CubeKey``).
OTHERS = None
#: Cells that a page can hold: about a megabyte.
MOST_CELLS = 12_000
#: Names of tags that can be filtered by.
MOST_TAGS = 5
#: Models with a row of their own.
MOST_MODELS = 40
#: So many combinations of a row's names are remembered at once.
_REMEMBERED = 16_384
_MOST_DIGITS = len(str(MOST_TOKENS))


class Level(NamedTuple):
    """How fine the table is.

    Attributes:
        unit: What a period is: ``day``, ``week`` or ``month``, named by its first day. A week ends with its
            month, so that months can be made of weeks.
        values: Values of each tag that have a name of their own.
    """

    unit: str
    values: int


#: From fine to coarse, so that each can be made of the one before.
LEVELS = (
    Level("day", 50),
    Level("day", 25),
    Level("week", 25),
    Level("week", 12),
    Level("month", 12),
    Level("month", 4),
    Level("month", 0),
)


class CubeKey(NamedTuple):
    """What a cell is about; a name that is ``OTHERS`` stands for all that have none of their own.

    Attributes:
        period: The first day of the period.
        provider: Name of the provider entry.
        model: Model that answered.
        tags: The value for each name of a tag, empty where the call has none.
    """

    period: str
    provider: Any
    model: Any
    tags: Tuple[Any, ...]


class Cell:
    """Sums; every call, and every call without a price, is counted in one cell.

    Attributes:
        cost: US dollars for the usage that providers reported.
        estimate: US dollars for the usage that had to be estimated.
    """

    __slots__ = (
        "cache_read",
        "cache_write",
        "calls",
        "cost",
        "estimate",
        "estimated",
        "input",
        "output",
        "reasoning",
        "tokens",
        "unpriced",
    )

    def __init__(self) -> None:
        self.calls = self.unpriced = self.estimated = self.tokens = 0
        self.input = self.cache_read = self.cache_write = self.output = self.reasoning = 0
        self.cost = self.estimate = ZERO

    def merge(self, other: Cell) -> None:
        """Add another one."""
        for name in self.__slots__:
            if name not in ("cost", "estimate"):
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cost = add_money(self.cost, other.cost)
        self.estimate = add_money(self.estimate, other.estimate)

    def add_tokens(self, row: Sequence[str]) -> None:
        """Add the tokens of a row, each once: the cached ones are part of the prompt."""
        if row[_TOKENS]:
            self.tokens += int(row[_TOKENS])
        if row[_PROMPT]:
            cached, written = _count_of(row[_CACHED]), _count_of(row[_WRITTEN])
            self.input += max(int(row[_PROMPT]) - cached - written, 0)
            self.cache_read += cached
            self.cache_write += written
        if row[_COMPLETION]:
            reasoning = _count_of(row[_REASONING])
            self.output += max(int(row[_COMPLETION]) - reasoning, 0)
            self.reasoning += reasoning

    def add_cost(self, row: Sequence[str]) -> bool:
        """Add the cost of a row; returns whether a part of it was estimated."""
        cost = Decimal(row[_COST])
        if not (row[_ESTIMATE] or row[_USAGE] == "estimated"):
            self.cost = add_money(self.cost, cost)
            return False
        estimate = Decimal(row[_ESTIMATE]) if row[_ESTIMATE] else cost
        self.estimate = add_money(self.estimate, estimate)
        self.cost = add_money(self.cost, subtract_money(cost, estimate))
        return True


#: The names of a row that decide its cell: local day, provider, model, tags as they stand there.
_Names = Tuple[str, str, str, str]


class Cube:
    """Adds rows to the cells they belong to, in memory that does not grow with them.

    Args:
        report: The report the rows are of, which knows what is rare.

    Attributes:
        cells: The sums.
        models: Models with a name of their own.
        tags: The names of tags that cells tell apart.
        values: The values of each of them that have a name of their own.
        unit: What a period is: ``day``, ``week`` or ``month``.
    """

    def __init__(self, report: UsageReport) -> None:
        self.cells: Dict[CubeKey, Cell] = {}
        self._ranked = _ranked_tags(report)
        self.tags = tuple(self._ranked)
        self.models = frozenset(_by_spend(report.by_model)[:MOST_MODELS])
        self._levels = list(LEVELS)
        self._use(self._levels.pop(0))
        self._of_row: Dict[_Names, Cell] = {}
        # Calls of several rows whose last one is still to come: where they are, and what was counted.
        self._unfinished: Dict[str, Tuple[_Names, bool, bool]] = {}
        self._day_of = LocalClock().day

    def _use(self, level: Level) -> None:
        self.unit = level.unit
        self.values: Dict[str, FrozenSet[str]] = {
            name: frozenset(values[: level.values]) for name, values in self._ranked.items()
        }

    def add(self, row: Sequence[str]) -> None:
        """Add one row."""
        day = self._day_of(row[_TIME])
        names = (day, row[_PROVIDER], row[_MODEL], row[_TAGS])
        cell = self._of_row.get(names) or self._cell(names)
        cell.add_tokens(row)
        estimated = cell.add_cost(row) if row[_COST] else False
        unpriced = not row[_COST] or row[_PRICE] == "partial"
        if (row[_ATTEMPT] == "1" and row[_FINAL] == "true") or not row[_CALL]:
            cell.calls += 1
            cell.unpriced += unpriced
            cell.estimated += estimated
        else:
            self._add_attempt(row, names, cell, unpriced, estimated)

    def _add_attempt(
        self, row: Sequence[str], names: _Names, cell: Cell, unpriced: bool, estimated: bool
    ) -> None:
        """Count a call of several rows: where it ends, and what it lacks where that is first seen."""
        _, was_unpriced, was_estimated = self._unfinished.pop(row[_CALL], (None, False, False))
        cell.unpriced += unpriced and not was_unpriced
        cell.estimated += estimated and not was_estimated
        if row[_FINAL] == "true":
            cell.calls += 1
        else:
            self._unfinished[row[_CALL]] = names, unpriced or was_unpriced, estimated or was_estimated

    def merge(self, key: CubeKey, sums: Cell) -> None:
        """Add the sums of calls; names that have none of their own may be ``OTHERS`` already."""
        self._at(key).merge(sums)

    def add_earlier(self, day: str, totals: UsageTotals) -> None:
        """Add the sums of calls whose rows are no longer kept."""
        cell = self.cells[CubeKey(period_of(day, self.unit), "", EARLIER, ("",) * len(self.tags))] = Cell()
        cell.calls, cell.unpriced = totals.requests, totals.unpriced_requests
        cell.estimated, cell.tokens = totals.estimated_requests, totals.tokens
        cell.cost, cell.estimate = totals.cost, totals.estimated_cost

    def finish(self) -> None:
        """Count the calls whose last row never came."""
        for names, _, _ in self._unfinished.values():
            self._cell(names).calls += 1
        self._unfinished.clear()

    def spent_in_month(self, first: date, tag: str) -> Dict[Any, Decimal]:
        """US dollars of each value of a tag in a month."""
        place, month = self.tags.index(tag), first.isoformat()[: len("2026-01")]
        spent: Dict[Any, Decimal] = {}
        for key, cell in self.cells.items():
            if key.period.startswith(month):
                value = key.tags[place]
                spent[value] = add_money(spent.get(value, ZERO), add_money(cell.cost, cell.estimate))
        return spent

    def _cell(self, names: _Names) -> Cell:
        if len(self._of_row) >= _REMEMBERED:
            self._of_row.clear()
        day, provider, model, text = names
        tags = tags_of(text)
        cell = self._at(CubeKey(day, provider, model, tuple(tags.get(name, "") for name in self.tags)))
        self._of_row[names] = cell
        return cell

    def _at(self, key: CubeKey) -> Cell:
        """The cell that a key belongs to, after there is room for it."""
        reduced = self._reduced(key)
        if reduced not in self.cells and len(self.cells) >= MOST_CELLS and self.coarsen():
            return self._at(key)
        return self.cells.setdefault(reduced, Cell())

    def _reduced(self, key: CubeKey) -> CubeKey:
        is_known = key.model in self.models or key.model == EARLIER
        return CubeKey(
            period_of(key.period, self.unit),
            key.provider if is_known else OTHERS,
            key.model if is_known else OTHERS,
            tuple(
                value if not value or value in self.values[name] else OTHERS
                for name, value in zip(self.tags, key.tags)
            ),
        )

    def coarsen(self) -> bool:
        """Draw cells together; False where that is no longer possible."""
        if not self._levels:
            return False
        self._use(self._levels.pop(0))
        self._of_row.clear()
        finer, self.cells = self.cells, {}
        for key, cell in finer.items():
            self.cells.setdefault(self._reduced(key), Cell()).merge(cell)
        return True


def period_of(day: str, unit: str) -> str:
    """The first day of the period that a day is in."""
    if unit == "day":
        return day
    month = day[: len("2026-01-")] + "01"
    if unit == "month":
        return month
    moment = date.fromisoformat(day)
    return max((moment - timedelta(days=moment.weekday())).isoformat(), month)


def _by_spend(groups: Mapping[str, UsageTotals]) -> List[str]:
    """Names, the most expensive first."""
    return sorted(
        groups,
        key=lambda name: (
            -add_money(groups[name].cost, groups[name].estimated_cost),
            -groups[name].requests,
            name,
        ),
    )


def _ranked_tags(report: UsageReport) -> Dict[str, List[str]]:
    """The names of tags that say most about the spend, each with its values, the most expensive first."""
    found: Dict[str, List[str]] = {}
    spent: Dict[str, Decimal] = {}
    for both in _by_spend(report.by_tag):
        name, _, value = both.partition("=")
        found.setdefault(name, []).append(value)
        totals = report.by_tag[both]
        spent[name] = add_money(spent.get(name, ZERO), add_money(totals.cost, totals.estimated_cost))
    # A tag whose every call has a value of its own, such as a ticket's number, tells nobody where money went.
    ranked = sorted(found, key=lambda name: (len(found[name]) > _MOST_VALUES, -spent[name], name))
    return {name: found[name] for name in ranked[:MOST_TAGS]}


#: Values from which on a tag is an identifier more than a group.
_MOST_VALUES = 2_000


def _count_of(text: str) -> int:
    if not text or text == "0":
        return 0
    count = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0
    return count if is_count(count) else 0


# Where the cells of a row stand.
_TIME, _PROVIDER, _MODEL, _TAGS, _PROMPT, _COMPLETION, _TOKENS, _COST, _ESTIMATE, _USAGE, _PRICE = map(
    DETAIL_COLUMNS.index,
    (
        "timestamp",
        "provider",
        "model",
        "tags",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cost",
        "estimated_cost",
        "usage_status",
        "price_status",
    ),
)
_CALL, _ATTEMPT, _FINAL, _CACHED, _WRITTEN, _REASONING = map(
    DETAIL_COLUMNS.index,
    ("call_id", "attempt", "final", "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
)
