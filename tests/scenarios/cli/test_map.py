"""``map`` and ``journal``: files in, files out, stopped and gone on with."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator.testing.fake_vectors import fake_vector
from tests.scenarios.cli.conftest import Command, arguments_of, configuration, shared, write
from tests.support.batch_server import BatchServer
from tests.support.batches import priced_model
from tests.support.costs import read
from tests.support.scripted_server import DIALECTS, Dialect, ScriptedServer
from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.echo import echo
from tests.support.scripted_server.replies import Reply
from tests.support.scripted_server.wire_base import TRANSPORT

CHAT = DIALECTS["chat"]
MAP = ("map", "in.csv", "out.csv", "--prompt", "Say {text}", "--key", "id")
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "sure": {"type": "number"}},
    "required": ["label", "sure"],
    "additionalProperties": False,
}


def write_csv(folder: Path, count: int) -> None:
    lines = "".join(f'{n},"row {n}, with a comma"\n' for n in range(count))
    (folder / "in.csv").write_text("id,text\n" + lines, encoding="utf-8")


def rows_of(path: Path) -> List[Dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lines_of(path: Path) -> List[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_csv_file_gets_its_answers_on_every_wire_format(
    command: Command, folder: Path, server: ScriptedServer, dialect: Dialect
) -> None:
    write(folder, configuration(server, dialect, folder))
    write_csv(folder, 30)
    server.default = echo

    run = command(*MAP)

    assert (run.code, run.out) == (0, "")
    assert "30 rows: 30 answered, 0 failed" in run.err
    assert rows_of(folder / "out.csv") == [
        {
            "id": str(n),
            "text": f"row {n}, with a comma",
            "answer": f"Say row {n}, with a comma",
            "error": "",
        }
        for n in range(30)
    ]
    again = command(*MAP)
    assert again.code == 0 and "30 resumed" in again.err
    assert len(server.requests) == 30


def test_structured_answers_become_columns(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    write_csv(configured, 2)
    (configured / "label.json").write_text(json.dumps(SCHEMA))
    server.default = CHAT.whole('{"label": "good", "sure": 0.5}')

    assert command(*MAP, "--schema", "label.json").code == 0
    assert [(row["label"], row["sure"]) for row in rows_of(configured / "out.csv")] == [("good", "0.5")] * 2
    asked = server.requests[0].body["response_format"]["json_schema"]
    assert (asked["name"], asked["strict"], asked["schema"]) == ("label", True, SCHEMA)

    run = command("map", "in.csv", "out.jsonl", "--prompt", "Say {text}", "--schema", "label.json")
    assert run.code == 0
    assert lines_of(configured / "out.jsonl")[0]["answer"] == {"label": "good", "sure": 0.5}


def test_the_output_has_the_columns_that_are_named(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    write_csv(configured, 1)
    (configured / "label.json").write_text(json.dumps(SCHEMA))
    server.default = CHAT.whole('{"label": "good", "sure": 0.5}')

    command(*MAP, "--schema", "label.json", "--columns", "number=id,mood=answer.label,answer.sure,error")

    assert rows_of(configured / "out.csv") == [
        {"number": "0", "mood": "good", "answer.sure": "0.5", "error": ""}
    ]


def test_rows_that_fail_go_to_a_file_of_their_own(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    def faulty(request: Request) -> Reply:
        asked = CHAT.read_request(request.body, request.path)["messages"][-1][1]
        return CHAT.error(400, message="Not this one.") if "row 3," in asked else echo(request)

    write_csv(configured, 6)
    server.default = faulty

    run = command(*MAP, "--errors", "wrong.jsonl")

    assert run.code == 1 and "1 rows failed" in run.err
    assert [row["id"] for row in rows_of(configured / "out.csv")] == ["0", "1", "2", "4", "5"]
    (wrong,) = lines_of(configured / "wrong.jsonl")
    assert (wrong["key"], wrong["index"], wrong["row"]["id"]) == ("3", 3, "3")
    assert "Not this one." in wrong["message"]

    server.default = echo
    assert command(*MAP, "--errors", "wrong.jsonl").code == 0
    assert len(server.requests) == 7 and not (configured / "wrong.jsonl").exists()
    assert len(rows_of(configured / "out.csv")) == 6


def costs_in(shown: str) -> Dict[str, Decimal]:
    """What a dry run tells of each mode."""
    found = re.findall(r"\$([0-9.]+) with --mode ([a-z0-9:]+)", shown)
    return {mode: Decimal(cost) for cost, mode in found}


def test_a_dry_run_asks_nothing_and_tells_what_it_would_cost(
    command: Command, folder: Path, server: ScriptedServer
) -> None:
    config = configuration(server, CHAT, folder)
    config["active_model"] = priced_model("openai")
    write(folder, config)
    write_csv(folder, 10)

    run = command(*MAP, "--dry-run", "--max-tokens", "100000", "--limit", "8")

    assert run.code == 0
    assert "Rows: 8, of which 0 are answered and 0 are wrong." in run.out
    assert "of answers at most 800,000." in run.out
    costs = costs_in(run.out)
    assert list(costs) == ["now", "batch"]
    assert costs["batch"] == costs["now"] / 2 > 0
    other = command(*MAP, "--dry-run", "--max-tokens", "100000", "--limit", "8", "--mode", "batch")
    assert costs_in(other.out) == costs
    assert "unknown without --max-tokens" in command(*MAP, "--dry-run").out
    assert "without the answers" in command(*MAP, "--dry-run").out
    assert not server.requests
    assert not (folder / "out.csv").exists() and not (folder / "out.csv.journal").exists()


def test_a_dry_run_tells_a_window_too_and_no_batches_where_there_are_none(
    command: Command, folder: Path, server: ScriptedServer
) -> None:
    config = configuration(server, DIALECTS["responses"], folder)
    config["active_model"] = priced_model("openai")
    write(folder, config)
    write_csv(folder, 3)
    costs = costs_in(command(*MAP, "--dry-run", "--max-tokens", "100000000", "--mode", "background:8h").out)
    assert {mode: cost / costs["now"] for mode, cost in costs.items()} == {
        "background:8h": Decimal("0.6"),
        "now": 1,
        "batch": Decimal("0.5"),
    }


def test_a_limit_takes_the_first_rows(command: Command, configured: Path, server: ScriptedServer) -> None:
    write_csv(configured, 10)
    server.default = echo
    assert command(*MAP, "--limit", "4").code == 0
    assert len(rows_of(configured / "out.csv")) == 4
    assert command(*MAP).code == 0
    assert len(server.requests) == 10


def test_two_commands_never_write_one_file_at_once(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    """Whether they have one journal or two; what the second would replace stays."""
    may_answer = threading.Event()

    def held(request: Request) -> Reply:
        may_answer.wait(60)
        return echo(request)

    write_csv(configured, 3)
    server.default = held
    (configured / "old.csv").write_text("old")
    first = subprocess.Popen(arguments_of(*MAP), env=shared(), stderr=subprocess.PIPE)
    try:
        assert server.wait_for_requests(1, timeout=60)
        second = command(*MAP)
        other = command(*MAP, "--journal", "other.journal")
        arguments = ("old.csv", "--journal", "out.csv.journal")
        third = command("map", "in.csv", *arguments, "--prompt", "Say {text}", "--key", "id")
        may_answer.set()
        _, shown = first.communicate(timeout=60)
    finally:
        first.kill()
    assert first.returncode == 0, shown
    assert (second.code, other.code, third.code) == (2, 2, 2)
    assert "written by another run" in second.err and "written by another run" in other.err
    assert "in use by another run" in third.err
    assert len(rows_of(configured / "out.csv")) == 3 == len(server.requests)
    assert (configured / "old.csv").read_text() == "old"
    left = {path.name for path in configured.iterdir()}
    assert not [name for name in left if name.endswith((".part", ".lock"))]


def test_max_cost_ends_the_run(command: Command, folder: Path, server: ScriptedServer) -> None:
    config = configuration(server, CHAT, folder)
    config["cost_tracking"]["price_overrides"] = [
        {
            "provider": "openai",
            "model": config["active_model"],
            "rates": {"in": "1000", "out": "1000"},
        }
    ]
    write(folder, config)
    write_csv(folder, 100)
    server.default = echo

    run = command(*MAP, "--max-cost", "0.5", "--concurrency", "2")

    assert run.code == 1 and "--max-cost is reached" in run.err
    costs = [Decimal(row["cost"]) for row in read(folder / "costs.csv")]
    assert Decimal("0.3") < sum(costs) <= Decimal("0.5")
    assert len(rows_of(folder / "out.csv")) == len(costs)


@pytest.mark.parametrize("out", ["vectors.jsonl", "vectors.csv"])
def test_fc17_rows_of_a_file_become_vectors(
    command: Command, configured: Path, server: ScriptedServer, out: str
) -> None:
    write_csv(configured, 30)
    making = ("map", "in.csv", out, "--prompt", "{text}", "--key", "id", "--embed", "--model", "for-vectors")

    planned = command(*making, "--dry-run")
    run = command(*making, "--dimensions", "3")

    assert "of answers at most 0" in planned.out and "without the answers" not in planned.out
    assert (run.code, run.out) == (0, "")
    assert "30 rows: 30 answered, 0 failed" in run.err
    written = lines_of(configured / out) if out.endswith("jsonl") else rows_of(configured / out)
    vectors = [row["vector"] if out.endswith("jsonl") else json.loads(row["vector"]) for row in written]
    assert vectors == [fake_vector(f"row {n}, with a comma", 3) for n in range(30)]
    assert list(written[0]) == ["id", "text", "vector", "error"]
    (request,) = server.requests
    assert request.body["model"] == "for-vectors"
    assert "30 resumed" in command(*making, "--dimensions", "3", "--columns", "id,vector").err
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["map", "in.csv", "out.csv", "--prompt", "x", "--embed", "--max-tokens", "5"],
            "--max-tokens is for",
        ),
        (["map", "in.csv", "out.csv", "--prompt", "x", "--embed", "--system", "s"], "--system is for"),
        (["map", "in.csv", "out.csv", "--prompt", "x", "--embed", "--mode", "batch"], "is for answers"),
        (["map", "in.csv", "out.csv", "--prompt", "x", "--embed"], "embedding_model"),
        (["map", "in.csv", "out.csv", "--prompt", "x", "--dimensions", "3"], "Add --embed"),
        (["map", "none.csv", "out.csv", "--prompt", "x"], "There is no file"),
        (["map", "in.csv", "in.csv", "--prompt", "x"], "are one file"),
        (["map", "in.csv", "out.txt", "--prompt", "x"], "its ending is none of"),
        (["map", "in.csv", "no/out.csv", "--prompt", "x"], "cannot be"),
        (["map", "in.csv", "config.yaml", "--prompt", "x"], "does not come from a journal"),
        (["map", "in.csv", "out.csv", "--prompt", "{"], "template"),
        (["map", "in.csv", "out.csv", "--prompt", "x", "--schema", "in.csv"], "cannot be read"),
        (["map", "in.csv", "out.csv", "--prompt", "x", "--mode", "later"], "mode"),
        (["map", "in.csv", "out.csv", "--prompt", "x", "--columns", "=x"], "cannot be read"),
        (["map", "in.csv", "out.csv", "--prompt", "x", "--journal", "in.csv"], "one file"),
        (["journal", "show", "none"], "There is no journal"),
        (["journal", "show", "in.csv"], "not a journal"),
        (["journal", "forget", "in.csv"], "--all"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(
    command: Command, configured: Path, server: ScriptedServer, arguments: List[str], told: str
) -> None:
    write_csv(configured, 200)
    run = command(*arguments)
    assert run.code != 0 and told in " ".join(run.err.split()), run
    assert not server.requests


def test_a_journal_is_shown_exported_and_forgotten(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    write_csv(configured, 5)
    server.default = echo
    command(*MAP)

    assert (
        "Answers: 5, to 5 rows, with 5 different prompts."
        in command("journal", "show", "out.csv.journal").out
    )
    exported = [json.loads(line) for line in command("journal", "export", "out.csv.journal").out.splitlines()]
    assert {row["content"] for row in exported} == {f"Say row {n}, with a comma" for n in range(5)}
    command("journal", "export", "out.csv.journal", "copy.csv")
    assert len(rows_of(configured / "copy.csv")) == 5

    assert "Forgot 1 answers" in command("journal", "forget", "out.csv.journal", "--key", "2").out
    command(*MAP)
    assert len(server.requests) == 6
    assert "Forgot 5 answers" in command("journal", "forget", "out.csv.journal", "--all").out


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_journal_may_be_in_a_database(
    command: Command,
    configured: Path,
    server: ScriptedServer,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
    sqlite = f"sqlite:///{configured}/journal.db"
    url = sqlite if kind == "sqlite" else request.getfixturevalue("postgres_url")
    write_csv(configured, 5)
    server.default = echo
    (configured / "out.csv").write_text("mine")
    assert "does not come from a journal" in command(*MAP, "--journal", url).err
    (configured / "out.csv").unlink()
    for _ in range(2):  # the same command replaces its output
        assert command(*MAP, "--journal", url).code == 0
    assert len(server.requests) == 5 == len(rows_of(configured / "out.csv"))
    assert "5 are answered" in command(*MAP, "--journal", url, "--dry-run").out

    assert "Answers: 5, to 5 rows" in command("journal", "show", url).out
    exported = [json.loads(line) for line in command("journal", "export", url).out.splitlines()]
    assert {row["content"] for row in exported} == {f"Say row {n}, with a comma" for n in range(5)}
    assert "Forgot 1 answers" in command("journal", "forget", url, "--key", "2").out
    assert command(*MAP, "--journal", url).code == 0
    assert len(server.requests) == 6


# ---------------------------------------------------------------- as a process of its own


def kill(number: int, server: ScriptedServer, when: int) -> int:
    """Run the command until so many requests have come, and end it; returns its exit code."""
    program = subprocess.Popen(
        arguments_of(*MAP, "--concurrency", "16"),
        env=shared(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert server.wait_for_requests(when, timeout=60)
        os.kill(program.pid, number)
        _, shown = program.communicate(timeout=60)
    finally:
        program.kill()
    if number != signal.SIGKILL:
        assert b"The same command goes on." in shown and b"Traceback" not in shown, shown
    return program.returncode


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_was_ended_twice_goes_on_and_its_cost_is_exact(
    command: Command, folder: Path, server: ScriptedServer, number: signal.Signals
) -> None:
    config = configuration(server, CHAT, folder)
    config["cost_tracking"]["price_overrides"] = [
        {"provider": "openai", "model": config["active_model"], "rates": {"in": "2", "out": "8"}}
    ]
    write(folder, config)
    write_csv(folder, 300)
    server.default = lambda request: echo(request).but(delay=0.02)

    for when in (100, 200):
        code = kill(number, server, when)
        assert code == (-9 if number == signal.SIGKILL else 130)
    run = command(*MAP, "--concurrency", "16")

    assert run.code == 0, run.err
    assert [row["answer"] for row in rows_of(folder / "out.csv")] == [
        f"Say row {n}, with a comma" for n in range(300)
    ]
    assert 300 <= len(server.requests) <= 300 + 2 * 16
    assert "Answers: 300, to 300 rows" in command("journal", "show", "out.csv.journal").out
    exported = command("journal", "export", "out.csv.journal").out.splitlines()
    paid = sum(Decimal(json.loads(line)["cost"]) for line in exported)
    each = Decimal(json.loads(exported[0])["cost"])
    assert paid == 300 * each > 0
    recorded = [Decimal(row["cost"]) for row in read(folder / "costs.csv") if row["status"] == "ok"]
    assert set(recorded) == {each}, "an answer that was lost with the program was paid, too"
    assert 300 <= len(recorded) <= len(server.requests)


@pytest.mark.skipif(TRANSPORT == "sdk", reason="files are uploaded over direct connections only")
def test_a_file_is_answered_by_batches_too(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    batches = server.default = BatchServer(CHAT)
    batches.looks = 0
    write_csv(configured, 3)

    run = command(*MAP, "--mode", "batch")

    assert run.code == 0, run.err
    assert "3 rows: 3 answered, 0 failed" in run.err
    assert [row["answer"] for row in rows_of(configured / "out.csv")] == [
        f"Echo: Say row {n}, with a comma" for n in range(3)
    ]
    assert [len(batch.rows) for batch in batches.batches] == [3]
