"""The month, the one before, the forecast and the budget: each number from days whose sum a person can do."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Callable, Dict, Optional

import pytest

from llm_orchestrator import CostTracker
from llm_orchestrator.usage.page.outlook import Outlook, outlook_of
from llm_orchestrator.usage.totals import UsageTotals

TODAY = date(2026, 11, 18)


def spent(cost: Any, *, calls: int = 1, unpriced: int = 0, estimated: Any = 0) -> UsageTotals:
    return UsageTotals(calls, 10, Decimal(str(cost)), Decimal(str(estimated)), unpriced)


def each_day(first: date, last: date, cost: Any) -> Dict[str, UsageTotals]:
    numbers = range(first.toordinal(), last.toordinal() + 1)
    return {date.fromordinal(number).isoformat(): spent(cost) for number in numbers}


def look(days: Dict[str, UsageTotals], today: date = TODAY, **limits: Any) -> Outlook:
    return outlook_of(days, today, **limits)


def test_the_month_so_far_stands_beside_the_same_days_of_the_month_before() -> None:
    found = look({**each_day(date(2026, 9, 20), date(2026, 10, 31), 2), "2026-11-01": spent(5, estimated=1)})
    assert (found.month.first, found.month.spent, found.month.estimated) == (date(2026, 11, 1), 6, 1)
    assert found.before is not None and found.before.spent == 62
    assert found.before_so_far == 36
    assert found.before.since is None


def test_the_same_day_of_a_shorter_month_is_its_last() -> None:
    days = each_day(date(2026, 1, 1), date(2026, 2, 28), 1)
    assert look(days, date(2026, 3, 31)).before_so_far == 28


def test_a_forecast_lets_the_mean_of_two_whole_weeks_go_on() -> None:
    days = {**each_day(date(2026, 10, 1), date(2026, 11, 3), 100), **each_day(date(2026, 11, 4), TODAY, 2)}
    forecast = look(days).forecast
    assert forecast is not None and (forecast.a_day, forecast.days) == (2, 14)
    assert forecast.total == 300 + 14 * 2 + 13 * 2
    assert len(forecast.sums) == 13 and forecast.sums[0] == 300 + 14 * 2 + 2


def test_a_forecast_takes_days_of_the_month_before_where_this_one_is_young() -> None:
    forecast = look(each_day(date(2026, 10, 1), date(2026, 11, 2), 3), date(2026, 11, 2)).forecast
    assert forecast is not None and forecast.total == 90


def test_days_without_calls_cost_nothing_and_count() -> None:
    days = {"2026-10-01": spent(1), "2026-11-10": spent(14)}
    forecast = look(days).forecast
    assert forecast is not None and forecast.a_day == 1 and forecast.total == 14 + 13


def test_today_is_never_forecast_below_what_it_has_cost_already() -> None:
    days = {**each_day(date(2026, 11, 1), date(2026, 11, 17), 1), "2026-11-18": spent(50)}
    forecast = look(days).forecast
    assert forecast is not None and forecast.total == 17 + 50 + 12


@pytest.mark.parametrize(("first", "is_known"), [(15, True), (16, False), (18, False)])
def test_three_whole_days_are_needed_for_a_forecast(first: int, is_known: bool) -> None:
    days = each_day(date(2026, 11, first), TODAY, 1)
    assert (look(days).forecast is not None) is is_known


def test_the_forecast_of_a_few_days_takes_those() -> None:
    forecast = look(each_day(date(2026, 11, 14), TODAY, 2)).forecast
    assert forecast is not None and (forecast.days, forecast.total) == (4, 8 + 2 * 13)


def test_what_the_report_was_not_asked_for_is_unknown_and_not_zero() -> None:
    days = each_day(date(2026, 11, 1), TODAY, 1)
    assert look(days, start=date(2026, 11, 1)).before is None
    assert look(each_day(date(2026, 11, 5), TODAY, 1)).before is None, "the ledger begins in this month"
    partly = look(each_day(date(2026, 10, 20), TODAY, 1), start=date(2026, 10, 20))
    assert partly.before is not None and partly.before.since == date(2026, 10, 20)
    assert partly.before_so_far is None


def test_a_month_without_a_known_price_is_unknown_and_one_without_calls_is_zero() -> None:
    days = {**each_day(date(2026, 9, 1), date(2026, 9, 2), 1), "2026-11-02": spent(0, unpriced=1)}
    found = look(days)
    assert found.month.spent is None and found.month.unpriced == 1
    assert found.before is not None and (found.before.spent, found.before.calls) == (0, 0)


def test_days_and_sums_without_a_known_price_are_unknown_and_not_zero() -> None:
    days = {**each_day(date(2026, 10, 1), date(2026, 10, 31), 1), "2026-11-02": spent(0, unpriced=1)}
    days["2026-11-04"] = spent(3, calls=2, unpriced=1)
    month = look(days).month
    assert month.known[:5] == [0, None, 0, 3, 0]
    assert month.known_sums[:5] == [0, None, None, 3, 3]


def test_a_forecast_of_nothing_but_calls_without_a_price_is_none() -> None:
    days = {f"2026-11-{day:02}": spent(0, unpriced=1) for day in range(1, 19)}
    assert look(days).forecast is None
    days["2026-11-10"] = spent(14)
    forecast = look(days).forecast
    assert forecast is not None and forecast.a_day == 1


def test_a_report_of_an_earlier_time_looks_at_its_last_month() -> None:
    days = each_day(date(2026, 8, 1), date(2026, 9, 20), 1)
    found = look(days, end=date(2026, 9, 30))
    assert (found.month.first, found.month.spent, found.forecast) == (date(2026, 9, 1), 20, None)
    assert found.is_over and found.today == date(2026, 9, 30)
    assert found.before is not None and found.before.spent == 31
    assert not look(days, end=date(2026, 11, 5)).is_over


def test_an_empty_report_has_a_month_without_calls() -> None:
    found = look({})
    assert (found.month.calls, found.before, found.forecast) == (0, None, None)


@pytest.mark.parametrize(
    ("budget", "ends"),
    [(5, date(2026, 11, 6)), (18, date(2026, 11, 19)), (29, date(2026, 11, 30)), (30, None)],
)
def test_a_budget_ends_where_it_was_passed_or_by_the_forecast_will_be(
    budget: int, ends: Optional[date]
) -> None:
    days = {**each_day(date(2026, 10, 1), TODAY, 1)}
    found = look(days, budget=Decimal(budget))
    assert found.forecast is not None and found.forecast.total == 30
    assert found.budget_ends == ends


def test_without_a_budget_none_ends() -> None:
    assert look(each_day(date(2026, 10, 1), TODAY, 1)).budget_ends is None


def test_sums_of_tiny_amounts_are_exact() -> None:
    days = each_day(date(2026, 11, 1), TODAY, "0.000000000000000000000001")
    assert look(days).month.spent == Decimal("0.000000000000000000000018")


@pytest.mark.parametrize(
    ("name", "month"),
    [("UTC", "2026-10"), ("Pacific/Auckland", "2026-11"), ("America/Los_Angeles", "2026-10")],
)
def test_a_call_belongs_to_the_month_of_the_local_clock(
    zone: Callable[[str], None], name: str, month: str
) -> None:
    zone(name)
    tracker = CostTracker(log_path=None)
    late = datetime(2026, 10, 31, 20, tzinfo=timezone.utc)
    tracker.log_usage("p", "m", {"prompt": 1, "completion": 1}, cost=Decimal(1), timestamp=late)
    found = look(dict(tracker.get_usage_report().by_day), date(2026, 11, 2))
    by_month = {"2026-11": found.month.spent, "2026-10": found.before.spent if found.before else None}
    assert by_month[month] == 1
    assert month == "2026-11" or found.month.spent == 0


def test_a_day_on_which_clocks_change_is_one_day(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")
    tracker = CostTracker(log_path=None)
    for hour in range(22, 47):  # the 25 hours of 25 October
        moment = datetime(2026, 10, 24 + hour // 24, hour % 24, tzinfo=timezone.utc)
        tracker.log_usage("p", "m", {"prompt": 1, "completion": 1}, cost=Decimal(1), timestamp=moment)
    found = look(dict(tracker.get_usage_report().by_day), date(2026, 10, 28))
    assert found.month.days[24] == 25 and found.month.spent == 25
    assert found.forecast is not None and found.forecast.days == 3
