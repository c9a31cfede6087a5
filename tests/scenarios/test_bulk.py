"""B1, B2, B5, B6 and B7: many calls, counted at the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    AuthenticationError,
    InvalidRequestError,
    LLMOrchestrator,
    OrchestratorError,
    ProviderError,
    QuotaExceededError,
)
from tests.support.configs import ROOT
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic, chat, responses
from tests.support.programs import SDK_WARNINGS, run_program
from tests.support.scripted_server import Dialect, Reply, ScriptedServer
from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.echo import echo
from tests.support.scripted_server.replies import json_reply

TRANSPORTS = pytest.mark.parametrize("transport", ["direct", "sdk"])


class Label(BaseModel):
    label: str


def rows_of(count: int) -> List[Dict[str, Any]]:
    return [{"id": number, "text": f"row {number}"} for number in range(count)]


def questions(server: ScriptedServer, dialect: Dialect) -> List[str]:
    """What was asked, in order."""
    return [
        dialect.read_request(request.body, request.path)["messages"][-1][1] for request in server.requests
    ]


# ---------------------------------------------------------------- B1


class Limited:
    """Answers so many requests in a second, and refuses the others for a second."""

    def __init__(self, dialect: Dialect, a_second: int) -> None:
        self.refused = 0
        self._dialect = dialect
        self._a_second = a_second
        self._lock = threading.Lock()
        self._window, self._count = 0.0, 0

    def __call__(self, request: Request) -> Reply:
        with self._lock:
            now = time.monotonic()
            if now - self._window >= 1:
                self._window, self._count = now, 0
            self._count += 1
            if self._count > self._a_second:
                self.refused += 1
                return self._dialect.failure("rate_limit", retry_after=1)
        return echo(request)


def meet_a_limit(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    *,
    count: int,
    concurrency: int,
    a_second: int = 60,
) -> int:
    limited = Limited(dialect, a_second)
    server.default = limited
    run = orchestrate(max_retries=0).map(rows_of(count), messages="{text}", concurrency=concurrency)
    results = list(run)

    assert sorted(result.content or "" for result in results) == sorted(f"row {n}" for n in range(count))
    assert len(server.requests) == count + limited.refused == run.summary.requests
    assert run.summary.refused == limited.refused
    return limited.refused


@pytest.mark.slow
def test_b1_a_limit_of_the_provider_fails_no_row_and_refuses_few(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    a_second = 60 if dialect.name == "chat" else 240  # twenty seconds are enough once
    refused = meet_a_limit(orchestrate, server, dialect, count=1200, concurrency=100, a_second=a_second)
    assert refused <= 120


def test_b1_also_with_few_rows(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    refused = meet_a_limit(orchestrate, server, dialect, count=150, concurrency=8)
    assert refused <= 32, "a few at the end of each second"


def test_b1_the_limits_of_an_entry_hold(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = echo
    orchestrator = orchestrate(limits={"requests_per_minute": 600})
    assert len(list(orchestrator.map(rows_of(12), messages="{text}"))) == 12
    began = [request.time for request in server.requests]
    assert max(began) - min(began) > 0.5, "the last comes eleven tenths of a second after the first"


# ---------------------------------------------------------------- B2


def start(*arguments: str) -> subprocess.Popen[bytes]:
    rules = [f"-W{rule}" for rule in SDK_WARNINGS]
    return subprocess.Popen(
        [sys.executable, *rules, "-m", "tests.support.programs.bulk", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )


def kill_and_resume(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    journal: Path,
    count: int,
    concurrency: int,
) -> int:
    """Kill a run at half of its rows and start it again; returns how many rows were paid twice."""
    server.default = lambda request: echo(request).but(delay=0.02)
    arguments = dialect.name, server.url, str(journal), str(count), str(concurrency)
    program = start(*arguments)
    try:
        assert server.wait_for_requests(count // 2, timeout=60)
    finally:
        program.kill()
        program.wait()
    paid = len(server.requests)
    assert paid < count

    assert gone_on(orchestrate, journal, count, concurrency) == [f"row {n}" for n in range(count)]
    twice = len(server.requests) - count
    assert 0 <= twice <= concurrency, "paid twice"
    assert len(set(questions(server, dialect))) == count
    return twice


def gone_on(orchestrate: Orchestrate, journal: Path, count: int, concurrency: int) -> List[Any]:
    """The answers of the same run that a program of its own began, by their rows."""
    rows = rows_of(count)
    run = orchestrate(max_retries=0).map(
        rows, messages="{text}", key="id", journal=journal, concurrency=concurrency
    )
    results = list(run)
    assert len(results) == count, "every row, once"
    return [result.content for result in sorted(results, key=lambda result: result.index)]


@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed")
def test_b2_after_a_kill_at_most_what_was_in_flight_is_paid_twice(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    kill_and_resume(orchestrate, server, dialect, tmp_path / "rows.journal", 200, 20)


@chat
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed")
def test_b2_also_at_half_of_three_thousand(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    journal, count, concurrency = tmp_path / "rows.journal", 3000, 100
    twice = kill_and_resume(orchestrate, server, dialect, journal, count, concurrency)
    assert gone_on(orchestrate, journal, count, concurrency) == [f"row {n}" for n in range(count)]
    assert len(server.requests) == count + twice, "nothing was asked"


@anthropic
def test_b2_a_second_process_on_a_journal_pays_nothing(
    server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    may_answer = threading.Event()

    def held(request: Request) -> Reply:
        may_answer.wait(60)
        return echo(request)

    server.default = held
    arguments = dialect.name, server.url, str(tmp_path / "rows.journal"), "20", "4"
    program = start(*arguments)
    assert server.wait_for_requests(1, timeout=60)
    second = run_program("tests.support.programs.bulk", *arguments)
    may_answer.set()
    assert program.wait(60) == 0
    assert second.returncode == 1
    assert "in use by another run" in second.stderr
    assert len(server.requests) == 20


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_b2_ctrl_c_keeps_what_was_answered(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    server.default = lambda request: echo(request).but(delay=0.02)
    arguments = dialect.name, server.url, str(tmp_path / "rows.journal"), "200", "10"
    program = start(*arguments)
    assert server.wait_for_requests(100, timeout=60)
    os.kill(program.pid, signal.SIGINT)
    assert program.wait(60) != 0
    assert gone_on(orchestrate, tmp_path / "rows.journal", 200, 10) == [f"row {n}" for n in range(200)]
    assert len(server.requests) <= 210


def test_b2_a_changed_prompt_asks_again_and_another_order_does_not(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    server.default = echo
    orchestrator, journal, rows = orchestrate(), tmp_path / "rows.journal", rows_of(20)

    def asked(rows: Any, **arguments: Any) -> int:
        before = len(server.requests)
        results = list(
            orchestrator.map(rows, key="id", journal=journal, **{"messages": "{text}", **arguments})
        )
        assert len(results) == len(rows) and not any(result.error for result in results)
        return len(server.requests) - before

    assert asked(rows) == 20
    assert asked(rows[::-1]) == 0
    assert asked(rows, messages="Say {text}") == 20
    assert asked(rows, max_tokens=77) == 20
    assert asked(rows) == 0
    server.default = dialect.whole('{"label": "good"}')
    assert asked(rows, response_format=Label) == 20
    assert asked(rows, response_format=Label) == 0


def test_b2_what_a_run_costs_is_paid_once(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    server.default = echo
    orchestrator, journal = orchestrate(), tmp_path / "rows.journal"
    first = orchestrator.map(rows_of(20)[:10], messages="{text}", key="id", journal=journal)
    list(first)
    second = orchestrator.map(rows_of(20), messages="{text}", key="id", journal=journal)
    list(second)
    assert second.summary.resumed == 10
    assert second.summary.saved == first.summary.cost
    assert first.summary.cost + second.summary.cost == orchestrator.get_session_cost()


# ---------------------------------------------------------------- B5


def test_b5_leaving_early_leaves_no_connection_task_or_file(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    server.default = lambda request: echo(request).but(delay=0.05)
    orchestrator = orchestrate()
    threads = set(threading.enumerate())
    files = _open_files()
    pulled: List[int] = []

    def rows() -> Any:
        for number in range(1000):
            pulled.append(number)
            yield {"id": number, "text": f"row {number}"}

    with orchestrator.map(rows(), messages="{text}", key="id", journal=tmp_path / "j", concurrency=5) as run:
        for taken, _ in enumerate(run, start=1):
            assert len(pulled) <= taken + 10
            if taken == 7:
                break

    assert server.wait_for_connections(0)
    assert {thread for thread in threading.enumerate() if thread.name == "llm_orchestrator-map"} == set()
    assert len(set(threading.enumerate()) - threads) <= 1, "the watchdog"
    assert _open_files() <= files


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return 0
    links = []
    for link in folder.iterdir():
        try:
            links.append(os.readlink(link))
        except OSError:
            continue  # closed meanwhile
    return sum("/j" in link.rpartition(os.sep)[2:] or link.endswith(("-wal", "-shm")) for link in links)


@pytest.mark.slow
def test_b5_many_rows_from_a_generator_take_little_memory(tmp_path: Path) -> None:
    paths = str(tmp_path / "ledger.csv"), str(tmp_path / "rows.journal")
    ended = run_program("tests.support.programs.bulk_memory", "100000", *paths)
    assert ended.returncode == 0, ended.stderr
    early, last = map(float, ended.stdout.split())
    assert last < 100
    assert last - early < 5, "150 bytes a row would be all of 200 MB at a million rows"


# ---------------------------------------------------------------- B6


def test_b6_the_error_of_a_row_stays_with_the_row(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    def faulty(request: Request) -> Reply:
        asked = dialect.read_request(request.body, request.path)["messages"][-1][1]
        number = int(asked.split()[1])
        if number % 10 == 3:
            return dialect.error(400, message="This row is refused.")
        return dialect.failure("server") if number % 10 == 7 else echo(request)

    server.default = faulty
    orchestrator, journal = orchestrate(max_retries=0), tmp_path / "rows.journal"
    run = orchestrator.map(rows_of(50), messages="{text}", key="id", journal=journal)
    results = {result.key: result for result in run}
    wrong = [key for key, result in results.items() if isinstance(result.error, ProviderError)]
    assert sorted(wrong) == [n for n in range(50) if n % 10 in (3, 7)]
    assert (run.summary.rows, run.summary.answered, run.summary.failed) == (50, 40, 10)

    server.default = echo
    again = orchestrator.map(rows_of(50), messages="{text}", key="id", journal=journal)
    assert all(result.error is None for result in again)
    assert (again.summary.requests, again.summary.resumed) == (10, 40)


@pytest.mark.parametrize(("kind", "error"), [("bad_key", AuthenticationError), ("quota", QuotaExceededError)])
def test_b6_what_holds_for_all_rows_ends_the_run_at_once(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    tmp_path: Path,
    kind: str,
    error: Any,
) -> None:
    if kind not in dialect.failures:
        pytest.skip(f"{dialect.name} has no {kind}")
    journal = tmp_path / "rows.journal"
    server.script(*[echo] * 20)
    server.default = dialect.failure(kind)
    orchestrator = orchestrate(max_retries=0)
    run = orchestrator.map(rows_of(1000), messages="{text}", key="id", journal=journal, concurrency=4)
    results: List[Any] = []
    with pytest.raises(error):
        for result in run:
            results.append(result)
    assert len(server.requests) <= 24
    answered = {result.key for result in results if result.error is None}
    assert len(answered) == 20 == run.summary.answered
    server.default = echo
    resumed = orchestrator.map(rows_of(24), messages="{text}", key="id", journal=journal)
    assert {result.key for result in resumed if result.resumed} == answered


def test_b6_a_model_that_is_gone_ends_the_run(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.failure("model_not_found")
    with pytest.raises(OrchestratorError):
        list(orchestrate().map(rows_of(1000), messages="{text}", concurrency=4))
    assert len(server.requests) <= 4


# ---------------------------------------------------------------- B7


@TRANSPORTS
@pytest.mark.real_clock
def test_b7_time_in_the_hands_of_the_application_counts_for_no_limit(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, transport: str
) -> None:
    first = threading.Event()

    def later(request: Request) -> Reply:
        if first.is_set():
            return echo(request).but(delay=0.3)
        first.set()
        return echo(request)

    server.default = later
    orchestrator: LLMOrchestrator = orchestrate(transport=transport)
    limits: Dict[str, Any] = {"timeout": 1.5, "total_timeout": 1.5, "max_retries": 0}
    run = orchestrator.map(rows_of(4), messages="{text}", concurrency=4, **limits)
    results = [next(run)]
    time.sleep(2)
    results += run
    assert [result.error for result in results] == [None] * 4
    assert len(server.requests) == 4


@responses
@pytest.mark.parametrize("window", ["2h", "8h"])
def test_rows_may_be_answered_in_a_window_of_openai(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    monkeypatch: pytest.MonkeyPatch,
    window: str,
) -> None:
    async def no_time(seconds: float) -> None:
        pass

    monkeypatch.setattr("llm_orchestrator.providers.base.background.asleep", no_time)
    document = json.loads(dialect.whole().body)
    queued = {**document, "id": "resp_1", "status": "queued", "output": [], "usage": None}
    server.default = lambda request: (
        json_reply(queued) if request.method == "POST" else dialect.whole("Done.")
    )
    orchestrator = orchestrate()

    results = list(orchestrator.map(rows_of(3), messages="{text}", key="id", mode=f"background:{window}"))

    assert [result.content for result in results] == ["Done."] * 3
    sent = [request.body for request in server.requests if request.method == "POST"]
    assert len(sent) == 3
    for body in sent:
        assert (body["background"], body["store"]) == (True, True)
        assert body["background_options"] == {"completion_window": window}


@anthropic
def test_a_provider_without_windows_says_so(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    with pytest.raises(InvalidRequestError, match="no background windows"):
        orchestrate().map([{"text": "Hi"}], messages="{text}", mode="background:2h")
    assert server.requests == []
