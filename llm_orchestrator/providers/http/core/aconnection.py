"""One connection of an async caller: an asyncio protocol, and the timer of the call that uses it."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import suppress
from typing import Any, Coroutine, Deque, List, Optional, Set

from llm_orchestrator.exceptions import OrchestratorError, ProviderTimeoutError
from llm_orchestrator.providers.http.core.clock import Clock
from llm_orchestrator.providers.http.core.network_errors import (
    connecting,
    no_thread,
    not_connected,
    reason_of,
)
from llm_orchestrator.providers.http.core.origins import Target
from llm_orchestrator.providers.http.core.protocol import ClientProtocol
from llm_orchestrator.providers.http.core.sockets import (
    ATTEMPT_DELAY,
    Address,
    ClientSocket,
    Poll,
    connect_error,
    in_order,
    resolve_error,
)
from llm_orchestrator.utils.clock import monotonic

__all__ = ["AsyncConnection", "Timer"]

#: Reading pauses while more of a body lies unread.
MAX_UNREAD_BYTES = 1024 * 1024
READ_BYTES = 256 * 1024
#: Seconds until a timer looks again while nobody waits; a wait that ends earlier sets it anew.
IDLE_LOOK = 60.0


class Timer:
    """The one timer of a call: looks whether what the call waits for is overdue.

    Args:
        loop: The running loop.
        clock: The time of the call.
    """

    __slots__ = ("_due", "_handle", "_looks_at", "_waiter", "clock", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self.loop = loop
        self.clock = clock
        self._waiter: Optional[asyncio.Future[None]] = None
        self._due = 0.0
        self._look_in(clock.left())

    async def wait(self, waiter: asyncio.Future[None]) -> None:
        """Wait for a future, at most as long as the clock allows."""
        try:
            left = self.clock.left()
        except ProviderTimeoutError:
            waiter.cancel()
            raise
        self._due = monotonic() + left
        if self._due < self._looks_at:
            self._handle.cancel()
            self._look_in(left)
        self._waiter = waiter
        try:
            await waiter
        finally:
            self._waiter = None

    async def run(self, opening: Coroutine[Any, Any, AsyncConnection]) -> AsyncConnection:
        """Wait for a connection to be opened, in a task that is cancelled when there is no time left."""
        task = self.loop.create_task(opening)
        done: asyncio.Future[None] = self.loop.create_future()
        task.add_done_callback(lambda _: None if done.done() else done.set_result(None))
        try:
            await self.wait(done)
        except BaseException:  # cancelled or too late: nobody gets the connection
            task.cancel()
            task.add_done_callback(_abort_unwanted)
            raise
        return task.result()

    def stop(self) -> None:
        """Look no more."""
        self._handle.cancel()

    def _look_in(self, seconds: float) -> None:
        seconds = min(max(seconds, 0.001), 86_400)
        self._looks_at = monotonic() + seconds
        self._handle = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        now, waiter = monotonic(), self._waiter
        if waiter is not None and now >= self._due:
            if not waiter.done():
                _fail_quietly(waiter, self.clock.timeout())
            self._look_in(IDLE_LOOK)  # who waits again is told by ``left``
        else:
            self._look_in(IDLE_LOOK if waiter is None else self._due - now)


def _fail_quietly(waiter: asyncio.Future[None], error: Exception) -> None:
    """Fail a future whose task may be cancelled before it looks, of which asyncio would complain."""
    waiter.set_exception(error)
    waiter.exception()


def _abort_unwanted(task: asyncio.Task[AsyncConnection]) -> None:
    """Close a connection that nobody waits for any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().abort()


class AsyncConnection(asyncio.Protocol):
    """One connection, used by one call at a time.

    Args:
        loop: The running loop.
        connected: The socket.
        protocol: What is said on it.

    Attributes:
        opened: Done when requests can be sent, or the opening failed.
        idle_until: When it is too old to be used again.
        may_have_been_read: The server may have read the request that failed.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connected: ClientSocket, protocol: ClientProtocol
    ) -> None:
        self.opened: asyncio.Future[None] = loop.create_future()
        self.idle_until = 0.0
        self.may_have_been_read = True
        self.protocol = protocol
        self._loop = loop
        self._socket = connected
        self._poll = Poll(connected)
        self._transport: Any = None
        self._lost: Optional[OrchestratorError] = None
        self._waiter: Optional[asyncio.Future[None]] = None
        self._is_idle = False
        self._is_reading_paused = self._is_writing_paused = False

    @classmethod
    async def open(cls, target: Target) -> AsyncConnection:
        """Connect, through the proxy's tunnel and TLS where they are needed."""
        host, port = target.origin.address
        loop = asyncio.get_running_loop()
        with connecting(target.origin.proxy_name):
            connected = await _connect(host, port)
        connection = cls(loop, connected, ClientProtocol(target.origin, target.tls))
        try:
            await loop.create_connection(lambda: connection, sock=connected)
            await connection.opened
        except OSError as error:
            connection.abort()
            raise not_connected(f"{host}:{port}: {reason_of(error)}") from error
        except BaseException:  # a cancellation leaves no socket either
            connection.abort()
            raise
        return connection

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return self._lost is None and self.protocol.parser.is_reusable

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=0)  # paused means: not all has left yet
        first = self.protocol.start()
        if first:
            self._transport.write(first)
        self._note_progress()

    def data_received(self, data: bytes) -> None:
        """Take what came, and pause reading where nobody takes it in turn."""
        try:
            answer = self.protocol.receive(data)
        except OrchestratorError as error:
            self._fail(error)
            return
        if answer:
            self._transport.write(answer)
        parser = self.protocol.parser
        if parser.unread > MAX_UNREAD_BYTES and not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()
        if self._is_idle and parser.spoiled:
            self.abort()
        self._note_progress()

    def eof_received(self) -> None:
        """Take the end, which may be the end of a body."""
        try:
            self.protocol.eof()
        except OrchestratorError as error:
            self._fail(error)
        self._note_progress()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Nothing comes any more."""
        if exc is not None and self._lost is None:
            self._read_rest()
        if self._lost is None:
            self._fail(self.protocol.lost(reason_of(exc) if exc else "it was closed"))
        self.protocol.parser.spoiled = True
        self.protocol.parser.release()

    def pause_writing(self) -> None:
        """The system has not taken all that was written."""
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        """The system has taken all that was written."""
        self._is_writing_paused = False
        self._note_progress()

    async def exchange(self, method: str, request: bytes, timer: Timer) -> None:
        """Send a request and read the head of its reply."""
        self._is_idle = False
        self.may_have_been_read = False
        parser = self.protocol.parser
        try:
            timer.clock.left()
            if self._lost is not None:  # since it was opened
                raise self._lost
            parser.begin(method, timer.clock.most_bytes)
            timer.clock.sending()
            await self._send_request(request, timer)
            timer.clock.sent()
            while not parser.head_done:
                await self.progress(timer)
            self.protocol.check_head()
        finally:
            self.may_have_been_read = self.may_have_been_read or parser.began

    async def progress(self, timer: Timer) -> None:
        """Wait until something happens on the connection."""
        if self._lost is not None:
            raise self._lost
        if self._is_reading_paused:
            self._is_reading_paused = False
            self._transport.resume_reading()
        self._waiter = self._loop.create_future()
        await timer.wait(self._waiter)

    def looks_usable(self) -> bool:
        """Whether nothing happened to an idle connection, also in what the loop has not read yet."""
        return self.is_usable and not self._transport.is_closing() and not self._poll.wait(0)

    def rest(self, now: float, keep_alive: float) -> None:
        """Stand idle from now on; a second less than the server allows, for it closes at its own time."""
        allowed = self.protocol.parser.idle_seconds()
        self.idle_until = now + (keep_alive if allowed is None else min(keep_alive, allowed - 1))
        self._is_idle = True
        if self._is_reading_paused:
            self._is_reading_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close the connection, at once and whatever it is doing."""
        self.protocol.parser.spoiled = True
        if self._transport is None or self._loop.is_closed():
            self._socket.close()
            if self._transport is not None:
                self._transport._sock = None  # or it would complain of a loop that was closed before it
        else:
            self._transport.abort()

    async def _send_request(self, request: bytes, timer: Timer) -> None:
        parser = self.protocol.parser
        for piece in self.protocol.pieces(request):
            self._transport.write(piece)
            while self._is_writing_paused and not parser.head_done:
                await self.progress(timer)
            if parser.head_done:  # refused before it was read: the rest must not follow
                parser.spoiled = True
                return
        self.may_have_been_read = not self._transport.is_closing()

    def _read_rest(self) -> None:
        """Read what had come before the connection broke: a server may refuse a request and leave."""
        with suppress(OSError, ValueError):
            data = self._socket.recv(READ_BYTES)
            while data and self._lost is None:
                self.data_received(data)
                data = self._socket.recv(READ_BYTES)

    def _fail(self, error: OrchestratorError) -> None:
        """Keep the first error, for whoever waits or will wait, and close the connection."""
        if self._lost is None:
            self._lost = error
        self._transport.abort()
        self._note_progress()

    def _note_progress(self) -> None:
        if not self.opened.done():
            self._note_opening()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _note_opening(self) -> None:
        if self._lost is not None:
            _fail_quietly(self.opened, self._lost)
        elif self.protocol.is_open:
            self.opened.set_result(None)


async def _connect(host: str, port: int) -> ClientSocket:
    """Connect to the first address of a host that answers."""
    addresses = await _resolve(host, port)
    if len(addresses) == 1:
        try:
            return await _connect_to(addresses[0])
        except OSError as error:
            raise connect_error(host, port, error) from error
    return await _race(host, port, deque(addresses))


async def _race(host: str, port: int, waiting: Deque[Address]) -> ClientSocket:
    started: List[asyncio.Task[ClientSocket]] = []
    running: Set[asyncio.Task[ClientSocket]] = set()
    loop, failure = asyncio.get_running_loop(), OSError("no address")
    try:
        while waiting or running:
            if waiting:
                started.append(loop.create_task(_connect_to(waiting.popleft())))
                running.add(started[-1])
            done, running = await asyncio.wait(
                running, timeout=ATTEMPT_DELAY if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in [attempt for attempt in started if attempt in done]:
                started.remove(attempt)
                try:
                    return attempt.result()
                except OSError as error:
                    failure = error.with_traceback(None)  # or it would keep the frame that keeps it
    finally:
        for attempt in started:
            attempt.cancel()
            attempt.add_done_callback(_close_unwanted)
    raise connect_error(host, port, failure) from failure


def _close_unwanted(attempt: asyncio.Task[ClientSocket]) -> None:
    """One that failed beside the first is nobody's concern; one that connected, too, is closed."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _connect_to(address: Address) -> ClientSocket:
    attempt = ClientSocket.to(address)
    try:
        await asyncio.get_running_loop().sock_connect(attempt, address.sockaddr)
    except BaseException:  # a cancellation leaves no socket either
        attempt.close()
        raise
    return attempt


async def _resolve(host: str, port: int) -> List[Address]:
    """Find the addresses of a host; one that is an address already needs no look-up in a thread."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return [Address(family, (host, port) if family == socket.AF_INET else (host, port, 0, 0))]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise resolve_error(host, error) from error
    except RuntimeError as error:  # the look-up needs one
        raise no_thread(error) from error
    return in_order([Address(family, tuple(sockaddr)) for family, _, _, _, sockaddr in found])
