"""S6, and every way of leaving a stream early: the connection is given back, the ledger has one row."""

from __future__ import annotations

import asyncio
import csv
import gc
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from llm_orchestrator import LLMOrchestrator, OrchestratorError
from llm_orchestrator.providers.http import deadlines, pools
from llm_orchestrator.testing import FakeReply
from tests.support.fakes import play
from tests.support.leaving import (
    ASYNC,
    CANCELLED,
    INTERRUPTED,
    SYNC,
    AsyncLeave,
    Leave,
    aclose,
    cancel,
    close,
    drop,
    drop_async,
    drop_async_events,
    end_async_with_block,
    end_the_loop,
    end_with_block,
    fail_in_with_block,
)
from tests.support.open_streams import (
    gone,
    in_thread,
    nothing_printed,  # noqa: F401 (a fixture)
    recording_orchestrator,  # noqa: F401 (a fixture)
    rows,
    run,
    unfinished,
)
from tests.support.programs import run_program
from tests.support.scripted_server import (
    BEFORE_HEAD,
    DIALECTS,
    Dialect,
    Reply,
    Reset,
    ScriptedServer,
    Stall,
    html,
)
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.streams import TrackingProvider

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


@pytest.mark.parametrize("leave", [close, end_with_block, fail_in_with_block])
def test_s6_a_stream_that_was_left_holds_no_connection(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, leave: Leave
) -> None:
    server.script(unfinished(dialect))
    stream = orchestrator.send_streaming_request("Hi")

    leave(stream)

    assert server.wait_for_connections(0)
    with pytest.raises(OrchestratorError, match="The stream is closed"):
        next(stream)


@pytest.mark.parametrize("leave", [aclose, end_async_with_block, cancel])
def test_s6_an_async_stream_that_was_left_holds_no_connection(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, leave: AsyncLeave
) -> None:
    server.script(unfinished(dialect))

    async def main() -> None:
        stream = orchestrator.asend_streaming_request("Hi")
        await leave(stream)
        assert await gone(server)
        with pytest.raises(OrchestratorError, match="The stream is closed"):
            await stream.__anext__()

    run(main)


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


def test_c2_a_finalizer_waits_for_no_lock(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(unfinished(dialect))
    streams = [orchestrator.send_streaming_request("Hi")]
    next(streams[0])
    tracker: Any = orchestrator.cost_tracker
    locks = [tracker._recorder._lock, provider_of(orchestrator)._clients._lock]
    if TRANSPORT == "sdk":
        pool = pool_of(provider_of(orchestrator)._clients.for_threads()._client)
        locks += [pool._optional_thread_lock, deadlines._Watchdog.running()._wake._cond]

    with ExitStack() as held:
        for lock in locks:
            held.enter_context(lock)
        in_thread(streams.clear)
        assert tracker.records == []

    assert [row.status for row in rows(orchestrator)] == [INTERRUPTED]
    assert server.wait_for_connections(0)


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.real_clock
@pytest.mark.usefixtures("keyboard")
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
@pytest.mark.usefixtures("keyboard")
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
            assert timers() == 0, "nobody waits for it any more"

    run(main)

    (row,) = rows(orchestrator)
    assert (row.status, row.final, row.streamed) == (status, True, True)
    assert row.usage_status in ("partial", "missing")
    assert server.wait_for_connections(0)


def timers() -> int:
    loop: Any = asyncio.get_running_loop()
    return sum(not timer.cancelled() for timer in loop._scheduled)


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


def drop_a_stream_that_cannot_be_closed() -> List[str]:
    scene = play(FakeReply(chunks=["One", " two"]), provider_class=TrackingProvider)
    scene.provider.fault_on_close = OSError("gone")  # type: ignore[attr-defined]

    async def main() -> None:
        await drop_async(scene.orchestrator.asend_streaming_request("Hi"))
        await asyncio.sleep(0.001)

    run(main)
    scene.orchestrator.close()
    return scene.rows


def test_c2_a_dropped_async_stream_whose_connection_cannot_be_closed_prints_nothing() -> None:
    assert drop_a_stream_that_cannot_be_closed() == ["priced interrupted final"]
    gc.collect()  # asyncio complains when it loses a task whose error nobody saw


# ---------------------------------------------------------------- after a retry

#: What fails first; the errors of these hold frames in cycles, some of them inside the vendors' libraries.
FIRST = {
    "refused": lambda dialect: dialect.failure("overloaded"),
    "reset": lambda dialect: dialect.whole().but(fault=Reset(BEFORE_HEAD)),
    "error event": lambda dialect: dialect.stream_error(),
    "no stream": lambda dialect: html(),
}


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collector", "waits")
@pytest.mark.parametrize("first", FIRST.values(), ids=list(FIRST))
def test_s6_a_stream_that_was_retried_is_released_when_it_is_dropped(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, first: Callable[[Dialect], Reply]
) -> None:
    server.script(first(dialect), unfinished(dialect), first(dialect), unfinished(dialect))

    async def main() -> None:
        await drop_async(orchestrator.asend_streaming_request("Hi", max_retries=1))
        assert await gone(server), "errors of the first attempt hold the stream"

    run(main)
    drop(orchestrator.send_streaming_request("Hi", max_retries=1))

    assert [row.status for row in rows(orchestrator)] == ["error", INTERRUPTED] * 2
    assert server.wait_for_connections(0)


@pytest.mark.usefixtures("no_garbage_collector")
def test_s6_a_stream_that_is_dropped_before_its_failure_shows_is_released(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    """The broken event came together with the first piece, and waits for its reader."""
    broken = dialect.stream_broken_json(["One", " two"], cut="recorded")
    together = broken.but(chunks=(b"".join(broken.pieces()),), fault=Stall(1))
    server.script(together, together)

    async def main() -> None:
        await drop_async(orchestrator.asend_streaming_request("Hi", max_retries=0))
        assert await gone(server), "the failure holds the stream"

    run(main)
    drop(orchestrator.send_streaming_request("Hi", max_retries=0))

    assert [row.status for row in rows(orchestrator)] == [INTERRUPTED] * 2
    assert server.wait_for_connections(0)


# ---------------------------------------------------------------- the end of the program


@pytest.mark.slow
@pytest.mark.parametrize("dialect", [DIALECTS["chat"]], ids=["chat"])
@pytest.mark.parametrize("how", ["dropped", "kept", "async dropped", "async kept"])
def test_c2_a_program_that_ends_records_the_streams_it_left(
    server: ScriptedServer, dialect: Dialect, tmp_path: Path, how: str
) -> None:
    server.script(unfinished(dialect))
    ledger = tmp_path / "costs.csv"

    run = run_program(
        "tests.support.programs.endings", dialect.name, server.url, str(ledger), how, debug=True
    )

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    (row,) = csv.DictReader(ledger.read_text(encoding="utf-8").splitlines())
    assert (row["status"], row["final"]) == (INTERRUPTED, "true")


# ---------------------------------------------------------------- the pool


def provider_of(orchestrator: LLMOrchestrator) -> Any:
    return orchestrator._providers[orchestrator.active_provider]


def pool_of(http_client: Any) -> Any:
    return http_client._transport._pool


@pytest.fixture
def two_connections(orchestrator: LLMOrchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orchestrator's clients may open two connections at a time."""
    provider = provider_of(orchestrator)
    if TRANSPORT != "sdk":
        provider._http["max_connections"] = 2
        return
    monkeypatch.setattr(pools, "MAX_CONNECTIONS", 2)
    pool_of(provider._clients.for_threads()._client)._max_connections = 2


@pytest.mark.slow
@pytest.mark.usefixtures("two_connections")
@pytest.mark.parametrize(("leave", "status"), SYNC.values(), ids=list(SYNC))
def test_s6_a_pool_of_two_outlasts_twenty_streams_left_early(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, leave: Leave, status: str
) -> None:
    server.script(*[unfinished(dialect)] * 20, dialect.stream(["The", " last."]))

    for _ in range(20):
        leave(orchestrator.send_streaming_request("Hi"))
    response = orchestrator.send_streaming_request("Hi", timeout=5).final_response()

    assert response.content == "The last."
    assert [row.status for row in rows(orchestrator)] == [status] * 20 + ["ok"]
    orchestrator.close()
    assert server.wait_for_connections(0)


@pytest.mark.slow
@pytest.mark.usefixtures("two_connections")
@pytest.mark.parametrize("leave", [drop_async, end_async_with_block, drop_async_events, cancel])
def test_s6_an_async_pool_of_two_outlasts_twenty_streams_left_early(
    orchestrator: LLMOrchestrator,
    server: ScriptedServer,
    dialect: Dialect,
    leave: AsyncLeave,
) -> None:
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
