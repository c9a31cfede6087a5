"""``costs --budget``: what is left of each budget."""

from __future__ import annotations

import csv
import json
import re
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import List

import pytest
import yaml

from llm_orchestrator import CostTracker
from tests.scenarios.cli.conftest import Command

BUDGET = {"session": 1, "month": 300, "timezone": "UTC", "tags": {"customer": {"month": 50}}}


def spend(folder: Path) -> None:
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["cost_tracking"]["budget"] = BUDGET
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    tracker = CostTracker(log_path=folder / "costs.csv")
    for customer, cost in (("acme", "12.5"), ("beta", "50")):
        tracker.log_usage("p", "m", None, cost=Decimal(cost), tags={"customer": customer})


def test_what_is_left_of_each_budget(command: Command, configured: Path) -> None:
    spend(configured)
    month = f"{datetime.now(timezone.utc):%Y-%m}"

    run = command("costs", "--budget")

    lines = [line.split() for line in run.out.splitlines()]
    assert run.code == 0
    assert lines[0] == ["budget", "period", "limit", "spent", "held", "left", "until"]
    assert lines[1][:6] == ["month", month, "$300.00", "$62.50", "$0.00", "$237.50"]
    assert lines[2][:7] == ["month", "tag:customer=acme", month, "$50.00", "$12.50", "$0.00", "$37.50"]
    assert lines[3][6] == "$0.00"
    (of_acme,) = [
        row
        for row in json.loads(command("costs", "--budget", "--tag", "customer=acme", "-f", "json").out)
        if "tag" in row["budget"]
    ]
    assert (of_acme["spent"], of_acme["left"]) == ("12.5", "37.5")
    assert of_acme["until"].endswith("-01T00:00:00+00:00")
    rows = list(csv.DictReader(command("costs", "--budget", "-f", "csv").out.splitlines()))
    assert [row["left"] for row in rows] == ["237.5", "37.5", "0"]


def test_the_page_looks_at_the_month_of_the_configured_budget(
    command: Command, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUDGET, "month_starts_on", 15)
    spend(configured)

    def questions(*arguments: str) -> List[str]:
        assert command("costs", "--html", "page.html", *arguments).code == 0
        page = (configured / "page.html").read_text(encoding="utf-8")
        return re.findall("<h2>Within the budget(.*?)</h2>", page)

    (of_all,) = questions()
    assert re.fullmatch(r" of \$300\.00 for 15 .* to 14 .*\?", of_all)
    (of_acme,) = questions("--tag", "customer=acme")
    assert of_acme.startswith(" of customer=acme of $50.00 for 15 ")
    assert questions("--tag", "team=docs") == questions("--model", "m") == []
    (named,) = questions("--model", "m", "--month-budget", "7")
    assert named.startswith(" of $7.00 for ") and " to " not in named


def test_the_budgets_of_a_database(command: Command, configured: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
    path = configured / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    place = {"database_url": f"sqlite:///{configured}/ledger.db", "spool_path": str(configured / "spool")}
    config["cost_tracking"] = {**place, "budget": BUDGET}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    tracker = CostTracker(**place, budget=BUDGET)
    tracker.log_usage("p", "m", None, cost=Decimal("12.5"), tags={"customer": "acme"})
    tracker.close()

    rows = list(csv.DictReader(command("costs", "--budget", "-f", "csv").out.splitlines()))

    assert [(row["budget"], row["spent"], row["left"]) for row in rows] == [
        ("month", "12.5", "287.5"),
        ("month tag:customer=acme", "12.5", "37.5"),
    ]


def test_where_there_is_no_budget_it_is_said(command: Command, configured: Path) -> None:
    run = command("costs", "--budget")
    assert (run.code, run.out) != (0, "")
    assert "has no budget" in run.err

    assert "Leave --ledger out" in command("costs", "--budget", "--ledger", "costs.csv").err
