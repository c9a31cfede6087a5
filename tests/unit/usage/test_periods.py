"""Days and months of time zones: every moment is in one, which has an end, and the next begins there."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Optional
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_orchestrator import ConfigurationError
from llm_orchestrator.usage.periods import Calendar, Period, zone_of

UTC = timezone.utc
#: Zones by name, local time, and those whose clocks do what others do not.
NAMES = sorted(available_timezones())
ODD = (
    "Africa/Cairo",
    "America/Havana",
    "America/St_Johns",
    "Asia/Beirut",
    "Pacific/Apia",
    "Australia/Lord_Howe",
)
ZONES = st.one_of(st.none(), st.sampled_from(ODD), st.sampled_from(NAMES))
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2998, 12, 31), timezones=st.just(UTC))
FIRST_DAYS = st.integers(1, 28)


def zone(name: Optional[str]) -> Optional[tzinfo]:
    return None if name is None else ZoneInfo(name)


@given(ZONES, MOMENTS, FIRST_DAYS)
@example("America/St_Johns", datetime(2010, 11, 7, 2, 0, tzinfo=UTC), 1)  # 0:01 became 23:01
@example("Pacific/Apia", datetime(2011, 12, 30, 9, 59, tzinfo=UTC), 1)  # a day was left out
@example("Africa/Cairo", datetime(2023, 4, 27, 21, 59, tzinfo=UTC), 28)  # there is no midnight
def test_every_moment_is_in_one_period_that_ends(name: Optional[str], moment: datetime, first: int) -> None:
    calendar = Calendar(zone(name), first)

    for period_of, longest in ((calendar.day, timedelta(hours=49)), (calendar.month, timedelta(days=33))):
        period = period_of(moment)
        assert moment < period.until
        assert period.until - moment <= longest
        last = period.until.astimezone(UTC) - timedelta(microseconds=1)
        assert period_of(last) == period
        following = period_of(period.until)
        assert following.name > period.name and following.until > period.until
    day, month = calendar.names(str(moment))
    assert (day, month) == (calendar.day(moment).name, calendar.month(moment).name)


@pytest.mark.parametrize(
    ("name", "moment", "until", "hours"),
    [
        ("Europe/Berlin", "2026-03-28T23:00+00:00", "2026-03-30T00:00:00+02:00", 23),
        ("Europe/Berlin", "2026-10-24T22:00+00:00", "2026-10-26T00:00:00+01:00", 25),
        ("Africa/Cairo", "2026-04-23T22:00+00:00", "2026-04-25T00:00:00+03:00", 23),
        ("UTC", "2026-03-29T00:00+00:00", "2026-03-30T00:00:00+00:00", 24),
    ],
)
def test_days_of_23_and_25_hours(name: str, moment: str, until: str, hours: int) -> None:
    first = datetime.fromisoformat(moment)
    calendar = Calendar(zone_of(name))

    assert calendar.day(first).until.isoformat() == until
    assert calendar.day(first).until.astimezone(UTC) - first == timedelta(hours=hours)
    assert calendar.day(first - timedelta(microseconds=1)).name < calendar.day(first).name


def test_months_begin_on_the_day_that_was_set() -> None:
    calendar = Calendar(UTC, 15)

    def month(text: str) -> Period:
        return calendar.month(datetime.fromisoformat(f"{text}T12:00+00:00"))

    assert month("2026-12-14").name == month("2026-11-15").name == "2026-11-15/2026-12-15"
    assert month("2026-12-15") == ("2026-12-15/2027-01-15", datetime(2027, 1, 15, tzinfo=UTC))
    assert Calendar(UTC).month(datetime(2026, 12, 31, tzinfo=UTC)).name == "2026-12"


def test_two_zones_have_two_days_at_once() -> None:
    moment = datetime(2026, 11, 29, 23, 30, tzinfo=UTC)

    assert Calendar(zone_of("Europe/Berlin")).day(moment).name == "2026-11-30"
    assert Calendar(zone_of("America/New_York")).day(moment).name == "2026-11-29"


@pytest.mark.parametrize("name", ["Europe/Bonn", "Europe", "../etc/passwd", ""])
def test_a_zone_that_is_none_is_said(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no time zone"):
        zone_of(name)
