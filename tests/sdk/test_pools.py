"""The pools of async clients: few connections, counted right whatever happens to a call."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, Awaitable, Callable, List

import pytest

from llm_orchestrator import LLMOrchestrator, ProviderConnectionError
from llm_orchestrator.providers.http import pools
from llm_orchestrator.providers.http.library import http_library_of
from llm_orchestrator.providers.http.pools import POOL_SIZE, ConnectionPools, async_client_arguments
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import (
    BEFORE_HEAD,
    DIALECTS,
    Dialect,
    Reply,
    ScriptedServer,
    Stall,
    refusing_url,
)

CHAT = DIALECTS["chat"]
SILENT = Reply().but(fault=Stall(BEFORE_HEAD))
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def library(vendor_sdks: None) -> Any:
    """The HTTP library of this generation of SDKs."""
    import openai

    return http_library_of(openai)


class Line:
    """A client of the HTTP library on the pools, and the address of the scripted server."""

    def __init__(self, library: Any, server: ScriptedServer) -> None:
        self.pools: ConnectionPools = async_client_arguments(library)["transport"]
        self.client = library.AsyncClient(transport=self.pools)
        self.url = f"{server.url}/v1/chat/completions"

    async def open(self) -> Any:
        return await self.client.send(self.client.build_request("POST", self.url, json={}), stream=True)

    async def call(self) -> Any:
        return await self.client.post(self.url, json={})

    @property
    def in_flight(self) -> List[int]:
        return [pool.in_flight for pool in self.pools._pools]


@pytest.fixture
def line(library: Any, server: ScriptedServer) -> Line:
    server.default = CHAT.whole("Hello.")
    return Line(library, server)


def run(work: Callable[[], Awaitable[Any]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def cancelled(task: Any) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


# ---------------------------------------------------------------- how many connections


def test_calls_one_after_another_share_a_connection(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate()

    async def work() -> None:
        for _ in range(3):
            await orchestrator.asend_request("Hi")
            await orchestrator.asend_streaming_request("Hi").final_response()

    run(work)

    assert {request.connection for request in server.requests} == {1}
    assert len(server.requests) == 6


@pytest.mark.slow
@pytest.mark.parametrize(("dialect", "calls"), [(CHAT, 500), *((each, 25) for each in DIALECTS.values())])
def test_calls_at_once_open_a_connection_each_and_use_them_again(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    calls: int,
    library: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The five seconds after which an idle connection ends are over before a busy machine has made 500 calls.
    monkeypatch.setattr(library, "Limits", partial(library.Limits, keepalive_expiry=60))
    server.default = dialect.whole("Hello.").but(delay=0.1)
    orchestrator = orchestrate()

    async def work() -> None:
        for _ in range(2):
            await asyncio.gather(*[orchestrator.asend_request("Hi") for _ in range(calls)])
            assert server.open_connections <= calls

    run(work)

    assert len(server.requests) == 2 * calls
    assert len({request.connection for request in server.requests}) <= calls


def test_a_pool_is_filled_before_the_next_one(line: Line) -> None:
    async def work() -> None:
        replies = [await line.open() for _ in range(2 * POOL_SIZE + 1)]
        assert line.in_flight == [POOL_SIZE, POOL_SIZE, 1]
        for reply in replies[:2]:
            await reply.aclose()
        assert line.in_flight == [POOL_SIZE - 2, POOL_SIZE, 1]
        await line.open()
        assert line.in_flight == [POOL_SIZE - 1, POOL_SIZE, 1]
        await line.client.aclose()

    run(work)


def test_requests_beyond_the_maximum_wait(
    line: Line, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "MAX_CONNECTIONS", 2)

    async def work() -> None:
        first, _ = await line.open(), await line.open()
        waiting, given_up = asyncio.ensure_future(line.open()), asyncio.ensure_future(line.open())
        await asyncio.sleep(0.01)
        assert len(server.requests) == 2
        await cancelled(given_up)
        await first.aclose()
        last = await waiting
        assert line.in_flight == [2]
        await last.aclose()
        await line.call()
        await line.client.aclose()

    run(work)


# ---------------------------------------------------------------- counted right


def test_a_place_is_given_back_once(line: Line) -> None:
    async def work() -> None:
        kept, closed = await line.open(), await line.open()
        stream = closed.stream
        for _ in range(3):
            await stream.aclose()
        assert line.in_flight == [1]
        await kept.aread()
        assert line.in_flight == [0]
        await line.client.aclose()

    run(work)


def test_a_call_cancelled_before_its_reply_gives_its_place_back(line: Line, server: ScriptedServer) -> None:
    server.script(SILENT)

    async def work() -> None:
        call = asyncio.ensure_future(line.call())
        await until(lambda: len(server.requests) == 1)
        assert line.in_flight == [1]
        await cancelled(call)
        assert line.in_flight == [0]
        await line.client.aclose()

    run(work)


def test_a_call_that_fails_gives_its_place_back(line: Line, library: Any) -> None:
    async def work() -> None:
        with refusing_url() as line.url, pytest.raises(library.ConnectError):
            await line.call()
        assert line.in_flight == [0]
        await line.client.aclose()

    run(work)


def test_a_stream_whose_closing_fails_gives_its_place_back(line: Line) -> None:
    async def work() -> None:
        reply = await line.open()
        inner = reply.stream._stream._stream  # the client's, ours, the HTTP library's

        async def fail() -> None:
            raise OSError("gone")

        close, inner.aclose = inner.aclose, fail
        with pytest.raises(OSError, match="gone"):
            await reply.aclose()
        assert line.in_flight == [0]
        await close()
        await line.client.aclose()

    run(work)


def test_a_dropped_stream_gives_its_place_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.stream(["One", " two"], complete=False).but(fault=Stall()))
    orchestrator = orchestrate()

    async def work() -> None:
        stream = orchestrator.asend_streaming_request("Hi")
        await stream.__anext__()
        open_pools = await pools_of(orchestrator)
        assert [pool.in_flight for pool in open_pools._pools] == [1]
        del stream
        gc.collect(0)
        await until(lambda: [pool.in_flight for pool in open_pools._pools] == [0])

    run(work)


async def pools_of(orchestrator: LLMOrchestrator) -> Any:
    provider: Any = orchestrator._providers[orchestrator.active_provider]
    client = await provider._clients.for_loop()
    return getattr(client, "_async_client" if hasattr(client, "_async_client") else "_client")._transport


# ---------------------------------------------------------------- closed


def test_closing_closes_the_connections_of_all_pools(line: Line, server: ScriptedServer) -> None:
    async def work() -> None:
        for reply in [await line.open() for _ in range(POOL_SIZE + 1)]:
            await reply.aread()
        assert server.open_connections == POOL_SIZE + 1
        first = line.pools._pools[0].transport
        close = first.aclose

        async def close_and_fail() -> None:
            await close()
            raise OSError("gone")

        first.aclose = close_and_fail
        with pytest.raises(OSError, match="gone"):
            await line.client.aclose()
        assert await asyncio.get_running_loop().run_in_executor(None, server.wait_for_connections, 0)

    run(work)


def test_connections_idle_for_too_long_are_closed(
    line: Line, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The HTTP library closes those of a pool when the pool is used, and a second pool may never be again."""
    now = SimpleNamespace(monotonic=lambda: now.seconds, seconds=1000.0)
    monkeypatch.setattr(pools, "time", now)

    async def work() -> None:
        for reply in [await line.open() for _ in range(POOL_SIZE + 1)]:
            await reply.aread()
        now.seconds += line.pools._keep_idle_seconds - 0.1
        await line.call()
        assert line.in_flight == [0, 0]
        now.seconds += 0.2
        await line.call()
        assert line.in_flight == [0]
        assert await asyncio.get_running_loop().run_in_executor(None, server.wait_for_connections, POOL_SIZE)
        await line.client.aclose()

    run(work)


# ---------------------------------------------------------------- what connections are like


def test_all_pools_share_one_ssl_context(line: Line) -> None:
    async def work() -> None:
        for reply in [await line.open() for _ in range(POOL_SIZE + 1)]:
            await reply.aread()
        contexts = {pool.transport._pool._ssl_context for pool in line.pools._pools}
        assert len(line.pools._pools) == 2 and len(contexts) == 1
        await line.client.aclose()

    run(work)


def test_connections_are_kept_alive(line: Line) -> None:
    async def work() -> None:
        reply = await line.open()
        connection = reply.extensions["network_stream"].get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        await reply.aclose()
        await line.client.aclose()

    run(work)


# ---------------------------------------------------------------- proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, server.url)
    server.script(dialect.whole("By proxy."))
    orchestrator = orchestrate("http://provider.invalid")

    async def work() -> None:
        assert (await orchestrator.asend_request("Hi")).content == "By proxy."

    run(work)

    assert server.requests[0].headers["host"] == "provider.invalid"


@pytest.mark.slow  # with a proxy the HTTP library makes two more transports, each with its own certificates
def test_hosts_without_a_proxy_are_called_directly(
    orchestrate: Orchestrate, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        with refusing_url() as proxy:
            monkeypatch.setenv("ALL_PROXY", proxy)
            with pytest.raises(ProviderConnectionError):
                await orchestrate().asend_request("Hi")
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            assert (await orchestrate().asend_request("Hi")).content

    run(work)


def test_without_a_proxy_there_are_pools(
    orchestrate: Orchestrate, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    orchestrator = orchestrate()

    async def work() -> None:
        assert isinstance(await pools_of(orchestrator), ConnectionPools)

    run(work)
