"""Clients, threads, loops and processes: the rows C1 to C5 of what breaks elsewhere."""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib.util
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, List, Sequence

import pytest

from llm_orchestrator import LLMOrchestrator, LLMResponse, OrchestratorError, ProviderError
from llm_orchestrator.providers.http.clients import Clients
from llm_orchestrator.providers.http.redaction import Redactor
from tests.support.everywhere import config_of_all, siblings
from tests.support.fixtures import Orchestrate
from tests.support.programs import run_program
from tests.support.scripted_server import (
    BEFORE_HEAD,
    DIALECTS,
    Close,
    Dialect,
    Reply,
    Request,
    ScriptedServer,
    Stall,
)
from tests.support.scripted_server.echo import FaultyEcho, echo
from tests.support.scripted_server.smart import smart_reply
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.ways import ask

# ---------------------------------------------------------------- C1: event loops


@pytest.mark.slow
def test_c1_loops_one_after_the_other_and_side_by_side(server: ScriptedServer, dialect: Dialect) -> None:
    run = run_program("tests.support.programs.loops", dialect.name, server.url, "loops", debug=True)

    assert (run.stderr, run.returncode) == ("", 0)
    assert run.stdout == "14 answers, 1 of them different, 21 in the report\n"


@pytest.mark.slow
def test_c1_loops_closed_without_ado(server: ScriptedServer, dialect: Dialect) -> None:
    """Their sockets cannot be closed any more and only Python's garbage collector frees them."""
    run = run_program(
        "tests.support.programs.loops", dialect.name, server.url, "careless loops", strict=False, debug=True
    )

    assert (run.stderr, run.returncode) == ("", 0)
    assert run.stdout == "8 answers, 1 of them different, 12 in the report\n"


def test_c1_the_loop_goes_on_while_a_client_is_made() -> None:
    """Making the first one imports an SDK, which takes a second."""
    loop_went_on = threading.Event()

    def make() -> object:
        assert loop_went_on.wait(5), "the loop waited for the client"
        return object()

    async def close(client: object) -> None:
        pass

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, loop_went_on.set)
        clients = Clients(
            make=object, make_async=make, close=lambda client: None, aclose=close, redactor=Redactor([])
        )
        assert await clients.for_loop() is await clients.for_loop()

    asyncio.run(main())


@pytest.mark.real_clock
def test_c1_the_time_of_a_call_begins_when_its_client_is_made(
    orchestrate: Orchestrate, dialect: Dialect
) -> None:
    orchestrator = orchestrate(timeout=0.2, max_retries=0)
    clients = orchestrator._providers[dialect.provider]._clients
    make = clients._make_async
    clients._make_async = lambda: (time.sleep(0.4), make())[1]

    assert ask(orchestrator, "async whole").content


def test_c1_a_client_that_cannot_be_made_is_tried_again(orchestrate: Orchestrate, dialect: Dialect) -> None:
    orchestrator = orchestrate()
    provider = orchestrator._providers[dialect.provider]
    make, provider._clients._make_async = provider._clients._make_async, None

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(TypeError):
                await orchestrator.asend_request("Hi")
        provider._clients._make_async = make
        assert (await orchestrator.asend_request("Hi")).content

    asyncio.run(main())


# ---------------------------------------------------------------- C2: the ends of streams and clients


def never_ending(request: Request) -> Reply:
    """A whole answer as always; a stream stays open after its first pieces."""
    dialect = next(dialect for dialect in DIALECTS.values() if dialect.serves(request.path))
    if dialect.read_request(request.body, request.path)["stream"]:
        return dialect.stream(["Once", " upon"], complete=False).but(fault=Stall())
    return smart_reply(request)


@pytest.mark.slow
def test_c2_streams_that_outlive_their_loop_print_nothing(server: ScriptedServer, dialect: Dialect) -> None:
    server.default = never_ending
    run = run_program("tests.support.programs.loops", dialect.name, server.url, "left streams", debug=True)

    assert (run.stderr, run.returncode) == ("", 0)
    assert run.stdout == "2 answers, 1 of them different, 12 in the report\n"


def test_c2_a_stream_keeps_its_client_alive(server: ScriptedServer, dialect: Dialect) -> None:
    server.script(dialect.stream(["One", " two", " three"]))
    stream = LLMOrchestrator(dialect.config(server.url)).send_streaming_request("Hi")
    first = next(stream)
    gc.collect()

    assert first + "".join(stream) == "One two three"
    del stream
    gc.collect()
    assert server.wait_for_connections(0), "the client went with the last who used it"


def test_c2_an_async_stream_keeps_its_client_alive(server: ScriptedServer, dialect: Dialect) -> None:
    server.script(dialect.stream(["One", " two", " three"]))

    async def main() -> str:
        stream = LLMOrchestrator(dialect.config(server.url)).asend_streaming_request("Hi")
        first = await stream.__anext__()
        gc.collect()
        return first + "".join([piece async for piece in stream])

    assert asyncio.run(main()) == "One two three"
    assert server.wait_for_connections(0)


def test_c2_a_dropped_stream_is_recorded_once_and_its_connection_released(
    orchestrate: Orchestrate, server: ScriptedServer
) -> None:
    server.default = never_ending
    orchestrator = orchestrate()
    stream = orchestrator.send_streaming_request("Hi")
    assert next(stream) == "Once"
    del stream
    gc.collect()

    server.default = smart_reply
    orchestrator.send_request("Hi")

    assert server.wait_for_connections(1)
    assert statuses(orchestrator) == ["interrupted", "ok"]


def test_c2_an_async_dropped_stream_is_recorded_once_and_its_connection_released(
    orchestrate: Orchestrate, server: ScriptedServer
) -> None:
    server.default = never_ending
    orchestrator = orchestrate()

    async def main() -> None:
        async for piece in orchestrator.asend_streaming_request("Hi"):
            assert piece == "Once"
            break
        while server.open_connections:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 5))
    assert statuses(orchestrator) == ["interrupted"]


def statuses(orchestrator: LLMOrchestrator) -> List[str]:
    return [row["status"] for row in orchestrator.cost_tracker.to_dicts()]


def test_c2_copies_and_siblings_come_and_go(orchestrate: Orchestrate, server: ScriptedServer) -> None:
    orchestrator = orchestrate()
    for other in (copy.copy(orchestrator), orchestrator.for_provider(orchestrator.active_provider)):
        assert other.send_request("Hi").content
    other.close()
    del other
    gc.collect()

    assert orchestrator.send_request("Hi").content
    assert server.connections_opened == 1, "they share their connections"


def test_c2_closing_twice_is_fine_and_use_afterwards_is_refused(
    orchestrate: Orchestrate, server: ScriptedServer, way: str
) -> None:
    orchestrator = orchestrate()
    sibling = orchestrator.for_provider(orchestrator.active_provider)
    unstarted = orchestrator.send_streaming_request("Hi")
    ask(orchestrator, way)
    orchestrator.close()
    orchestrator.close()
    asyncio.run(orchestrator.aclose())

    for closed in (orchestrator, sibling):
        with pytest.raises(OrchestratorError, match="closed"):
            ask(closed, way)
    with pytest.raises(OrchestratorError, match="closed"):
        next(unstarted)
    assert server.wait_for_connections(0)
    assert len(server.requests) == 1


def test_c2_a_stream_open_at_close_ends_in_our_error(
    orchestrate: Orchestrate, server: ScriptedServer
) -> None:
    server.default = never_ending
    orchestrator = orchestrate(timeout=0.3)
    stream = orchestrator.send_streaming_request("Hi")
    next(stream)
    orchestrator.close()

    with pytest.raises(ProviderError):
        stream.final_response()
    stream.close()
    assert server.wait_for_connections(0)


# ---------------------------------------------------------------- C3: threads, tasks, processes


def check_answers(
    orchestrator: LLMOrchestrator, server: ScriptedServer, questions: Sequence[str], answers: Sequence[Any]
) -> None:
    """Every answer is the right one, and the ledger adds up to the answers."""
    assert [answer.content for answer in answers] == list(questions)
    report = orchestrator.cost_tracker.get_usage_report()
    assert report.total_requests == len(server.requests) == len(questions)
    assert report.total_tokens == sum(answer.usage.total_tokens for answer in answers)
    costs = sum((answer.cost for answer in answers), Decimal(0))
    assert orchestrator.get_session_cost() == report.total_cost == costs > 0


@pytest.mark.slow
def test_c3_32_threads_with_50_calls_each(server: ScriptedServer, tmp_path: Path) -> None:
    server.default = echo
    threads, calls = 32, 50
    with LLMOrchestrator(config_of_all(server.url, log_path=tmp_path / "costs.csv")) as orchestrator:
        family = siblings(orchestrator)

        def work(thread: int) -> List[LLMResponse]:
            return [
                ask(
                    family[(thread + call) % 4], ("whole", "streamed")[call % 2], f"Am I {thread} or {call} ?"
                )
                for call in range(calls)
            ]

        with ThreadPoolExecutor(threads) as pool:
            answers = [answer for done in pool.map(work, range(threads)) for answer in done]

        questions = [f"Am I {thread} or {call} ?" for thread in range(threads) for call in range(calls)]
        check_answers(orchestrator, server, questions, answers)
        if TRANSPORT == "sdk":
            assert {type(thread).__name__ for thread in threading.enumerate()} >= {"_Watchdog"}
    assert server.wait_for_connections(0)


async def aask(orchestrator: LLMOrchestrator, number: int) -> LLMResponse:
    question = f"Am I number {number} ?"
    if number % 2:
        return await orchestrator.asend_request(question)
    return await orchestrator.asend_streaming_request(question).final_response()


@pytest.mark.slow
def test_c3_500_tasks_at_once(server: ScriptedServer, tmp_path: Path) -> None:
    server.default = echo
    with LLMOrchestrator(config_of_all(server.url, log_path=tmp_path / "costs.csv")) as orchestrator:
        family = siblings(orchestrator)

        async def main() -> List[LLMResponse]:
            return await asyncio.gather(*[aask(family[number % 4], number) for number in range(500)])

        answers = asyncio.run(main())
        check_answers(orchestrator, server, [f"Am I number {number} ?" for number in range(500)], answers)
    assert server.wait_for_connections(0)


@pytest.mark.slow
def test_c3_500_tasks_at_once_with_faults(server: ScriptedServer, tmp_path: Path, waits: List[float]) -> None:
    """Every call ends in the right answer or in an error of ours, and every request sent is in the ledger."""
    server.default = faulty = FaultyEcho(0.2)
    orchestrator = LLMOrchestrator(config_of_all(server.url, log_path=tmp_path / "costs.csv"))
    family = siblings(orchestrator)

    async def main() -> List[Any]:
        tasks = [aask(family[number % 4], number) for number in range(500)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = asyncio.run(main())

    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, ProviderError), repr(outcome)
        else:
            assert outcome.content == f"Am I number {number} ?"
    attempts = [attempt for outcome in outcomes for attempt in outcome.attempts]
    rows = (tmp_path / "costs.csv").read_text().splitlines()[1:]
    assert len(rows) == len(attempts) == len(server.requests) == faulty.requests > 500
    assert sum(attempt.error is not None for attempt in attempts) == sum(faulty.faults.values()) > 50
    assert orchestrator.cost_tracker.get_usage_report().total_requests == 500
    orchestrator.close()
    assert server.wait_for_connections(0)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_c3_after_a_fork_both_processes_work(server: ScriptedServer, dialect: Dialect) -> None:
    server.default = echo
    run = run_program("tests.support.programs.forks", dialect.name, server.url)

    assert (run.stderr, run.returncode) == ("", 0)
    assert run.stdout == "4 right in the parent\n4 right in the child\n4 right in the parent\n"
    assert server.connections_opened == 4, "parent and child, each with a client for threads and for its loop"


# ---------------------------------------------------------------- C4: memory


@pytest.mark.slow
def test_c4_memory_stays_flat_over_2000_calls(server: ScriptedServer, tmp_path: Path) -> None:
    def forgetful(request: Request) -> Reply:
        server.requests.clear()
        return smart_reply(request)

    server.default = forgetful
    run = run_program("tests.support.programs.memory", server.url, str(tmp_path / "costs.csv"))

    assert (run.stderr, run.returncode) == ("", 0), "ResourceWarnings would be here"
    assert int(run.stdout) < 50, f"{run.stdout} bytes more for every call"


# ---------------------------------------------------------------- C5: aiohttp


@pytest.mark.skipif(importlib.util.find_spec("aiohttp") is None, reason="aiohttp is not installed")
@pytest.mark.parametrize("way", ["async whole", "async streamed"])
def test_c5_an_installed_aiohttp_is_not_used(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, way: str, waits: List[float]
) -> None:
    """google-genai would send async requests with it: other errors, and a retry nobody asked for."""
    import aiohttp

    monkeypatch.setattr(aiohttp.ClientSession, "_request", None)
    dialect = DIALECTS["gemini"]
    with LLMOrchestrator(dialect.config(server.url, max_retries=1)) as orchestrator:
        assert ask(orchestrator, way).content
        for failing in (dialect.failure("overloaded"), Reply(fault=Close(BEFORE_HEAD))):
            before = len(server.requests)
            server.default = failing
            with pytest.raises(ProviderError) as caught:
                ask(orchestrator, way)
            assert len(server.requests) - before == len(caught.value.attempts) == 2
