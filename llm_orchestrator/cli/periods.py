"""Periods as one types them: months, days, times, and spans back from now."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Optional, Tuple

import typer

__all__ = ["Period", "chosen_period", "month", "month_before", "period"]

#: The first and the last day or moment that count; None: no limit.
Period = Tuple[Optional[date], Optional[date]]

_AGO = re.compile(r"(\d{1,5})([dhw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def chosen_period(
    since: Optional[str], until: Optional[str], which: Optional[str] = None, *, last_month: bool = False
) -> Period:
    """Read a period by the one way in which it was given: two ends, a month, or last month."""
    if bool(which) + last_month + bool(since or until) > 1:
        raise typer.BadParameter("use one of --month, --last-month, and --since with --until")
    if last_month:
        return month_before(date.today())
    return month(which) if which else period(since, until)


def period(since: Optional[str], until: Optional[str]) -> Period:
    """Read both ends of a period; where one is a month, it is its first or its last day."""
    start, end = _moment(since, "--since")[0], _moment(until, "--until")[1]
    if start and end and _sortable(start) > _sortable(end):
        raise typer.BadParameter(f"{until} is before {since}. Turn them round.", param_hint="--until")
    return start, end


def month(text: str) -> Period:
    """Read a month."""
    try:
        return _month(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text} is not a month. Write it as 2026-11.", param_hint="--month"
        ) from None


def month_before(day: date) -> Period:
    """The month before the one of a day."""
    last = day.replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last


def _moment(text: Optional[str], option: str) -> Period:
    """Read a month, which lasts from its first to its last day, or a day or moment, which is one."""
    if text is None:
        return None, None
    try:
        return _month(text) if len(text) == len("2026-11") else (_one(text),) * 2
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "use a month (2026-11), a day (2026-11-01), today, or a span (24h, 7d, 4w)", param_hint=option
        ) from None


def _month(text: str) -> Period:
    first = date.fromisoformat(f"{text}-01")
    return first, month_before(first + timedelta(days=31))[1]


def _one(text: str) -> date:
    ago = _AGO.fullmatch(text)
    if ago:  # an hour is an hour, also where clocks were changed since
        return datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    if text == "today":
        return date.today()
    return date.fromisoformat(text) if len(text) == len("2026-11-01") else datetime.fromisoformat(text)


def _sortable(moment: date) -> str:
    """Days and moments in one order, by the local clock."""
    local = moment.astimezone().replace(tzinfo=None) if isinstance(moment, datetime) else moment
    return local.isoformat()
