"""N4 and S5: every wait ends in time, from connecting on, whatever the server drips."""

from __future__ import annotations

import gzip
import math
import socket
import threading
import time
from contextlib import ExitStack
from typing import Any, Callable, Iterator, List

import pytest

from llm_orchestrator.exceptions import ProviderConnectionError, ProviderTimeoutError
from llm_orchestrator.providers.wire import Limits
from tests.connections.callers import PATIENT
from tests.connections.servers import Peer

pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
#: Far more than any limit below, and far less than the server's patience.
GENEROUS = 8.0


def limits(*, connect: float = 20, silence: float = 20, total: float = math.inf) -> Limits:
    return Limits(connect, silence, time.monotonic() + total)


def timed_out(act: Callable[[], Any], at_least: float, words: str) -> ProviderTimeoutError:
    started = time.monotonic()
    with pytest.raises(ProviderTimeoutError, match=words) as caught:
        act()
    assert at_least - 0.05 < time.monotonic() - started < GENEROUS
    return caught.value


def drip(peer: Peer, data: bytes, pause: float = 0.05) -> None:
    """Send byte by byte, until the client leaves."""
    peer.send(data, each=1, pause=pause)


def silent(peer: Peer) -> None:
    peer.wait_until_left()


def slow_head(peer: Peer) -> None:
    peer.request()
    drip(peer, b"HTTP/1.1 200 OK\r\nx: " + b"a" * 1000)


def storm(peer: Peer) -> None:
    peer.request()
    drip(peer, b"HTTP/1.1 102 Processing\r\n\r\n" * 90)


def slow_body(peer: Peer) -> None:
    peer.request()
    peer.send(OK.replace(b"length: 5", b"length: 1000").replace(b"hello", b""))
    drip(peer, b"hello" * 200)


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full, so that connecting never ends."""
    with ExitStack() as stack:
        place = stack.enter_context(socket.socket())
        place.bind(("127.0.0.1", 0))
        place.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(place.getsockname())
        yield place.getsockname()[1]


def test_black_holed_connect(black_hole: int, caller_class: Any) -> None:
    for limit, words in (("connect", "no connection within 0.3 s"), ("total", "total_timeout is over")):
        caller = caller_class(f"http://127.0.0.1:{black_hole}")
        error = timed_out(lambda: caller.open(limits=limits(**{limit: 0.3})), 0.3, words)  # noqa: B023
        assert not error.sent and not error.may_be_billed and error.retry_limit is None
        caller.close()


def test_handshake_that_never_ends(serve: Any, call: Any) -> None:
    def nothing(peer: Peer) -> None:
        peer.wait_until_left()

    # A plain server, spoken to with TLS.
    from tests.connections.servers import RawServer

    server = RawServer(nothing)
    try:
        caller = call(server.url.replace("http:", "https:"))
        error = timed_out(lambda: caller.open(limits=limits(connect=0.3)), 0.3, "no connection within")
        assert not error.sent
        caller.settle()
        assert server.wait_until_all_left()
    finally:
        server.close()


@pytest.mark.parametrize("server_does", [silent, slow_head, storm])
def test_before_the_head(server_does: Any, serve: Any, call: Any) -> None:
    server = serve(server_does)
    caller = call(server)
    error = timed_out(lambda: caller.open(limits=limits(total=0.4)), 0.4, "total_timeout is over")
    assert error.sent and error.may_be_billed and error.retry_limit == 1
    caller.settle()
    assert server.wait_until_all_left()


def test_silence_before_the_head(serve: Any, call: Any) -> None:
    timed_out(lambda: call(serve(silent)).open(limits=limits(silence=0.3)), 0.3, "no event for 0.3 s")


def test_silence_in_the_body(serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK[:-2])
        peer.wait_until_left()

    server = serve(script)
    caller = call(server)
    answer = caller.open(limits=limits(silence=0.3))
    timed_out(answer.read, 0.3, "no event for 0.3 s")
    caller.settle()
    assert server.wait_until_all_left()


def test_dripping_body(serve: Any, call: Any) -> None:
    answer = call(serve(slow_body)).open(limits=limits(silence=5, total=0.5))
    timed_out(answer.read, 0.3, "total_timeout is over")


def test_dripping_body_that_is_no_sign_of_the_answer(serve: Any, call: Any) -> None:
    """Whoever reads events tells the reply until when it may wait, and a comment does not change that."""
    answer = call(serve(slow_body)).open(limits=limits(silence=15))
    answer.reply.wait_until(time.monotonic() + 0.3)
    timed_out(answer.read, 0.3, "no event for")


def test_upload_that_nobody_reads(serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        peer.read_some()
        assert done.wait(20)

    done = threading.Event()
    caller = call(serve(script))
    error = timed_out(
        lambda: caller.open(bytes(30_000_000), limits=limits(silence=0.4)), 0.4, "no event for 0.4 s"
    )
    assert error.retry_limit == 1
    done.set()


def test_slow_upload_is_no_silence(serve: Any, call: Any, security: str) -> None:
    """The whole takes longer than the silence allowed; no part of it does."""

    def script(peer: Peer) -> None:
        left = 30_000_000
        while left > 0:
            left -= len(peer.sock.recv(1_000_000))
            time.sleep(0.05 if security == "plain" else 0.001)  # TLS gives 16 kB at a time
        peer.send(OK)

    started = time.monotonic()
    assert call(serve(script)).ask(bytes(30_000_000), limits=limits(silence=1.5)) == b"hello"
    assert time.monotonic() - started > 1.5


def test_time_over_before_it_begins(serve: Any, call: Any) -> None:
    server = serve(silent)
    caller = call(server)
    error = timed_out(lambda: caller.open(limits=limits(total=-1)), 0, "total_timeout is over")
    assert not error.sent and not server.requests


def test_time_over_between_two_reads(serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK[:-2])
        peer.wait_until_left()

    answer = call(serve(script)).open(limits=limits(total=0.3))
    pieces = answer.pieces()
    assert next(pieces) == b"hel"
    time.sleep(0.35)
    timed_out(lambda: next(pieces), 0, "total_timeout is over")


def test_time_over_while_what_has_come_is_unpacked(serve: Any, call: Any) -> None:
    """N2: all bytes are here, so that no wait would notice it."""
    packed = gzip.compress(b"".join(b"%d" % number for number in range(400_000)))

    def script(peer: Peer) -> None:
        peer.request()
        head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
        peer.send(head + packed)
        peer.wait_until_left()

    server = serve(script)
    caller = call(server)
    pieces = caller.open(limits=limits(total=0.5)).pieces()
    assert next(pieces)
    time.sleep(0.55)
    timed_out(lambda: [piece for piece in pieces], 0, "total_timeout is over")  # noqa: C416
    caller.settle()
    assert server.wait_until_all_left()


def test_waiting_for_a_free_connection(serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(OK)

    server = serve(script)
    caller = call(server, max_connections=2)
    held = [caller.open(), caller.open()]
    error = timed_out(lambda: caller.open(limits=limits(silence=0.3)), 0.3, "no free connection for 0.3 s")
    assert not error.sent and not error.may_be_billed
    timed_out(lambda: caller.open(limits=limits(total=0.3)), 0.3, "total_timeout is over")
    assert held.pop().read() == b"hello"
    assert caller.ask() == b"hello"
    assert held.pop().read() == b"hello" and len(server.requests) == 3


def test_refused(caller_class: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    caller = caller_class(f"http://127.0.0.1:{port}")
    with pytest.raises(ProviderConnectionError, match="refused") as caught:
        caller.ask()
    assert not caught.value.sent and not caught.value.may_be_billed and caught.value.retry_limit is None
    caller.close()


def test_second_address_of_a_host(
    serve: Any, call: Any, monkeypatch: pytest.MonkeyPatch, black_hole: int
) -> None:
    """One address is a black hole, one refuses, the third answers, within one attempt's delay."""

    def script(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(OK)

    server = serve(script)
    with socket.create_server(("127.0.0.1", 0)) as place:
        refused = place.getsockname()[1]
    ports: List[int] = [black_hole, refused, server.port]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    caller = call(server.url.replace("127.0.0.1", "localhost"), verify=False)
    assert caller.ask(limits=limits(connect=GENEROUS)) == b"hello"
    caller.settle()


def test_host_that_does_not_exist(caller_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    caller = caller_class("http://nowhere.test")
    with pytest.raises(ProviderConnectionError, match=r"nowhere\.test: Name or service not known") as caught:
        caller.ask()
    assert not caught.value.sent
    caller.close()


def test_reading_in_another_thread_can_be_interrupted(serve: Any, security: str) -> None:
    from tests.connections.callers import SyncCaller

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK[:-2])
        peer.wait_until_left()

    caller = SyncCaller(serve(script).url, verify=False)
    answer = caller.open(limits=PATIENT)
    threading.Timer(0.2, answer.reply.interrupt).start()
    with pytest.raises(ProviderConnectionError):
        answer.read()
    caller.close()
