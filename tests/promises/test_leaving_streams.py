"""S6, and every way of leaving a stream early: the connection is given back, the ledger has one row."""

from __future__ import annotations

import asyncio
import csv
import gc
import logging
import signal
import threading
import time
from pathlib import Path
from typing import Any, Awaitable, Callable, Iterator, List

import pytest

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.providers import connection_pools, deadlines
from llm_orchestrator.testing import FakeReply
from tests.bench import DIALECTS, Dialect, Reply, ScriptedServer, Stall
from tests.fakes import RecordingTracker, play
from tests.promises.leaving import (
    ASYNC,
    CANCELLED,
    INTERRUPTED,
    SYNC,
    AsyncLeave,
    Leave,
    cancel,
    drop_async,
    drop_async_events,
    end_async_with_block,
    end_the_loop,
)
from tests.promises.programs import run_program
from tests.streams import TrackingProvider


@pytest.fixture
def orchestrator(server: ScriptedServer, dialect: Dialect) -> Iterator[LLMOrchestrator]:
    """An orchestrator that notes the rows of its ledger."""
    config = dialect.config(server.url, max_retries=0, timeout=30)
    with LLMOrchestrator(config, cost_tracker=RecordingTracker()) as orchestrator:
        yield orchestrator


def rows(orchestrator: LLMOrchestrator) -> List[Any]:
    tracker: Any = orchestrator.cost_tracker
    return list(tracker.records)


def unfinished(dialect: Dialect) -> Reply:
    """A stream that goes on and on, as far as its reader can tell."""
    return dialect.stream(["One", " two"], complete=False).but(fault=Stall())


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run async work with asyncio's complaints turned on; whatever it prints fails the test."""

    async def main() -> Any:
        asyncio.get_running_loop().slow_callback_duration = 10
        return await work()

    return asyncio.run(main(), debug=True)


@pytest.fixture(autouse=True)
def nothing_printed(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, nothing is printed, and asyncio logs no error."""
    yield
    gc.collect(0)
    assert capfd.readouterr() == ("", "")
    complaints = [record for record in caplog.records if record.name == "asyncio"]
    assert [record.getMessage() for record in complaints if record.levelno >= logging.WARNING] == []


# ---------------------------------------------------------------- sync


@pytest.mark.parametrize(("leave", "status"), SYNC.values(), ids=list(SYNC))
def test_s6_leaving_gives_the_connection_back_and_is_recorded_once(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, leave: Leave, status: str
) -> None:
    server.script(unfinished(dialect))

    leave(orchestrator.send_streaming_request("Hi"))

    (row,) = rows(orchestrator)
    assert (row.status, row.final, row.streamed) == (status, True, True)
    assert row.usage_status in ("partial", "missing")
    assert server.wait_for_connections(0)


@pytest.mark.parametrize("how", ["drop", "in a cycle"])
def test_c2_a_stream_may_end_on_another_thread(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, how: str
) -> None:
    server.script(unfinished(dialect))
    streams: List[Any] = [orchestrator.send_streaming_request("Hi")]
    next(streams[0])
    if how == "in a cycle":
        streams[0].itself = streams[0]

    def end() -> None:
        streams.clear()
        gc.collect()

    in_thread(end)

    assert [row.status for row in rows(orchestrator)] == [INTERRUPTED]
    assert server.wait_for_connections(0)


def in_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive(), "it waits for something"


def test_c2_a_finalizer_waits_for_no_lock(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(unfinished(dialect))
    streams = [orchestrator.send_streaming_request("Hi")]
    next(streams[0])
    tracker: Any = orchestrator.cost_tracker
    clients = clients_of(orchestrator)
    pool = pool_of(clients.for_threads()._client)

    with tracker._lock, clients._lock, pool._optional_thread_lock, deadlines._Watchdog.running()._wake._cond:
        in_thread(streams.clear)
        assert tracker.records == []

    assert [row.status for row in rows(orchestrator)] == [INTERRUPTED]
    assert server.wait_for_connections(0)


@pytest.mark.real_clock
def test_r7_ctrl_c_ends_a_waiting_read_at_once(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(unfinished(dialect))
    stream = orchestrator.send_streaming_request("Hi")
    started = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        for _ in stream:
            if stream.text == "One two":
                press_ctrl_c_soon()

    assert time.monotonic() - started < 5
    assert [row.status for row in rows(orchestrator)] == [CANCELLED]
    assert server.wait_for_connections(0)


@pytest.mark.real_clock
def test_r7_ctrl_c_ends_a_loop_that_waits(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(unfinished(dialect))

    async def read() -> None:
        stream = orchestrator.asend_streaming_request("Hi")
        async for _ in stream:
            if stream.text == "One two":
                press_ctrl_c_soon()

    with pytest.raises(KeyboardInterrupt):
        run(read)

    assert [row.status for row in rows(orchestrator)] == [CANCELLED]
    assert server.wait_for_connections(0)


def press_ctrl_c_soon() -> None:
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT)).start()


# ---------------------------------------------------------------- async


@pytest.mark.parametrize(("leave", "status"), ASYNC.values(), ids=list(ASYNC))
def test_s6_leaving_async_gives_the_connection_back_and_is_recorded_once(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, leave: AsyncLeave, status: str
) -> None:
    server.script(unfinished(dialect))

    async def main() -> None:
        await leave(orchestrator.asend_streaming_request("Hi"))
        if leave is not end_the_loop:
            assert await gone(server), "only the loop's end released it"

    run(main)

    (row,) = rows(orchestrator)
    assert (row.status, row.final, row.streamed) == (status, True, True)
    assert row.usage_status in ("partial", "missing")
    assert server.wait_for_connections(0)


async def gone(server: ScriptedServer) -> bool:
    """Whether the connection goes while the loop runs on."""
    return await asyncio.get_running_loop().run_in_executor(None, server.wait_for_connections, 0)


@pytest.mark.parametrize("how", ["drop", "in a cycle", "events"])
def test_c2_an_async_stream_may_end_on_another_thread(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, how: str
) -> None:
    server.script(unfinished(dialect))

    async def main() -> None:
        streams: List[Any] = [orchestrator.asend_streaming_request("Hi")]
        await streams[0].__anext__()
        if how == "in a cycle":
            streams[0].itself = streams[0]

        def end() -> None:
            streams.clear()
            gc.collect()

        in_thread(end)
        assert await gone(server)

    run(main)

    assert [row.status for row in rows(orchestrator)] == [INTERRUPTED]


def test_c2_a_dropped_async_stream_whose_connection_cannot_be_closed_prints_nothing() -> None:
    scene = play(FakeReply(chunks=["One", " two"]), provider_class=TrackingProvider)
    scene.provider.fault_on_close = OSError("gone")  # type: ignore[attr-defined]

    async def main() -> None:
        await drop_async(scene.orchestrator.asend_streaming_request("Hi"))
        await asyncio.sleep(0.001)
        gc.collect(0)

    run(main)

    scene.orchestrator.close()
    assert scene.rows == ["priced interrupted final"]


# ---------------------------------------------------------------- the end of the program


@pytest.mark.slow
@pytest.mark.parametrize("dialect", [DIALECTS["chat"]], ids=["chat"])
@pytest.mark.parametrize("how", ["dropped", "kept", "async dropped", "async kept"])
def test_c2_a_program_that_ends_records_the_streams_it_left(
    server: ScriptedServer, dialect: Dialect, tmp_path: Path, how: str
) -> None:
    server.script(unfinished(dialect))
    ledger = tmp_path / "costs.csv"

    run = run_program("tests.promises.endings", dialect.name, server.url, str(ledger), how, debug=True)

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    (row,) = csv.DictReader(ledger.read_text(encoding="utf-8").splitlines())
    assert (row["status"], row["final"]) == (INTERRUPTED, "true")


# ---------------------------------------------------------------- the pool


def clients_of(orchestrator: LLMOrchestrator) -> Any:
    return orchestrator._providers[orchestrator.active_provider]._clients  # type: ignore[attr-defined]


def pool_of(http_client: Any) -> Any:
    return http_client._transport._pool


@pytest.mark.slow
@pytest.mark.parametrize(("leave", "status"), SYNC.values(), ids=list(SYNC))
def test_s6_a_pool_of_two_outlasts_twenty_streams_left_early(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, leave: Leave, status: str
) -> None:
    server.script(*[unfinished(dialect)] * 20, dialect.stream(["The", " last."]))
    pool_of(clients_of(orchestrator).for_threads()._client)._max_connections = 2

    for _ in range(20):
        leave(orchestrator.send_streaming_request("Hi"))
    response = orchestrator.send_streaming_request("Hi", timeout=5).final_response()

    assert response.content == "The last."
    assert [row.status for row in rows(orchestrator)] == [status] * 20 + ["ok"]
    orchestrator.close()
    assert server.wait_for_connections(0)


@pytest.mark.slow
@pytest.mark.parametrize("leave", [drop_async, end_async_with_block, drop_async_events, cancel])
def test_s6_an_async_pool_of_two_outlasts_twenty_streams_left_early(
    orchestrator: LLMOrchestrator,
    server: ScriptedServer,
    dialect: Dialect,
    leave: AsyncLeave,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_pools, "MAX_CONNECTIONS", 2)
    server.script(*[unfinished(dialect)] * 20, dialect.stream(["The", " last."]))

    async def main() -> Any:
        for _ in range(20):
            await leave(orchestrator.asend_streaming_request("Hi"))
        response = await orchestrator.asend_streaming_request("Hi", timeout=5).final_response()
        await orchestrator.aclose()
        return response

    assert run(main).content == "The last."
    assert server.wait_for_connections(0)


def test_s6_a_stream_read_to_its_end_leaves_its_connection_to_the_next(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    for _ in range(3):
        assert list(orchestrator.send_streaming_request("Hi"))

    assert {request.connection for request in server.requests} == {1}
