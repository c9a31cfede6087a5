"""Promises L2 and L3 of budgets: they hold for many processes, and every reservation ends, exactly once."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import socket
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from llm_orchestrator import BudgetExceededError, LLMOrchestrator, OrchestratorError, ServerError, TokenUsage
from llm_orchestrator.calls import budget as call_budget
from llm_orchestrator.calls import expected_cost
from llm_orchestrator.testing import FakeReply
from tests.support.budgets import CENT, ONE_CENT, spender, sums
from tests.support.forks import in_child, needs_fork, start_child, succeeded
from tests.support.ways import WAYS, ask

sa = pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

from llm_orchestrator.usage.database import ledger, reserving  # noqa: E402 (it needs SQLAlchemy)

#: A database that nobody serves.
AWAY = "postgresql+psycopg://postgres@127.0.0.1:1/ledger"
Make = Callable[..., LLMOrchestrator]
TAGS = {"customer": "acme"}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not a database that is away."""
    monkeypatch.setattr(reserving, "TIMEOUT", 60.0)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: List[LLMOrchestrator] = []

    def new(url: str, budget: Dict[str, Any], *script: Any, **arguments: Any) -> LLMOrchestrator:
        made.append(spender(url, tmp_path / "spool", budget, script or ("x",), **arguments))
        return made[-1]

    yield new
    for orchestrator in made:
        orchestrator.close()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def budget_of(orchestrator: LLMOrchestrator) -> Any:
    return orchestrator.cost_tracker._recorder.budget


# ---------------------------------------------------------------- many processes


@needs_fork
def test_l2_of_a_dollar_eight_processes_spend_exactly_a_dollar(url: str, tmp_path: Path, make: Make) -> None:
    budget = {"month": 1, "tags": {"customer": {"day": 1}}}

    def spend(number: int) -> None:
        granted = 0
        with spender(url, tmp_path / "spool", budget) as orchestrator, suppress(BudgetExceededError):
            while True:
                orchestrator.send_request("Hi", max_tokens=ONE_CENT, tags=TAGS)
                granted += 1
        (tmp_path / str(number)).write_text(str(granted))

    children = [start_child(partial(spend, number)) for number in range(8)]

    ended = [succeeded(child) for child in children]
    assert all(ended)
    assert sum(int((tmp_path / str(number)).read_text()) for number in range(8)) == 100
    assert sums(make(url, budget), "month") == (1, 0)


@needs_fork
def test_l2_what_a_dead_worker_has_reserved_ends(
    url: str, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_budget, "SPARE_SECONDS", 0.0)
    budget = {"month": 1}

    def hang() -> None:
        orchestrator = spender(url, tmp_path / "spool", budget, [FakeReply("x", delay=60.0)])
        orchestrator.send_request("Hi", max_tokens=100 * ONE_CENT, total_timeout=2.0, timeout=2.0)

    began = time.monotonic()
    child = start_child(hang)
    orchestrator = make(url, budget)
    while sums(orchestrator, "month") != (0, 1):
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    assert not succeeded(child)

    answer, refused = None, 0
    is_late = time.monotonic() - began > 2.0  # on a busy machine
    while answer is None:
        try:
            answer = orchestrator.send_request("Hi", max_tokens=ONE_CENT)
        except BudgetExceededError as error:
            assert (error.spent, error.held) == (0, 1)
            refused += 1
            time.sleep(0.02)

    assert sums(orchestrator, "month") == (CENT, 0)
    assert refused or is_late, "the hold lasts for as long as the call may take"


# ---------------------------------------------------------------- statements


@pytest.fixture
def statements() -> Iterator[List[str]]:
    """What is sent to databases, except by the thread that carries rows over."""
    sent: List[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread().name != "llm-ledger":
            sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_l3_a_call_sends_two_statements(url: str, make: Make, statements: List[str], way: str) -> None:
    budget = {"session": 1, "day": 1, "month": 1, "tags": {"customer": {"month": 1}}}
    orchestrator = make(url, budget)
    ask(orchestrator, way, tags=TAGS)
    orchestrator.budget_status()  # by then what was spent is counted
    statements.clear()

    for _ in range(3):
        ask(orchestrator, way, tags=TAGS, max_tokens=ONE_CENT)
    while len(statements) < 6:
        time.sleep(0.01)
    budget_of(orchestrator).flush()

    assert len(statements) == 6
    assert "named" in statements[0]


def test_l3_without_a_budget_none(url: str, make: Make, statements: List[str], way: str) -> None:
    orchestrator = make(url, {})
    ask(orchestrator, way, tags=TAGS)
    untouched = make(url, {"tags": {"customer": {"day": 1}}})
    ask(untouched, way)  # without the tag no budget applies

    assert statements == []


# ---------------------------------------------------------------- how calls end


def failed(**details: Any) -> ServerError:
    error = ServerError("Broken.", retry_after=0.0, **details)
    error.usage = TokenUsage(1, 2, 3)
    error.may_be_billed = True
    return error


def test_what_was_spent_is_settled_once(url: str, make: Make, way: str) -> None:
    """An answer, a retry and a fallback that are paid for, and a failure that costs nothing."""
    orchestrator = make(
        url,
        {"day": 1},
        "one two three",
        failed(),
        "four",
        ServerError("Refused.", status_code=500, retry_after=0.0),
        ServerError("Refused.", status_code=500, retry_after=0.0),
        entry={"max_retries": 1, "fallback_models": ["other"]},
    )

    assert ask(orchestrator, way, max_tokens=10).cost == 3 * CENT
    assert sums(orchestrator) == (3 * CENT, 0)
    answer = ask(orchestrator, way, max_tokens=10)
    assert len(answer.attempts) == 2
    assert sums(orchestrator) == (6 * CENT, 0)
    with pytest.raises(OrchestratorError):
        ask(orchestrator, way, max_tokens=10)
    assert sums(orchestrator) == (6 * CENT, 0)
    rows = orchestrator.cost_tracker.to_dicts()
    assert sum(row["cost"] or 0 for row in rows) == 6 * CENT


def test_nothing_is_held_by_a_call_that_sends_nothing(url: str, make: Make, way: str) -> None:
    orchestrator = make(url, {"day": 1})

    with pytest.raises(OrchestratorError):
        ask(orchestrator, way, max_tokens=10, total_timeout=1e-9)

    assert sums(orchestrator) == (0, 0)


def test_a_stream_that_is_left_is_settled(url: str, make: Make) -> None:
    """Closed, dropped, or never started."""
    orchestrator = make(url, {"day": 1}, FakeReply("one two three four"))
    closed = orchestrator.send_streaming_request("Hi", max_tokens=10)
    next(closed)
    assert sums(orchestrator)[1] == 10 * CENT
    closed.close()
    closed.close()
    spent, held = sums(orchestrator)
    assert held == 0

    dropped = orchestrator.send_streaming_request("Hi", max_tokens=10)
    next(dropped)
    del dropped
    gc.collect()
    assert sums(orchestrator) == (2 * spent, 0)

    orchestrator.send_streaming_request("Hi", max_tokens=10)
    assert sums(orchestrator) == (2 * spent, 0)
    assert sum(row["cost"] for row in orchestrator.cost_tracker.to_dicts()) == 2 * spent > 0


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_cancelled_call_is_settled(url: str, make: Make, is_streamed: bool) -> None:
    reply = FakeReply("one two three", delay=30.0 if not is_streamed else 0.0)
    orchestrator = make(url, {"day": 1}, reply)

    async def whole() -> None:
        await orchestrator.asend_request("Hi", max_tokens=10)

    async def streamed() -> None:
        async for _ in orchestrator.asend_streaming_request("Hi", max_tokens=10):
            await asyncio.sleep(30)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(streamed() if is_streamed else whole())
        while await loop.run_in_executor(None, sums, orchestrator) != (0, 10 * CENT):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())

    spent, held = sums(orchestrator)
    assert held == 0
    assert spent == sum(row["cost"] or 0 for row in orchestrator.cost_tracker.to_dicts())


def test_vectors_and_many_calls_are_settled(url: str, make: Make) -> None:
    orchestrator = make(url, {"day": 1}, "x")

    orchestrator.embed(["one", "two"], model="m")
    assert sums(orchestrator) == (0, 0)
    results = list(
        orchestrator.map([{"t": text} for text in "abc"], messages="{t}", max_tokens=ONE_CENT, max_cost=1)
    )

    assert [result.content for result in results] == ["x"] * 3
    assert sums(orchestrator) == (3 * CENT, 0)


def test_what_an_application_records_counts(url: str, make: Make) -> None:
    orchestrator = make(url, {"day": 1, "tags": {"customer": {"day": 1}}})

    orchestrator.cost_tracker.log_usage("p", "m", None, cost=CENT, tags=TAGS)

    assert sums(orchestrator) == sums(orchestrator, "day tag:customer=acme") == (CENT, 0)


# ---------------------------------------------------------------- refusals


def test_all_budgets_grant_or_none_does(url: str, make: Make, way: str) -> None:
    orchestrator = make(url, {"day": 1, "month": 2, "tags": {"customer": {"month": "0.05"}}})
    before = datetime.now(timezone.utc)

    with pytest.raises(BudgetExceededError) as refused:
        ask(orchestrator, way, tags=TAGS, max_tokens=6)

    error = refused.value
    assert (error.budget, error.limit, error.needed) == ("month tag:customer=acme", 5 * CENT, 6 * CENT)
    assert (error.spent, error.held, error.attempts) == (0, 0, ())
    assert error.until is not None and error.until > before
    assert error.until.isoformat() in str(error) and "customer=acme" in str(error)
    assert "cost_tracking.budget.tags.customer.month" in str(error)
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)
    assert sums(orchestrator) == (0, 0)
    ask(orchestrator, way, tags={"customer": "another"}, max_tokens=5)
    ask(orchestrator, way, tags=TAGS, max_tokens=5)
    assert sums(orchestrator) == (2 * CENT, 0)
    names = [status.budget for status in orchestrator.budget_status()]
    assert names[2:] == ["month tag:customer=acme", "month tag:customer=another"]
    (mine,) = [one for one in orchestrator.budget_status(TAGS) if "tag" in one.budget]
    assert (mine.spent, mine.left) == (CENT, 4 * CENT)


def test_without_reserve_a_budget_is_a_check(url: str, make: Make) -> None:
    orchestrator = make(url, {"day": "0.02", "reserve": False}, "one two three")

    orchestrator.send_request("Hi", max_tokens=1000)
    with pytest.raises(BudgetExceededError, match=r"is spent: \$0.03 of \$0.02"):
        orchestrator.send_request("Hi", max_tokens=1)


def test_a_budget_warns_once_before_it_is_spent(
    url: str, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    orchestrator = make(url, {"day": "0.10"}, "one two three four five six seven eight", "x")

    for _ in range(3):
        with suppress(BudgetExceededError):
            orchestrator.send_request("Hi", max_tokens=8)
            orchestrator.send_request("Hi", max_tokens=1)

    assert [text for text in caplog.messages if "has been spent" in text] == [
        f"$0.08 of $0.10 has been spent of the budget for day {datetime.now(timezone.utc):%Y-%m-%d}."
    ]


def test_an_unknown_bound_reserves_the_prompt_and_warns_once(
    url: str, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    expected_cost._unbounded.clear()
    orchestrator = make(url, {"day": "0.01"})
    orchestrator.send_request("Hi")
    with suppress(BudgetExceededError):
        orchestrator.send_request("Hi")

    assert len([text for text in caplog.messages if "how long an answer can get" in text]) == 1


def test_an_unknown_price_reserves_nothing(url: str, make: Make) -> None:
    orchestrator = make(url, {"day": "0.01"})

    assert orchestrator.send_request("Hi", model="unpriced", max_tokens=1000).cost is None
    assert sums(orchestrator) == (0, 0)


# ---------------------------------------------------------------- a database that is away


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserving, "TIMEOUT", 1.0)
    monkeypatch.setattr(reserving, "PATIENCE", 0.1)
    monkeypatch.setattr(ledger, "PATIENCE", 0.1)  # of rows that find no database


@pytest.mark.usefixtures("in_a_hurry")
def test_calls_go_on_while_the_database_is_away(
    make: Make, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """With the sums of this process, and with one warning."""
    orchestrator = make(AWAY, {"day": "0.02"})

    ask(orchestrator, way, max_tokens=1)
    ask(orchestrator, way, max_tokens=1)
    with pytest.raises(BudgetExceededError, match=r"\$0.02 of \$0.02"):
        ask(orchestrator, way, max_tokens=1)

    assert len([text for text in caplog.messages if "cannot be checked" in text]) == 1
    assert [(one.spent, one.left) for one in orchestrator.budget_status()] == [(None, None)]


@pytest.mark.usefixtures("in_a_hurry")
def test_calls_are_refused_while_the_database_is_away(make: Make, way: str) -> None:
    orchestrator = make(AWAY, {"day": 1, "on_unreachable": "refuse"})

    with pytest.raises(BudgetExceededError, match="cannot be checked") as refused:
        ask(orchestrator, way, max_tokens=1)

    assert (refused.value.budget, refused.value.spent) == ("day", None)
    assert "postgres" not in str(refused.value).partition("cannot be")[0].replace("postgresql://", "")


@pytest.mark.usefixtures("in_a_hurry")
def test_a_server_that_says_nothing_is_waited_for_a_second(make: Make, way: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        orchestrator = make(f"postgresql+psycopg://u@127.0.0.1:{port}/d", {"day": 1})

        assert ask(orchestrator, way, max_tokens=1).cost == CENT


def test_what_was_spent_meanwhile_is_counted_afterwards(
    url: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserving, "PAUSE", 0.01)
    orchestrator = make(url, {"day": 1})
    orchestrator.send_request("Hi", max_tokens=1)
    begun = orchestrator.send_streaming_request("Hi", max_tokens=5)
    next(begun)
    assert sums(orchestrator) == (CENT, 5 * CENT)

    def refuse(*_: Any) -> None:
        raise sa.exc.OperationalError("", {}, Exception("It is away"))

    table = budget_of(orchestrator)._table
    with monkeypatch.context() as away:
        away.setattr(table, "_run", refuse)
        for _ in range(3):
            orchestrator.send_request("Hi", max_tokens=1)
        begun.final_response()
        assert sums(orchestrator) == (None, 0)

    assert sums(orchestrator) == (5 * CENT, 0)


def test_a_database_that_came_back_is_asked_again_however_many_calls_there_are(
    sqlite_url: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserving, "PAUSE", 0.2)
    orchestrator = make(sqlite_url, {"day": 1, "on_unreachable": "refuse"})
    table = budget_of(orchestrator)._table
    run, asked = table._run, []

    def refuse_at_first(send: Any) -> Any:
        asked.append(send)
        if len(asked) == 1:
            raise sa.exc.OperationalError("", {}, Exception("It is away"))
        return run(send)

    monkeypatch.setattr(table, "_run", refuse_at_first)
    answer, refused = None, 0
    while answer is None:
        try:
            answer = orchestrator.send_request("Hi", max_tokens=1)
        except BudgetExceededError:
            refused += 1
            time.sleep(0.001)
    assert refused > 1


def test_what_is_granted_to_a_task_that_is_cancelled_is_given_back(
    sqlite_url: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrator = make(sqlite_url, {"day": 1})
    worker = budget_of(orchestrator).worker

    async def cancelled(asked: Any) -> None:
        assert worker.wait(asked).hold
        raise asyncio.CancelledError

    monkeypatch.setattr(worker, "await_", cancelled)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(orchestrator.asend_request("Hi", max_tokens=1))
    assert sums(orchestrator) == (0, 0)


def test_a_grant_that_comes_too_late_is_given_back(
    sqlite_url: str, make: Make, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    orchestrator = make(sqlite_url, {"day": 1, "on_unreachable": "refuse"})
    orchestrator.send_request("Hi", max_tokens=1)
    answered = threading.Event()
    budget = budget_of(orchestrator)
    reserve = budget._table.reserve
    monkeypatch.setattr(budget.worker, "_patience", 0.2)

    def late(*arguments: Any) -> Any:
        verdict = reserve(*arguments)
        answered.wait(30)
        return verdict

    monkeypatch.setattr(budget._table, "reserve", late)
    with pytest.raises(BudgetExceededError, match="no answer within a second"):
        ask(orchestrator, way, max_tokens=50)
    assert sums(orchestrator) == (None, 0)
    answered.set()

    while sums(orchestrator) != (CENT, 0):
        time.sleep(0.01)


@needs_fork
def test_a_child_has_connections_of_its_own(url: str, make: Make) -> None:
    orchestrator = make(url, {"day": 1})
    orchestrator.send_request("Hi", max_tokens=1)
    stream = orchestrator.send_streaming_request("Hi", max_tokens=5)
    next(stream)

    def spend() -> bool:
        with orchestrator:
            return orchestrator.send_request("Hi", max_tokens=1).cost == CENT

    assert in_child(spend)
    assert sums(orchestrator) == (2 * CENT, 5 * CENT)  # the stream is still the parent's
    stream.close()
    assert sums(orchestrator)[1] == 0
