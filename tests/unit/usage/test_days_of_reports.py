"""Where days and months begin and end in a report: local time, also on the days on which clocks change."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta, timezone
from typing import Any, Dict, Iterator, Set

import pytest

from llm_orchestrator.usage.days import LocalClock
from llm_orchestrator.usage.record import as_utc
from tests.support.costs import TOKENS, make


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change the local time zone")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


#: Clocks go forward at two and back at three; back at midnight, so that 23:30 comes twice; forward at midnight.
DAYS = [
    ("CET-1CEST,M3.5.0,M10.5.0/3", date(2026, 3, 29), 23),
    ("CET-1CEST,M3.5.0,M10.5.0/3", date(2026, 10, 25), 25),
    ("CET-1CEST,M3.5.0,M10.5.0/3", date(2026, 7, 1), 24),
    ("EET-2EEST,M4.5.5/0,M10.5.4/24", date(2026, 10, 29), 25),
    ("EET-2EEST,M4.5.5/0,M10.5.4/24", date(2026, 4, 24), 23),
]


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS, indirect=["zone"])
def test_a_day_has_the_hours_that_its_clock_shows(zone: str, day: date, hours: int) -> None:
    start, end = as_utc(day), as_utc(day, end_of_day=True)
    assert start and end
    assert end - start == timedelta(hours=hours) - timedelta(microseconds=1)
    assert as_utc(day + timedelta(days=1)) == end + timedelta(microseconds=1)


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS, indirect=["zone"])
def test_a_call_is_in_one_day_the_one_that_the_report_of_that_day_has(
    zone: str, day: date, hours: int
) -> None:
    tracker = make(None)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=timezone.utc)
    for minutes in range(-36 * 60, 36 * 60, 30):
        tracker.log_usage("p", "m", TOKENS, timestamp=noon + timedelta(minutes=minutes))
    by_day = tracker.get_usage_report().by_day

    assert by_day[day.isoformat()].requests == 2 * hours
    for name, sums in by_day.items():
        that_day = date.fromisoformat(name)
        report = tracker.get_usage_report(that_day, that_day)
        assert (report.total_requests, set(report.by_day)) == (sums.requests, {name})


@pytest.mark.parametrize("zone", ["CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0"], indirect=True)
def test_months_are_local_and_leave_no_gap(zone: str) -> None:
    tracker = make(None)
    for hour in range(-30, 30):
        moment = datetime(2026, 11, 1, tzinfo=timezone.utc) + timedelta(hours=hour)
        tracker.log_usage("p", "m", TOKENS, timestamp=moment)
    months: Dict[str, Any] = dict(tracker.get_usage_report().grouped("month"))
    ends = {"2026-10": date(2026, 10, 31), "2026-11": date(2026, 11, 30)}

    assert set(months) == set(ends)
    assert sum(sums.requests for sums in months.values()) == 60
    for name, end in ends.items():
        assert tracker.get_usage_report(end.replace(day=1), end).total_requests == months[name].requests


@pytest.mark.parametrize("zone", ["UTC0"], indirect=True)
def test_moments_of_one_minute_in_two_zones_are_two_days(zone: str) -> None:
    clock = LocalClock()
    days: Set[str] = {
        clock.day(f"2026-11-01T00:30:00.000000{offset}") for offset in ("+02:00", "+00:00", "-03:00")
    }
    assert days == {"2026-10-31", "2026-11-01"}


def test_the_ends_of_the_calendar_mean_no_limit() -> None:
    tracker = make(None)
    tracker.log_usage("p", "m", TOKENS)
    assert tracker.get_usage_report(date.min, date.max).total_requests == 1
