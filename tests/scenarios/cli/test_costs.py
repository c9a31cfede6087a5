"""``costs``: the ledger as tables, CSV, JSON and a page, and ledgers that are none."""

from __future__ import annotations

import csv
import json
import re
from datetime import date
from pathlib import Path
from typing import Any, List

import pytest

from llm_orchestrator.cli import costs as costs_command
from tests.scenarios.cli.conftest import Command
from tests.support.costs import EIGHT
from tests.support.ledgers import made_up, write


@pytest.mark.slow
def test_costs_writes_the_page(command: Command, configured: Path) -> None:
    write(configured / "costs.csv", made_up(50))

    run = command("costs", "--html", "page.html")

    assert (run.code, run.out) == (0, "Wrote page.html.\n")
    assert (configured / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")

    command("costs", "--html", "page.html", "--title", "Ours", "--month-budget", "12.5")
    page = (configured / "page.html").read_text(encoding="utf-8")
    assert "<h1>Ours</h1>" in page and "Within the budget of $12.50 for " in page


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


def test_x3_a_price_nobody_knows_is_unknown_and_not_zero(command: Command, configured: Path) -> None:
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


def calls(configured: Path, *rows: str) -> None:
    """A ledger of calls: hour of November, model, cost, tags."""
    lines = []
    for row in rows:
        moment, model, cost, *tags = row.split()
        pairs = [tag.split("=") for tag in tags]
        text = "{" + ", ".join(f'""{name}"": ""{value}""' for name, value in pairs) + "}"
        lines.append(f'{moment}T12:00:00+00:00,p,{model},1,1,2,{cost.strip("?")},s,"{text}"\n')
    (configured / "costs.csv").write_text(f"{EIGHT},tags\n{''.join(lines)}")


@pytest.fixture
def spent(configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of two customers and of none, in October and November; it is the second of November."""

    class Today(date):
        @classmethod
        def today(cls) -> Today:
            return cls(2026, 11, 2)

    monkeypatch.setattr(costs_command, "date", Today)
    calls(
        configured,
        "2026-10-31 cheap 1 customer=acme",
        "2026-11-01 cheap 2 customer=acme team=docs",
        "2026-11-01 dear 4 customer=globex",
        "2026-11-02 cheap 8 customer=globex",
        "2026-11-02 cheap 16",
        "2026-11-02 mystery ? customer=acme",
    )


def table(command: Command, *arguments: str) -> List[List[str]]:
    """The rows of the table, without its head and the line of totals."""
    run = command("costs", *arguments)
    assert run.code == 0, run
    return [line.split() for line in run.out.splitlines()[1:-1]]


@pytest.mark.usefixtures("spent")
def test_who_spent_it_is_told_by_customer_and_model(command: Command) -> None:
    assert table(command, "--by", "tag:customer") == [
        ["(none)", "1", "2", "$16.00"],
        ["globex", "2", "4", "$12.00"],
        ["acme", "3", "6", "$3.00", "1"],
    ]
    assert table(command, "--by", "tag:customer", "--by", "model") == [
        ["(none)", "cheap", "1", "2", "$16.00"],
        ["globex", "cheap", "1", "2", "$8.00"],
        ["globex", "dear", "1", "2", "$4.00"],
        ["acme", "cheap", "2", "4", "$3.00"],
        ["acme", "mystery", "1", "2", "unknown", "1"],
    ]
    run = command("costs", "--by", "tag:customer", "--by", "model", "--format", "csv")
    head, *lines = run.out.splitlines()
    assert head.startswith("tag:customer,model,requests,tokens,cost,")
    assert "acme,mystery,1,2,,0,1,0" in lines and ",cheap,1,2,16,0,0,0" in lines
    whole = json.loads(command("costs", "--by", "month", "--by", "tag:team", "--format", "json").out)
    assert [(group["month"], group["tag:team"], group["cost"]) for group in whole["groups"]] == [
        ("2026-10", "", "1"),
        ("2026-11", "", "28"),
        ("2026-11", "docs", "2"),
    ]


@pytest.mark.usefixtures("spent")
@pytest.mark.parametrize(
    ("arguments", "total"),
    [
        ("--month", "5 calls, 10 tokens: reported $30.00"),
        ("--month 2026-11", "5 calls, 10 tokens: reported $30.00"),
        ("--last-month", "1 call, 2 tokens: reported $1.00"),
        ("--month 2026-10", "1 call, 2 tokens: reported $1.00"),
        ("--since 2026-10 --until 2026-10", "1 call, 2 tokens: reported $1.00"),
        ("--since 2026-11", "5 calls, 10 tokens: reported $30.00"),
        ("--tag customer=acme", "3 calls, 6 tokens: reported $3.00"),
        ("--tag customer=acme --tag team=docs", "1 call, 2 tokens: reported $2.00"),
        ("--tag customer=", "1 call, 2 tokens: reported $16.00"),
        ("--model cheap --month --tag customer=acme", "1 call, 2 tokens: reported $2.00"),
        ("--model mystery", "1 call, 2 tokens: reported unknown"),
        ("--provider p", "6 calls, 12 tokens: reported $31.00"),
    ],
)
def test_a_selection_is_what_the_total_is_about(command: Command, arguments: str, total: str) -> None:
    run = command("costs", *arguments.split())
    assert run.code == 0 and run.out.splitlines()[-1].startswith(total)
    rows = list(csv.DictReader(command("costs", *arguments.split(), "-f", "csv").out.splitlines()))
    assert sum(int(row["requests"]) for row in rows) == int(total.split(maxsplit=1)[0])


@pytest.mark.usefixtures("spent")
def test_a_price_nobody_knows_is_zero_in_no_format(command: Command) -> None:
    (row,) = csv.DictReader(command("costs", "--model", "mystery", "-f", "csv").out.splitlines())
    whole = json.loads(command("costs", "--model", "mystery", "-f", "json").out)

    assert (row["cost"], row["unpriced_requests"]) == ("", "1")
    assert whole["total_cost"] is whole["by_day"][0]["cost"] is whole["groups"][0]["cost"] is None


@pytest.mark.usefixtures("spent")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            "--tag customer=acne",
            "No call of this period has the tag 'customer=acne'. Did you mean 'customer=acme'?",
        ),
        ("--model chaep", "has the model 'chaep'. Did you mean 'cheap'?"),
        ("--provider q", "has the provider 'q'. Known: p."),
        ("--by tag:costumer", "No call has the tag 'costumer'. Did you mean 'customer'?"),
    ],
)
def test_what_no_call_has_is_named_with_what_comes_closest(
    command: Command, arguments: str, told: str
) -> None:
    run = command("costs", *arguments.split())
    assert run.code == 0 and told in run.err and len(run.out.splitlines()) == 1


@pytest.mark.usefixtures("spent")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--tag customer", "write NAME=VALUE"),
        ("--tag =acme", "write NAME=VALUE"),
        ("--tag a=b --tag a=c", "each name once"),
        ("--month 2026-13", "2026-13 is not a month"),
        ("--month november", "november is not a month"),
        ("--month --last-month", "use one of"),
        ("--last-month --since 7d", "use one of"),
        ("2026-11", "Put --month before it"),
        ("--since 2026-12 --until 2026-11", "2026-11 is before 2026-12"),
        ("--until 2026-00", "use a month"),
        ("--by model --by model", "each once"),
        ("--by tag:", "tag:NAME"),
    ],
)
def test_a_wrong_selection_is_an_error(command: Command, arguments: str, told: str) -> None:
    run = command("costs", *arguments.split())
    assert (run.code, run.out) == (2, "") and told in " ".join(run.err.replace("│", " ").split())


def test_costs_need_neither_a_key_nor_calls(command: Command, configured: Path) -> None:
    text = (configured / "config.yaml").read_text().replace("api_key: ", "api_key: ${NO_SUCH_KEY} # ")
    (configured / "config.yaml").write_text(text)

    run = command("costs")

    assert run.code == 0 and run.out.startswith("0 calls")


@pytest.mark.parametrize(
    "arguments", [(), ("--format", "json"), ("--html", "page.html"), ("--tag", "a=b"), ("--budget",)]
)
def test_a_ledger_that_is_not_there_yet_is_named_once(
    command: Command, configured: Path, arguments: Any
) -> None:
    text = (configured / "config.yaml").read_text()
    budget = "cost_tracking:\n  budget: {month: 5}\n"
    (configured / "config.yaml").write_text(text.replace("cost_tracking:\n", budget))

    run = command("costs", *arguments)

    told = " ".join(run.err.split())
    assert run.code == 0 and told.count("There is no ledger") == 1 and "The first call creates it" in told


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
        (("--month-budget", "5"), "Add --html FILE"),
        (("--title", "Ours"), "Add --html FILE"),
        (("--html", "page.html", "--month-budget", "0"), "--month-budget"),
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
