"""Days and months of a time zone: which one a moment is in, and when it ends.

A period is from its first moment to the first of the next one. That holds on days of 23 and 25 hours, where
midnight does not exist or comes twice, and where a zone skips a whole day.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Dict, NamedTuple, Optional, Tuple

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.record import parse_timestamp

__all__ = ["LAST_FIRST_DAY", "Calendar", "Period", "month_of", "zone_of"]

#: The last day of the month on which every month can begin.
LAST_FIRST_DAY = 28
#: So many minutes are remembered at once.
_REMEMBERED = 4096
_DAY = timedelta(days=1)
_NEVER = datetime.max.replace(tzinfo=timezone.utc)


class Period(NamedTuple):
    """A day or a month.

    Attributes:
        name: ``2026-11-29``, ``2026-11``, or ``2026-11-15/2026-12-15`` where months begin on another day.
        until: Its end, the first moment of the next one, in its time zone.
    """

    name: str
    until: datetime


def month_of(day: date, starts_on: int = 1) -> Tuple[date, date]:
    """The first day of the month that a day is in, and that of the next one."""
    if day.day < starts_on:
        following = day.replace(day=starts_on)
    else:
        following = (day.replace(day=1) + timedelta(days=31)).replace(day=starts_on)
    return (following.replace(day=1) - _DAY).replace(day=starts_on), following


def zone_of(name: str) -> tzinfo:
    """The time zone of a name such as ``Europe/Berlin``."""
    from zoneinfo import ZoneInfo

    try:
        return timezone.utc if name.upper() == "UTC" else ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:  # a name of a folder is an OSError
        raise ConfigurationError(
            f"There is no time zone {name!r} on this machine. Write a name such as Europe/Berlin, or run: "
            "pip install tzdata."
        ) from error


class Calendar:
    """The days and months of a time zone; None is local time.

    Args:
        zone: The time zone.
        month_starts_on: The day on which months begin, from 1 to 28.
    """

    def __init__(self, zone: Optional[tzinfo], month_starts_on: int = 1) -> None:
        self._zone = zone
        self._first = month_starts_on
        self._of_minute: Dict[str, Tuple[str, str]] = {}
        self._last = (_NEVER, Period("", _NEVER), Period("", _NEVER))

    def start(self, day: date) -> datetime:
        """The first moment of a day, in UTC, in which moments are compared and counted."""
        midnight = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return midnight.astimezone(timezone.utc)

    def day(self, moment: datetime) -> Period:
        """The day that a moment is in."""
        return self._periods(moment)[0]

    def month(self, moment: datetime) -> Period:
        """The month that a moment is in."""
        return self._periods(moment)[1]

    def _periods(self, moment: datetime) -> Tuple[Period, Period]:
        """The day and the month of a moment; those of the last one are remembered, for it is mostly now."""
        start, day, month = self._last
        if not start <= moment < day.until:
            date_of = self._date(moment)
            day = Period(date_of.isoformat(), self._shown(date_of + _DAY))
            month = Period(self._month_name(date_of), self._shown(month_of(date_of, self._first)[1]))
            self._last = self.start(date_of), day, month
        return day, month

    def names(self, timestamp: str) -> Tuple[str, str]:
        """The names of day and month of a row's timestamp; fast, as rows of one minute come together."""
        minute = timestamp[:16] + timestamp[-6:]  # the zone stands at the end
        found = self._of_minute.get(minute)
        if found is None:
            if len(self._of_minute) >= _REMEMBERED:
                self._of_minute.clear()
            day = self._date(parse_timestamp(timestamp))
            found = self._of_minute[minute] = day.isoformat(), self._month_name(day)
        return found

    def _date(self, moment: datetime) -> date:
        """The date, except where clocks were changed across midnight: a day is from its start to the next."""
        day = moment.astimezone(self._zone).date()
        if moment < self.start(day):
            return day - _DAY
        return day + _DAY if self.start(day + _DAY) <= moment else day

    def _shown(self, day: date) -> datetime:
        return self.start(day).astimezone(self._zone)

    def _month_name(self, day: date) -> str:
        if self._first == 1:
            return day.isoformat()[:7]
        first, following = month_of(day, self._first)
        return f"{first}/{following}"
