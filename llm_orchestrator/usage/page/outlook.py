"""A month's spend, the month before, where the month is going, and what the budget says to that.

Everything is computed from the sums of a report's days, in local time, and in exact decimals. A forecast
takes the mean of the last whole days and lets it go on to the month's end: two whole weeks where there are as
many, so that weekends count as often as they come.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Iterable, List, Mapping, Optional

from llm_orchestrator.usage.page.words import span_name
from llm_orchestrator.usage.periods import month_of
from llm_orchestrator.usage.totals import UsageTotals
from llm_orchestrator.utils.money import ZERO, add_money, known_cost
from llm_orchestrator.utils.values import Value

__all__ = ["FEWEST_DAYS", "Forecast", "Month", "Outlook", "outlook_of"]

#: Whole days whose mean a forecast takes.
DAYS_OF_FORECAST = 14
#: Fewer tell nothing.
FEWEST_DAYS = 3
_DAY = timedelta(days=1)


@dataclass(frozen=True, eq=False, repr=False)
class Month(Value):
    """What was spent in a month.

    Attributes:
        first: Its first day.
        spent: US dollars, estimates included; None where no call has a known price.
        estimated: The part of it that is an estimate.
        calls: Number of calls.
        unpriced: Number of calls whose cost, or a part of it, is unknown.
        since: The first day of it that the report knows of; None where it knows the whole month.
        days: US dollars of each day, the first of the month first, as far as known.
        known: The same, and None for a day of which no call has a known price.
    """

    first: date
    spent: Optional[Decimal]
    estimated: Decimal
    calls: int
    unpriced: int
    since: Optional[date]
    days: List[Decimal] = field(repr=False)
    known: List[Optional[Decimal]] = field(repr=False)

    @property
    def last(self) -> date:
        """Its last day."""
        return self.first + (len(self.days) - 1) * _DAY

    @property
    def name(self) -> str:
        """How it is called: ``November 2026``, or by its first and last day where that is none of these."""
        return span_name(self.first, self.last)

    @property
    def sums(self) -> List[Decimal]:
        """What had been spent by the end of each day, as far as known."""
        return list(accumulate(self.days, add_money))

    @property
    def known_sums(self) -> List[Optional[Decimal]]:
        """The same, and None as long as nothing but calls without a price is known."""
        lacks = accumulate(day is None for day in self.known)
        return [None if lacking and not total else total for total, lacking in zip(self.sums, lacks)]


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Value):
    """What the month will have cost if it goes on like this.

    Attributes:
        total: US dollars at the month's end.
        a_day: US dollars of a day: the mean of the last whole days.
        days: Number of those days.
        sums: US dollars at the end of each day, from today to the last of the month.
    """

    total: Decimal
    a_day: Decimal
    days: int
    sums: List[Decimal] = field(repr=False)


@dataclass(frozen=True, eq=False, repr=False)
class Outlook(Value):
    """What someone who pays the bill asks first.

    Attributes:
        today: The day it is seen from; the month's last where that month is over.
        is_over: Whether the month is over.
        month: The month.
        before: The month before; None where the report knows nothing of it.
        whole_days: Days before today that the report knows of.
        forecast: Where the month is going; None where it is over, too young, or without any known price.
        budget: US dollars for the month; None where there is none.
        owner: Whose budget it is; empty for that of all calls.
        zone: The time zone of its days; empty for local time.
    """

    today: date
    is_over: bool
    month: Month
    before: Optional[Month]
    whole_days: int
    forecast: Optional[Forecast]
    budget: Optional[Decimal]
    owner: str = ""
    zone: str = ""

    @property
    def day(self) -> int:
        """Which day of the month it is seen from; its first is 1."""
        return (self.today - self.month.first).days + 1

    @property
    def before_so_far(self) -> Optional[Decimal]:
        """What the month before had cost by the same day; None where that is not known."""
        if self.before is None or self.before.spent is None or self.before.since is not None:
            return None
        return self.before.known_sums[min(self.day, len(self.before.days)) - 1]

    @property
    def budget_ends(self) -> Optional[date]:
        """The day on which the budget is passed, or will be by the forecast; None where it holds."""
        if self.budget is None:
            return None
        spent = self.month.sums
        if self.forecast:
            spent = spent[: self.day - 1] + self.forecast.sums
        passed = (number for number, total in enumerate(spent) if total > self.budget)
        return next((self.month.first + number * _DAY for number in passed), None)


def outlook_of(
    days: Mapping[str, UsageTotals],
    today: date,
    *,
    start: Optional[date] = None,
    end: Optional[date] = None,
    budget: Optional[Decimal] = None,
    month_starts_on: int = 1,
    owner: str = "",
    zone: str = "",
) -> Outlook:
    """Look at the month of today, or the last one of a report that ended before.

    Args:
        days: The sums of a report by day.
        today: The day it is, in the same local time.
        start: The first day that the report was asked for; None is no limit.
        end: The last one.
        budget: US dollars for the month.
        month_starts_on: The day on which months begin, from 1 to 28.
        owner: Whose budget it is; empty for that of all calls.
        zone: The time zone of the days; empty for local time.
    """
    first, _ = month_of(today, month_starts_on)
    is_over = end is not None and end < first
    if end is not None and is_over:
        first, _ = month_of(end, month_starts_on)
    known_from = max(filter(None, (start, _first_day(days))), default=None)
    month = _month(first, days, known_from)
    before = _month(month_of(first - _DAY, month_starts_on)[0], days, known_from)
    seen = month.last if is_over else today
    whole_days = (seen - known_from).days if known_from else 0
    number = (seen - first).days + 1
    return Outlook(
        today=seen,
        is_over=is_over,
        month=month,
        before=None if known_from is None or known_from >= first else before,
        whole_days=whole_days,
        forecast=None if is_over else _forecast(month, before, number, whole_days),
        budget=budget,
        owner=owner,
        zone=zone,
    )


def _first_day(days: Mapping[str, UsageTotals]) -> Optional[date]:
    return date.fromisoformat(min(days)) if days else None


def _month(first: date, days: Mapping[str, UsageTotals], known_from: Optional[date]) -> Month:
    _, following = month_of(first, first.day)
    dates = [first + number * _DAY for number in range((following - first).days)]
    found = [days[day.isoformat()] for day in dates if day.isoformat() in days]
    spent = _sum(map(_spent, found))
    calls, unpriced = sum(day.requests for day in found), sum(day.unpriced_requests for day in found)
    known = [_known(days[day.isoformat()]) if day.isoformat() in days else ZERO for day in dates]
    return Month(
        first,
        known_cost(spent, calls, unpriced),
        _sum(day.estimated_cost for day in found),
        calls,
        unpriced,
        known_from if known_from and dates[0] < known_from <= dates[-1] else None,
        [ZERO if amount is None else amount for amount in known],
        known,
    )


def _forecast(month: Month, before: Month, today: int, whole_days: int) -> Optional[Forecast]:
    if whole_days < FEWEST_DAYS:
        return None
    past = (before.known + month.known[: today - 1])[-min(DAYS_OF_FORECAST, whole_days) :]
    spent = [day for day in past if day is not None]
    a_day = _sum(spent) / len(past)
    so_far = month.days[today - 1]
    if not (a_day or so_far) and len(spent) < len(past):
        return None  # nothing but calls without a price
    rest = [max(so_far, a_day)] + [a_day] * (len(month.days) - today)
    start = _sum(month.days[: today - 1])
    sums = [add_money(start, later) for later in accumulate(rest, add_money)]
    return Forecast(sums[-1], a_day, len(past), sums)


def _known(totals: UsageTotals) -> Optional[Decimal]:
    return known_cost(_spent(totals), totals.requests, totals.unpriced_requests)


def _spent(totals: UsageTotals) -> Decimal:
    return add_money(totals.cost, totals.estimated_cost)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = add_money(total, amount)
    return total
