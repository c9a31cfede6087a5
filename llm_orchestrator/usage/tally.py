"""The running sums of a report: every row is added to the groups it belongs to, and forgotten."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, Union

from llm_orchestrator.usage.columns import REPORT_COLUMNS
from llm_orchestrator.usage.days import LocalClock
from llm_orchestrator.usage.groups import KINDS, Key, Naming, by_kind
from llm_orchestrator.usage.totals import UsageTotals
from llm_orchestrator.utils.money import ZERO, add_money, subtract_money

__all__ = ["Tally"]


class _Sums:
    """The running sums of one group of rows."""

    __slots__ = ("cost", "estimated_cost", "estimated_requests", "requests", "tokens", "unpriced_requests")

    def __init__(self) -> None:
        self.requests = self.tokens = self.unpriced_requests = self.estimated_requests = 0
        self.cost = self.estimated_cost = ZERO

    def merge(self, other: Union[_Sums, UsageTotals]) -> None:
        self.requests += other.requests
        self.tokens += other.tokens
        self.cost = add_money(self.cost, other.cost)
        self.estimated_cost = add_money(self.estimated_cost, other.estimated_cost)
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
#: So many combinations of groups are remembered at once.
_REMEMBERED = 4096
#: The groups of a report.
_OF_REPORTS: Mapping[str, Naming] = {f"by_{kind}": by_kind(kind) for kind in KINDS}


class Tally:
    """Adds every row to the groups it belongs to, and counts every call once in each of them.

    Rows that belong to the same groups are summed up together first, which is faster than six sums a row.

    Args:
        namings: How rows are grouped, each under a name of its own; by default as in a report.
        day_of: Tells the day of a timestamp; by default in local time.

    Attributes:
        rows: Number of rows.
    """

    def __init__(
        self,
        namings: Mapping[str, Naming] = _OF_REPORTS,
        day_of: Optional[Callable[[str], str]] = None,
    ) -> None:
        self.rows = 0
        self._overall = _Sums()
        self._groups: List[Tuple[Naming, Dict[Any, _Sums]]] = [(naming, {}) for naming in namings.values()]
        self._names = tuple(namings)
        self._sums_by_key: Dict[Key, _Sums] = {}
        # Calls of several rows whose last one is still to come: what has been counted for them.
        self._unfinished: Dict[str, Set[Tuple[str, int]]] = {}
        self._day_of = day_of or LocalClock().day

    def add_all(
        self, rows: Iterable[Sequence[str]], is_wanted: Optional[Callable[[Sequence[str]], bool]] = None
    ) -> int:
        """Add the rows that are wanted; returns how many there were, the others included."""
        count = 0
        for row in rows:
            count += 1
            if is_wanted is None or is_wanted(row):
                self.add(row)
            elif row[_FINAL] == "true":  # the last one of a call, whose others may have been wanted
                self._unfinished.pop(row[_CALL], None)
        return count

    def add(self, row: Sequence[str]) -> None:
        """Add a row to the sums of its groups; a call of several rows is counted once in each of them."""
        self.rows += 1
        day = self._day_of(row[_TIME])
        key = (row[_PROVIDER], row[_MODEL], row[_SESSION], day, row[_TAGS])
        sums = self._sums_by_key.get(key)
        if sums is None:
            if len(self._sums_by_key) >= _REMEMBERED:
                self._fold()
            sums = self._sums_by_key[key] = _Sums()
        text = row[_COST]
        estimate = None
        if row[_TOKENS]:
            sums.tokens += int(row[_TOKENS])
        if text:
            cost = Decimal(text)
            if row[_ESTIMATE] or row[_USAGE] == "estimated":
                estimate = Decimal(row[_ESTIMATE]) if row[_ESTIMATE] else cost
                sums.estimated_cost = add_money(sums.estimated_cost, estimate)
                cost = subtract_money(cost, estimate)
            sums.cost = add_money(sums.cost, cost)
        unpriced = not text or row[_PRICE] == "partial"
        if (row[_ATTEMPT] == "1" and row[_FINAL] == "true") or not row[_CALL]:
            sums.requests += 1  # no other row belongs to this call
            sums.unpriced_requests += unpriced
            sums.estimated_requests += estimate is not None
        else:
            self._count_once(row, self._groups_of(key), unpriced, estimate is not None)

    def add_sums(self, grouping: str, key: Key, sums: UsageTotals) -> None:
        """Add the sums of rows that are calls of their own, to the groups of one of the ways to group.

        ``key`` has a moment in place of the day, as rows have.
        """
        day = self._day_of(key[3]) if key[3] else ""
        key = (*key[:3], day, key[4])
        names_of, named = dict(zip(self._names, self._groups))[grouping]
        for name in names_of(key):
            named.setdefault(name, _Sums()).merge(sums)
        if grouping == self._names[0]:  # the others are the same rows
            self._overall.merge(sums)
            self.rows += sums.requests

    def totals(self) -> Tuple[UsageTotals, Dict[str, Dict[Any, UsageTotals]]]:
        """Give the sums of all rows so far, of groups in the order of their names."""
        self._fold()
        # A database sums rows up in another order than a file has them.
        groups = {
            kind: {name: named[name].totals() for name in sorted(named)}
            for kind, (_, named) in zip(self._names, self._groups)
        }
        return self._overall.totals(), groups

    def copy(self) -> Tally:
        """Another one with the same sums, to add other rows to."""
        known: Dict[int, Any] = {}
        other = copy.deepcopy(self, known)
        other._unfinished = {
            call: {(name, id(known[sums])) for name, sums in counted}
            for call, counted in self._unfinished.items()
        }
        return other

    def _fold(self) -> None:
        for key, sums in self._sums_by_key.items():
            for group in self._groups_of(key):
                group.merge(sums)
        self._sums_by_key.clear()

    def _groups_of(self, key: Key) -> List[_Sums]:
        found = [self._overall]
        for names_of, named in self._groups:
            for name in names_of(key):
                sums = named.get(name)
                if sums is None:
                    sums = named[name] = _Sums()
                found.append(sums)
        return found

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
