"""Sums over ledger rows, for people and programs, and how an amount of money is shown.

Rows are summed up as they are read, in memory that does not grow with their number. Reported and estimated
money are never blended, and calls whose price is unknown are counted, not taken as free.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import islice
from typing import (
    Any,
    Callable,
    ClassVar,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage_record import REPORT_COLUMNS, parse_timestamp

__all__ = ["LocalDays", "UsageReport", "UsageTotals", "add_money", "format_cost", "subtract_money"]

ZERO = Decimal(0)

# The application may have set its own decimal context to few digits; sums of money must not follow it.
_EXACT = Context(prec=60)
_add = _EXACT.add


def add_money(first: Decimal, second: Decimal) -> Decimal:
    """Add two amounts exactly, whatever decimal context the application has set.

    Args:
        first: US dollars.
        second: US dollars.

    Returns:
        Their sum.
    """
    return _EXACT.add(first, second)


def subtract_money(first: Decimal, second: Decimal) -> Decimal:
    """Subtract one amount from another exactly; see ``add_money``.

    Args:
        first: US dollars.
        second: US dollars.

    Returns:
        Their difference.
    """
    return _EXACT.subtract(first, second)


def format_cost(cost: Union[Decimal, int, float, None]) -> str:
    """Show an amount of money without rounding a small one to zero.

    Args:
        cost: US dollars; None when unknown.

    Returns:
        Cents from one cent on (``$12.35``), two significant digits below (``$0.00075``), ``unknown`` for
        None.
    """
    if cost is None:
        return "unknown"
    amount = cost if isinstance(cost, Decimal) else Decimal(str(cost))
    if amount == 0 or abs(amount) >= Decimal("0.01"):
        return f"${amount:,.2f}"
    digits = format(amount, f".{1 - amount.adjusted()}f")
    return "$" + digits.rstrip("0")


class _Readable(Mapping[str, Any]):
    """Lets the fields of a dataclass be read as a mapping too."""

    def __getitem__(self, key: str) -> Any:
        return self.__dict__[key]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.__dict__ if name[0] != "_")

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, eq=False)
class UsageTotals(_Readable):
    """Sums over some calls; readable by attribute and as a mapping.

    Attributes:
        requests: Number of calls, however many attempts each took.
        tokens: Prompt and completion tokens, as far as told.
        cost: US dollars for the usage that providers reported.
        estimated_cost: US dollars for the usage that had to be estimated; not part of ``cost``.
        unpriced_requests: Number of calls whose cost, or a part of it, is unknown.
        estimated_requests: Number of calls that ``estimated_cost`` is for.
    """

    requests: int
    tokens: int
    cost: Decimal
    estimated_cost: Decimal
    unpriced_requests: int
    estimated_requests: int = 0


@dataclass(frozen=True, eq=False)
class UsageReport(_Readable):
    """What was used and spent; readable by attribute and as a mapping.

    Attributes:
        total_requests: Number of calls, however many attempts each took.
        total_tokens: Prompt and completion tokens, as far as told.
        total_cost: US dollars for the usage that providers reported.
        unpriced_requests: Number of calls whose cost, or a part of it, is unknown.
        estimated_cost: US dollars for the usage that had to be estimated; not part of ``total_cost``.
        by_provider: The same sums for each provider entry.
        by_model: The same sums for each model that answered.
        by_session: The same sums for each session.
        by_tag: The same sums for each tag, written ``name=value``; a call with two tags counts in both.
        by_day: The same sums for each day, ``YYYY-MM-DD`` in local time.
        estimated_requests: Number of calls that ``estimated_cost`` is for.
    """

    total_requests: int
    total_tokens: int
    total_cost: Decimal
    unpriced_requests: int
    estimated_cost: Decimal
    by_provider: Mapping[str, UsageTotals]
    by_model: Mapping[str, UsageTotals]
    by_session: Mapping[str, UsageTotals]
    by_tag: Mapping[str, UsageTotals]
    by_day: Mapping[str, UsageTotals]
    estimated_requests: int = 0
    _source: ClassVar[Optional[_Source]] = None

    @classmethod
    def from_cells(
        cls,
        rows: Iterable[Sequence[str]],
        again: Optional[Callable[[], Iterable[Sequence[str]]]] = None,
    ) -> UsageReport:
        """Sum up ledger rows, one by one.

        Args:
            rows: For every row one text for each of ``REPORT_COLUMNS``.
            again: Reads the same rows again, with ``DETAIL_COLUMNS``, for ``to_html``.

        Returns:
            The report.
        """
        tally = _Tally()
        for cells in rows:
            tally.add(cells)
        overall, groups = tally.totals()
        report = cls(
            total_requests=overall.requests,
            total_tokens=overall.tokens,
            total_cost=overall.cost,
            unpriced_requests=overall.unpriced_requests,
            estimated_cost=overall.estimated_cost,
            estimated_requests=overall.estimated_requests,
            **groups,
        )
        if again:
            object.__setattr__(report, "_source", _Source(again, tally.rows))
        return report

    def __getstate__(self) -> Dict[str, Any]:
        """Leave the ledger behind: a copy in another process is the sums alone."""
        return dict(self)

    def to_html(self, path: Union[str, os.PathLike[str], None] = None) -> str:
        """Make a page to look at: spend over time, tokens, caching, failures, latency, and tables that sort.

        It is one file that needs no network, in light and dark, and reads well on paper. The rows behind the
        report are read a second time, for what its sums do not hold.

        Args:
            path: The file to write; one that exists is replaced. None writes none.

        Returns:
            The page.

        Raises:
            ConfigurationError: The extra ``report`` is not installed, the rows are not at hand (the report
                was copied), or the file cannot be written.
        """
        from llm_orchestrator.report import make_page, write_page

        if self._source is None:
            raise ConfigurationError(
                "The page needs the rows behind the report, which a copied report has left behind. "
                "Call to_html on the report that get_usage_report returned."
            )
        page = make_page(self, self._source.rows())
        if path is not None:
            write_page(page, path)
        return page

    def to_dicts(self, by: Optional[str] = None) -> List[Dict[str, Any]]:
        """List the sums as flat dicts, as ``pandas.DataFrame`` takes them.

        Args:
            by: ``provider``, ``model``, ``session``, ``tag`` or ``day``; None lists all of them.

        Returns:
            One dict for each group: ``by``, ``name``, and the fields of ``UsageTotals``.

        Raises:
            ValueError: There are no such groups.
        """
        kinds = ("provider", "model", "session", "tag", "day")
        if by is not None and by not in kinds:
            raise ValueError(f"A report has no groups by {by!r}. Use {', '.join(kinds)}.")
        return [
            {"by": kind, "name": name, **totals}
            for kind in ((by,) if by else kinds)
            for name, totals in self[f"by_{kind}"].items()
        ]

    def _repr_html_(self) -> str:
        from llm_orchestrator.notebook import report_as_html

        return report_as_html(self)

    def __str__(self) -> str:
        """The totals in one line."""
        calls = "call" if self.estimated_requests == 1 else "calls"
        return (
            f"{self.total_requests:,} requests, {self.total_tokens:,} tokens: "
            f"reported {format_cost(self.total_cost)} + estimated {format_cost(self.estimated_cost)} "
            f"({self.estimated_requests:,} {calls}) + unpriced {self.unpriced_requests:,}"
        )


class _Source(NamedTuple):
    """The rows behind a report."""

    again: Callable[[], Iterable[Sequence[str]]]
    size: int

    def rows(self) -> Iterable[Sequence[str]]:
        """Read them again, without those that came since."""
        return islice(self.again(), self.size)


class LocalDays:
    """Tells the day of a timestamp in local time; fast, as rows of one minute tend to come together."""

    def __init__(self) -> None:
        self._of_minute: Dict[str, str] = {}

    def of(self, timestamp: str) -> str:
        """Tell the day.

        Args:
            timestamp: The text of a ledger row.

        Returns:
            ``YYYY-MM-DD``.
        """
        minute = timestamp[:16]
        day = self._of_minute.get(minute)
        if day is None:
            if len(self._of_minute) >= _REMEMBERED:
                self._of_minute.clear()
            day = self._of_minute[minute] = parse_timestamp(timestamp).astimezone().date().isoformat()
        return day


class _Sums:
    """The running sums of one group of rows."""

    __slots__ = ("cost", "estimated_cost", "estimated_requests", "requests", "tokens", "unpriced_requests")

    def __init__(self) -> None:
        self.requests = self.tokens = self.unpriced_requests = self.estimated_requests = 0
        self.cost = self.estimated_cost = ZERO

    def merge(self, other: _Sums) -> None:
        self.requests += other.requests
        self.tokens += other.tokens
        self.cost = _add(self.cost, other.cost)
        self.estimated_cost = _add(self.estimated_cost, other.estimated_cost)
        self.unpriced_requests += other.unpriced_requests
        self.estimated_requests += other.estimated_requests

    def totals(self) -> UsageTotals:
        return UsageTotals(
            self.requests,
            self.tokens,
            self.cost,
            self.estimated_cost,
            self.unpriced_requests,
            self.estimated_requests,
        )


# Where the cells stand that a sum needs.
_TIME, _PROVIDER, _MODEL, _TOKENS, _COST, _SESSION = map(
    REPORT_COLUMNS.index, ("timestamp", "provider", "model", "total_tokens", "cost", "session_id")
)
_CALL, _ATTEMPT, _FINAL, _USAGE, _PRICE, _ESTIMATE, _TAGS = map(
    REPORT_COLUMNS.index,
    ("call_id", "attempt", "final", "usage_status", "price_status", "estimated_cost", "tags"),
)
#: So many combinations of groups, or minutes, are remembered at once.
_REMEMBERED = 4096


class _Tally:
    """Adds every row to the groups it belongs to, and counts every call once in each of them.

    Rows that belong to the same groups are summed up together first, which is faster than six sums a row.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._overall = _Sums()
        self._groups: Dict[str, Dict[str, _Sums]] = {
            "by_provider": {},
            "by_model": {},
            "by_session": {},
            "by_tag": {},
            "by_day": {},
        }
        self._cells: Dict[Tuple[str, ...], _Sums] = {}
        # Calls of several rows whose last one is still to come: what has been counted for them.
        self._unfinished: Dict[str, Set[Tuple[str, int]]] = {}
        self._days = LocalDays()

    def add(self, row: Sequence[str]) -> None:
        self.rows += 1
        day = self._days.of(row[_TIME])
        key = (row[_PROVIDER], row[_MODEL], row[_SESSION], day, row[_TAGS])
        sums = self._cells.get(key)
        if sums is None:
            if len(self._cells) >= _REMEMBERED:
                self._fold()
            sums = self._cells[key] = _Sums()
        text = row[_COST]
        estimate = None
        if row[_TOKENS]:
            sums.tokens += int(row[_TOKENS])
        if text:
            cost = Decimal(text)
            estimate = _estimate(row, cost)
            if estimate is not None:
                sums.estimated_cost = _add(sums.estimated_cost, estimate)
                cost = subtract_money(cost, estimate)
            sums.cost = _add(sums.cost, cost)
        unpriced = not text or row[_PRICE] == "partial"
        if (row[_ATTEMPT] == "1" and row[_FINAL] == "true") or not row[_CALL]:
            sums.requests += 1  # no other row belongs to this call
            sums.unpriced_requests += unpriced
            sums.estimated_requests += estimate is not None
        else:
            self._count_once(row, self._groups_of(*key), unpriced, estimate is not None)

    def totals(self) -> Tuple[UsageTotals, Dict[str, Dict[str, UsageTotals]]]:
        self._fold()
        groups = {
            kind: {name: sums.totals() for name, sums in named.items()}
            for kind, named in self._groups.items()
        }
        return self._overall.totals(), groups

    def _fold(self) -> None:
        for key, sums in self._cells.items():
            for group in self._groups_of(*key):
                group.merge(sums)
        self._cells.clear()

    def _groups_of(self, provider: str, model: str, session: str, day: str, tags: str) -> List[_Sums]:
        names = [("by_provider", provider), ("by_model", model), ("by_session", session), ("by_day", day)]
        names += [("by_tag", tag) for tag in _tags(tags)]
        return [self._overall, *(self._groups[kind].setdefault(name, _Sums()) for kind, name in names)]

    def _count_once(
        self, row: Sequence[str], groups: Sequence[_Sums], unpriced: bool, estimated: bool
    ) -> None:
        counted = self._unfinished.setdefault(row[_CALL], set())
        if row[_FINAL] == "true":
            del self._unfinished[row[_CALL]]
        happened = {"requests": True, "unpriced_requests": unpriced, "estimated_requests": estimated}
        for name in [name for name, is_so in happened.items() if is_so]:
            for sums in groups:
                if (name, id(sums)) not in counted:
                    counted.add((name, id(sums)))
                    setattr(sums, name, getattr(sums, name) + 1)


def _estimate(row: Sequence[str], cost: Decimal) -> Optional[Decimal]:
    """The part of a cost that was estimated; None when nothing was."""
    if row[_ESTIMATE]:
        return Decimal(row[_ESTIMATE])
    return cost if row[_USAGE] == "estimated" else None


def _tags(text: str) -> List[str]:
    if not text:
        return []
    try:
        tags = json.loads(text)
    except ValueError:  # a file may have been edited by hand
        return []
    return [f"{name}={value}" for name, value in tags.items()] if isinstance(tags, dict) else []
