"""The SDK clients of one adapter: one for all threads, one for each event loop, new ones after a fork.

Async clients are bound to the loop that opened their connections, so each loop has its own, closed by
``aclose`` or when the loop shuts down its async generators, as ``asyncio.run`` does. A loop that was closed
without that can no longer close its connections; its client is dropped when another loop needs one.
Connections must not be shared with a forked child, so a child makes its own. The client of threads is closed
by ``close``, or when nothing refers to it any more.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncGenerator,
    Awaitable,
    Callable,
    Dict,
    Generic,
    List,
    Optional,
    Tuple,
    TypeVar,
)

from llm_orchestrator.providers.http.redaction import Redactor, redact_logs, stop_redacting_logs
from llm_orchestrator.utils.forks import forks_wait
from llm_orchestrator.utils.threads import NoThreadError, in_thread

if TYPE_CHECKING:
    import asyncio

__all__ = ["Clients"]

logger = logging.getLogger(__name__)

SyncClient = TypeVar("SyncClient")
AsyncClient = TypeVar("AsyncClient")


class Clients(Generic[SyncClient, AsyncClient]):
    """Makes clients when they are first needed, hands them out, and closes them."""

    def __init__(
        self,
        *,
        make: Callable[[], SyncClient],
        make_async: Callable[[], AsyncClient],
        close: Callable[[SyncClient], None],
        aclose: Callable[[AsyncClient], Awaitable[None]],
        redactor: Redactor,
    ) -> None:
        self._make = make
        self._make_async = make_async
        self._close = close
        self._aclose = aclose
        self._redactor = redactor
        self._inherited: List[Any] = []  # kept, so that no finalizer closes what the parent uses
        self._reset()
        _all_clients.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._for_threads: Optional[SyncClient] = None
        self._end: Optional[weakref.finalize[..., Any]] = None
        self._for_loops: Dict[asyncio.AbstractEventLoop, Tuple[AsyncClient, AsyncGenerator[None, None]]] = {}
        self._making: Dict[asyncio.AbstractEventLoop, asyncio.Task[AsyncClient]] = {}

    def for_threads(self) -> SyncClient:
        """The client for sync callers."""
        client = self._for_threads
        if client is None:
            with self._lock:
                client = self._for_threads
                if client is None:
                    client = _made(self._make)
                    self._end = weakref.finalize(self, self._close, client)
                    # At exit it stays open: threads may be in the middle of a call, which would fail.
                    self._end.atexit = False  # type: ignore[misc, unused-ignore]  # older stubs deny it
                    redact_logs(self._redactor)  # only now: making a client imports the SDK and its loggers
                    self._for_threads = client
        return client

    async def for_loop(self) -> AsyncClient:
        """The client for callers on the running loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        known = self._for_loops.get(loop)
        if known is not None:
            return known[0]
        making = self._making.get(loop)
        if making is None:
            making = self._making[loop] = loop.create_task(self._begin(loop))
        return await asyncio.shield(making)

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> AsyncClient:
        """Make a loop's client in a thread: importing an SDK takes a second, and the loop must go on."""
        try:
            client: AsyncClient = await in_thread(partial(_made, self._make_async))
            guard = self._close_with_loop(client, loop)
            self._for_loops[loop] = (client, guard)
            redact_logs(self._redactor)
            await guard.__anext__()
        except NoThreadError as error:
            from llm_orchestrator.providers.http.core.network_errors import no_thread  # it brings ssl

            raise no_thread(error) from error
        finally:
            del self._making[loop]
        for other in self._take_clients_of_closed_loops():
            await self._drop(other)
        return client

    async def _close_with_loop(
        self, client: AsyncClient, loop: asyncio.AbstractEventLoop
    ) -> AsyncGenerator[None, None]:
        """Close the client when its loop shuts down: loops close their open async generators first."""
        try:
            yield
        finally:
            self._for_loops.pop(loop, None)
            await self._aclose(client)
            self._release_logs()

    def _take_clients_of_closed_loops(self) -> List[AsyncClient]:
        with self._lock:
            closed = [loop for loop in list(self._for_loops) if loop.is_closed()]
            return [self._for_loops.pop(loop)[0] for loop in closed]

    async def _drop(self, client: AsyncClient) -> None:
        """Mark a client as closed, or it would try to close itself on the loop that drops it."""
        try:
            await self._aclose(client)
        except Exception as error:  # noqa: BLE001 (its loop is closed, so its connections cannot be)
            logger.debug("A client was not closed before its event loop: %s", type(error).__name__)

    def close(self) -> None:
        """Close the client for threads; those of running loops are closed with their loops."""
        with self._lock:
            self._for_threads = None
            end, self._end = self._end, None
        if end is not None:
            end()
        self._release_logs()

    def _release_logs(self) -> None:
        """Stop filtering the SDK's logs once no client of ours can write to them."""
        if self._for_threads is None and not self._for_loops:
            stop_redacting_logs(self._redactor)

    async def aclose(self) -> None:
        """Close the client of the running loop, and the one for threads."""
        import asyncio

        with self._lock:
            known = self._for_loops.pop(asyncio.get_running_loop(), None)
        if known is not None:
            await known[1].aclose()
        self.close()

    def start_anew_in_child(self) -> None:
        """Forget inherited clients without closing them: their sockets are the parent's too."""
        if self._end is not None:
            self._end.detach()
        self._inherited += [self._for_threads, *self._for_loops.values(), *self._making.values()]
        self._reset()


_all_clients: weakref.WeakSet[Clients[Any, Any]] = weakref.WeakSet()


def _made(make: Callable[[], Any]) -> Any:
    """Make a client, which imports an SDK or the library's own connections."""
    with forks_wait:
        return make()


def _start_anew_in_child() -> None:
    for clients in list(_all_clients):
        clients.start_anew_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)
