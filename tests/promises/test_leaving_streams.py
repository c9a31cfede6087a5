"""S6, and every way of leaving a stream early: the connection is given back, the ledger has one row for it."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from typing import Any, Awaitable, Callable, Dict, Iterator, List, Tuple

import pytest

from llm_orchestrator import AsyncLLMStream, LLMOrchestrator, LLMStream
from llm_orchestrator.providers import deadlines
from tests.bench import Dialect, Reply, ScriptedServer, Stall
from tests.fakes import RecordingTracker

INTERRUPTED, CANCELLED = "interrupted", "cancelled"


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
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == [
        record.getMessage() for record in caplog.records if record.name == "asyncio" and record.levelno < 30
    ]


class OwnError(Exception):
    """An error of the application."""


# ---------------------------------------------------------------- ways to leave, sync

Leave = Callable[[LLMStream], Any]


def close(stream: LLMStream) -> None:
    next(stream)
    stream.close()
    stream.close()


def end_with_block(stream: LLMStream) -> None:
    with stream:
        for _ in stream:
            break


def drop(stream: LLMStream) -> None:
    for _ in stream:
        break


def fail_in_with_block(stream: LLMStream) -> None:
    with pytest.raises(OwnError), stream:
        for _ in stream:
            raise OwnError


def fail(stream: LLMStream) -> None:
    with pytest.raises(OwnError):
        for _ in stream:
            raise OwnError


def drop_events(stream: LLMStream) -> None:
    for _ in stream.events():
        break


def close_generator(stream: LLMStream) -> None:
    """As a web framework does when the browser has gone."""

    def answer() -> Iterator[str]:
        with stream:
            for piece in stream:
                yield piece

    pieces = answer()
    next(pieces)
    pieces.close()


def exit_program(stream: LLMStream) -> None:
    with pytest.raises(SystemExit), stream:
        next(stream)
        raise SystemExit


SYNC: Dict[str, Tuple[Leave, str]] = {
    "close": (close, INTERRUPTED),
    "with": (end_with_block, INTERRUPTED),
    "drop": (drop, INTERRUPTED),
    "exception": (fail, INTERRUPTED),
    "exception in with": (fail_in_with_block, INTERRUPTED),
    "drop events": (drop_events, INTERRUPTED),
    "generator": (close_generator, CANCELLED),
    "exit": (exit_program, CANCELLED),
}


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


# ---------------------------------------------------------------- ways to leave, async

AsyncLeave = Callable[[AsyncLLMStream], Awaitable[Any]]


async def aclose(stream: AsyncLLMStream) -> None:
    await stream.__anext__()
    await stream.aclose()
    await stream.aclose()


async def end_async_with_block(stream: AsyncLLMStream) -> None:
    async with stream:
        async for _ in stream:
            break


async def adrop(stream: AsyncLLMStream) -> None:
    async for _ in stream:
        break


async def fail_in_async_with_block(stream: AsyncLLMStream) -> None:
    with pytest.raises(OwnError):
        async with stream:
            async for _ in stream:
                raise OwnError


async def drop_async_events(stream: AsyncLLMStream) -> None:
    async for _ in stream.events():
        break


async def close_async_generator(stream: AsyncLLMStream) -> None:
    async def answer() -> Any:
        async with stream:
            async for piece in stream:
                yield piece

    pieces = answer()
    await pieces.__anext__()
    await pieces.aclose()


async def cancel(stream: AsyncLLMStream) -> None:
    task = asyncio.ensure_future(stream.final_response())
    while stream.text != "One two":
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def wait_not_long_enough(stream: AsyncLLMStream) -> None:
    await stream.__anext__()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(stream.final_response(), 0.01)


async def end_the_loop(stream: AsyncLLMStream) -> None:
    async def read() -> None:
        await stream.final_response()

    asyncio.ensure_future(read())
    while stream.text != "One two":
        await asyncio.sleep(0.001)


ASYNC: Dict[str, Tuple[AsyncLeave, str]] = {
    "aclose": (aclose, INTERRUPTED),
    "async with": (end_async_with_block, INTERRUPTED),
    "drop": (adrop, INTERRUPTED),
    "exception in async with": (fail_in_async_with_block, INTERRUPTED),
    "drop events": (drop_async_events, INTERRUPTED),
    "generator": (close_async_generator, CANCELLED),
    "cancel": (cancel, CANCELLED),
    "wait_for": (wait_not_long_enough, CANCELLED),
    "end of the loop": (end_the_loop, CANCELLED),
}


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


# ---------------------------------------------------------------- the pool


def clients_of(orchestrator: LLMOrchestrator) -> Any:
    return orchestrator._providers[orchestrator.active_provider]._clients  # type: ignore[attr-defined]


def pool_of(http_client: Any) -> Any:
    return http_client._transport._pool


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


@pytest.mark.parametrize(
    "leave", [adrop, end_async_with_block, drop_async_events, cancel], ids=lambda leave: leave.__name__
)
def test_s6_an_async_pool_of_two_outlasts_twenty_streams_left_early(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, leave: AsyncLeave
) -> None:
    server.script(*[unfinished(dialect)] * 20, dialect.stream(["The", " last."]))

    async def main() -> Any:
        client = await clients_of(orchestrator).for_loop()
        pool_of(getattr(client, "_async_client", client._client))._max_connections = 2
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
