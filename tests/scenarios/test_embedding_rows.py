"""FC17: rows become vectors by ``map``, many in one request; the journal, limits and errors are those of answers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import (
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    InvalidMessagesError,
    InvalidRequestError,
    InvalidResponseError,
    LLMOrchestrator,
    ServerError,
)
from llm_orchestrator.bulk import BulkResult, Worker
from llm_orchestrator.testing.fake_vectors import fake_vector
from tests.support.configs import ROOT
from tests.support.costs import read
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic, chat, gemini
from tests.support.programs import SDK_WARNINGS
from tests.support.scripted_server import MODEL, Dialect, Reply, ScriptedServer
from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.embeddings import embedding_reply, texts_of, vectors_reply
from tests.support.ways import run_async

with_embeddings = pytest.mark.parametrize("dialect", ["chat", "responses", "gemini"], indirect=True)
each_way = pytest.mark.parametrize("way", ["sync", "async"])
each_transport = pytest.mark.parametrize("transport", ["direct", "sdk"])


def rows_of(count: int) -> List[Dict[str, Any]]:
    return [{"id": number, "text": f"row {number}"} for number in range(count)]


def embed(
    orchestrator: LLMOrchestrator, rows: Any, way: str = "sync", **arguments: Any
) -> List[BulkResult[Any]]:
    """The results of a run, by their rows' positions."""
    arguments = {"messages": "{text}", "key": "id", "embed": True, "model": MODEL, **arguments}
    if way == "sync":
        results = list(orchestrator.map(rows, **arguments))
    else:

        async def collected() -> List[BulkResult[Any]]:
            return [result async for result in orchestrator.amap(rows, **arguments)]

        results = run_async(orchestrator, collected)
    return sorted(results, key=lambda result: result.index)


def vectors(request: Request) -> Reply:
    reply = embedding_reply(request)
    assert reply is not None
    return reply


def sizes(server: ScriptedServer) -> List[int]:
    """How many texts each request had."""
    return [len(texts_of(request)) for request in server.requests]


def asked(server: ScriptedServer) -> Counter[str]:
    return Counter(text for request in server.requests for text in texts_of(request))


# ------------------------------------------------------------------------------- what is asked, and what comes of it


@with_embeddings
@each_way
@each_transport
def test_fc17_each_row_has_its_vector(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    results = embed(orchestrate(transport=transport), rows_of(25), way, batch_size=10)

    assert [result.vector for result in results] == [fake_vector(f"row {n}", 8) for n in range(25)]
    assert [(result.key, result.content, result.error) for result in results] == [
        (n, None, None) for n in range(25)
    ]
    assert sorted(sizes(server)) == [5, 10, 10]


@gemini
def test_fc17_a_request_has_as_many_rows_as_the_provider_takes(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    embed(orchestrate(), rows_of(250))
    assert sorted(sizes(server)) == [50, 100, 100]


@chat
def test_fc17_no_request_has_more_bytes_than_the_provider_takes_tokens(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    texts = ["a" * 200_000, "b" * 100_000, "c", "d" * 400_000, "e"]
    embed(orchestrate(), texts, messages=None, key=None)
    sent = sorted(texts_of(request) for request in server.requests)
    assert sent == [texts[:2], texts[2:3], texts[3:4], texts[4:]]


@chat
def test_fc17_requests_stay_large_however_slowly_results_are_taken(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_orchestrator.bulk.asking.MOST_ROWS", 40)

    async def slowly() -> int:
        run = orchestrate().amap(
            rows_of(200), messages="{text}", embed=True, model=MODEL, batch_size=20, concurrency=4
        )
        count = 0
        async for _ in run:
            await asyncio.sleep(0.005)
            count += 1
        return count

    assert asyncio.run(slowly()) == 200
    assert len(server.requests) <= 12, "ten are full ones"


@with_embeddings
def test_fc17_results_come_in_the_order_of_the_rows_where_that_is_asked_for(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    late = threading.Event()

    def unequal(request: Request) -> Reply:
        is_first = "row 0" in texts_of(request)
        if is_first:
            late.wait(10)
        else:
            late.set()
        return vectors(request)

    server.default = unequal
    orchestrator = orchestrate()
    run = orchestrator.map(
        rows_of(30), messages="{text}", embed=True, model=MODEL, batch_size=10, order="input"
    )
    assert [result.index for result in run] == list(range(30))


@chat
def test_fc17_the_entrys_model_and_the_arguments_of_embed_hold(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate(embedding_model="for-vectors")
    (result,) = embed(orchestrator, ["one"], model=None, messages=None, key=None, dimensions=3, user="u")
    assert result.vector == fake_vector("one", 3)
    (request,) = server.requests
    assert (request.body["model"], request.body["dimensions"], request.body["user"]) == (
        "for-vectors",
        3,
        "u",
    )


# ------------------------------------------------------------------------------- what it costs


@with_embeddings
@each_way
def test_fc17_a_row_costs_its_share_and_all_rows_what_is_in_the_ledger(
    server: ScriptedServer, dialect: Dialect, way: str, tmp_path: Path
) -> None:
    price = {"provider": dialect.provider, "model": MODEL, "rates": {"in": "7"}}
    costs = {"log_path": str(tmp_path / "costs.csv"), "price_overrides": [price]}
    rows = [{"id": n, "text": "word " * (n % 7 + 1)} for n in range(70)]
    with LLMOrchestrator({**dialect.config(server.url), "cost_tracking": costs}) as orchestrator:
        results = embed(orchestrator, rows, way, batch_size=30, tags={"index": "a"})
        report = orchestrator.cost_tracker.get_usage_report()

    written = read(tmp_path / "costs.csv")
    assert sum(result.cost or 0 for result in results) == report.total_cost
    assert report.total_cost == sum(Decimal(row["cost"]) for row in written) == Decimal(280 * 7) / 1_000_000
    assert len(written) == 3 == report.total_requests
    assert all(row["tags"] == '{"index": "a"}' and row["api"] == "embeddings" for row in written)
    assert results[6].cost is not None and results[0].cost is not None
    assert results[6].cost > 6 * results[0].cost, "the longest text"


@with_embeddings
def test_fc17_max_cost_holds(server: ScriptedServer, dialect: Dialect) -> None:
    price = {"provider": dialect.provider, "model": MODEL, "rates": {"in": "1000000"}}
    config = {**dialect.config(server.url), "cost_tracking": {"log_path": None, "price_overrides": [price]}}
    with LLMOrchestrator(config) as orchestrator:
        run = orchestrator.map(
            rows_of(100), messages="{text}", embed=True, model=MODEL, batch_size=10, max_cost=50
        )
        answered = [result for result in run if result.error is None]
        assert 10 < len(answered) < 100
        assert orchestrator.get_session_cost() == run.summary.cost <= 50
        assert run.summary.stopped == "max_cost"


@chat
def test_fc17_a_spent_budget_ends_the_run(server: ScriptedServer, dialect: Dialect) -> None:
    price = {"provider": dialect.provider, "model": MODEL, "rates": {"in": "1000000"}}
    costs = {"log_path": None, "price_overrides": [price], "budget": {"session": 20}}
    with LLMOrchestrator({**dialect.config(server.url), "cost_tracking": costs}) as orchestrator:
        with pytest.raises(BudgetExceededError):
            embed(orchestrator, rows_of(1000), batch_size=10, concurrency=1)
        assert len(server.requests) <= 2


@chat
def test_fc17_an_estimate_counts_the_texts(server: ScriptedServer, dialect: Dialect) -> None:
    price = {"provider": dialect.provider, "model": MODEL, "rates": {"in": "1"}}
    config = {**dialect.config(server.url), "cost_tracking": {"log_path": None, "price_overrides": [price]}}
    with LLMOrchestrator(config) as orchestrator:
        rows = ["a" * 400, "b" * 400, ""]
        estimate = orchestrator.map(rows, embed=True, model=MODEL).estimate()
    assert (estimate.rows, estimate.wrong, estimate.completion_tokens) == (3, 1, 0)
    assert estimate.prompt_tokens == 200 and estimate.cost == Decimal("0.0002")
    assert server.requests == []


# ------------------------------------------------------------------------------- the journal


@with_embeddings
@each_way
@pytest.mark.parametrize("place", ["file", "sqlite", "postgresql"])
def test_fc17_a_run_goes_on_where_it_was_and_pays_nothing_twice(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    place: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    journal = str(tmp_path / "rows.journal")
    if place != "file":
        pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
        journal = f"sqlite:///{journal}" if place == "sqlite" else request.getfixturevalue("postgres_url")
    orchestrator = orchestrate()
    first = embed(orchestrator, rows_of(40), way, journal=journal, batch_size=15)
    assert sum(sizes(server)) == 40

    again = embed(orchestrator, rows_of(60)[::-1], way, journal=journal, batch_size=50)[::-1]

    assert sum(sizes(server)) == 60, "whatever the size of a request, a vector is the same"
    assert [result.vector for result in again] == [fake_vector(f"row {n}", 8) for n in range(60)]
    assert [result.resumed for result in again] == [True] * 40 + [False] * 20
    assert [result.cost for result in again[:40]] == [result.cost for result in first]

    embed(orchestrator, rows_of(40), way, journal=journal, dimensions=4)
    embed(orchestrator, rows_of(40), way, journal=journal, messages="Page: {text}")
    assert sum(sizes(server)) == 140


@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed")
@with_embeddings
def test_fc17_after_a_kill_at_most_what_was_in_flight_is_paid_twice(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    server.default = lambda request: vectors(request).but(delay=0.05)
    journal, count, size = str(tmp_path / "rows.journal"), 400, 20
    rules = [f"-W{rule}" for rule in SDK_WARNINGS]
    program = [sys.executable, *rules, "-m", "tests.support.programs.embed_rows"]
    arguments = [dialect.name, server.url, journal, str(count), str(size)]
    killed = subprocess.Popen([*program, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        assert server.wait_for_requests(10, timeout=60)
    finally:
        killed.kill()
        killed.wait()
    assert sum(sizes(server)) < count

    results = embed(orchestrate(), rows_of(count), journal=journal, batch_size=size)

    assert [result.vector for result in results] == [fake_vector(f"row {n}", 8) for n in range(count)]
    paid = asked(server)
    assert len(paid) == count and max(paid.values()) <= 2
    assert sum(paid.values()) - count <= 2 * size, "two requests of 20 rows were under way"


@chat
def test_fc17_two_runs_on_one_database_ask_for_no_row_twice(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
    server.default = lambda request: vectors(request).but(delay=0.02)
    arguments: Dict[str, Any] = {
        "messages": "{text}",
        "key": "id",
        "embed": True,
        "model": MODEL,
        "batch_size": 10,
        "concurrency": 2,
        "journal": f"sqlite:///{tmp_path}/rows.db",
    }

    async def run(rows: Any) -> Dict[Any, Any]:
        return {each.key: each.vector async for each in orchestrate().amap(rows, **arguments)}

    async def both() -> Any:
        return await asyncio.gather(run(rows_of(200)), run(rows_of(200)[::-1]))

    first, second = asyncio.run(both())
    assert first == second == {n: fake_vector(f"row {n}", 8) for n in range(200)}
    assert asked(server) == Counter(f"row {n}" for n in range(200))


# ------------------------------------------------------------------------------- failures


@with_embeddings
@each_way
def test_fc17_one_wrong_text_fails_alone(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    def picky(request: Request) -> Reply:
        if {"row 3", "row 17"} & set(texts_of(request)):
            return dialect.error(400, message="A text is refused.")
        return vectors(request)

    server.default = picky
    results = embed(orchestrate(), [*rows_of(30), {"id": 30, "text": ""}, {"id": 31}], way)

    wrong = {result.key: result.error for result in results if result.error is not None}
    assert [(key, type(error)) for key, error in sorted(wrong.items())] == [
        (3, InvalidRequestError),
        (17, InvalidRequestError),
        (30, InvalidRequestError),
        (31, InvalidMessagesError),
    ]
    assert "The text of the row is empty" in str(wrong[30])
    answered = [text for request in server.requests for text in texts_of(request)]
    assert results[4].vector == fake_vector("row 4", 8) and "" not in answered
    assert len(server.requests) <= 1 + 2 * 5 * 2, "halves of halves"


@with_embeddings
@each_way
def test_fc17_a_failure_of_the_server_is_that_of_its_rows_and_they_are_asked_again(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, tmp_path: Path
) -> None:
    server.script(vectors, dialect.failure("server"))
    orchestrator, journal = orchestrate(max_retries=0), tmp_path / "j"
    results = embed(orchestrator, rows_of(20), way, batch_size=10, journal=journal, concurrency=1)
    assert Counter(type(result.error) for result in results) == {type(None): 10, ServerError: 10}
    assert len(server.requests) == 2, "what is not the fault of a text is not asked by halves"

    again = embed(orchestrator, rows_of(20), way, journal=journal)
    assert sum(result.resumed for result in again) == 10
    assert all(result.error is None for result in again)


@with_embeddings
@each_way
def test_fc17_a_limit_of_the_provider_fails_no_row(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    limited = dialect.failure("rate_limit", retry_after=0.2)
    server.script(vectors, limited, limited)
    results = embed(orchestrate(max_retries=0), rows_of(50), way, batch_size=10)
    assert [result.error for result in results] == [None] * 50
    assert asked(server)["row 0"] >= 1 and len(server.requests) == 7


@with_embeddings
def test_fc17_a_wrong_key_ends_the_run(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.error(401)
    with pytest.raises(AuthenticationError):
        embed(orchestrate(), rows_of(1000), batch_size=10, concurrency=2)
    assert len(server.requests) <= 2


@with_embeddings
@each_way
def test_fc17_what_is_no_vector_is_an_error_of_its_rows_and_was_paid_for(
    server: ScriptedServer, dialect: Dialect, way: str, tmp_path: Path
) -> None:
    def short(request: Request) -> Reply:
        texts = texts_of(request)
        return vectors_reply(request, [[0.1] * 8] * (len(texts) - ("row 15" in texts)), 5)

    server.default = short
    costs = {"log_path": str(tmp_path / "costs.csv")}
    config = {**dialect.config(server.url, max_retries=0), "cost_tracking": costs}
    with LLMOrchestrator(config) as orchestrator:
        results = embed(orchestrator, rows_of(20), way, batch_size=10)
    assert [isinstance(result.error, InvalidResponseError) for result in results] == [False] * 10 + [
        True
    ] * 10
    assert [result.vector is None for result in results] == [False] * 10 + [True] * 10
    assert sorted((row["status"], row["prompt_tokens"]) for row in read(tmp_path / "costs.csv")) == [
        ("error", "5"),
        ("ok", "5"),
    ]


@with_embeddings
@each_way
def test_fc17_all_vectors_of_a_run_have_one_length_those_of_the_journal_too(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, tmp_path: Path
) -> None:
    orchestrator, journal = orchestrate(), tmp_path / "j"
    embed(orchestrator, rows_of(3), way, journal=journal)
    server.default = lambda request: vectors_reply(request, [[0.5, 0.5]] * len(texts_of(request)))
    results = embed(orchestrator, rows_of(5), way, journal=journal)
    assert [type(result.error) for result in results[3:]] == [InvalidResponseError] * 2
    assert "different lengths, such as 2 and 8" in str(results[3].error)


@with_embeddings
@each_way
def test_fc17_leaving_early_cancels_what_is_under_way_and_records_it(
    server: ScriptedServer, dialect: Dialect, way: str, tmp_path: Path
) -> None:
    def slow(request: Request) -> Reply:
        return vectors(request) if "row 0" in texts_of(request) else vectors(request).but(delay=30)

    server.default = slow
    costs = {"log_path": str(tmp_path / "costs.csv")}
    arguments: Dict[str, Any] = {"messages": "{text}", "embed": True, "model": MODEL, "batch_size": 10}
    with LLMOrchestrator({**dialect.config(server.url), "cost_tracking": costs}) as orchestrator:
        if way == "sync":
            with orchestrator.map(rows_of(40), **arguments) as run:
                next(run)
                assert server.wait_for_requests(4)
        else:

            async def leave() -> None:
                async with orchestrator.amap(rows_of(40), **arguments) as run:
                    await run.__anext__()
                    while len(server.requests) < 4:
                        await asyncio.sleep(0.01)

            run_async(orchestrator, leave)
    assert server.wait_for_connections(0)
    assert Counter(row["status"] for row in read(tmp_path / "costs.csv")) == {"ok": 1, "cancelled": 3}


# ------------------------------------------------------------------------------- what is refused beforehand


@anthropic
def test_fc17_a_provider_without_embeddings_says_so_before_a_row_is_read(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    with pytest.raises(InvalidRequestError, match="no embedding"):
        orchestrate().map(iter(()), embed=True, model=MODEL)


@chat
def test_fc17_what_is_wrong_is_said_before_a_row_is_read(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate()
    with pytest.raises(ConfigurationError, match="embedding_model is missing"):
        orchestrator.map(["a"], embed=True)
    for mode in ("batch", "background:2h"):
        with pytest.raises(InvalidRequestError, match="embed=True"):
            orchestrator.map(["a"], embed=True, model=MODEL, mode=mode)
    with pytest.raises(InvalidRequestError, match="dimensions"):
        orchestrator.map(["a"], embed=True, model=MODEL, dimensions=0)
    with pytest.raises(InvalidRequestError, match="embed=True"):
        Worker("config.yaml", embed=True)
    assert server.requests == []
