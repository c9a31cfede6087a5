"""N2: a few packed bytes that hold gigabytes are an error, in little memory, in time, and beside other tasks."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
import zlib
from functools import cache
from typing import Any, Callable, List, Tuple

import pytest

from llm_orchestrator import (
    InvalidRequestError,
    InvalidResponseError,
    LLMOrchestrator,
    ProviderError,
    ProviderTimeoutError,
    StreamInterruptedError,
)
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import Dialect, Reply, ScriptedServer
from tests.support.ways import aask, ask

pytestmark = pytest.mark.slow

MEGABYTE = 1024 * 1024
#: What each bomb unpacks to.
SIZE = 100 * MEGABYTE
#: Seconds of this thread's processor, so that a busy machine cannot fail the test.
LONGEST_TURN = 0.1
WBITS = {"gzip": 31, "deflate": 15}


@cache
def bomb(beginning: bytes, unit: bytes, encoding: str) -> bytes:
    """Pack a beginning and then the same again and again."""
    packer = zlib.compressobj(9, wbits=WBITS[encoding])
    block = unit * (MEGABYTE // len(unit))
    pieces = [packer.compress(block) for _ in range(SIZE // len(block))]
    return b"".join([packer.compress(beginning), *pieces, packer.flush()])


def packed(status: int, encoding: str, content: bytes, kind: str) -> Reply:
    return Reply(status, {"content-type": kind, "content-encoding": encoding}, content)


def failed(ask_once: Callable[[], Any]) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask_once()
    return caught.value


def peak_of(ask_once: Callable[[], Any]) -> Tuple[int, ProviderError]:
    """The most memory that a call takes beside what there was, and how it fails."""
    gc.collect()
    tracemalloc.start()
    try:
        error = failed(ask_once)
        return tracemalloc.get_traced_memory()[1], error
    finally:
        tracemalloc.stop()


def longest_turn_of(orchestrator: LLMOrchestrator, way: str) -> Tuple[float, ProviderError]:
    """Seconds of processor time for which a call kept the loop from everything else, and how it fails."""
    turns: List[float] = []

    async def count() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            turns.append(time.thread_time() - began)

    async def main() -> None:
        counting = asyncio.ensure_future(count())
        try:
            await aask(orchestrator, way, "Hi")
        finally:
            counting.cancel()

    error = failed(lambda: asyncio.run(main()))
    return max(turns), error


@pytest.mark.parametrize("encoding", list(WBITS))
@pytest.mark.parametrize("status", [200, 400])
def test_n2_a_bomb_is_an_error_in_little_memory(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, status: int, encoding: str
) -> None:
    content = bomb(b'{"a": "', b"a" * 1024, encoding)
    server.default = packed(status, encoding, content, "application/json")
    orchestrator = orchestrate(transport="direct", total_timeout=60)

    assert len(content) < MEGABYTE
    peak, error = peak_of(lambda: ask(orchestrator, way))
    assert peak < 64 * MEGABYTE
    if status == 200:
        assert isinstance(error, InvalidResponseError) and "unpacks to over 100 times its size" in str(error)
    else:
        assert isinstance(error, InvalidRequestError) and error.status_code == 400 and len(str(error)) < 1000
    assert server.wait_for_connections(0), "its connection is gone"
    if "async" in way:
        assert longest_turn_of(orchestrator, way)[0] < LONGEST_TURN


#: What a stream can be filled with; each takes its reader another way.
FILLINGS = {"comments": b": x\n\n", "blank lines": b"\n", "returns": b"\r", "data": b"data:\n"}


def stream_bomb(dialect: Dialect, filling: str) -> Reply:
    opening = dialect.stream(["One", " two"], complete=False)
    last = opening.pieces()[-1]
    content = bomb(opening.content(), FILLINGS.get(filling, last), "gzip")
    return packed(200, "gzip", content, "text/event-stream")


def check_end_of_stream(error: ProviderError) -> None:
    """The text before the bomb was delivered, so it is an interruption, where there was any."""
    if isinstance(error, StreamInterruptedError):
        assert error.partial_text.startswith("One")
        error = error.__cause__  # type: ignore[assignment]
    assert isinstance(error, InvalidResponseError) and "times its size" in str(error)


@pytest.mark.parametrize("filling", ["comments", "events"])
def test_n2_a_stream_that_is_a_bomb_takes_little_memory(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, filling: str
) -> None:
    server.default = stream_bomb(dialect, filling)
    peak, error = peak_of(lambda: ask(orchestrate(transport="direct"), "streamed"))
    check_end_of_stream(error)
    assert peak < 64 * MEGABYTE


@pytest.mark.parametrize("filling", [*FILLINGS, "events"])
def test_n2_a_stream_that_is_a_bomb_lets_the_loop_run(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, filling: str
) -> None:
    server.default = stream_bomb(dialect, filling)
    turn, error = longest_turn_of(orchestrate(transport="direct"), "async streamed")
    check_end_of_stream(error)
    assert turn < LONGEST_TURN


@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_n2_unpacking_ends_with_the_time_of_the_call(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of the bomb has come when the time is over, so that no wait for bytes would show it."""
    from llm_orchestrator.providers.http.core import encodings

    steps: List[int] = []
    step = encodings.Unpacker.step

    def slow_step(unpacker: encodings.Unpacker) -> bytes:
        steps.append(1)
        time.sleep(0.02)
        return step(unpacker)

    monkeypatch.setattr(encodings.Unpacker, "step", slow_step)
    content = bomb(dialect.stream(["One"], complete=False).content(), FILLINGS["comments"], "gzip")
    server.default = packed(200, "gzip", content, "text/event-stream")

    error = failed(lambda: ask(orchestrate(transport="direct", total_timeout=0.5), way))

    assert isinstance(error, ProviderTimeoutError) or isinstance(error.__cause__, ProviderTimeoutError)
    assert 1 <= len(steps) <= 30, "it went on after the end"
