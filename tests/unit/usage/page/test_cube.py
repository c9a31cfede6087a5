"""The cross table adds up to the report, however it was drawn together."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from llm_orchestrator import CostTracker
from llm_orchestrator.usage.page import cube as module
from llm_orchestrator.usage.page.cube import OTHERS, Cell, Cube, CubeKey, period_of
from llm_orchestrator.usage.page.figures import Figures
from llm_orchestrator.usage.page.sums import PageSums
from llm_orchestrator.usage.report import UsageReport
from tests.support.ledgers import made_up, row, write


def report_of(path: Path) -> UsageReport:
    return CostTracker(log_path=path).get_usage_report()


def cube_of(report: UsageReport) -> Cube:
    sums = PageSums(Cube(report), Figures(), list(report.by_day))
    sums.add_all(report._rows.rows_of_page(sums))
    return sums.cube


def total(cube: Cube, wanted: Callable[[CubeKey], bool] = lambda key: True) -> Cell:
    found = Cell()
    for key, cell in cube.cells.items():
        if wanted(key):
            found.merge(cell)
    return found


def odd_rows(number: int) -> Iterator[Dict[str, str]]:
    """Calls of one and of several attempts, some of which never end, with every kind of price."""
    chance = random.Random(11)
    kinds: List[Dict[str, Any]] = [
        {"cost": "0.000123"},
        {"cost": "0.25", "estimated_cost": "0.05"},
        {"cost": "0.5", "usage_status": "estimated"},
        {"cost": "", "price_status": "unpriced"},
        {"cost": "0.125", "price_status": "partial"},
        {"cost": "0", "status": "error"},
    ]
    for call in range(number):
        day = f"2026-11-{chance.randint(1, 28):02}T{chance.randint(0, 23):02}:30:00+00:00"
        attempts = chance.choice((1, 1, 1, 2, 3))
        tags = chance.choice(('{"customer": "acme", "team": "a"}', '{"customer": "globex"}', ""))
        ends = chance.random() < 0.9
        for attempt in range(1, attempts + 1):
            yield row(
                timestamp=day,
                model=chance.choice(("a", "b", "c")),
                call_id=call,
                attempt=attempt,
                final="true" if attempt == attempts and ends else "false",
                total_tokens=7,
                tags=tags,
                **chance.choice(kinds),
            )


def test_the_cells_add_up_to_the_report(tmp_path: Path) -> None:
    report = report_of(write(tmp_path / "costs.csv", odd_rows(250)))
    cube = cube_of(report)
    found = total(cube)

    assert (found.calls, found.unpriced, found.estimated, found.tokens) == (
        report.total_requests,
        report.unpriced_requests,
        report.estimated_requests,
        report.total_tokens,
    )
    assert (found.cost, found.estimate) == (report.total_cost, report.estimated_cost)
    for model, sums in report.by_model.items():
        mine = total(cube, lambda key, model=model: key.model == model)  # type: ignore[misc]
        assert (mine.cost, mine.estimate, mine.tokens) == (sums.cost, sums.estimated_cost, sums.tokens)
    for day, sums in report.by_day.items():
        mine = total(cube, lambda key, day=day: key.period == day)  # type: ignore[misc]
        assert (mine.calls, mine.unpriced, mine.cost) == (sums.requests, sums.unpriced_requests, sums.cost)
    for place, name in enumerate(cube.tags):
        for value, sums in report.grouped(f"tag:{name}").items():
            mine = total(cube, lambda key, p=place, v=value: key.tags[p] == v)  # type: ignore[misc]
            assert (mine.calls, mine.cost, mine.unpriced) == (
                sums.requests,
                sums.cost,
                sums.unpriced_requests,
            )


def test_drawing_together_changes_no_sum(tmp_path: Path) -> None:
    report = report_of(write(tmp_path / "costs.csv", odd_rows(120)))
    cube = cube_of(report)
    before, units = total(cube), []
    sizes = [len(cube.cells)]
    while cube.coarsen():
        after = total(cube)
        assert all(getattr(after, name) == getattr(before, name) for name in Cell.__slots__)
        units.append(cube.unit)
        sizes.append(len(cube.cells))
    assert units == ["day", "week", "week", "month", "month", "month"]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0]


def test_many_days_and_values_stay_within_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 60)
    rows = [
        row(
            timestamp=f"2026-{1 + number % 6:02}-{1 + number % 28:02}T12:00:00+00:00",
            call_id=number,
            tags=f'{{"customer": "c{number % 40}"}}',
            cost="0.1",
        )
        for number in range(250)
    ]
    report = report_of(write(tmp_path / "costs.csv", iter(rows)))
    cube = cube_of(report)
    assert len(cube.cells) <= 60 and cube.unit == "month"
    assert total(cube).cost == report.total_cost and total(cube).calls == 250
    for month, sums in report.grouped("month").items():
        assert total(cube, lambda key, month=month: key.period == f"{month}-01").calls == sums.requests
    assert any(OTHERS in key.tags for key in cube.cells)


def test_an_unfinished_call_is_counted_also_after_drawing_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 2)
    rows = [row(call_id=0, attempt=1, final="false", status="error", cost="0", tags='{"customer": "c0"}')]
    rows += [row(call_id=number, tags=f'{{"customer": "c{number}"}}', cost="0.1") for number in range(1, 9)]
    report = report_of(write(tmp_path / "costs.csv", iter(rows)))
    assert total(cube_of(report)).calls == report.total_requests == 9


def test_the_least_expensive_models_and_values_have_no_name_of_their_own(tmp_path: Path) -> None:
    rows = [
        row(model=f"m{number:02}", call_id=number, cost=number, tags=f'{{"customer": "c{number:02}"}}')
        for number in range(60)
    ]
    cube = cube_of(report_of(write(tmp_path / "costs.csv", iter(rows))))
    models = {key.model for key in cube.cells}
    assert {"m59", "m20", OTHERS} <= models and "m19" not in models
    values = {key.tags[0] for key in cube.cells}
    assert {"c59", "c10", OTHERS} <= values and "c09" not in values


def test_an_identifier_as_a_tag_comes_after_the_tags_that_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_VALUES", 5)
    rows = [
        row(call_id=number, cost="1", tags=f'{{"ticket": "t{number}", "customer": "c{number % 2}"}}')
        for number in range(10)
    ]
    assert cube_of(report_of(write(tmp_path / "costs.csv", iter(rows)))).tags == ("customer", "ticket")


def test_every_token_is_counted_once(tmp_path: Path) -> None:
    counts = {"prompt_tokens": 100, "cached_tokens": 60, "cache_write_tokens": 10}
    rows = [
        row(**counts, completion_tokens=20, reasoning_tokens=5),
        row(call_id="d", prompt_tokens=1),
        row(call_id="e"),
    ]
    found = total(cube_of(report_of(write(tmp_path / "costs.csv", iter(rows)))))
    assert (found.input, found.cache_read, found.cache_write) == (31, 60, 10)
    assert (found.output, found.reasoning) == (15, 5)


def test_broken_lines_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "costs.csv", made_up(20))
    whole = total(cube_of(report_of(path))).calls
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[3][:200] + "\n", "garbage\n", "\0\n", lines[4][:-20]]))
    assert total(cube_of(report_of(path))).calls == whole == 20


def test_calls_whose_rows_are_no_longer_kept_are_part_of_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_orchestrator.usage import recent

    monkeypatch.setattr(recent, "MOST_RECORDS", 3)
    tracker = CostTracker(log_path=None)
    for number in range(8):
        tracker.log_usage("p", f"m{number}", {"prompt": 1, "completion": 1}, cost=Decimal(1))
    report = tracker.get_usage_report()
    cube = cube_of(report)
    cube.add_earlier(min(report.by_day), report._rows.before)
    assert total(cube).cost == report.total_cost == 8
    assert total(cube).calls == 8


@pytest.mark.parametrize(
    ("day", "unit", "period"),
    [
        ("2026-11-29", "day", "2026-11-29"),
        ("2026-11-29", "week", "2026-11-23"),
        ("2026-11-23", "week", "2026-11-23"),
        ("2027-01-02", "week", "2027-01-01"),
        ("2026-11-29", "month", "2026-11-01"),
    ],
)
def test_periods_are_named_by_their_first_day(day: str, unit: str, period: str) -> None:
    assert period_of(day, unit) == period
