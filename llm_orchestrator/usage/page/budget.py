"""A configured budget as the page looks at it: over the very month it is for, in its own time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Callable, Iterable, Mapping, Optional

from llm_orchestrator.usage.groups import by_kind
from llm_orchestrator.usage.limits import BudgetStatus
from llm_orchestrator.usage.page.outlook import Outlook, outlook_of
from llm_orchestrator.usage.periods import Calendar, month_of
from llm_orchestrator.usage.selection import Selection
from llm_orchestrator.usage.tally import Tally
from llm_orchestrator.usage.totals import UsageTotals
from llm_orchestrator.utils.money import ZERO
from llm_orchestrator.utils.values import Value

__all__ = ["MonthBudget", "Read"]

#: Adds the rows of a selection to a tally, whose one way to group is ``by_day``.
Read = Callable[[Tally, Selection], None]
#: There were no ledgers before, and the first days of all calendars have no local time everywhere.
_EARLIEST = datetime(1970, 3, 1, tzinfo=timezone.utc)
_MOMENT = timedelta(microseconds=1)
_NOTHING = UsageTotals(0, 0, ZERO, ZERO, 0)


@dataclass(frozen=True, eq=False, repr=False)
class MonthBudget(Value):
    """A budget for a month.

    Attributes:
        limit: US dollars.
        tags: Whose calls it is for; empty for all calls.
        starts_on: The day on which its months begin.
        zone: Its time zone; None for local time.
    """

    limit: Decimal
    tags: Mapping[str, str]
    starts_on: int
    zone: Optional[tzinfo]

    @classmethod
    def of(cls, status: BudgetStatus) -> MonthBudget:
        """Read what a status says of its budget; a ValueError where it is for no month."""
        kind, _, tag = status.budget.partition(" tag:")
        if kind != "month" or status.until is None:
            raise ValueError(f"The budget for one {status.budget} is for no month. Use one that is.")
        name, _, value = tag.partition("=")
        first = status.period.partition("/")[0]
        starts_on = date.fromisoformat(first).day if first != status.period else 1
        return cls(status.limit, {name: value} if tag else {}, starts_on, _zone_of(status.until))

    def outlook(self, days: Iterable[str], now: datetime, end: Optional[datetime], read: Read) -> Outlook:
        """Look at its month: that of now, or of the end of a report that ended in an earlier one.

        Args:
            days: The days of the report, which tell whether there were calls before the last two months.
            now: The moment it is.
            end: Up to when the report was asked for.
            read: Reads the calls of its months, whatever the report selects.
        """
        calendar = Calendar(self.zone, self.starts_on)
        seen = now if end is None or end > now else max(end, _EARLIEST)
        today = date.fromisoformat(calendar.day(now).name)
        first, following = month_of(date.fromisoformat(calendar.day(seen).name), self.starts_on)
        before, _ = month_of(first - timedelta(days=1), self.starts_on)
        tally = Tally({"by_day": by_kind("day")}, lambda timestamp: calendar.names(timestamp)[0])
        read(tally, Selection(calendar.start(before), calendar.start(following) - _MOMENT, tags=self.tags))
        found = tally.totals()[1]["by_day"]
        if min(days, default="9") < before.isoformat():
            found = {before.isoformat(): _NOTHING, **found}  # no call that day is known, too
        return outlook_of(
            found,
            today,
            end=following - timedelta(days=1) if following <= today else None,
            budget=self.limit,
            month_starts_on=self.starts_on,
            owner=" ".join(f"{name}={value}" for name, value in self.tags.items()),
            zone="" if self.zone is None else str(self.zone),
        )


def _zone_of(until: datetime) -> Optional[tzinfo]:
    """The zone of a budget's end; that of local time is an offset, which is not that of all its days."""
    zone = until.tzinfo
    return None if type(zone) is timezone and zone is not timezone.utc else zone
