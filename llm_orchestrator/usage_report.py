"""Sums over ledger rows, for people and programs, and how an amount of money is shown.

Reported and estimated money are never blended, and calls whose price is unknown are counted, not taken as
free.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Dict, Iterable, Iterator, Mapping, Set, Tuple, Union

__all__ = ["UsageReport", "UsageTotals", "add_money", "format_cost"]

ZERO = Decimal(0)

# The application may have set its own decimal context to few digits; sums of money must not follow it.
_EXACT = Context(prec=60)


def add_money(first: Decimal, second: Decimal) -> Decimal:
    """Add two amounts exactly, whatever decimal context the application has set.

    Args:
        first: US dollars.
        second: US dollars.

    Returns:
        Their sum.
    """
    return _EXACT.add(first, second)


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
    """

    requests: int
    tokens: int
    cost: Decimal
    estimated_cost: Decimal
    unpriced_requests: int


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
    """

    total_requests: int
    total_tokens: int
    total_cost: Decimal
    unpriced_requests: int
    estimated_cost: Decimal
    by_provider: Mapping[str, UsageTotals]
    by_model: Mapping[str, UsageTotals]
    by_session: Mapping[str, UsageTotals]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, str]]) -> UsageReport:
        """Sum up ledger rows, one by one.

        Args:
            rows: Rows of text by column name, as the ledger yields them.

        Returns:
            The report.
        """
        cells: Dict[Tuple[str, str, str], _Sums] = {}
        for row in rows:
            key = row["provider"], row["model"], row["session_id"]
            if key not in cells:
                cells[key] = _Sums()
            cells[key].add(row)
        overall = _Sums()
        for sums in cells.values():
            overall.merge(sums)
        return cls(
            total_requests=len(overall.calls),
            total_tokens=overall.tokens,
            total_cost=overall.cost,
            unpriced_requests=len(overall.unpriced),
            estimated_cost=overall.estimated_cost,
            by_provider=_totals_by(0, cells),
            by_model=_totals_by(1, cells),
            by_session=_totals_by(2, cells),
        )

    def __str__(self) -> str:
        """The totals in one line."""
        return (
            f"{self.total_requests:,} requests, {self.total_tokens:,} tokens: "
            f"reported {format_cost(self.total_cost)} + estimated {format_cost(self.estimated_cost)} "
            f"+ {self.unpriced_requests:,} unpriced"
        )


class _Calls:
    """Counts distinct calls; memory stays flat, as only ids that may come again are remembered."""

    __slots__ = ("alone", "ids")

    def __init__(self) -> None:
        self.ids: Set[str] = set()
        self.alone = 0

    def add(self, call_id: str) -> None:
        if call_id:
            self.ids.add(call_id)
        else:
            self.alone += 1

    def merge(self, other: _Calls) -> None:
        self.ids |= other.ids
        self.alone += other.alone

    def __len__(self) -> int:
        return self.alone + len(self.ids)


class _Sums:
    """The running sums of the rows of one provider, model and session, or of several of these together."""

    __slots__ = ("calls", "cost", "estimated_cost", "tokens", "unpriced")

    def __init__(self) -> None:
        self.calls = _Calls()
        self.unpriced = _Calls()
        self.tokens = 0
        self.cost = ZERO
        self.estimated_cost = ZERO

    def add(self, row: Mapping[str, str]) -> None:
        call_id = "" if _is_whole_call(row) else row.get("call_id", "")
        self.calls.add(call_id)
        self.tokens += int(row["total_tokens"] or 0)
        cost = row["cost"]
        if not cost or row.get("price_status") == "partial":
            self.unpriced.add(call_id)
        if cost and row.get("usage_status") == "estimated":
            self.estimated_cost = add_money(self.estimated_cost, Decimal(cost))
        elif cost:
            self.cost = add_money(self.cost, Decimal(cost))

    def merge(self, other: _Sums) -> None:
        self.calls.merge(other.calls)
        self.unpriced.merge(other.unpriced)
        self.tokens += other.tokens
        self.cost = add_money(self.cost, other.cost)
        self.estimated_cost = add_money(self.estimated_cost, other.estimated_cost)

    def totals(self) -> UsageTotals:
        return UsageTotals(len(self.calls), self.tokens, self.cost, self.estimated_cost, len(self.unpriced))


def _is_whole_call(row: Mapping[str, str]) -> bool:
    """Whether the call succeeded at its first attempt, so that no other row belongs to it."""
    return row.get("attempt") == "1" and row.get("final") == "true" and row.get("status") == "ok"


def _totals_by(position: int, cells: Mapping[Tuple[str, str, str], _Sums]) -> Dict[str, UsageTotals]:
    merged: Dict[str, _Sums] = {}
    for key, sums in cells.items():
        merged.setdefault(key[position], _Sums()).merge(sums)
    return {name: sums.totals() for name, sums in merged.items()}
