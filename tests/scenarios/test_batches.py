"""Promise B3: runs by the providers' batch APIs pay each row once, at half price, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    AuthenticationError,
    BudgetExceededError,
    BulkProgress,
    BulkResult,
    BulkSummary,
    CallEvent,
    ConfigurationError,
    InvalidRequestError,
    LLMOrchestrator,
    ModelNotFoundError,
    OrchestratorError,
    OutputParseError,
    ProviderError,
    ProviderTimeoutError,
    price_usage,
)
from llm_orchestrator.bulk import dispatch
from llm_orchestrator.providers.batch_values import BatchLimits
from llm_orchestrator.providers.gemini import batches as gemini_batches
from tests.support.batch_server import (
    ANSWER,
    CANCELLED,
    CUT,
    ERROR,
    MISSING,
    UNTOUCHED,
    USAGE,
    ZERO,
    BatchServer,
    SubmittedBatch,
)
from tests.support.batches import begin, priced_model, quicken, result_of
from tests.support.costs import read
from tests.support.marks import anthropic
from tests.support.scripted_server import (
    BEFORE_HEAD,
    DIALECTS,
    Dialect,
    Reply,
    Request,
    Reset,
    ScriptedServer,
)
from tests.support.scripted_server.replies import json_reply
from tests.support.scripted_server.wire_base import TRANSPORT

Make = Callable[..., LLMOrchestrator]


class City(BaseModel):
    name: str


@pytest.fixture(params=[*DIALECTS, "gemini-files"])
def dialect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Dialect:
    """The four dialects, and Gemini's other form."""
    if TRANSPORT == "sdk" and request.param == "gemini-files":
        pytest.skip("the SDK of Gemini uploads no file for us")
    if request.param == "gemini-files":
        monkeypatch.setattr(gemini_batches, "MOST_INLINE", 0)
    return DIALECTS[request.param.partition("-files")[0]]


@pytest.fixture
def batches(server: ScriptedServer, dialect: Dialect) -> BatchServer:
    played = BatchServer(dialect)
    played.model = priced_model(dialect.provider)
    server.default = played
    return played


@pytest.fixture(autouse=True)
def short_waits() -> None:
    quicken()


@pytest.fixture
def make(server: ScriptedServer, dialect: Dialect, tmp_path: Path) -> Iterator[Make]:
    made: List[LLMOrchestrator] = []

    def build(**entry: Any) -> LLMOrchestrator:
        config = dialect.config(server.url, priced_model(dialect.provider), **{"max_retries": 0, **entry})
        config["cost_tracking"] = {"log_path": str(tmp_path / "costs.csv")}
        made.append(LLMOrchestrator(config))
        return made[-1]

    yield build
    for orchestrator in made:
        orchestrator.close()


def rows(count: int) -> List[Dict[str, str]]:
    return [{"id": f"row {number}", "text": f"question {number}"} for number in range(count)]


def by_key(results: Any) -> Dict[Any, BulkResult]:
    return {result.key: result for result in results}


def half_of_usual(row: Dict[str, str]) -> Decimal:
    """Half of what a request in the ledger would cost alone."""
    usage = json.loads(row["usage_raw"])
    usual = price_usage(row["provider"], row["requested_model"], usage, api=row["api"])
    assert usual.total
    return usual.total / 2


def assert_paid_once(path: Path, batches: BatchServer, count: int) -> None:
    """All rows were submitted once, and stand in the ledger once, each at half price."""
    assert len(batches.batches) == 1
    assert batches.rows_submitted == count
    ledger = read(path)
    assert len(ledger) == count
    assert len({row["call_id"] for row in ledger}) == count
    assert all(Decimal(row["cost"]) == half_of_usual(row) for row in ledger)


ARGUMENTS: Dict[str, Any] = {"messages": "{text}", "key": "id", "mode": "batch"}


def test_b3_every_row_is_answered_at_half_price_with_a_row_in_the_ledger(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    orchestrator = make()
    run = orchestrator.map(rows(5), **ARGUMENTS, journal=tmp_path / "journal", tags={"job": "labels"})
    results = by_key(run)

    assert {key: result.content for key, result in results.items()} == {
        f"row {number}": f"Echo: question {number}" for number in range(5)
    }
    assert len(batches.batches) == 1
    ledger = read(tmp_path / "costs.csv")
    assert len(ledger) == 5
    assert {(row["status"], row["service_tier"], row["prompt_tokens"]) for row in ledger} == {
        ("ok", "batch", str(USAGE.prompt))
    }
    assert len({row["call_id"] for row in ledger}) == 5
    costs = {Decimal(row["cost"]) for row in ledger}
    assert costs == {half_of_usual(row) for row in ledger}
    assert {orchestrator.cost_tracker.recompute(row) for row in ledger} == costs
    assert costs == {result.cost for result in results.values()}
    assert run.summary.cost == costs.pop() * 5 == orchestrator.get_session_cost()
    assert (run.summary.requests, run.summary.answered, run.summary.waiting) == (5, 5, 0)


# ---------------------------------------------------------------- killed, and started again


def killed_at_create(batches: BatchServer, *, is_made: bool) -> Callable[[Any], None]:
    """Have a program killed while the provider has its batch: before it was made, or after."""

    def arm(program: Any) -> None:
        def kill(batch: SubmittedBatch) -> Optional[Reply]:
            program.kill()
            program.wait()
            batches.on_create, batches.on_created = lambda batch: None, lambda batch: None
            return None if is_made else json_reply({}, 500)

        if is_made:
            batches.on_created = kill
        else:
            batches.on_create = kill

    return arm


@pytest.mark.parametrize("is_made", [True, False])
def test_b3_killed_between_intent_and_note_the_batch_is_found_and_not_submitted_again(
    make: Make, batches: BatchServer, server: ScriptedServer, dialect: Dialect, tmp_path: Path, is_made: bool
) -> None:
    arm = killed_at_create(batches, is_made=is_made)
    program = begin(dialect, server.url, tmp_path, rows=4, uses_files=uses_files())
    arm(program)
    program.communicate(timeout=60)
    assert program.returncode == -signal.SIGKILL
    assert len(batches.batches) == is_made

    _, summary = gone_on(make, tmp_path, 4)

    assert_paid_once(tmp_path / "costs.csv", batches, 4)
    assert summary.requests == (0 if is_made else 4)


def gone_on(make: Make, folder: Path, count: int) -> Tuple[Dict[Any, BulkResult], BulkSummary]:
    """What the same run comes to that a program of its own began."""
    run = make().map(rows(count), **ARGUMENTS, journal=folder / "journal")
    results = by_key(run)
    assert {key: result.content for key, result in results.items()} == {
        f"row {number}": f"Echo: question {number}" for number in range(count)
    }
    return results, run.summary


def uses_files() -> bool:
    return gemini_batches.MOST_INLINE == 0


def test_b3_killed_after_the_submit_the_next_run_waits_for_the_same_batch(
    make: Make, batches: BatchServer, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    batches.looks = 10**9
    program = begin(dialect, server.url, tmp_path, rows=4, uses_files=uses_files())
    while not (batches.batches and batches.batches[0].looks > 2):
        assert program.poll() is None, program.communicate()
    program.kill()
    program.communicate(timeout=60)
    batches.looks = 1

    gone_on(make, tmp_path, 4)

    assert_paid_once(tmp_path / "costs.csv", batches, 4)


@anthropic
def test_b3_a_second_process_on_a_journal_submits_nothing(
    batches: BatchServer, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    batches.looks = 10**9
    first = begin(dialect, server.url, tmp_path, rows=4, uses_files=uses_files())
    while not batches.batches:
        assert first.poll() is None, first.communicate()
    second = begin(dialect, server.url, tmp_path, rows=4, uses_files=uses_files())
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "in use by another run" in errors
    batches.looks = 1
    assert len(result_of(first)["rows"]) == 4
    assert_paid_once(tmp_path / "costs.csv", batches, 4)


def test_b3_killed_while_collecting_nothing_is_paid_or_counted_twice(
    make: Make, batches: BatchServer, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    program = begin(dialect, server.url, tmp_path, rows=6, dies_after=3, uses_files=uses_files())
    program.communicate(timeout=60)
    assert program.returncode == -signal.SIGKILL

    _, summary = gone_on(make, tmp_path, 6)

    assert_paid_once(tmp_path / "costs.csv", batches, 6)
    assert summary.saved + summary.cost == sum(Decimal(row["cost"]) for row in read(tmp_path / "costs.csv"))


def test_b3_killed_between_ledger_and_journal_the_row_is_not_recorded_again(
    make: Make, batches: BatchServer, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    program = begin(dialect, server.url, tmp_path, rows=4, dies_before_keeping=2, uses_files=uses_files())
    program.communicate(timeout=60)
    assert program.returncode == -signal.SIGKILL
    assert len(read(tmp_path / "costs.csv")) == 3, "one more than the journal has"

    results, summary = gone_on(make, tmp_path, 4)

    assert_paid_once(tmp_path / "costs.csv", batches, 4)
    assert sum(result.resumed for result in results.values()) == 2
    assert summary.saved + summary.cost == sum(Decimal(row["cost"]) for row in read(tmp_path / "costs.csv"))


def test_b3_the_results_break_off_and_are_read_again(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    broken: List[Reply] = []

    def break_once(reply: Reply) -> Reply:
        if broken:
            return reply
        broken.append(reply)
        return reply.but(length_error=100)

    batches.on_results = break_once
    results = by_key(make().map(rows(5), **ARGUMENTS, journal=tmp_path / "journal"))

    assert [result.error for result in results.values()] == [None] * 5
    assert_paid_once(tmp_path / "costs.csv", batches, 5)


def test_b3_a_line_that_is_cut_is_read_again_before_its_row_is_asked_again(
    make: Make, batches: BatchServer, dialect: Dialect, tmp_path: Path
) -> None:
    if dialect.provider == "gemini" and not uses_files():
        pytest.skip("the results come with the batch itself")
    batches.on_results = lambda reply: reply if batches.downloads > 1 else reply.but(body=reply.body[:-20])
    results = by_key(make().map(rows(4), **ARGUMENTS, journal=tmp_path / "journal"))

    assert [result.error for result in results.values()] == [None] * 4
    assert_paid_once(tmp_path / "costs.csv", batches, 4)


def test_b3_a_reply_that_is_lost_makes_no_second_batch(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    """The provider made the batch, and its reply was an error of a proxy."""
    batches.on_create = lambda batch: (batches.batches.append(batch), json_reply({"error": {}}, 502))[1]
    results = by_key(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))

    assert [result.error for result in results.values()] == [None] * 3
    assert_paid_once(tmp_path / "costs.csv", batches, 3)


def test_b3_a_batch_that_was_never_made_is_submitted_again(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    refusals = iter([json_reply({"error": {"message": "Try again."}}, 500)] * 2)
    batches.on_create = lambda batch: next(refusals, None)
    results = by_key(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))

    assert [result.error for result in results.values()] == [None] * 3
    assert_paid_once(tmp_path / "costs.csv", batches, 3)


# ---------------------------------------------------------------- what comes back


def in_first(fate: str, *texts: str) -> Callable[[SubmittedBatch, str], str]:
    """The fate of some rows in the first batch; everything else is answered."""
    return lambda batch, text: fate if batch.number == 0 and text in texts else ANSWER


@pytest.mark.parametrize("fate", [UNTOUCHED, MISSING])
def test_b3_an_expired_batch_keeps_its_answers_and_the_rest_is_asked_again(
    make: Make, batches: BatchServer, tmp_path: Path, fate: str
) -> None:
    batches.fate = in_first(fate, "question 1", "question 3")
    batches.end = lambda batch: "expired" if batch.number == 0 else "ended"
    run = make().map(rows(5), **ARGUMENTS, journal=tmp_path / "journal")
    results = by_key(run)

    assert [result.error for result in results.values()] == [None] * 5
    assert [len(batch.rows) for batch in batches.batches] == [5, 2]
    assert len(read(tmp_path / "costs.csv")) == 5
    assert sorted(batches.batches[1].texts) == ["question 1", "question 3"]
    assert len({name for batch in batches.batches for name, _ in batch.rows}) == 7, "ids are never used twice"


def test_b3_a_completed_batch_of_errors_only_has_an_error_for_each_row(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    batches.fate = lambda batch, text: ERROR
    run = make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal")
    results = by_key(run)

    assert {type(result.error) for result in results.values()} == {InvalidRequestError}
    assert (run.summary.failed, run.summary.cost) == (3, 0)
    ledger = read(tmp_path / "costs.csv")
    assert [(row["status"], Decimal(row["cost"])) for row in ledger] == [("error", 0)] * 3
    assert len(batches.batches) == 1


def test_b3_an_error_stays_with_its_row_and_is_asked_again_by_the_next_run(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    batches.fate = in_first(ERROR, "question 2")
    first = by_key(make().map(rows(4), **ARGUMENTS, journal=tmp_path / "journal"))
    assert [key for key, result in first.items() if result.error] == ["row 2"]

    second = by_key(make().map(rows(4), **ARGUMENTS, journal=tmp_path / "journal"))

    assert [key for key, result in second.items() if not result.resumed] == ["row 2"]
    assert second["row 2"].content == "Echo: question 2"
    assert batches.batches[1].texts == ["question 2"]


@pytest.mark.parametrize("fate", [MISSING, ZERO, CUT])
def test_b3_rows_without_a_result_are_asked_again_and_at_last_have_an_error(
    make: Make, batches: BatchServer, tmp_path: Path, fate: str
) -> None:
    batches.fate = lambda batch, text: fate if text == "question 0" else ANSWER
    results = by_key(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))

    assert isinstance(results["row 0"].error, ProviderTimeoutError)
    assert [results[key].content for key in ("row 1", "row 2")] == ["Echo: question 1", "Echo: question 2"]
    assert [batch.texts for batch in batches.batches[1:]] == [["question 0"]] * (dispatch.MOST_TRIES - 1)
    assert len(read(tmp_path / "costs.csv")) == 2


@pytest.mark.parametrize("fate", [ZERO, CUT])
def test_b3_a_row_that_is_lost_once_is_answered_by_another_batch(
    make: Make, batches: BatchServer, tmp_path: Path, fate: str
) -> None:
    batches.fate = in_first(fate, "question 1")
    results = by_key(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))

    assert [result.error for result in results.values()] == [None] * 3
    assert [len(batch.rows) for batch in batches.batches] == [3, 1]


def test_b3_keys_of_any_kind_come_back_and_ids_are_ours(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    keys: List[Any] = ["ü/ \n", 7, 7.5, True, ("a", 1), "x" * 300, ""]
    given = [{"id": key, "text": f"question {number}"} for number, key in enumerate(keys)]
    first = list(make().map(given, **ARGUMENTS, journal=tmp_path / "journal"))
    second = list(make().map(given, **ARGUMENTS, journal=tmp_path / "journal"))

    assert sorted(map(repr, (result.key for result in first))) == sorted(map(repr, keys))
    assert all(result.content == f"Echo: {result.row['text']}" for result in first)
    assert all(result.resumed for result in second)
    assert all(
        re.fullmatch(r"[a-z0-9]+-[0-9]+", name) and len(name) <= 64 for name, _ in batches.batches[0].rows
    )


def test_b3_a_batch_is_split_at_the_providers_limits(
    make: Make, batches: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrator = make()
    api = orchestrator._providers[orchestrator.active_provider].batch_api
    monkeypatch.setattr(api, "LIMITS", BatchLimits(3, 10**9))
    by_count = by_key(orchestrator.map(rows(7), **ARGUMENTS))
    assert [len(batch.rows) for batch in batches.batches] == [3, 3, 1]
    assert [result.error for result in by_count.values()] == [None] * 7

    batches.batches.clear()
    monkeypatch.setattr(api, "LIMITS", BatchLimits(10**9, 20_000))
    texts = [{"id": number, "text": "a" * 8_000} for number in range(4)]
    texts.append({"id": 4, "text": "a" * 30_000})
    by_size = by_key(orchestrator.map(texts, **ARGUMENTS))
    assert [len(batch.rows) for batch in batches.batches] == [2, 2]
    assert isinstance(by_size[4].error, InvalidRequestError)
    assert "30," in str(by_size[4].error)
    assert [by_size[key].error for key in range(4)] == [None] * 4


# ---------------------------------------------------------------- a batch that is refused


def over_quota(dialect: Dialect) -> Dict[str, Any]:
    if dialect.provider == "openai":
        return {"code": "token_limit_exceeded", "message": "Enqueued token limit reached.", "line": None}
    return {"code": 8, "message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED"}


def test_b3_a_batch_refused_late_for_too_many_waiting_tokens_waits_its_turn(
    make: Make, batches: BatchServer, dialect: Dialect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dialect.provider == "anthropic":
        pytest.skip("Anthropic refuses at creation only")
    orchestrator = make()
    api = orchestrator._providers[orchestrator.active_provider].batch_api
    monkeypatch.setattr(api, "LIMITS", BatchLimits(2, 10**9))

    def end(batch: SubmittedBatch) -> str:
        if batch.number == 1:
            batch.errors = [over_quota(dialect)]
            return "failed"
        return "ended"

    batches.end = end
    run = orchestrator.map(rows(4), **ARGUMENTS, journal=tmp_path / "journal")
    results = by_key(run)

    assert [result.error for result in results.values()] == [None] * 4
    assert [len(batch.rows) for batch in batches.batches] == [2, 2, 2]
    assert batches.batches[2].texts == batches.batches[1].texts
    assert len(read(tmp_path / "costs.csv")) == 4
    assert run.summary.refused == 2


def test_b3_a_batch_that_is_too_much_by_itself_is_halved(
    make: Make, batches: BatchServer, dialect: Dialect, tmp_path: Path
) -> None:
    if dialect.provider == "anthropic":
        pytest.skip("Anthropic refuses at creation only")

    def end(batch: SubmittedBatch) -> str:
        if len(batch.rows) > 2:
            batch.errors = [over_quota(dialect)]
            return "failed"
        return "ended"

    batches.end = end
    results = by_key(make().map(rows(5), **ARGUMENTS, journal=tmp_path / "journal"))

    assert [result.error for result in results.values()] == [None] * 5
    assert len(read(tmp_path / "costs.csv")) == 5


def test_b3_a_rate_limit_at_creation_is_waited_for(
    make: Make, batches: BatchServer, dialect: Dialect, tmp_path: Path
) -> None:
    refusals = iter([dialect.failure("rate_limit")] * 3)
    batches.on_create = lambda batch: next(refusals, None)
    results = by_key(make().map(rows(4), **ARGUMENTS, journal=tmp_path / "journal"))

    assert [result.error for result in results.values()] == [None] * 4
    assert len(read(tmp_path / "costs.csv")) == 4


def test_b3_a_faulty_line_is_the_error_of_its_row_and_the_others_are_answered(
    make: Make, batches: BatchServer, dialect: Dialect, tmp_path: Path
) -> None:
    """OpenAI names the line, late; the others refuse at once and name none, so it is found by halves."""
    wrong = "question 2"

    def end(batch: SubmittedBatch) -> str:
        if wrong not in batch.texts:
            return "ended"
        error = {"code": "invalid_value", "message": "Invalid body.", "line": batch.texts.index(wrong) + 1}
        batch.errors = [error]
        return "failed"

    def refuse(batch: SubmittedBatch) -> Optional[Reply]:
        return dialect.failure("bad_request") if wrong in batch.texts else None

    if dialect.provider == "openai":
        batches.end = end
    else:
        batches.on_create = refuse
    results = by_key(make().map(rows(5), **ARGUMENTS, journal=tmp_path / "journal"))

    assert [key for key, result in results.items() if result.error] == ["row 2"]
    assert isinstance(results["row 2"].error, InvalidRequestError)
    assert len(read(tmp_path / "costs.csv")) == 4


def test_b3_what_holds_for_all_rows_ends_the_run(
    make: Make, batches: BatchServer, dialect: Dialect, tmp_path: Path
) -> None:
    batches.on_create = lambda batch: dialect.failure("bad_key")
    with pytest.raises(AuthenticationError):
        list(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))
    assert batches.batches == []

    batches.on_create = lambda batch: None
    results = by_key(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))
    assert [result.error for result in results.values()] == [None] * 3


def test_b3_a_model_that_is_refused_late_ends_the_run(
    make: Make, batches: BatchServer, dialect: Dialect, tmp_path: Path
) -> None:
    if dialect.provider != "openai":
        pytest.skip("only OpenAI refuses a batch for its model after it was made")

    def end(batch: SubmittedBatch) -> str:
        batch.errors = [{"code": "model_not_found", "message": "The model does not exist.", "line": 1}]
        return "failed"

    batches.end = end
    with pytest.raises(ModelNotFoundError):
        list(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))
    assert len(batches.batches) == 1


def test_b3_a_host_without_batches_says_so(
    make: Make, batches: BatchServer, server: ScriptedServer, tmp_path: Path
) -> None:
    server.default = lambda request: json_reply({"detail": "Not Found"}, 404)
    with pytest.raises(ConfigurationError, match="may have no batch API"):
        list(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))


# ---------------------------------------------------------------- without waiting, and stopped


def test_b3_without_waiting_a_run_submits_and_the_same_call_collects(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    batches.end = lambda batch: "running"
    journal = tmp_path / "journal"
    run = make().map(rows(3), **ARGUMENTS, journal=journal, wait=False)
    assert [len(batch.rows) for batch in batches.batches] == [3], "before the first result is asked for"
    status = run.status()
    assert (len(status.batches), status.waiting) == (1, 3)
    assert (status.batches[0].state, status.batches[0].requests) == ("running", 3)
    assert "1 batch: 0 of 3" in str(status)
    assert list(run) == []
    assert (run.summary.rows, run.summary.waiting) == (0, 3)
    assert run.status().waiting == 3, "as it was last heard of"

    batches.end = lambda batch: "running" if batch.number else "ended"
    second = make().map(rows(4), **ARGUMENTS, journal=journal, wait=False)
    assert sorted(result.key for result in second) == ["row 0", "row 1", "row 2"]
    assert batches.batches[1].texts == ["question 3"]
    batches.end = lambda batch: "ended"
    third = by_key(make().map(rows(4), **ARGUMENTS, journal=journal))
    assert [third["row 3"].resumed, third["row 0"].resumed] == [False, True]
    assert len(read(tmp_path / "costs.csv")) == 4


def test_b3_a_cancelled_run_keeps_what_was_answered_and_the_next_one_asks_the_rest(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    batches.looks = 10**9
    batches.fate = in_first(CANCELLED, "question 1")
    run = make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal")
    run.status()
    run.cancel()
    results = by_key(run)

    assert batches.cancelled == ["batch0"]
    assert results["row 0"].content == "Echo: question 0"
    assert isinstance(results["row 1"].error, ProviderError)
    assert "cancelled" in str(results["row 1"].error)
    with pytest.raises(OrchestratorError, match="has ended"):
        run.cancel()

    batches.looks = 0
    again = by_key(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))
    assert [key for key, result in again.items() if not result.resumed] == ["row 1"]
    assert len(read(tmp_path / "costs.csv")) == 3


def test_b3_a_batch_that_somebody_stopped_at_the_provider_is_not_submitted_again(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    batches.fate = lambda batch, text: CANCELLED
    batches.end = lambda batch: "cancelled"
    results = by_key(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))

    assert len(batches.batches) == 1
    assert all("cancelled" in str(result.error) for result in results.values())


def test_b3_rows_without_a_line_in_a_stopped_batch_are_not_submitted_again_either(
    make: Make, batches: BatchServer, dialect: Dialect, tmp_path: Path
) -> None:
    if dialect.provider == "anthropic":
        pytest.skip("each of its rows says for itself that it was cancelled")
    batches.fate = in_first(MISSING, "question 1")
    batches.end = lambda batch: "cancelled"
    results = by_key(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))

    assert len(batches.batches) == 1
    assert [key for key, result in results.items() if result.error] == ["row 1"]


@pytest.mark.parametrize("settings", [{"mode": "now"}, {"mode": "batch", "journal": None}])
def test_b3_what_cannot_go_on_later_is_refused(
    make: Make, batches: BatchServer, settings: Dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError, match="wait=False"):
        make().map(rows(1), messages="{text}", wait=False, **{"journal": "j", **settings})


def test_b3_only_a_run_by_batches_has_a_status(make: Make, batches: BatchServer) -> None:
    with make().map(rows(1), messages="{text}") as run:
        with pytest.raises(InvalidRequestError, match="batch"):
            run.status()


def test_b3_leaving_a_run_without_a_journal_cancels_its_batches(make: Make, batches: BatchServer) -> None:
    batches.looks = 10**9
    with make().map(rows(2), **ARGUMENTS) as run:
        run.status()
    assert batches.cancelled == ["batch0"]


def test_b3_a_run_that_does_not_wait_keeps_nobody_from_going_on(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    arguments = {**ARGUMENTS, "journal": tmp_path / "journal"}
    batches.looks = 10**9
    first = make().map(rows(2), **arguments, wait=False)
    second = make().map(rows(2), **arguments, wait=False)
    batches.looks = 0
    assert [result.error for result in make().map(rows(2), **arguments)] == [None, None]
    first.close(), second.close()
    assert_paid_once(tmp_path / "costs.csv", batches, 2)


def test_b3_leaving_a_run_with_a_journal_leaves_its_batches(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    batches.looks = 10**9
    with make().map(rows(2), **ARGUMENTS, journal=tmp_path / "journal") as run:
        run.status()
    assert batches.cancelled == []


# ---------------------------------------------------------------- as in any other run


def test_b3_structured_answers_are_parsed_and_come_back_from_the_journal(
    make: Make, batches: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"question 0": '{"name": "Rome"}', "question 1": '{"nom": 7}'}
    monkeypatch.setattr(
        batches,
        "answer",
        lambda text: batches.dialect.whole(texts[text], usage=USAGE, model=batches.model).json(),
    )
    arguments = {**ARGUMENTS, "response_format": City, "journal": tmp_path / "journal"}
    first = by_key(make().map(rows(2), **arguments))
    assert first["row 0"].parsed == City(name="Rome")
    assert isinstance(first["row 1"].error, OutputParseError)
    assert first["row 1"].cost == first["row 0"].cost, "it was paid for"
    assert len(read(tmp_path / "costs.csv")) == 2

    second = by_key(make().map(rows(1), **arguments))
    assert (second["row 0"].parsed, second["row 0"].resumed) == (City(name="Rome"), True)


def test_b3_an_answer_of_a_single_call_is_not_asked_again_by_a_batch_and_the_other_way_round(
    make: Make, batches: BatchServer, server: ScriptedServer, tmp_path: Path
) -> None:
    shared = {"messages": "{text}", "key": "id", "journal": tmp_path / "journal"}
    list(make().map(rows(2), mode="batch", **shared))
    sent = len(server.requests)
    assert all(result.resumed for result in make().map(rows(2), **shared))
    assert len(server.requests) == sent


@pytest.mark.parametrize("order", ["completion", "input"])
def test_b3_results_come_in_the_order_that_was_asked_for(
    make: Make, batches: BatchServer, tmp_path: Path, order: str
) -> None:
    batches.fate = in_first(MISSING, "question 0")
    run = make().map(rows(4), **ARGUMENTS, journal=tmp_path / "journal", order=order)
    indexes = [result.index for result in run]
    assert sorted(indexes) == [0, 1, 2, 3]
    assert (indexes == [0, 1, 2, 3]) == (order == "input")


def test_b3_the_first_error_can_end_the_run_with_what_was_paid_kept(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    batches.fate = in_first(ERROR, "question 1")
    with pytest.raises(InvalidRequestError):
        list(make().map(rows(4), **ARGUMENTS, journal=tmp_path / "journal", on_error="raise"))
    again = by_key(make().map(rows(4), **ARGUMENTS, journal=tmp_path / "journal"))
    assert [key for key, result in again.items() if not result.resumed] == ["row 1"]


def test_b3_rows_that_cannot_be_asked_have_their_error_and_the_others_their_answer(
    make: Make, batches: BatchServer
) -> None:
    given = [{"id": 1, "text": "a"}, {"id": 1, "text": "b"}, {"id": 2}, "no object", {"id": 3, "text": "c"}]
    results = list(make().map(given, **ARGUMENTS))
    assert len(results) == 5
    assert sorted(result.row["text"] for result in results if not result.error) == ["a", "c"]
    assert batches.rows_submitted == 2


def test_b3_no_row_is_asked_that_may_pass_the_largest_cost(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    orchestrator = make()
    one = by_key(orchestrator.map(rows(1), **ARGUMENTS, max_tokens=USAGE.completion))["row 0"].cost
    assert one
    run = orchestrator.map(rows(50), **ARGUMENTS, max_tokens=USAGE.completion, max_cost=one * 3)
    answered = list(run)
    assert 0 < len(answered) < 50
    assert run.summary.stopped == "max_cost"
    with pytest.raises(ConfigurationError, match="max_tokens"):
        list(orchestrator.map(rows(1), **ARGUMENTS, max_cost=1))


def test_b3_a_spent_budget_submits_nothing(
    make: Make, batches: BatchServer, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    config = dialect.config(server.url, batches.model)
    config["cost_tracking"] = {"log_path": str(tmp_path / "costs.csv"), "budget": {"session": 0.000001}}
    with LLMOrchestrator(config) as orchestrator:
        first = list(orchestrator.map(rows(1), **ARGUMENTS))
        assert [result.error for result in first] == [None]
        with pytest.raises(BudgetExceededError):
            list(orchestrator.map(rows(2), **ARGUMENTS))
    assert len(batches.batches) == 1


def test_b3_rows_count_for_a_budget_in_a_database(
    batches: BatchServer, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
    config = dialect.config(server.url, batches.model)
    config["cost_tracking"] = {
        "database_url": f"sqlite:///{tmp_path}/ledger.db",
        "spool_path": str(tmp_path / "spool"),
        "budget": {"session": 0.000001, "tags": {"job": {"day": 5}}},
    }
    with LLMOrchestrator(config) as orchestrator:
        first = list(orchestrator.map(rows(1), **ARGUMENTS, tags={"job": "a"}))
        spent = [status.spent for status in orchestrator.budget_status()]
        assert spent == [first[0].cost, first[0].cost]
        with pytest.raises(BudgetExceededError):
            list(orchestrator.map(rows(2), **ARGUMENTS))
    assert len(batches.batches) == 1


def test_b3_hooks_hear_of_every_row(batches: BatchServer, server: ScriptedServer, dialect: Dialect) -> None:
    events: List[CallEvent] = []
    config = dialect.config(server.url, batches.model)
    config["cost_tracking"] = {"enabled": False}
    with LLMOrchestrator(config, hooks=[events.append]) as orchestrator:
        list(orchestrator.map(rows(2), **ARGUMENTS, tags={"job": "labels"}))
    assert sorted(event.kind for event in events) == ["attempt", "attempt", "call", "call"]
    assert {event.tags["job"] for event in events} == {"labels"}


def test_b3_every_row_has_its_span(batches: BatchServer, server: ScriptedServer, dialect: Dialect) -> None:
    recorder_of = pytest.importorskip("tests.support.recorder")
    recorder = recorder_of.Recorder()
    config = dialect.config(server.url, batches.model)
    config["cost_tracking"] = {"enabled": False}
    with LLMOrchestrator(config, hooks=[recorder.hook()]) as orchestrator:
        list(orchestrator.map(rows(2), **ARGUMENTS))
    assert [span.name for span in recorder.calls] == [f"chat {batches.model}"] * 2
    for span in recorder.calls:
        (attempt,) = recorder.attempts(span)
        assert span.start_time == attempt.start_time < attempt.end_time <= span.end_time
        assert recorder_of.attributes_of(span)["gen_ai.usage.output_tokens"] > 0


def test_b3_progress_says_what_the_run_waits_for(make: Make, batches: BatchServer) -> None:
    batches.looks = 3
    told: List[BulkProgress] = []
    list(make().map(rows(2), **ARGUMENTS, progress=told.append))
    notes = [progress.note for progress in told if progress.note]
    assert notes
    assert all(re.fullmatch(r"1 batch: \d of 2 requests done", note) for note in notes)
    assert told[0].summary.waiting == 2
    assert told[-1].summary.waiting == 0


def test_b3_async_runs_do_the_same(make: Make, batches: BatchServer, tmp_path: Path) -> None:
    async def run() -> List[BulkResult]:
        orchestrator = make()
        first = orchestrator.amap(rows(3), **ARGUMENTS, journal=tmp_path / "journal", wait=False)
        status = await first.status()
        assert (len(status.batches), status.waiting) == (1, 3)
        await first.aclose()
        second = orchestrator.amap(rows(3), **ARGUMENTS, journal=tmp_path / "journal")
        results = [result async for result in second]
        with pytest.raises(OrchestratorError):
            await second.cancel()
        await orchestrator.aclose()
        return results

    assert sorted(str(result.content) for result in asyncio.run(run())) == [
        f"Echo: question {n}" for n in range(3)
    ]
    assert_paid_once(tmp_path / "costs.csv", batches, 3)


def test_b3_an_estimate_is_half_of_what_single_calls_would_cost(make: Make, batches: BatchServer) -> None:
    orchestrator = make()
    usual, half = (
        orchestrator.map(rows(3), messages="{text}", mode=mode, max_tokens=50).estimate().cost
        for mode in ("now", "batch")
    )
    assert usual and half == usual / 2
    assert batches.batches == []


# ---------------------------------------------------------------- another input, another key


def test_b3_batches_of_another_input_are_left_and_collected_by_their_own(
    make: Make, batches: BatchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    batches.end = lambda batch: "ended" if batch.number else "running"
    list(make().map(rows(2), **ARGUMENTS, journal=tmp_path / "journal", wait=False))
    changed = {**ARGUMENTS, "messages": "New: {text}"}
    results = by_key(make().map(rows(2), **changed, journal=tmp_path / "journal"))
    assert results["row 0"].content == "Echo: New: question 0"
    assert "holds no row of this input" in caplog.text

    batches.end = lambda batch: "ended"
    back = by_key(make().map(rows(2), **ARGUMENTS, journal=tmp_path / "journal"))
    assert back["row 0"].content == "Echo: question 0"
    assert len(batches.batches) == 2
    assert len(read(tmp_path / "costs.csv")) == 4


def test_b3_answers_to_rows_that_the_input_lost_are_recorded_and_kept(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    batches.end = lambda batch: "running"
    list(make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal", wait=False))
    batches.end = lambda batch: "ended"
    assert sorted(by_key(make().map(rows(1), **ARGUMENTS, journal=tmp_path / "journal"))) == ["row 0"]
    assert_paid_once(tmp_path / "costs.csv", batches, 3)
    assert all(result.resumed for result in make().map(rows(3), **ARGUMENTS, journal=tmp_path / "journal"))


def test_b3_a_batch_that_the_provider_does_not_know_is_not_paid_again(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    batches.end = lambda batch: "running"
    list(make().map(rows(2), **ARGUMENTS, journal=tmp_path / "journal", wait=False))
    batches.batches.clear()  # as another account sees it
    with pytest.raises(ConfigurationError, match="does not know the batch .*batch0"):
        list(make().map(rows(2), **ARGUMENTS, journal=tmp_path / "journal"))
    assert batches.batches == []


def test_b3_results_that_are_gone_are_asked_again(
    make: Make, batches: BatchServer, dialect: Dialect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if dialect.provider == "gemini" and not uses_files():
        pytest.skip("the results come with the batch itself")
    batches.on_results = lambda reply: reply if len(batches.batches) > 1 else json_reply({"error": {}}, 404)
    results = by_key(make().map(rows(2), **ARGUMENTS, journal=tmp_path / "journal"))
    assert [result.error for result in results.values()] == [None, None]
    assert "are gone" in caplog.text


def test_b3_an_hour_without_the_provider_costs_no_batch(
    make: Make, batches: BatchServer, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    failures = iter(
        [dialect.failure("server"), dialect.failure("rate_limit"), Reply(fault=Reset(BEFORE_HEAD))] * 3
    )

    def flaky(request: Request) -> Reply:
        failure = next(failures, None) if request.method == "GET" else None
        return failure or batches(request)

    server.default = flaky
    results = by_key(make().map(rows(2), **ARGUMENTS, journal=tmp_path / "journal"))
    assert [result.error for result in results.values()] == [None, None]
    assert_paid_once(tmp_path / "costs.csv", batches, 2)
