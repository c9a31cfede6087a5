"""N5 and N6: a dropped stream closes its connection at once; a kept one that broke costs no call, nor two."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import ExitStack
from typing import Any, Callable, Dict, Iterator, List

import pytest

from llm_orchestrator import (
    LLMOrchestrator,
    LLMResponse,
    LLMStream,
    ProviderConnectionError,
    StreamInterruptedError,
)
from llm_orchestrator.providers.http import deadlines
from tests.support.fakes import RecordingTracker
from tests.support.fixtures import Orchestrate
from tests.support.open_streams import in_thread, rows, unfinished
from tests.support.scripted_server import BEFORE_HEAD, Close, Dialect, Reply, Reset, ScriptedServer
from tests.support.ways import aask, ask, run_async

# ---------------------------------------------------------------- N5: dropped streams

#: Each is given the only reference to a stream, in a list.
DROPS: Dict[str, Callable[[List[LLMStream]], None]] = {}


def way_to_drop(drop: Callable[[List[LLMStream]], None]) -> Callable[[List[LLMStream]], None]:
    DROPS[drop.__name__] = drop
    return drop


@way_to_drop
def unread(streams: List[LLMStream]) -> None:
    streams.pop().__enter__()


@way_to_drop
def after_break(streams: List[LLMStream]) -> None:
    for _ in streams.pop():
        break


@way_to_drop
def after_del(streams: List[LLMStream]) -> None:
    next(streams[0])
    del streams[0]


@way_to_drop
def events(streams: List[LLMStream]) -> None:
    for _ in streams.pop().events():
        break


@way_to_drop
def collected_in_a_cycle(streams: List[LLMStream]) -> None:
    stream: Any = streams.pop()
    next(stream)
    stream.itself = stream
    del stream
    gc.collect()


@way_to_drop
def in_another_thread(streams: List[LLMStream]) -> None:
    next(streams[0])
    in_thread(streams.clear)


@pytest.fixture
def direct(server: ScriptedServer, dialect: Dialect) -> Iterator[LLMOrchestrator]:
    """An orchestrator without a vendor's SDK."""
    config = dialect.config(server.url, max_retries=0, timeout=30, transport="direct")
    with LLMOrchestrator(config, cost_tracker=RecordingTracker()) as orchestrator:
        yield orchestrator


@pytest.mark.parametrize("drop", DROPS.values(), ids=list(DROPS))
def test_n5_a_dropped_stream_closes_its_connection_without_another_call(
    direct: LLMOrchestrator, server: ScriptedServer, dialect: Dialect, drop: Callable[[List[LLMStream]], None]
) -> None:
    server.default = unfinished(dialect)

    for _ in range(3):
        drop([direct.send_streaming_request("Hi")])
        assert server.wait_for_connections(0)

    assert [row.status for row in rows(direct)] == ["interrupted"] * 3


def test_n5_the_finalizer_of_a_stream_waits_for_no_lock(
    direct: LLMOrchestrator, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = unfinished(dialect)
    streams = [direct.send_streaming_request("Hi")]
    next(streams[0])

    with ExitStack() as held:
        for lock in locks_of(direct):
            held.enter_context(lock)
        in_thread(streams.clear)
        assert server.wait_for_connections(0)


def locks_of(orchestrator: Any) -> List[Any]:
    """Every lock that a call could need."""
    tracker = orchestrator.cost_tracker
    provider = orchestrator._providers[orchestrator.active_provider]
    return [tracker._recorder._lock, provider._clients._lock, deadlines._Watchdog._start_lock]


def test_n5_no_thread_is_started(direct: LLMOrchestrator, server: ScriptedServer, dialect: Dialect) -> None:
    before = {thread for thread in threading.enumerate() if "watchdog" in thread.name}
    server.default = unfinished(dialect)

    after_break([direct.send_streaming_request("Hi")])

    assert {thread for thread in threading.enumerate() if "watchdog" in thread.name} == before


# ---------------------------------------------------------------- N6: kept connections

#: How a server ends a connection that stands idle after a whole reply.
ENDINGS = {"closed": Close(), "reset": Reset()}


def answer_of(dialect: Dialect, way: str) -> Reply:
    reply = dialect.stream(["Hel", "lo."]) if "streamed" in way else dialect.whole("Hello.")
    return reply.but(
        chunks=None, body=reply.content()
    )  # with its length: it is whole before the connection ends


def ask_in_turn(
    orchestrator: LLMOrchestrator, server: ScriptedServer, way: str, times: int, *, idle: int
) -> List[LLMResponse]:
    """Ask several times with one client, each time when so many connections are left."""
    if "async" not in way:
        return [_settled(ask(orchestrator, way), server, idle) for _ in range(times)]

    async def main() -> List[LLMResponse]:
        wait = asyncio.get_running_loop().run_in_executor
        answers = []
        for _ in range(times):
            answers.append(await aask(orchestrator, way, "Hi"))
            await wait(None, _settled, answers[-1], server, idle)
        return answers

    return run_async(orchestrator, main)


def _settled(answer: LLMResponse, server: ScriptedServer, idle: int) -> LLMResponse:
    assert server.wait_for_connections(idle)
    return answer


@pytest.mark.parametrize("transport", ["direct", "sdk"])
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=list(ENDINGS))
def test_n6_a_connection_that_was_closed_while_idle_costs_no_call(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, ending: Any, transport: str
) -> None:
    server.default = answer_of(dialect, way).but(fault=ending)
    orchestrator = orchestrate(transport=transport, max_retries=0)

    answers = ask_in_turn(orchestrator, server, way, 4, idle=0)

    assert [answer.content for answer in answers] == ["Hello."] * 4
    assert len(server.requests) == server.connections_opened == 4


@pytest.mark.parametrize("transport", ["direct", "sdk"])
@pytest.mark.parametrize("ending", [Close(BEFORE_HEAD), Reset(BEFORE_HEAD)], ids=list(ENDINGS))
def test_n6_a_request_that_may_have_been_read_is_not_sent_twice(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, ending: Any, transport: str
) -> None:
    """The server read it on a kept connection, and left without a word: it may be working on it."""
    answer = answer_of(dialect, way)
    server.script(answer, answer.but(fault=ending))
    orchestrator = orchestrate(transport=transport, max_retries=0)

    with pytest.raises(ProviderConnectionError) as caught:
        ask_in_turn(orchestrator, server, way, 2, idle=1)

    assert [request.connection for request in server.requests] == [1, 1]
    assert len(caught.value.attempts) == 1 and caught.value.may_be_billed


@pytest.mark.usefixtures("waits")
def test_n6_a_retry_of_it_is_an_attempt_with_a_row(
    server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    answer = answer_of(dialect, way)
    server.script(answer.but(fault=Reset(BEFORE_HEAD)), answer)
    config = dialect.config(server.url, max_retries=1, transport="direct")
    with LLMOrchestrator(config, cost_tracker=RecordingTracker()) as orchestrator:
        response = ask(orchestrator, way)

    assert [attempt.error for attempt in response.attempts] == ["ProviderConnectionError", None]
    assert [(row.status, row.final) for row in rows(orchestrator)] == [("error", False), ("ok", True)]
    assert rows(orchestrator)[0].estimated_counts["in"] > 0, "it may have been read, so it may be billed"


def test_n6_what_was_delivered_before_the_connection_broke_is_not_asked_for_again(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.stream(["One", " two"], complete=False).but(fault=Reset())
    orchestrator = orchestrate(transport="direct", max_retries=3)

    with pytest.raises(StreamInterruptedError) as caught:
        list(orchestrator.send_streaming_request("Hi"))

    assert caught.value.partial_text in ("", "One", "One two") and len(server.requests) == 1
