"""A configured budget on the page: its answer and its line are about the very month that it is for."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Tuple

import pytest

from llm_orchestrator import CostTracker
from llm_orchestrator.usage.budgets import make_limits, month_budget
from llm_orchestrator.usage.limits import BudgetStatus
from tests.support.ledgers import row, write
from tests.unit.usage.page.test_page import answers_of, data_of

ACME = '{"customer": "acme"}'


@pytest.fixture(autouse=True)
def middle_of_november(today: Callable[..., None]) -> None:
    today(2026, 11, 18, 12)


def call(moment: str, cost: str, **cells: Any) -> Dict[str, str]:
    return row(timestamp=f"{moment}:00+00:00", call_id=f"{moment}{cost}", cost=cost, total_tokens=9, **cells)


def budget_of(whose: Mapping[str, str] = {}, **settings: Any) -> BudgetStatus:
    found = month_budget(make_limits(settings, None), whose)
    assert found is not None
    return found


def page_of(tmp_path: Path, rows: List[Dict[str, str]], budget: BudgetStatus, **selection: Any) -> str:
    path = write(tmp_path / "costs.csv", iter(sorted(rows, key=lambda cells: cells["timestamp"])))
    return CostTracker(log_path=path).get_usage_report(**selection).to_html(budget=budget)


def verdict_of(page: str) -> Tuple[str, str, str]:
    """The question about the budget, its answer, and what is said of it."""
    ((question, (figure, notes)),) = [
        (question, answer) for question, answer in answers_of(page).items() if "budget" in question
    ]
    return question, figure, notes.replace("&#x27;", "'")


def each_day(first: date, last: date, cost: str) -> List[Dict[str, str]]:
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [call(f"{day}T09:00", cost) for day in days]


def test_a_month_that_begins_in_the_middle_is_looked_at_as_such(tmp_path: Path) -> None:
    rows = each_day(date(2026, 9, 1), date(2026, 11, 18), "2")
    page = page_of(tmp_path, rows, budget_of(month=50, month_starts_on=15))

    assert verdict_of(page) == (
        "Within the budget of $50.00 for 15 November to 14 December 2026?",
        "Probably not",
        "The forecast passes it on 10 December, and by $10.00 at the month's end. "
        "$42.00 of the month's budget is left today.",
    )
    assert answers_of(page)["Spent in November 2026, up to 18 November"][0] == "$36.00"
    month = data_of(page)["month"]
    assert (month["name"], month["before_name"], month["since"]) == (
        "15 November to 14 December 2026",
        "15 October to 14 November 2026",
        "15 November",
    )
    assert month["days"][:2] == [15, 16] and month["days"][-1] == 14
    assert month["sums"][:5] == [2.0, 4.0, 6.0, 8.0, None]
    assert month["budget"] == [50.0] * 30 and month["forecast"][-1] == 60.0


def test_days_are_those_of_the_budgets_zone(tmp_path: Path) -> None:
    """What was spent in an evening in Greenwich belongs to the next month in Tokyo."""
    rows = [call("2026-10-31T14:59", "1"), call("2026-10-31T15:00", "10"), call("2026-11-18T11:00", "100")]
    page = page_of(tmp_path, rows, budget_of(month=105, timezone="Asia/Tokyo"))

    question, figure, notes = verdict_of(page)
    assert (question, figure) == ("Within the budget of $105.00 for November 2026?", "No")
    assert notes == "It was passed on 18 November, by $5.00 so far. Its days are those of Asia/Tokyo."
    assert data_of(page)["month"]["sums"][:2] == [10.0, 10.0]
    assert "November 2026, day by day (Asia/Tokyo)" in page
    assert verdict_of(page_of(tmp_path, rows, budget_of(month=105)))[1] != "No"


def test_today_is_that_of_the_zone(tmp_path: Path, today: Callable[..., None]) -> None:
    today(2026, 11, 30, 16)
    rows = [call("2026-11-30T14:59", "7"), call("2026-11-30T15:30", "1")]
    page = page_of(tmp_path, rows, budget_of(month=5, timezone="Asia/Tokyo"))
    assert verdict_of(page)[:2] == ("Within the budget of $5.00 for December 2026?", "so far")


def test_its_month_is_read_whole_whatever_the_report_is_about(tmp_path: Path) -> None:
    rows = each_day(date(2026, 9, 1), date(2026, 11, 18), "2")
    budget = budget_of(month=50, month_starts_on=15)
    whole = verdict_of(page_of(tmp_path, rows, budget))
    assert verdict_of(page_of(tmp_path, rows, budget, start_date=date(2026, 11, 17))) == whole

    over = verdict_of(page_of(tmp_path, rows, budget, end_date=date(2026, 10, 31)))
    assert over[:2] == ("Within the budget of $50.00 for 15 October to 14 November 2026?", "No")
    early = page_of(tmp_path, rows, budget, end_date=date(2026, 9, 20))
    assert verdict_of(early)[0].endswith("15 September to 14 October 2026?")
    assert "no calls" in page_of(tmp_path, rows, budget, end_date=date.min)
    assert verdict_of(page_of(tmp_path, rows, budget, start_date=date.min, end_date=date.max)) == whole


def test_the_budget_of_a_tag_is_about_its_calls(tmp_path: Path) -> None:
    rows = each_day(date(2026, 11, 1), date(2026, 11, 18), "2")
    rows.append(call("2026-11-03T10:00", "7", tags=ACME))
    budget = budget_of({"customer": "acme"}, month=1, tags={"customer": {"month": "6"}})
    page = page_of(tmp_path, rows, budget, tags={"customer": "acme"})
    assert verdict_of(page)[:2] == ("Within the budget of customer=acme of $6.00 for November 2026?", "No")


def test_only_the_budget_of_what_is_shown_is_chosen() -> None:
    limits = make_limits({"month": 1, "tags": {"customer": {"month": 2}, "team": {"day": 3}}}, None)
    limit = {
        tags: getattr(month_budget(limits, dict(tags)), "limit", None)
        for tags in (
            (),
            (("customer", "a\x7fb"),),
            (("team", "x"),),
            (("customer", "x"), ("team", "y")),
        )
    }
    assert list(limit.values()) == [1, 2, None, None]
    assert month_budget(make_limits({"day": 1}, None), {}) is None


def test_of_a_database_without_a_zone_days_are_those_of_utc(zone: Callable[[str], None]) -> None:
    zone("JST-9")
    assert str(getattr(month_budget(make_limits({"month": 1}, "sqlite://"), {}), "until", None)).endswith(
        "+00:00"
    )


def test_local_days_are_those_of_all_the_year(tmp_path: Path, zone: Callable[[str], None]) -> None:
    """The end of a month has one offset, and a day before the clocks were changed another."""
    zone("CET-1CEST,M3.5.0,M10.5.0/3")
    rows = [call("2026-10-14T22:30", "3")]  # 00:30 on 15 October, in summer time
    budget = budget_of(month=2, month_starts_on=15)
    page = page_of(tmp_path, rows, budget, end_date=date(2026, 10, 31))
    assert verdict_of(page)[1:] == ("No", "It was passed on 15 October, by $1.00 so far.")


def test_a_budget_for_no_month_is_refused(tmp_path: Path) -> None:
    status = BudgetStatus("day", "2026-11-18", Decimal(1), None, Decimal(0), datetime.now(timezone.utc))
    with pytest.raises(ValueError, match="is for no month"):
        page_of(tmp_path, [], status)
