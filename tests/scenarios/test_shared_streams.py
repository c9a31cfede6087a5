"""C2 and S6 where two hold one stream: another thread, task or loop closes it, opens it or reads it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Callable, List

import pytest

from llm_orchestrator import LLMOrchestrator, OrchestratorError, StreamInterruptedError
from llm_orchestrator.providers.stream import _closing_tasks
from llm_orchestrator.testing import FakeReply
from tests.support.fakes import play
from tests.support.leaving import INTERRUPTED
from tests.support.open_streams import (
    gone,
    in_thread,
    nothing_printed,  # noqa: F401 (a fixture)
    recording_orchestrator,  # noqa: F401 (a fixture)
    rows,
    run,
    unfinished,
)
from tests.support.scripted_server import Dialect, ScriptedServer


def error_in_thread(work: Callable[[], Any], meanwhile: Callable[[], Any]) -> BaseException:
    """The error that work raises in a thread; something else happens while it is under way."""
    errors: List[BaseException] = []

    def note() -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=note, daemon=True)
    thread.start()
    meanwhile()
    thread.join(5)
    assert not thread.is_alive(), "nobody woke it up"
    return errors[0]


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.001)


def statuses(orchestrator: LLMOrchestrator) -> List[str]:
    return [row.status for row in rows(orchestrator)]


# ---------------------------------------------------------------- closing


def test_c2_another_thread_may_close_a_stream_that_is_read(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    """As the Stop button of a program with windows does."""
    server.script(unfinished(dialect))
    stream = orchestrator.send_streaming_request("Hi")

    def stop() -> None:
        wait_until(lambda: stream.text == "One two" and stream._source._watch.is_waiting)  # type: ignore[union-attr]
        stream.close()

    error = error_in_thread(stream.final_response, stop)

    assert type(error) is OrchestratorError and "closed" in str(error)
    assert statuses(orchestrator) == [INTERRUPTED]
    assert server.wait_for_connections(0)


def test_c2_another_task_may_close_a_stream_that_is_read(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(unfinished(dialect))

    async def main() -> None:
        stream = orchestrator.asend_streaming_request("Hi")
        reading = asyncio.ensure_future(stream.final_response())
        while stream.text != "One two":
            await asyncio.sleep(0.001)
        await stream.aclose()
        with pytest.raises(OrchestratorError, match="closed"):
            await asyncio.wait_for(reading, 5)
        assert await gone(server)

    run(main)

    assert statuses(orchestrator) == [INTERRUPTED]


def test_c2_a_stream_may_be_closed_before_its_first_piece(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    begun = unfinished(dialect).but(delay=0.05)
    server.script(begun, begun)
    stream = orchestrator.send_streaming_request("Hi")

    def stop() -> None:
        wait_until(lambda: server.requests)
        stream.close()

    assert "closed" in str(error_in_thread(lambda: next(stream), stop))

    async def main() -> None:
        stream = orchestrator.asend_streaming_request("Hi")
        reading = asyncio.ensure_future(stream.__anext__())
        while len(server.requests) < 2:
            await asyncio.sleep(0.001)
        await stream.aclose()
        with pytest.raises(OrchestratorError, match="closed"):
            await reading
        assert await gone(server)

    run(main)

    assert statuses(orchestrator) == [INTERRUPTED] * 2
    assert server.wait_for_connections(0)


# ---------------------------------------------------------------- opening


def test_c2_two_readers_send_one_request(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.stream(["One"]).but(delay=0.05)
    stream = orchestrator.send_streaming_request("Hi")
    first = threading.Thread(target=stream.final_response)
    first.start()
    wait_until(lambda: server.requests)

    with pytest.raises(OrchestratorError, match="Another reader is opening"):
        next(stream)
    first.join()

    async def main() -> None:
        stream = orchestrator.asend_streaming_request("Hi")
        answer, error = await asyncio.gather(
            stream.final_response(), stream.final_response(), return_exceptions=True
        )
        assert answer.content == "One"
        assert "Another reader is opening" in str(error)

    run(main)

    assert stream.text == "One"
    assert len(server.requests) == 2
    assert statuses(orchestrator) == ["ok", "ok"]


# ---------------------------------------------------------------- another loop


def test_c2_a_stream_cannot_change_its_loop(
    orchestrator: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = unfinished(dialect)
    streams: List[Any] = []

    async def begin() -> None:
        streams[:] = [orchestrator.asend_streaming_request("Hi") for _ in range(2)]
        for stream in streams:
            assert await stream.__anext__() + await stream.__anext__() == "One two"

    async def go_on() -> None:
        with pytest.raises(StreamInterruptedError, match="event loop") as caught:
            await streams[0].__anext__()
        assert caught.value.partial_text == "One two"
        await streams[1].aclose()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    in_thread(lambda: asyncio.run(go_on()))
    assert loop.run_until_complete(gone(server))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()

    assert statuses(orchestrator) == [INTERRUPTED] * 2


def test_c2_loops_that_are_thrown_away_are_forgotten_with_their_streams() -> None:
    scene = play(*[FakeReply(chunks=["One", " two"])] * 5)

    async def begin() -> None:
        await scene.orchestrator.asend_streaming_request("Hi").__anext__()

    for _ in range(4):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()
    asyncio.run(begin())

    assert sum(map(len, _closing_tasks.values())) == 0
    assert len(_closing_tasks) == 1
    scene.orchestrator.close()
    assert scene.rows == ["priced interrupted final"] * 5
