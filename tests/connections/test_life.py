"""How connections live and end: dropped, cancelled, forked, shared by many, left behind by their loop."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator.exceptions import ConfigurationError, ProviderConnectionError, ProviderTimeoutError
from llm_orchestrator.providers.http.core import sockets
from llm_orchestrator.providers.http.core.aconnections import AsyncConnections
from llm_orchestrator.providers.http.core.connections import Connections
from llm_orchestrator.providers.http.core.origins import Origin
from llm_orchestrator.providers.http.core.settings import HttpSettings
from llm_orchestrator.providers.wire import Limits
from tests.connections.callers import HEADERS, PATIENT, AsyncCaller, SyncCaller
from tests.connections.servers import Peer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def answering(peer: Peer) -> None:
    for _ in peer.requests():
        peer.send(OK)


def echoing(peer: Peer) -> None:
    for request in peer.requests():
        body = request.partition(b"\r\n\r\n")[2]
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def streaming(peer: Peer) -> None:
    for _ in peer.requests():
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")


async def ask(connections: AsyncConnections, body: bytes, limits: Limits = PATIENT) -> bytes:
    reply = await connections.open("POST", "/v1", HEADERS, body, limits)
    return b"".join([piece async for piece in reply.aiter_bytes()])


def test_dropped_stream_closes_its_connection_at_once(serve: Any, call: Any) -> None:
    server = serve(streaming)
    caller = call(server, max_connections=2)
    gc.disable()  # it is no work for the garbage collector
    try:
        for _ in range(20):
            answer = caller.open()
            assert next(answer.pieces()) == b"hello"
            del answer
            caller.settle()
            assert server.wait_until_all_left()
    finally:
        gc.enable()
    assert len(server.peers) == 20


def test_closed_stream_closes_its_connection_and_twice_is_fine(serve: Any, call: Any) -> None:
    server = serve(streaming)
    caller = call(server, max_connections=1)
    for _ in range(5):
        answer = caller.open()
        assert next(answer.pieces()) == b"hello"
        answer.close()
        answer.close()
        with pytest.raises(ProviderConnectionError, match="closed before its end"):
            answer.read()
    caller.settle()
    assert server.wait_until_all_left()


def test_close_leaves_nothing_open(serve: Any, call: Any) -> None:
    server = serve(answering)
    caller = call(server)
    answers = [caller.open() for _ in range(5)]
    assert [answer.read() for answer in answers] == [b"hello"] * 5
    assert caller.idle == server.open_connections == 5
    if isinstance(caller, SyncCaller):
        caller.close()
    else:
        caller.run(caller.connections.aclose())
    assert server.wait_until_all_left()


def test_reply_read_after_close_is_not_kept(serve: Any) -> None:
    server = serve(answering)
    caller = SyncCaller(server.url, verify=False)
    answer = caller.open()
    caller.close()
    assert answer.read() == b"hello" and caller.idle == 0
    assert server.wait_until_all_left()


def test_forgotten_connections_are_closed(serve: Any, call: Any) -> None:
    server = serve(answering)
    caller = call(server, keep_alive=0.2)
    answers = [caller.open() for _ in range(5)]
    assert [answer.read() for answer in answers] == [b"hello"] * 5
    time.sleep(0.3)
    assert caller.ask() == b"hello"
    caller.settle()
    assert caller.idle == 1


def test_threads_share_connections(serve: Any, security: str) -> None:
    server = serve(echoing)
    caller = SyncCaller(server.url, verify=False, max_connections=8)
    before = threading.active_count()
    caller.ask()
    assert threading.active_count() - before <= 1  # the server's own
    bodies = [b"%d" % number for number in range(1600)]
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(caller.ask, bodies)) == bodies
    assert len(server.peers) <= 8
    caller.close()
    assert server.wait_until_all_left()


def test_thousand_calls_in_flight_and_waiters(serve: Any, security: str) -> None:
    server = serve(echoing)
    caller = AsyncCaller(server.url, verify=False, max_connections=200 if security == "tls" else 500)
    bodies = [b"%d" % number for number in range(1000)]

    async def all_of_them() -> List[bytes]:
        return list(await asyncio.gather(*[ask(caller.connections, body) for body in bodies]))

    for _ in range(2):
        assert caller.run(all_of_them()) == bodies
    assert len(server.peers) <= caller.settings.max_connections
    assert caller.connections._places == caller.settings.max_connections
    caller.close()
    assert server.wait_until_all_left()


def test_cancelled_waiters_are_skipped(serve: Any) -> None:
    server = serve(echoing)
    caller = AsyncCaller(server.url, verify=False, max_connections=1)

    async def scene() -> List[Any]:
        held = await caller.connections.open("POST", "/v1", HEADERS, b"held", PATIENT)
        tasks = [asyncio.ensure_future(ask(caller.connections, b"%d" % number)) for number in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        assert b"".join([piece async for piece in held.aiter_bytes()]) == b"held"
        for task in tasks[1::4]:
            task.cancel()  # the first of these was just given the place
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    results = caller.run(scene())
    assert [result for result in results if isinstance(result, bytes)] == [
        b"%d" % number for number in range(3, 20, 4)
    ]
    assert caller.connections._places == 1
    caller.close()


def test_cancelled_at_every_await(serve: Any) -> None:
    """Cancel a call after 0, 1, 2 ... turns of the loop: no socket, place or timer stays behind."""
    server = serve(streaming)
    caller = AsyncCaller(server.url, verify=False, max_connections=1)

    async def read() -> None:
        reply = await caller.connections.open("POST", "/v1", HEADERS, bytes(3_000_000), PATIENT)
        async for _ in reply.aiter_bytes():
            pass

    async def cancel_after(turns: int) -> None:
        task = asyncio.ensure_future(read())
        for _ in range(turns):
            await asyncio.sleep(0.0002 if turns > 20 else 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert caller.connections._places == 1 and not caller.connections._in_use
        for _ in range(5):
            await asyncio.sleep(0)

    for turns in range(80):
        caller.run(cancel_after(turns))
    assert len(asyncio.all_tasks(caller.loop)) == 0 and caller.idle == 0
    caller.close()
    assert server.wait_until_all_left()


def test_cancelled_while_the_server_breaks_off(serve: Any) -> None:
    """Two ends at once: asyncio complains of every future that nobody looks at."""
    complaints: List[Any] = []
    server = serve(lambda peer: peer.end("RST"))
    caller = AsyncCaller(server.url, verify=False)
    caller.loop.set_exception_handler(lambda _, context: complaints.append(context))

    async def cancel_after(pause: float) -> None:
        task = asyncio.ensure_future(ask(caller.connections, b"", Limits(0.01, 0.01, math.inf)))
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for number in range(150):
        caller.run(cancel_after(number / 10_000))
    caller.close()
    gc.collect()
    assert complaints == []


def test_cancelled_while_connecting_to_several_addresses(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    server = serve(answering)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))] * 3
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    caller = AsyncCaller(server.url.replace("127.0.0.1", "localhost"), verify=False)

    async def cancel_after(turns: int) -> None:
        task = asyncio.ensure_future(ask(caller.connections, b""))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.01)

    for turns in range(20):
        caller.run(cancel_after(turns))
    caller.close()
    assert server.wait_until_all_left()


def test_reading_pauses_while_nobody_takes(serve: Any) -> None:
    size = 50_000_000

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))

    caller = AsyncCaller(serve(script).url, verify=False)

    async def scene() -> int:
        reply = await caller.connections.open("POST", "/v1", HEADERS, b"", PATIENT)
        for _ in range(50):
            await asyncio.sleep(0.005)
            assert reply._parser.unread < 2_000_000
        return sum([len(piece) async for piece in reply.aiter_bytes()])

    assert caller.run(scene()) == size
    caller.close()


def test_unpacking_lets_others_run(serve: Any) -> None:
    import gzip

    packed = gzip.compress(b"".join(os.urandom(40) + bytes(984) for _ in range(40_000)))  # tight, but no bomb

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
        )

    caller = AsyncCaller(serve(script).url, verify=False)

    async def scene() -> int:
        turns, reading = 0, asyncio.ensure_future(ask(caller.connections, b""))
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert len(await reading) == 40_960_000
        return turns

    assert caller.run(scene()) > 15
    caller.close()


def test_two_loops_and_a_closed_one(serve: Any) -> None:
    server = serve(answering)
    first, second = AsyncCaller(server.url, verify=False), AsyncCaller(server.url, verify=False)
    assert first.ask() == second.ask() == b"hello"
    with pytest.raises(ProviderConnectionError, match="belongs to the event loop") as caught:
        second.run(first.connections.open("POST", "/v1", HEADERS, b"", PATIENT))
    assert not caught.value.sent
    answer = first.open()
    with pytest.raises(ProviderConnectionError, match="belongs to the event loop"):
        second.run(_read_all(answer.reply, at_least=2))
    first.close()
    second.close()
    assert server.wait_until_all_left()


async def _read_all(reply: Any, at_least: int) -> None:
    pieces = [piece async for piece in reply.aiter_bytes()]
    if len(pieces) < at_least:  # it had come already, and needed no loop
        raise ProviderConnectionError("it belongs to the event loop of another")


def test_loop_closed_without_a_word(serve: Any, recwarn: pytest.WarningsRecorder) -> None:
    server = serve(streaming)
    loop = asyncio.new_event_loop()
    caller = AsyncCaller(server.url, loop, verify=False)
    held = caller.open()
    loop.close()
    del held
    caller.connections.__del__()
    assert server.wait_until_all_left()
    del caller
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork_with_warm_connections(serve: Any) -> None:
    server = serve(echoing)
    caller = SyncCaller(server.url, verify=False)
    held = [caller.open(b"%d" % number) for number in range(3)]
    assert caller.ask() == b"{}"
    child = os.fork()
    if not child:
        status = 1
        try:
            right = [caller.ask(b"child %d" % number) == b"child %d" % number for number in range(20)]
            status = 0 if all(right) and caller.connections._process == os.getpid() else 2
        finally:
            os._exit(status)
    for number in range(20):
        assert caller.ask(b"parent %d" % number) == b"parent %d" % number
    assert os.waitpid(child, 0)[1] == 0
    assert [answer.read() for answer in held] == [b"0", b"1", b"2"]
    assert len(server.peers) == 5  # the child's own is the fifth
    caller.close()


PROGRAM = """
import asyncio, sys, threading
sys.path.insert(0, {root!r})
from tests.connections.callers import SyncCaller, HEADERS, PATIENT
kind, url = sys.argv[1:]
kept = []
if kind.startswith("sync"):
    caller = SyncCaller(url, verify=False)
    caller.ask()
    kept += [caller, caller.open() if kind == "sync open" else None]
    assert threading.active_count() == 1
else:
    from tests.connections.callers import AsyncCaller
    caller = AsyncCaller(url, asyncio.new_event_loop(), verify=False)
    caller.loop.slow_callback_duration = 60  # a busy machine is nothing to print about
    kept.append(caller)
    if kind == "async run":
        async def main():
            asyncio.get_running_loop().slow_callback_duration = 60
            reply = await caller.connections.open("POST", "/v1", HEADERS, b"", PATIENT)
            kept.append(reply)
            await caller.connections.aclose()
        caller.loop.close()
        caller.connections._loop = None
        asyncio.run(main())
    else:
        caller.ask()
        if kind == "async open":
            kept.append(caller.open())
        caller.loop.close()
print("done")
"""


@pytest.mark.parametrize("kind", ["sync", "sync open", "async run", "async", "async open"])
def test_exit_without_close_prints_nothing(kind: str, serve: Any) -> None:
    server = serve(answering)
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM.format(root=str(ROOT)), kind, server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**_clean_environment(), "PYTHONASYNCIODEBUG": "1"},
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def _clean_environment() -> Dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if "PROXY" not in name.upper() and name != "PYTHONPATH"
    }


def test_sync_needs_neither_asyncio_nor_another_http_library() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import llm_orchestrator.providers.http.core.connections\n"
        "print(sorted({'asyncio', 'httpx', 'httpx2', 'h11', 'anyio', 'http.client'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_uvloop(serve: Any) -> None:
    uvloop = pytest.importorskip("uvloop")
    server = serve(echoing)
    caller = AsyncCaller(server.url, uvloop.new_event_loop(), verify=False)

    async def all_of_them() -> List[bytes]:
        return list(await asyncio.gather(*[ask(caller.connections, b"%d" % number) for number in range(100)]))

    assert caller.run(all_of_them()) == [b"%d" % number for number in range(100)]
    assert caller.ask(bytes(5_000_000)) == bytes(5_000_000)
    with pytest.raises(ProviderTimeoutError):
        caller.open(limits=Limits(5, 5, time.monotonic() - 1))
    answer = caller.open()
    answer.close()
    caller.close()
    assert server.wait_until_all_left()


def test_uvloop_early_refusal(serve: Any) -> None:
    uvloop = pytest.importorskip("uvloop")
    done = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_some()
        peer.send(OK.replace(b"200", b"413"))
        assert done.wait(20)

    caller = AsyncCaller(serve(script).url, uvloop.new_event_loop(), verify=False)
    answer = caller.open(bytes(12_000_000))
    assert (answer.status, answer.read()) == (413, b"hello")
    done.set()
    caller.close()


def test_without_asyncio_it_says_so() -> None:
    caller = SyncCaller("http://127.0.0.1:1")
    connections = AsyncConnections(caller.origin, caller.settings)
    opening = connections.open("POST", "/v1", HEADERS, b"", PATIENT)
    with pytest.raises(ConfigurationError, match="trio is not supported"):
        opening.send(None)  # as another kind of loop would run it


def test_trio() -> None:
    trio = pytest.importorskip("trio")
    caller = SyncCaller("http://127.0.0.1:1")
    connections = AsyncConnections(caller.origin, caller.settings)
    with pytest.raises(ConfigurationError, match="trio is not supported"):
        trio.run(connections.open, "POST", "/v1", HEADERS, b"", PATIENT)


def test_no_thread_for_a_look_up(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the system's look-up needs one, and only on a loop."""
    server = serve(answering)
    url = server.url.replace("127.0.0.1", "localhost")
    sync, caller = SyncCaller(url, verify=False), AsyncCaller(url, verify=False)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(ConfigurationError, match="No thread can be started: can't start new thread"):
            caller.ask()
        patched.undo()
    assert caller.ask() == sync.ask() == b"hello"
    caller.close()
    sync.close()


def test_no_descriptor_for_a_look_up(caller_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's look-up says that the name is not known, when it cannot open a file."""
    caller = caller_class("http://nowhere.test")

    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(sockets, "_can_open", lambda: False)
    with pytest.raises(ConfigurationError, match="ulimit -n"):
        caller.ask()
    caller.close()


@pytest.mark.parametrize("kind", [Connections, AsyncConnections])
def test_certificates_that_cannot_be_read_leave_no_complaint(
    kind: Any, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """The finalizer of what was never made must not stumble."""
    settings = HttpSettings(ca_bundle=str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="ca_bundle"):
        kind(Origin.of("https://127.0.0.1:1", settings), settings)
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of descriptors")
def test_no_descriptor_left(serve: Any, caller_class: Any) -> None:
    import resource

    server = serve(answering)
    caller = caller_class(server.url, verify=False)
    caller.settle()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(ConfigurationError, match="Too many open files"):
            caller.ask()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caller.ask() == b"hello"
    caller.close()
