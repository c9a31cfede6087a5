"""Runs on a scripted provider: results, sums, order, errors, limits, and how a run ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    AuthenticationError,
    BulkProgress,
    ConfigurationError,
    InvalidMessagesError,
    InvalidRequestError,
    LLMOrchestrator,
    LLMResponse,
    ModelNotFoundError,
    OrchestratorError,
    OutputParseError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
)
from llm_orchestrator.bulk.job import bulk_job
from llm_orchestrator.testing import FakeProvider, FakeReply
from llm_orchestrator.types import PARAMETERS, LLMRequest, TokenUsage

#: A dollar a thousand tokens, and a thousand tokens an answer.
PRICED = {
    "price_overrides": [{"provider": "fake", "model": "fake-model", "rates": {"in": "1000", "out": "1000"}}]
}
DEAR = FakeReply("Hi", usage=TokenUsage(500, 500, 1000))


def make(script: Any = "Hi", **settings: Any) -> LLMOrchestrator:
    fake = FakeProvider(script)
    config = {"providers": {}, "active_provider": "fake", "active_model": "fake-model", **settings}
    return LLMOrchestrator(config, providers={"fake": fake})


def question(request: LLMRequest) -> str:
    return str(request.messages[-1].text)


def refusing(text: str, error: Exception) -> Callable[[LLMRequest], Any]:
    """A script that repeats the question, and refuses one of them."""
    return lambda request: error if question(request) == text else question(request)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_costs", "max_cost"),
        ("maxcost", "max_cost"),
        ("jurnal", "journal"),
        ("concurency", "concurrency"),
    ],
)
def test_a_mistyped_argument_of_map_is_no_option_for_the_provider(name: str, meant: str) -> None:
    with make() as orchestrator, pytest.raises(InvalidRequestError, match=f"{name} is not.*mean {meant}[?]"):
        orchestrator.map(["Hi"], **{name: 1})


@pytest.mark.parametrize("name", [*PARAMETERS, "mode_of_the_provider"])
def test_every_argument_of_a_call_and_fields_of_providers_are_taken(name: str) -> None:
    assert bulk_job((), **{name: 1}).arguments == {name: 1}


@pytest.mark.parametrize(("limits", "most"), [({}, 4), ({"concurrency": 2}, 2), ({"concurrency": 9}, 9)])
def test_a_provider_that_works_on_few_requests_at_once_gets_no_more(
    limits: Dict[str, int], most: int
) -> None:
    busy = [0, 0]  # requests under way, and the most there were

    class Slow(FakeProvider):
        parallel_requests = 4

        async def asend_request(self, request: LLMRequest, context: Any = None) -> LLMResponse:
            busy[0] += 1
            busy[1] = max(busy)
            try:
                return await super().asend_request(request, context)
            finally:
                busy[0] -= 1

    config = {
        "providers": {"fake": {"limits": limits}},
        "active_provider": "fake",
        "active_model": "fake-model",
    }
    with LLMOrchestrator(config, providers={"fake": Slow(FakeReply("Hi", delay=0.01))}) as orchestrator:
        run = orchestrator.map([str(number) for number in range(40)])
        assert len(list(run)) == 40
    assert busy[1] == most


def numbers(count: int) -> List[Dict[str, Any]]:
    return [{"id": f"row {number}", "text": str(number)} for number in range(count)]


def fake_of(orchestrator: LLMOrchestrator) -> FakeProvider:
    return orchestrator._providers["fake"]  # type: ignore[return-value]


# ---------------------------------------------------------------- results and sums


def test_a_result_for_each_row_and_their_sums() -> None:
    with make(refusing("3", ProviderError("No.", status_code=400))) as orchestrator:
        run = orchestrator.map(numbers(10), messages="{text}", key="id", max_retries=0)
        results = {result.key: result for result in run}
    assert len(results) == 10
    for number in range(10):
        result = results[f"row {number}"]
        assert (result.index, result.row["text"], result.resumed) == (number, str(number), False)
        if number == 3:
            assert isinstance(result.error, ProviderError) and result.content is None
        else:
            assert result.content == str(number) and result.error is None
            assert isinstance(result.response, LLMResponse)
    summary = run.summary
    assert (summary.rows, summary.answered, summary.failed, summary.requests) == (10, 9, 1, 10)


def test_async_it_is_the_same() -> None:
    async def main() -> None:
        async with make(question) as orchestrator:
            run = orchestrator.amap(numbers(10), messages="{text}", key="id")
            assert {result.content async for result in run} == set(map(str, range(10)))
            assert run.summary.answered == 10

    asyncio.run(main())


def test_rows_may_be_the_messages() -> None:
    with make(question) as orchestrator:
        rows = ["one", [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "two"}]]
        assert {result.content for result in orchestrator.map(rows)} == {"one", "two"}


def test_the_order_of_the_input_is_kept_where_it_is_wanted() -> None:
    def slow_at_first(request: LLMRequest) -> FakeReply:
        return FakeReply(question(request), delay=0.05 if question(request) == "0" else 0)

    with make(slow_at_first) as orchestrator:
        run = orchestrator.map(numbers(20), messages="{text}", order="input", concurrency=4)
        assert [result.content for result in run] == list(map(str, range(20)))


def test_in_order_no_more_is_held_back_than_the_bound() -> None:
    pulled: List[int] = []

    def rows() -> Iterator[str]:
        for number in range(10_000):
            pulled.append(number)
            yield str(number)

    def slow_at_first(request: LLMRequest) -> FakeReply:
        return FakeReply("Hi", delay=0.2 if question(request) == "0" else 0)

    with make(slow_at_first) as orchestrator:
        run = orchestrator.map(rows(), order="input", concurrency=4)
        next(run)
        assert len(pulled) <= 1 + 4 * 8
        run.close()


def test_rows_are_pulled_only_as_there_is_room() -> None:
    pulled: List[int] = []

    def rows() -> Iterator[str]:
        for number in range(1000):
            pulled.append(number)
            yield str(number)

    with make() as orchestrator:
        run = orchestrator.map(rows(), concurrency=5)
        assert not pulled, "nothing begins before the first iteration"
        for taken in range(1, 100):
            next(run)
            assert len(pulled) <= taken + 10
        run.close()
        assert run.summary.requests <= 110


class Label(BaseModel):
    label: str


def test_structured_output_and_an_answer_that_does_not_fit() -> None:
    def answer(request: LLMRequest) -> str:
        return "not JSON" if question(request) == "1" else '{"label": "good"}'

    with make(answer) as orchestrator:
        run = orchestrator.map(numbers(3), messages="{text}", response_format=Label, order="input")
        fine, broken, _ = run
    assert fine.parsed == Label(label="good")
    assert isinstance(broken.error, OutputParseError) and broken.content == "not JSON"
    assert run.summary.requests == 3 and run.summary.failed == 1


def test_hooks_and_tags_hold() -> None:
    events: List[Any] = []
    config = {"providers": {}, "active_provider": "fake", "active_model": "fake-model"}
    hooked = LLMOrchestrator(config, providers={"fake": FakeProvider("Hi")}, hooks=[events.append])
    with hooked as orchestrator:
        list(orchestrator.map(numbers(3), messages="{text}", tags={"job": "labels"}))
    assert [dict(event.tags) for event in events if event.kind == "call"] == [{"job": "labels"}] * 3


# ---------------------------------------------------------------- bad input


def test_rows_that_are_wrong_are_results_with_their_error() -> None:
    rows = [
        {"id": 1, "text": "fine"},
        {"id": 1, "text": "the same key"},
        {"id": 2},
        {"text": "no key"},
        ["no object"],
        {"id": 3, "text": "fine, too"},
    ]
    with make(question) as orchestrator:
        results = list(orchestrator.map(rows, messages="{text}", key="id", order="input"))
        assert len(fake_of(orchestrator).requests) == 2
    errors = [str(result.error) for result in results]
    assert [result.content for result in results] == ["fine", None, None, None, None, "fine, too"]
    assert "An earlier row has the key 1" in errors[1]
    assert "nothing in the field 'text'" in errors[2]
    assert "nothing in the field 'id'" in errors[3]
    assert "The row is a list" in errors[4]


@pytest.mark.parametrize(
    "arguments",
    [
        {"concurrency": 0},
        {"concurrency": True},
        {"mode": "later"},
        {"on_error": "ignore"},
        {"order": "none"},
        {"max_cost": -1},
        {"max_cost": "much"},
        {"progress": "yes"},
        {"key": 5},
        {"messages": 5},
        {"messages": "{"},
        {"temperature": "hot"},
        {"api_key": "x"},
    ],
)
def test_arguments_that_are_wrong_are_said_at_the_call(arguments: Dict[str, Any]) -> None:
    with make() as orchestrator, pytest.raises((InvalidRequestError, InvalidMessagesError)):
        orchestrator.map(["a"], **arguments)


def test_an_application_whose_rows_break_off_gets_its_own_error() -> None:
    def rows() -> Iterator[str]:
        yield "one"
        raise ZeroDivisionError

    with make() as orchestrator:
        run = orchestrator.map(rows())
        with pytest.raises(ZeroDivisionError):
            list(run)
        assert run.summary.answered == 1, "the row before it"


# ---------------------------------------------------------------- errors that hold for all


@pytest.mark.parametrize("error", [AuthenticationError, QuotaExceededError, ModelNotFoundError])
def test_what_holds_for_all_ends_the_run_with_what_was_done_kept(error: Any, tmp_path: Path) -> None:
    journal = tmp_path / "rows.journal"
    with make(refusing("5", error("No."))) as orchestrator:
        run = orchestrator.map(numbers(100), messages="{text}", concurrency=1, journal=journal, max_retries=0)
        results = []
        with pytest.raises(error):
            for result in run:
                results.append(result)
        assert [result.content for result in results] == list("01234")
        assert run.summary.requests == 6
        run = orchestrator.map(numbers(5), messages="{text}", journal=journal)
        assert all(result.resumed for result in run)


def test_a_spent_budget_ends_the_run() -> None:
    from llm_orchestrator import BudgetExceededError

    with make(DEAR, cost_tracking={**PRICED, "budget": {"session": 3}}) as orchestrator:
        run = orchestrator.map(numbers(50), messages="{text}", concurrency=1)
        results = []
        with pytest.raises(BudgetExceededError):
            for result in run:
                results.append(result)
        assert len(results) == 3


def test_closing_the_orchestrator_ends_the_run() -> None:
    orchestrator = make()
    run = orchestrator.map(numbers(500), messages="{text}", concurrency=1)
    next(run)
    orchestrator.close()
    with pytest.raises(OrchestratorError, match="closed"):
        list(run)


def test_raise_ends_the_run_at_the_first_error() -> None:
    with make(refusing("5", ProviderError("No.", status_code=400))) as orchestrator:
        run = orchestrator.map(
            numbers(100), messages="{text}", concurrency=1, on_error="raise", max_retries=0
        )
        with pytest.raises(ProviderError, match="No"):
            list(run)
        assert len(fake_of(orchestrator).requests) < 10


def test_a_refusal_uses_up_no_retry_of_its_row() -> None:
    refusals = [RateLimitError("Slow down.", retry_after=0.01)] * 7
    with make([*refusals, "Hi"]) as orchestrator:
        run = orchestrator.map(numbers(3), messages="{text}", max_retries=0, concurrency=1)
        assert [result.content for result in run] == ["Hi"] * 3
        assert (run.summary.requests, run.summary.refused) == (10, 7)


# ---------------------------------------------------------------- max_cost


def test_a_run_ends_before_max_cost_would_be_passed() -> None:
    with make(DEAR, cost_tracking=PRICED) as orchestrator:
        run = orchestrator.map(numbers(50), messages="{text}", max_cost=5, concurrency=8)
        results = list(run)
        assert len(results) == 5 and not any(result.error for result in results)
        assert run.summary.cost == Decimal(5) and run.summary.stopped == "max_cost"
        assert orchestrator.get_session_cost() == Decimal(5)


def test_max_cost_needs_a_price() -> None:
    with make() as orchestrator, pytest.raises(ConfigurationError, match="price_overrides"):
        list(orchestrator.map(numbers(5), messages="{text}", max_cost=5))


# ---------------------------------------------------------------- the journal


def test_what_was_answered_is_not_asked_again_and_what_failed_is(tmp_path: Path) -> None:
    journal = tmp_path / "rows.journal"

    def ask(script: Any, rows: Any, template: str = "{text}", **arguments: Any) -> Any:
        with make(script, cost_tracking=PRICED) as orchestrator:
            run = orchestrator.map(rows, messages=template, key="id", journal=journal, **arguments)
            return {result.key: result for result in run}, run.summary

    rows = numbers(10)
    _, first = ask(refusing("3", ProviderError("No.", status_code=400)), rows, max_retries=0)
    assert (first.answered, first.failed) == (9, 1)

    results, second = ask(question, rows[::-1])
    assert (second.answered, second.resumed, second.requests) == (10, 9, 1), "in another order, too"
    assert second.saved == first.cost > 0
    resumed = results["row 4"]
    assert (resumed.content, resumed.resumed, resumed.response) == ("4", True, None)
    assert (resumed.index, resumed.row) == (5, rows[4])

    assert ask(question, rows, "Say {text}")[1].requests == 10, "a changed prompt asks again"
    assert ask(question, rows, temperature=0)[1].requests == 10, "a changed parameter does"
    assert ask('{"label": "x"}', rows, response_format=Label)[1].requests == 10, "a schema does"
    results, summary = ask(question, rows, response_format=Label)
    assert summary.requests == 0 and results["row 1"].parsed == Label(label="x")
    assert ask(question, rows, tags={"a": "b"}, timeout=5)[1].requests == 0, "what decides nothing does not"

    changed = [*rows[:5], {"id": "row 5", "text": "changed"}, *numbers(12)[10:]]
    assert ask(question, changed)[1].requests == 3, "one row changed, two came, four went"


def test_an_answer_that_a_journal_could_not_keep_is_handed_out_and_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    from llm_orchestrator.bulk.journal import Journal

    def full(journal: Journal, rows: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Journal, "_write", full)
    with make(question) as orchestrator:
        run = orchestrator.map(numbers(100), messages="{text}", journal=tmp_path / "j", concurrency=4)
        results = []
        with pytest.raises(ConfigurationError, match="Make room on the disk"):
            for result in run:
                results.append(result)
        assert len(results) == len(fake_of(orchestrator).requests) == 4, "nothing that was paid is lost"


def test_a_journal_serves_one_run_after_the_other_and_never_two_at_once(tmp_path: Path) -> None:
    arguments: Dict[str, Any] = {"messages": "{text}", "key": "id", "journal": tmp_path / "rows.journal"}
    with make(question) as orchestrator:
        first = orchestrator.map(numbers(40), **arguments)
        next(first)
        with pytest.raises(ConfigurationError, match="in use by another run"):
            next(orchestrator.map(numbers(40), **arguments))
        assert orchestrator.map(numbers(40), **arguments).estimate().rows == 40, "that asks nothing"
        assert len(list(first)) == 39
        run = orchestrator.map(numbers(80), **arguments)
        assert sum(result.resumed for result in run) == 40


# ---------------------------------------------------------------- progress


def test_a_function_is_told_the_progress() -> None:
    told: List[BulkProgress] = []
    with make() as orchestrator:
        list(orchestrator.map(numbers(5), messages="{text}", progress=told.append))
    assert [progress.summary.rows for progress in told] == [1, 2, 3, 4, 5]
    assert told[0].total == 5 and told[-1].seconds_left == 0
    assert told[-1].rows_per_second > 0


def test_a_function_that_fails_loses_no_row(caplog: pytest.LogCaptureFixture) -> None:
    def fail(progress: BulkProgress) -> None:
        raise ZeroDivisionError

    with make() as orchestrator:
        assert len(list(orchestrator.map(numbers(3), messages="{text}", progress=fail))) == 3
    assert "progress failed" in caplog.text


# ---------------------------------------------------------------- how it ends


def endless(request: LLMRequest) -> FakeReply:
    return FakeReply("Hi", delay=0 if question(request) == "0" else 60)


def test_leaving_early_cancels_what_is_under_way_and_closes_the_rows() -> None:
    closed: List[bool] = []

    def rows() -> Iterator[str]:
        try:
            for number in range(100):
                yield str(number)
        finally:
            closed.append(True)

    with make(endless) as orchestrator:
        with orchestrator.map(rows(), concurrency=4) as run:
            assert next(run).content == "Hi"
        assert closed and list(run) == []
        statuses = [row["status"] for row in orchestrator.cost_tracker.to_dicts()]
        assert statuses.count("ok") == 1 and statuses.count("cancelled") == 4
        run.close()


def test_a_run_that_is_dropped_leaves_nothing_behind() -> None:
    threads = threading.active_count()
    with make(endless) as orchestrator:
        for _ in orchestrator.map(map(str, range(100)), concurrency=4):
            break
        gc.collect()
        assert threading.active_count() <= threads  # another test's may have ended meanwhile


def test_an_async_run_that_is_left_leaves_no_task() -> None:
    async def main() -> None:
        async with make(endless) as orchestrator:
            async for _ in orchestrator.amap(map(str, range(100)), concurrency=4):
                break
            gc.collect()
            for _ in range(10):
                await asyncio.sleep(0.01)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_where_a_loop_runs_already_the_run_has_a_thread_that_ends_with_it() -> None:
    async def main() -> None:
        before = threading.active_count()
        with make(question) as orchestrator:
            run = orchestrator.map(numbers(20), messages="{text}")
            results = [next(run)]
            assert threading.active_count() == before + 1
            results += run
            assert len(results) == 20 and threading.active_count() == before

    asyncio.run(main())


def test_a_run_may_begin_inside_a_row_of_another() -> None:
    with make(question) as orchestrator:
        contents = [
            (outer.content, inner.content)
            for outer in orchestrator.map(["a", "b"], order="input")
            for inner in orchestrator.map(["c", "d"], order="input")
        ]
    assert contents == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]


# ---------------------------------------------------------------- time in the application's hands


def test_the_time_limits_of_a_row_hold() -> None:
    with make(FakeReply("Hi", delay=30)) as orchestrator:
        run = orchestrator.map(["a"], total_timeout=0.05, max_retries=0)
        assert isinstance(next(run).error, ProviderTimeoutError)


def test_a_single_call_between_two_rows_keeps_its_own_time() -> None:
    with make(FakeReply("Hi", delay=0.01)) as orchestrator:
        for _ in orchestrator.map(["a"] * 4, concurrency=2):
            time.sleep(0.01)
            assert orchestrator.send_request("b", total_timeout=5).content == "Hi"


@pytest.mark.parametrize("refused_before", [0, 2])
def test_a_ctrl_c_inside_a_row_closes_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused_before: int
) -> None:
    from llm_orchestrator.bulk.journal import Journal

    closed: List[bool] = []
    close = Journal.close
    monkeypatch.setattr(Journal, "close", lambda journal: (closed.append(True), close(journal)))

    def interrupted(request: LLMRequest) -> str:
        raise KeyboardInterrupt

    refusals = [RateLimitError("Slow down.", retry_after=0.02)] * refused_before
    with make([*refusals, interrupted]) as orchestrator:
        run = orchestrator.map(numbers(9), messages="{text}", journal=tmp_path / "j", concurrency=2)
        with pytest.raises(KeyboardInterrupt):
            list(run)
        assert closed == [True] and list(run) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", range(9))
def test_a_ctrl_c_is_no_fault_of_the_row_it_comes_in(number: int) -> None:
    def messages(row: Dict[str, Any]) -> str:
        if row["text"] == str(number):
            signal.raise_signal(signal.SIGINT)
        return str(row["text"])

    before = signal.getsignal(signal.SIGINT)
    with make(question) as orchestrator:
        run = orchestrator.map(numbers(9), messages=messages, concurrency=2)
        with pytest.raises(KeyboardInterrupt):
            list(run)
        assert run.summary.failed == 0
        assert signal.getsignal(signal.SIGINT) is before is signal.default_int_handler


def test_a_ctrl_c_between_two_results_is_the_applications() -> None:
    with make(question) as orchestrator, orchestrator.map(numbers(9), messages="{text}") as run:
        next(run)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert next(run).error is None
