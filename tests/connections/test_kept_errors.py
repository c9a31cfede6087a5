"""What a connection leaves behind when it fails: no socket that connected too late, and no frames.

An error that is kept keeps the frames it passed through, and those the stream that the call leads to: it would
not close when it is dropped, but at some later run of the garbage collector.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Any, List, Tuple

import pytest

from llm_orchestrator.exceptions import ProviderConnectionError, forget_frames
from llm_orchestrator.providers.direct import _aerror_body
from llm_orchestrator.providers.http.core import aconnection
from llm_orchestrator.providers.http.core.aconnection import Timer
from llm_orchestrator.providers.http.core.aconnections import AsyncConnections
from llm_orchestrator.providers.http.core.clock import Clock
from llm_orchestrator.providers.http.core.network_errors import connection_lost
from llm_orchestrator.providers.http.core.origins import Origin
from llm_orchestrator.providers.http.core.settings import HttpSettings
from llm_orchestrator.providers.wire import Limits
from tests.connections.callers import SyncCaller
from tests.connections.servers import Peer, RawServer


class Connected:
    """A socket."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def race(monkeypatch: pytest.MonkeyPatch, *, cancel: bool) -> Tuple[Any, List[Connected]]:
    """Three attempts connect, all of them at the same turn of the loop."""
    connected: List[Connected] = []
    may_connect = asyncio.Event()

    async def connect_to(address: Any) -> Connected:
        await may_connect.wait()
        connected.append(Connected())
        return connected[-1]

    monkeypatch.setattr(aconnection, "ATTEMPT_DELAY", 0.0)
    monkeypatch.setattr(aconnection, "_connect_to", connect_to)
    addresses: Any = deque(["one", "two", "three"])
    running = asyncio.ensure_future(aconnection._race("host", 80, addresses))
    while len(asyncio.all_tasks()) < 5:
        await asyncio.sleep(0)
    may_connect.set()
    while len(connected) < 3:
        await asyncio.sleep(0)
    if cancel:
        running.cancel()
    found = await asyncio.gather(running, return_exceptions=True)
    await asyncio.sleep(0)
    return found[0], [one for one in connected if not one.is_closed]


def test_of_several_connections_one_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    winner, still_open = asyncio.run(race(monkeypatch, cancel=False))
    assert still_open == [winner]


def test_of_a_cancelled_opening_none_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    found, still_open = asyncio.run(race(monkeypatch, cancel=True))
    assert isinstance(found, asyncio.CancelledError) and still_open == []


class Broken:
    """A connection, or a reply, that keeps the error it raises."""

    may_have_been_read = False
    is_usable = True
    idle_until = math.inf

    def __init__(self) -> None:
        self.error = connection_lost("it was closed")

    def looks_usable(self) -> bool:
        return True

    async def exchange(self, *request: Any) -> None:
        raise self.error

    def abort(self) -> None:
        pass

    def aiter_bytes(self) -> Any:
        return self

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> bytes:
        raise self.error

    async def aclose(self) -> None:
        pass


def test_an_idle_connection_that_died_leaves_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = HttpSettings(proxy="")
    broken = Broken()

    async def main() -> None:
        connections: Any = AsyncConnections(Origin.of("http://host", settings), settings)
        connections._idle.append(broken)
        timer = Timer(asyncio.get_running_loop(), Clock(Limits(20, 20)))
        with pytest.raises(ProviderConnectionError):
            await connections._send("GET", b"", timer)
        timer.stop()

    async def refuse(*where: Any) -> Any:
        raise connection_lost("it was refused")

    monkeypatch.setattr(aconnection, "_connect", refuse)
    asyncio.run(main())
    assert broken.error.__traceback__ is None


def test_an_error_body_that_breaks_off_leaves_no_frames() -> None:
    broken: Any = Broken()
    assert asyncio.run(_aerror_body(broken)) == b""
    assert broken.error.__traceback__ is None


def test_a_body_that_broke_off_behind_its_first_piece_leaves_no_frames() -> None:
    def script(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nnot a chunk\r\n")

    server = RawServer(script)
    caller = SyncCaller(server.url, proxy="")
    answer = caller.open()
    kept = answer.reply._connection._lost
    assert isinstance(kept, ProviderConnectionError) and kept.__traceback__ is None
    assert next(answer.pieces()) == b"hello"
    answer.close()
    caller.close()
    server.close()


def test_frames_of_causes_are_forgotten_too() -> None:
    errors: List[BaseException] = []
    try:
        try:
            raise ValueError
        except ValueError as error:
            errors.append(error)
            raise KeyError from error
    except KeyError as error:
        errors.append(error)
    assert all(error.__traceback__ is not None for error in errors)
    forget_frames(errors[1])
    assert [error.__traceback__ for error in errors] == [None, None]
