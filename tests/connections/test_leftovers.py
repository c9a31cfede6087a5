"""N1: bytes that a server sends beside its replies reach nobody, and their connection is gone."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Dict, List

import pytest

from llm_orchestrator.exceptions import ProviderError
from tests.connections.callers import HEADERS, PATIENT, SyncCaller
from tests.connections.servers import Peer

pytestmark = pytest.mark.slow

WORKERS, CALLS = 8, 80


def answer(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text)


FOREIGN = answer(b"another's answer")
LEFTOVERS: Dict[str, bytes] = {
    "a whole reply": FOREIGN,
    "half a head": FOREIGN[:20],
    "half a body": FOREIGN[:-5],
    "one byte": b"H",
    "an interim reply": b"HTTP/1.1 100 Continue\r\n\r\n",
    "an event": b'data: {"choices": []}\n\n',
    "rubbish": b"\0\1\2\3",
    "blank lines and a reply": b"\r\n\r\n" + FOREIGN,
    "100 kB": FOREIGN * 2000,
}


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


def ask_many(caller: Any) -> List[bool]:
    """640 calls, eight at a time: whether each got its own answer, or an error."""
    bodies = [b"caller %d call %d" % (worker, number) for worker in range(WORKERS) for number in range(CALLS)]
    if isinstance(caller, SyncCaller):
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(lambda body: _own(caller, body), bodies))
    waiting = iter(bodies)

    async def work() -> List[bool]:
        return [await _aown(caller, body) for body in waiting]

    async def work_all() -> List[bool]:
        return [own for some in await asyncio.gather(*[work() for _ in range(WORKERS)]) for own in some]

    return caller.run(work_all())


def _own(caller: Any, body: bytes) -> bool:
    try:
        return caller.ask(body) == body
    except ProviderError:
        return True


async def _aown(caller: Any, body: bytes) -> bool:
    try:
        reply = await caller.connections.open("POST", "/v1", HEADERS, body, PATIENT)
        return b"".join([piece async for piece in reply.aiter_bytes()]) == body
    except ProviderError:
        return True


@pytest.mark.parametrize("left", LEFTOVERS.values(), ids=LEFTOVERS.keys())
def test_in_the_same_segment(left: bytes, serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        for request in peer.requests():
            peer.send(answer(body_of(request)) + left)

    server = serve(script)
    caller = call(server)
    owned = ask_many(caller)
    assert len(owned) == WORKERS * CALLS and all(owned)
    assert len(server.peers) == len(owned) and caller.idle == 0


@pytest.mark.parametrize("left", LEFTOVERS.values(), ids=LEFTOVERS.keys())
def test_later(left: bytes, serve: Any, call: Any) -> None:
    """They come while the connection is idle, and before the loop of an async caller had time to look."""
    sent = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        for request in peer.requests():
            peer.send(answer(body_of(request)))
            assert read.acquire(timeout=20)
            peer.send(left)
            sent.release()

    read = threading.Semaphore(0)
    server = serve(script)
    caller = call(server)
    for number in range(40):
        body = b"call %d" % number
        assert caller.ask(body) == body
        assert caller.idle == 1
        read.release()
        assert sent.acquire(timeout=20)
    assert len(server.peers) == 40


@pytest.mark.parametrize("left", LEFTOVERS.values(), ids=LEFTOVERS.keys())
def test_behind_chunks_and_errors(left: bytes, serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        for request in peer.requests():
            body = body_of(request)
            head = b"HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n"
            peer.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) + left)

    server = serve(script)
    caller = call(server)
    assert [caller.ask(b"call %d" % number) for number in range(20)] == [
        b"call %d" % number for number in range(20)
    ]
    assert len(server.peers) == 20


def test_a_body_without_end_of_a_reply_without_body(serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(b"HTTP/1.1 204 No Content\r\ncontent-length: 70\r\n\r\n" + FOREIGN)

    server = serve(script)
    caller = call(server)
    assert [caller.ask() for _ in range(5)] == [b""] * 5
    assert len(server.peers) == 5


def test_reply_that_is_closed_unread(serve: Any, call: Any) -> None:
    """A whole reply that nobody reads leaves its connection clean; half a one ends it."""

    def script(peer: Peer) -> None:
        for request in peer.requests():
            body = body_of(request)
            peer.send(answer(body) if body != b"half" else answer(b"half" * 50)[:100])

    server = serve(script)
    caller = call(server)
    caller.open(b"first").close()
    assert caller.ask(b"second") == b"second" and len(server.peers) == 1
    caller.open(b"half").close()
    assert caller.ask(b"third") == b"third" and len(server.peers) == 2


def test_speaking_before_the_request(serve: Any, call: Any) -> None:
    """A server that answers before it is asked is read by the one caller whose connection it is, or refused."""

    def script(peer: Peer) -> None:
        peer.send(FOREIGN + FOREIGN)
        for request in peer.requests():
            peer.send(answer(body_of(request)))

    server = serve(script)
    caller = call(server)
    for number in range(10):
        with suppress(ProviderError):
            caller.ask(b"%d" % number)
        assert caller.idle == 0
    assert len(server.peers) == 10
