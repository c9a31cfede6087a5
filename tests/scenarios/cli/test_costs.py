"""``costs``: the ledger as tables, CSV, JSON and a page, and ledgers that are none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli.conftest import Command
from tests.support.costs import EIGHT
from tests.support.ledgers import made_up, write


@pytest.mark.slow
def test_costs_writes_the_page(command: Command, configured: Path) -> None:
    pytest.importorskip("plotly", reason="the page is an extra: make environment")
    write(configured / "costs.csv", made_up(50))

    run = command("costs", "--html", "page.html")

    assert (run.code, run.out) == (0, "Wrote page.html.\n")
    assert (configured / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_costs_are_listed_by_what_one_asks_for(command: Command, configured: Path) -> None:
    lines = [
        "2026-11-01T06:00:00+00:00,p,cheap,1,1,2,0.1,one\n",
        "2026-11-02T06:00:00+00:00,p,dear,1000,1,1001,2.5,two\n",
    ]
    (configured / "costs.csv").write_text(f"{EIGHT}\n{''.join(lines)}")

    table = command("costs").out.splitlines()
    assert [line.split() for line in table[:3]] == [
        ["model", "calls", "tokens", "cost", "estimated", "unpriced"],
        ["dear", "1", "1,001", "$2.50"],
        ["cheap", "1", "2", "$0.10"],
    ]
    assert table[3].startswith("2 calls, 1,003 tokens: reported $2.60")
    assert command("costs", "--by", "session", "--since", "2026-11-02").out.splitlines()[1].startswith("two")
    days = command("costs", "--by", "day", "--format", "csv").out.splitlines()
    assert days[1:] == ["day,2026-11-01,1,2,0.1,0,0,0", "day,2026-11-02,1,1001,2.5,0,0,0"]
    whole = json.loads(command("costs", "--format", "json").out)
    assert (whole["total_cost"], whole["by_model"][1]["cost"]) == ("2.6", "2.5")


def test_a_price_nobody_knows_is_unknown_and_not_zero(command: Command, configured: Path) -> None:
    rows = ["p,unpriced,1,1,2,,s", "p,mixed,1,1,2,,s", "p,mixed,1,1,2,0,s", "p,free,1,1,2,0,s"]
    lines = "".join(f"2026-11-01T06:00:00+00:00,{row}\n" for row in rows)
    (configured / "costs.csv").write_text(f"{EIGHT}\n{lines}")

    shown = {line.split()[0]: line.split()[1:] for line in command("costs").out.splitlines()}

    assert shown["unpriced"] == ["1", "2", "unknown", "1"]
    assert shown["mixed"] == ["2", "4", "$0.00", "1"]
    assert shown["free"] == ["1", "2", "$0.00"]


def test_one_is_one_call_and_no_tags_are_no_mistake(command: Command, configured: Path) -> None:
    (configured / "costs.csv").write_text(f"{EIGHT}\n2026-11-01T06:00:00+00:00,p,m,1,0,1,0.1,s\n")

    run = command("costs", "--by", "tag")

    assert run.code == 0 and run.out.startswith("1 call, 1 token: reported $0.10")
    assert "No call has a tag." in run.err and "--tag NAME=VALUE" in run.err
    assert "tag" not in command("costs").err


def test_costs_need_neither_a_key_nor_calls(command: Command, configured: Path) -> None:
    text = (configured / "config.yaml").read_text().replace("api_key: ", "api_key: ${NO_SUCH_KEY} # ")
    (configured / "config.yaml").write_text(text)

    run = command("costs")

    assert run.code == 0 and run.out.startswith("0 calls")
    assert "The first call creates it" in run.err


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        (f"{EIGHT}\n2026-11-01T06:00:00+00:00,p,m,1,1,2,0.1,s\nbroken\n2026", 0, "Skipped 2 broken"),
        ("a,b,c\n1,2,3\n", 2, "is not a ledger"),
        ("", 0, ""),
    ],
)
def test_a_ledger_that_is_none_says_so(
    command: Command, configured: Path, text: str, code: int, told: str
) -> None:
    (configured / "costs.csv").write_text(text)

    run = command("costs")

    assert run.code == code and told in run.err and "Traceback" not in run.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--ledger", "none.csv"), "There is no ledger none.csv."),
        (("--since", "yesterday"), "use a month"),
        (("--html", "no/folder/page.html"), "cannot be written"),
        (("--by", "colour"), "colour"),
    ],
)
def test_costs_says_what_it_needs(command: Command, configured: Path, arguments: Any, told: str) -> None:
    run = command("costs", *arguments)

    assert run.code == 2 and told in run.err
    assert "Value error" not in run.err


def test_a_configuration_without_a_ledger_has_no_costs(command: Command, configured: Path) -> None:
    text = (configured / "config.yaml").read_text()
    (configured / "config.yaml").write_text(re.sub(r"log_path: .*", "log_path: null", text))

    run = command("costs")

    assert run.code == 2 and "Set cost_tracking.log_path" in run.err
