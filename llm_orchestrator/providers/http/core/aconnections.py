"""The connections of async callers on one asyncio event loop.

What is decided is what ``connections`` decides; only what waits is different. Every wait goes through the
call's timer, and a call that is cancelled aborts its connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import AsyncIterator, Deque, Optional, Set

from llm_orchestrator.exceptions import (
    ConfigurationError,
    ProviderConnectionError,
    ProviderTimeoutError,
    forget_frames,
)
from llm_orchestrator.providers.http.core.aconnection import AsyncConnection, Timer
from llm_orchestrator.providers.http.core.clock import Clock
from llm_orchestrator.providers.http.core.messages import request_bytes
from llm_orchestrator.providers.http.core.origins import Origin, Target
from llm_orchestrator.providers.http.core.replies import BaseReply
from llm_orchestrator.providers.http.core.settings import HttpSettings
from llm_orchestrator.providers.wire import Limits

__all__ = ["AsyncConnections", "AsyncReply"]

#: So much of a body is handed out before the loop has its turn: whoever reads it takes time, too.
MAX_BYTES_A_TURN = 128 * 1024


class AsyncConnections:
    """All connections of one client to one server, for the tasks of the event loop that first uses it.

    Args:
        origin: The server.
        settings: The entry's settings.

    Raises:
        ConfigurationError: A certificate file cannot be used.
    """

    def __init__(self, origin: Origin, settings: HttpSettings) -> None:
        self._loop: Optional[asyncio.AbstractEventLoop] = (
            None  # first: the finalizer needs it, whatever fails
        )
        self._target = Target.of(origin, settings)
        self._idle: Deque[AsyncConnection] = deque()
        self._in_use: Set[AsyncConnection] = set()
        self._places = settings.max_connections
        self._waiters: Deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    async def open(
        self, method: str, path: str, headers: bytes, body: Optional[bytes], limits: Limits
    ) -> AsyncReply:
        """Send a request and wait for the head of its reply.

        Args:
            method: HTTP method.
            path: Path with query, percent-encoded.
            headers: Header lines from ``header_bytes``.
            body: The body; None for none.
            limits: How long the call may take.

        Returns:
            The open reply, whatever its status.

        Raises:
            OrchestratorError: There is no reply.
        """
        loop = self._running_loop()
        request = request_bytes(self._target.origin, method, path, headers, body)
        timer = Timer(loop, Clock(limits))
        try:
            await self._take_place(timer)
            try:
                connection = await self._send(method, request, timer)
            except BaseException:  # a cancelled call gives its place back, too
                self._free_place()
                raise
        except BaseException:  # with the reply the timer would end; there is none
            timer.stop()
            raise
        return AsyncReply(connection, timer, self)

    async def aclose(self) -> None:
        """Close all connections; replies that are still read fail."""
        self._is_closed = True
        for connection in [*self._idle, *self._in_use]:
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # the loop closes an aborted connection at its next turn

    def give_back(self, connection: AsyncConnection, timer: Timer) -> None:
        """Take a connection that is not in use any more."""
        timer.stop()
        self._in_use.discard(connection)
        if connection.is_usable and not self._is_closed:
            connection.rest(time.monotonic(), self._target.settings.keep_alive)
            self._idle.append(connection)
            self._close_forgotten()
        else:
            connection.abort()
        self._free_place()

    def give_back_soon(self, connection: AsyncConnection, timer: Timer) -> None:
        """Have the loop take a connection; for finalizers, which may run in any thread and take no lock."""
        try:
            timer.loop.call_soon_threadsafe(self.give_back, connection, timer)
        except RuntimeError:  # the loop is closed
            connection.abort()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                "Async calls need a running asyncio event loop, and none runs here; trio is not supported. "
                "Use asyncio or uvloop, or the sync calls."
            ) from None
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise _wrong_loop()
        return loop

    async def _take_place(self, timer: Timer) -> None:
        if self._places > 0:
            self._places -= 1
            return
        waiter: asyncio.Future[None] = timer.loop.create_future()
        self._waiters.append(waiter)
        try:
            await timer.wait(waiter)
        except BaseException:  # cancelled or too late
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._free_place()  # it was given a place in the moment in which it gave up
            raise

    def _free_place(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._places += 1

    async def _send(self, method: str, request: bytes, timer: Timer) -> AsyncConnection:
        connection = self._take_idle()
        if connection is not None:
            try:
                return await self._exchange(connection, method, request, timer)
            except ProviderTimeoutError:
                raise
            except ProviderConnectionError as error:
                if connection.may_have_been_read:
                    raise
                forget_frames(error)  # the connection keeps it, and it would keep what this call leads to
        timer.clock.connecting()
        connection = await timer.run(AsyncConnection.open(self._target))
        timer.clock.connected()
        return await self._exchange(connection, method, request, timer)

    async def _exchange(
        self, connection: AsyncConnection, method: str, request: bytes, timer: Timer
    ) -> AsyncConnection:
        self._in_use.add(connection)
        try:
            await connection.exchange(method, request, timer)
        except BaseException:  # a cancellation leaves half a reply on it
            self._in_use.discard(connection)
            connection.abort()
            raise
        return connection

    def _take_idle(self) -> Optional[AsyncConnection]:
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_until > now and connection.looks_usable():
                return connection
            connection.abort()
        return None

    def _close_forgotten(self) -> None:
        """Close what has been idle for too long: it stands at the bottom, where nobody would look."""
        now = time.monotonic()
        while self._idle and self._idle[0].idle_until <= now:
            self._idle.popleft().abort()

    def __del__(self) -> None:
        if self._loop is not None and self._loop.is_closed():
            for connection in [*self._idle, *self._in_use]:
                connection.abort()


class AsyncReply(BaseReply):
    """An open reply for async callers; its own iterator.

    Args:
        connection: The connection that it comes from.
        timer: The timer of the call.
        owner: Where the connection goes afterwards.
    """

    def __init__(self, connection: AsyncConnection, timer: Timer, owner: AsyncConnections) -> None:
        super().__init__(connection.protocol.parser, timer.clock)
        self._connection: Optional[AsyncConnection] = connection
        self._timer = timer
        self._owner = owner
        self._bytes_in_turn = 0

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body, piece by piece; it can be read once."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            if self._bytes_in_turn >= MAX_BYTES_A_TURN:
                self._bytes_in_turn = 0
                await asyncio.sleep(0)
            while True:
                piece = self._take()
                if piece:
                    self._bytes_in_turn += len(piece)
                    return piece
                if piece is None:
                    break
                connection = self._connection
                if connection is None:
                    raise self._closed_error()
                self._bytes_in_turn = 0
                await self._progress(connection)
        except BaseException:  # cancellation is no Exception
            self._parser.spoiled = True
            self._release()
            raise
        self._release()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Release the connection; twice is fine."""
        self._release()

    async def _progress(self, connection: AsyncConnection) -> None:
        if asyncio.get_running_loop() is not self._timer.loop:
            raise _wrong_loop()
        await connection.progress(self._timer)

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if asyncio.get_running_loop() is self._timer.loop:
            self._owner.give_back(connection, self._timer)
        else:
            self._owner.give_back_soon(connection, self._timer)

    def __del__(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._owner.give_back_soon(connection, self._timer)


def _wrong_loop() -> ProviderConnectionError:
    error = ProviderConnectionError("A connection belongs to the event loop that opened it. Use it there.")
    error.sent = error.may_be_billed = False
    return error
