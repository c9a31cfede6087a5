"""The page's arithmetic, run by Node.js: what it adds up for a filter is what a report with that filter says."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
import subprocess
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import CostTracker, format_cost
from llm_orchestrator.usage.page.cube import period_of
from llm_orchestrator.utils.packaged import packaged_text
from tests.support.ledgers import made_up, row, write
from tests.unit.usage.page.test_page import data_of

NODE = shutil.which("node")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NODE is None, reason="there is no Node.js on this machine"),
]

#: Answers the questions on its standard input with the functions of the page.
DRIVER = """
const {data, questions} = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const cells = data ? cellsOf(data) : [];
const asked = {
  cost: ([amount, scale]) => costText(amount === null ? null : BigInt(amount), scale),
  total: (filter) => {
    const sums = totalOf(selected(cells, filter, data.unit));
    const spent = spentOf(sums);
    return {...sums, cost: plainText(sums.cost, data.scale), estimate: plainText(sums.estimate, data.scale),
      spent: spent === null ? null : costText(spent, data.scale)};
  },
  csv: (filter) => csvOf(data, selected(cells, filter, data.unit)),
  periods: ([first, last, unit]) => periodsBetween(first, last, unit),
  unit: ([first, last, finest]) => unitFor(first, last, finest),
};
console.log(JSON.stringify(questions.map(([kind, question]) => asked[kind](question))));
"""


def ask(questions: List[Any], page: str = "") -> List[Any]:
    """Ask the script of a page."""
    script = packaged_text("llm_orchestrator.usage.page", "sums.js") + DRIVER
    document = json.dumps({"data": data_of(page) if page else None, "questions": questions})
    run = subprocess.run(
        [str(NODE), "-e", script], input=document, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return list(json.loads(run.stdout))


def test_money_is_shown_as_the_report_shows_it() -> None:
    chance = random.Random(3)
    amounts = [0, 1, 5, 99, 100, 999, 1005, 12345, 99995, 10**9, 10**17 + 5, -5, -123456]
    amounts += [chance.randint(0, 10 ** chance.randint(1, 20)) for _ in range(400)]
    questions = [["cost", [str(amount), scale]] for amount in amounts for scale in (2, 3, 6, 12, 24)]
    shown = ask([*questions, ["cost", [None, 6]]])
    assert shown.pop() == "unknown"
    expected = [format_cost(Decimal(amount).scaleb(-scale)) for _, (amount, scale) in questions]
    assert shown == expected


def filter_of(page: str, **wanted: Any) -> Dict[str, Any]:
    data = data_of(page)
    usual = {"from": data["first"], "to": data["last"], "model": "", "tags": [""] * len(data["tagNames"])}
    return {**usual, **wanted}


def test_filters_add_up_to_what_a_report_with_that_filter_says(tmp_path: Path) -> None:
    tracker = CostTracker(log_path=write(tmp_path / "costs.csv", made_up(600)))
    page = tracker.get_usage_report().to_html()
    wanted: List[Any] = [
        ({}, {}),
        ({"model": "gpt-6-luna"}, {"model": "gpt-6-luna"}),
        ({"tags": ["docs"]}, {"tags": {"team": "docs"}}),
        (
            {"from": "2026-11-05", "to": "2026-11-09"},
            {"start_date": date(2026, 11, 5), "end_date": date(2026, 11, 9)},
        ),
        (
            {"from": "2026-11-05", "tags": ["search"], "model": "claude-haiku-5-5"},
            {"start_date": date(2026, 11, 5), "tags": {"team": "search"}, "model": "claude-haiku-5-5"},
        ),
        ({"tags": ["nobody"]}, {"tags": {"team": "nobody"}}),
    ]
    found = ask([["total", filter_of(page, **filters)] for filters, _ in wanted], page)
    for sums, (_, selection) in zip(found, wanted):
        report = tracker.get_usage_report(**selection)
        assert Decimal(sums["cost"]) == report.total_cost
        assert Decimal(sums["estimate"]) == report.estimated_cost
        assert (sums["tokens"], sums["unpriced"]) == (report.total_tokens, report.unpriced_requests)
        assert sums["spent"] == format_cost(report.total_cost + report.estimated_cost)
    assert found[0]["calls"] == 600 and found[-1]["calls"] == 0


def test_what_has_no_price_is_unknown_in_a_filtered_view_too(tmp_path: Path) -> None:
    rows = [row(model="new", cost="", call_id=1), row(model="free", cost="0", call_id=2)]
    page = CostTracker(log_path=write(tmp_path / "costs.csv", iter(rows))).get_usage_report().to_html()
    found = ask([["total", filter_of(page, model=model)] for model in ("new", "free", "")], page)
    assert [sums["spent"] for sums in found] == [None, "$0.00", "$0.00"]
    assert [sums["unpriced"] for sums in found] == [1, 0, 1]


def test_the_csv_has_exact_money_and_runs_no_formula(tmp_path: Path) -> None:
    rows = [
        row(model="=cmd()", cost="0.000123", call_id=1, tags='{"customer": "a, \\"b\\""}', total_tokens=7),
        row(model="new", cost="", call_id=2),
    ]
    page = CostTracker(log_path=write(tmp_path / "costs.csv", iter(rows))).get_usage_report().to_html()
    (text,) = ask([["csv", filter_of(page)]], page)
    lines = {line["model"]: line for line in csv.DictReader(io.StringIO(text))}
    assert lines["'=cmd()"]["customer"] == 'a, "b"' and lines["'=cmd()"]["tokens"] == "7"
    assert Decimal(lines["'=cmd()"]["cost"]) == Decimal("0.000123")
    assert lines["new"]["cost"] == "" and lines["new"]["customer"] == ""


def test_days_weeks_months_or_years_by_the_span_and_never_very_many_bars() -> None:
    spans = [("2026-11-01", "2026-11-30"), ("2026-10-01", "2026-11-30"), ("2026-06-01", "2026-11-30")]
    spans += [("2025-10-10", "2026-11-30"), ("2024-12-01", "2026-11-30"), ("2006-12-01", "2026-11-30")]
    units = ask([["unit", [*span, "day"]] for span in spans])
    assert units == ["day", "day", "week", "week", "month", "year"]
    assert ask([["unit", [*spans[0], "week"]]]) == ["week"], "the sums know no days"
    bars = ask([["periods", [*span, unit]] for span, unit in zip(spans, units)])
    assert [len(found) for found in bars] == [30, 61, 27, 61, 24, 21]
    assert bars[2][0] == period_of("2026-06-01", "week") and bars[4][-1] == "2026-11-01"
