"""The connections of async clients, in many small pools.

The HTTP libraries' own pool walks all of its connections for every request, which at 500 calls in flight
takes 40 % of a call's CPU time. Here a request goes to the first small pool with room: each walk is short,
and few calls at a time still keep to few connections.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Dict, List, Optional, Tuple

if TYPE_CHECKING:
    import asyncio

__all__ = ["MAX_CONNECTIONS", "POOL_SIZE", "ConnectionPools", "async_client_arguments"]

#: As many for one client as the vendors' SDKs allow; further requests wait.
MAX_CONNECTIONS = 1000
#: Requests at a time in one pool. Measured at 500 in flight: 10 is the fastest, 25 and more are slower.
POOL_SIZE = 10
#: Seconds until an idle connection is probed, between probes, and probes until it counts as lost.
KEEP_ALIVE_OPTIONS = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5}


def async_client_arguments(library: Any, certificates: Any = None) -> Dict[str, Any]:
    """The arguments that give an async HTTP client its connections."""
    if _environment_names_a_proxy():
        return {}
    return {"transport": ConnectionPools(library, certificates or library.create_ssl_context())}


class ConnectionPools:
    """A transport for the async clients of an HTTP library, bound to one event loop as they are."""

    def __init__(self, library: Any, certificates: Any) -> None:
        self._transport_class = library.AsyncHTTPTransport
        self._stream_class = _stream_class(library)
        limits = library.Limits(max_connections=None, max_keepalive_connections=POOL_SIZE)
        self._keep_idle_seconds: float = limits.keepalive_expiry
        self._settings = {
            "verify": certificates,
            "limits": limits,  # without a maximum: requests are counted here
            "socket_options": _keep_alive_options(),
        }
        self._pools = [self._new_pool()]
        self._places: Optional[asyncio.Semaphore] = None

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request and wait for the head of its reply."""
        places = self._places or self._new_places()
        await places.acquire()
        pool = self._pool_with_room()
        pool.in_flight += 1

        def give_back() -> None:
            pool.in_flight -= 1
            pool.left_at = time.monotonic()
            places.release()

        try:
            await self._close_an_idle_pool()
            response = await pool.transport.handle_async_request(request)
        except BaseException:  # cancellation is not an Exception
            give_back()
            raise
        response.stream = self._stream_class(response.stream, give_back)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        from contextlib import AsyncExitStack

        pools, self._pools = self._pools, []
        async with AsyncExitStack() as stack:  # closes the others, too, when one of them fails
            for pool in pools:
                stack.push_async_callback(pool.transport.aclose)

    async def __aenter__(self) -> ConnectionPools:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def _new_places(self) -> asyncio.Semaphore:
        """Made on the loop, to which it is bound before Python 3.10; the client is made in a thread."""
        import asyncio

        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        return self._places

    def _new_pool(self) -> _Pool:
        return _Pool(self._transport_class(**self._settings))

    def _pool_with_room(self) -> _Pool:
        for pool in self._pools:
            if pool.in_flight < POOL_SIZE:
                return pool
        self._pools.append(self._new_pool())
        return self._pools[-1]

    async def _close_an_idle_pool(self) -> None:
        """Close a pool whose connections have all been idle for too long; it notices only when it is used.

        One at a time, so that no request waits for hundreds of connections to close. The first pool stays: a
        single request always uses it.
        """
        now = time.monotonic()
        for pool in self._pools[1:]:
            if not pool.in_flight and now - pool.left_at > self._keep_idle_seconds:
                self._pools.remove(pool)
                await pool.transport.aclose()
                return


class _Pool:
    """One pool of the HTTP library, and how many requests are in it."""

    __slots__ = ("in_flight", "left_at", "transport")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.in_flight = 0
        self.left_at = time.monotonic()


class _PooledStream:
    """The body of a reply, which gives its place in the pool back when it is closed, once."""

    def __init__(self, stream: Any, give_back: Callable[[], None]) -> None:
        self._stream = stream
        self._give_back: Optional[Callable[[], None]] = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        pieces: AsyncIterator[bytes] = self._stream.__aiter__()
        return pieces

    async def aclose(self) -> None:
        give_back, self._give_back = self._give_back, None
        try:
            await self._stream.aclose()
        finally:
            if give_back is not None:
                give_back()


@cache
def _stream_class(library: Any) -> Any:
    """The class above as a stream class of the HTTP library, which accepts no others."""
    return type("PooledStream", (_PooledStream, library.AsyncByteStream), {})


def _environment_names_a_proxy() -> bool:
    """Whether the HTTP library would find a proxy, by the same function."""
    from urllib.request import getproxies

    proxies = getproxies()
    return any(proxies.get(scheme) for scheme in ("http", "https", "all"))


def _keep_alive_options() -> List[Tuple[int, int, int]]:
    """Socket options that keep a connection alive while a model thinks, as Anthropic's SDK sets them."""
    import socket

    known = [(name, value) for name, value in KEEP_ALIVE_OPTIONS.items() if hasattr(socket, name)]
    options = [(socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in known]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *options]
