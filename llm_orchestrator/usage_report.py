"""Sums over ledger rows, for people and programs, and how an amount of money is shown.

Rows are summed up as they are read, in memory that does not grow with their number. Reported and estimated
money are never blended, and calls whose price is unknown are counted, not taken as free.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union

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
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)


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

    @classmethod
    def from_cells(cls, rows: Iterable[Sequence[str]]) -> UsageReport:
        """Sum up ledger rows, one by one.

        Args:
            rows: For every row one text for each of ``REPORT_COLUMNS``.

        Returns:
            The report.
        """
        tally = _Tally()
        for cells in rows:
            tally.add(cells)
        overall = tally.overall.totals()
        return cls(
            total_requests=overall.requests,
            total_tokens=overall.tokens,
            total_cost=overall.cost,
            unpriced_requests=overall.unpriced_requests,
            estimated_cost=overall.estimated_cost,
            estimated_requests=overall.estimated_requests,
            **{name: _totals(groups) for name, groups in tally.groups.items()},
        )

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

    def __str__(self) -> str:
        """The totals in one line."""
        calls = "call" if self.estimated_requests == 1 else "calls"
        return (
            f"{self.total_requests:,} requests, {self.total_tokens:,} tokens: "
            f"reported {format_cost(self.total_cost)} + estimated {format_cost(self.estimated_cost)} "
            f"({self.estimated_requests:,} {calls}) + unpriced {self.unpriced_requests:,}"
        )


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

    def totals(self) -> UsageTotals:
        return UsageTotals(
            self.requests,
            self.tokens,
            self.cost,
            self.estimated_cost,
            self.unpriced_requests,
            self.estimated_requests,
        )


def _totals(groups: Mapping[str, _Sums]) -> Dict[str, UsageTotals]:
    return {name: sums.totals() for name, sums in groups.items()}


# Where the cells stand that a sum needs.
_TIME, _PROVIDER, _MODEL, _TOKENS, _COST, _SESSION = map(
    REPORT_COLUMNS.index, ("timestamp", "provider", "model", "total_tokens", "cost", "session_id")
)
_CALL, _ATTEMPT, _FINAL, _USAGE, _PRICE, _ESTIMATE, _TAGS = map(
    REPORT_COLUMNS.index,
    ("call_id", "attempt", "final", "usage_status", "price_status", "estimated_cost", "tags"),
)
#: So many combinations of groups are remembered at once.
_REMEMBERED = 4096


class _Tally:
    """Adds every row to the groups it belongs to, and counts every call once in each of them."""

    def __init__(self) -> None:
        self.overall = _Sums()
        self.groups: Dict[str, Dict[str, _Sums]] = {
            "by_provider": {},
            "by_model": {},
            "by_session": {},
            "by_tag": {},
            "by_day": {},
        }
        # Calls of several rows whose last one is still to come: what has been counted for them.
        self._unfinished: Dict[str, Set[Tuple[str, int]]] = {}
        self._found: Dict[Tuple[str, ...], List[_Sums]] = {}
        self._days = LocalDays()

    def add(self, row: Sequence[str]) -> None:
        tokens = int(row[_TOKENS] or 0)
        cost, estimate = _amounts(row)
        unpriced = not row[_COST] or row[_PRICE] == "partial"
        estimated = estimate is not None
        groups = self._groups_of(row)
        # No other row belongs to such a call; those of several rows are counted with care.
        alone = (row[_ATTEMPT] == "1" and row[_FINAL] == "true") or not row[_CALL]
        for sums in groups:
            sums.tokens += tokens
            if cost:
                sums.cost = _add(sums.cost, cost)
            if estimate:
                sums.estimated_cost = _add(sums.estimated_cost, estimate)
            if alone:
                sums.requests += 1
                sums.unpriced_requests += unpriced
                sums.estimated_requests += estimated
        if not alone:
            self._count_once(row, groups, unpriced, estimated)

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

    def _groups_of(self, row: Sequence[str]) -> Sequence[_Sums]:
        day = self._days.of(row[_TIME])
        key = (row[_PROVIDER], row[_MODEL], row[_SESSION], row[_TAGS], day)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[key] = [self.overall, *self._find_groups(*key)]
        return found

    def _find_groups(self, provider: str, model: str, session: str, tags: str, day: str) -> Iterator[_Sums]:
        names = [("by_provider", provider), ("by_model", model), ("by_session", session), ("by_day", day)]
        names += [("by_tag", tag) for tag in _tags(tags)]
        for kind, name in names:
            yield self.groups[kind].setdefault(name, _Sums())


def _amounts(row: Sequence[str]) -> Tuple[Optional[Decimal], Optional[Decimal]]:
    """What was reported and what was estimated of the cost; None where there is none."""
    if not row[_COST]:
        return None, None
    cost = Decimal(row[_COST])
    if row[_ESTIMATE]:
        estimate = Decimal(row[_ESTIMATE])
        return subtract_money(cost, estimate), estimate
    return (None, cost) if row[_USAGE] == "estimated" else (cost, None)


def _tags(text: str) -> List[str]:
    if not text:
        return []
    try:
        tags = json.loads(text)
    except ValueError:  # a file may have been edited by hand
        return []
    return [f"{name}={value}" for name, value in tags.items()] if isinstance(tags, dict) else []
