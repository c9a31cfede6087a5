"""The connections of sync callers.

Idle connections stand on a stack, so the one used last is used next. No lock is taken: threads share a deque
and a SimpleQueue, whose operations may interrupt each other, as those of a finalizer do.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Deque, Iterator, Optional

from llm_orchestrator.exceptions import OrchestratorError, ProviderConnectionError, ProviderTimeoutError
from llm_orchestrator.providers.http.core.clock import Clock
from llm_orchestrator.providers.http.core.connection import Connection
from llm_orchestrator.providers.http.core.messages import request_bytes
from llm_orchestrator.providers.http.core.origins import Origin, Target
from llm_orchestrator.providers.http.core.replies import BaseReply
from llm_orchestrator.providers.http.core.settings import HttpSettings
from llm_orchestrator.providers.wire import Limits

__all__ = ["Connections", "Reply"]


class Connections:
    """All connections of one client to one server, for any number of threads.

    Args:
        origin: The server.
        settings: The entry's settings.

    Raises:
        ConfigurationError: A certificate file cannot be used.
    """

    def __init__(self, origin: Origin, settings: HttpSettings) -> None:
        self._target = Target.of(origin, settings)
        self._start_anew()

    def _start_anew(self) -> None:
        self._process = os.getpid()
        self._is_closed = False
        self._idle: Deque[Connection] = deque()
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(self._target.settings.max_connections):
            self._places.put(None)

    def open(self, method: str, path: str, headers: bytes, body: Optional[bytes], limits: Limits) -> Reply:
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
        request = request_bytes(self._target.origin, method, path, headers, body)
        if self._process != os.getpid():
            self._start_anew()  # the connections are the parent's; here they are only closed, not ended
        clock = Clock(limits)
        places = self._places
        self._take_place(places, clock)
        try:
            connection = self._send(method, request, clock)
        except BaseException:  # a Ctrl-C gives the place back, too
            places.put(None)
            raise
        return Reply(connection, clock, self._idle, places, self)

    def close(self) -> None:
        """Close the idle connections; those in use are closed when their replies are."""
        self._is_closed = True
        self._close_idle()

    def give_back(self, connection: Connection, idle: Deque[Connection]) -> None:
        """Take a connection that is not in use any more; it comes from finalizers, too."""
        parser = connection.protocol.parser
        if not parser.is_reusable or self._is_closed or idle is not self._idle:
            connection.close()
            return
        connection.rest(time.monotonic(), self._target.settings.keep_alive)
        idle.append(connection)
        self._close_forgotten(idle)

    def _take_place(self, places: SimpleQueue[None], clock: Clock) -> None:
        try:
            places.get_nowait()
        except Empty:
            try:
                places.get(timeout=min(clock.left(), 86_400))
            except Empty:
                raise clock.timeout() from None

    def _send(self, method: str, request: bytes, clock: Clock) -> Connection:
        connection = self._take_idle()
        if connection is not None:
            try:
                connection.exchange(method, request, clock)
                return connection
            except ProviderTimeoutError:
                raise
            except ProviderConnectionError:
                if connection.may_have_been_read:
                    raise
        connection = Connection.open(self._target, clock)
        connection.exchange(method, request, clock)
        return connection

    def _take_idle(self) -> Optional[Connection]:
        now = time.monotonic()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.idle_until > now and connection.looks_usable():
                return connection
            connection.close()

    def _close_forgotten(self, idle: Deque[Connection]) -> None:
        """Close what has been idle for too long: it stands at the bottom, where nobody would look."""
        now = math.inf if self._is_closed else time.monotonic()  # another thread may just have closed
        try:
            while idle[0].idle_until <= now:
                forgotten = idle.popleft()
                if forgotten.idle_until > now:  # another thread was faster, and this is one in its place
                    idle.append(forgotten)
                    return
                forgotten.close()
        except IndexError:
            pass  # none is left

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


class Reply(BaseReply):
    """An open reply for sync callers; its own iterator.

    Args:
        connection: The connection that it comes from.
        clock: The time of the call.
        idle: Where the connection goes afterwards.
        places: Where its place goes.
        owner: Who judges whether it can be used again.
    """

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        idle: Deque[Connection],
        places: SimpleQueue[None],
        owner: Connections,
    ) -> None:
        super().__init__(connection.protocol.parser, clock)
        self._connection: Optional[Connection] = connection
        self._idle = idle
        self._places = places
        self._owner = owner

    def iter_bytes(self) -> Iterator[bytes]:
        """The body, piece by piece; it can be read once."""
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            while True:
                piece = self._take()
                if piece:
                    return piece
                if piece is None:
                    break
                connection = self._connection
                if connection is None:
                    raise self._closed_error()
                connection.fill()
        except OrchestratorError:
            self._parser.spoiled = True
            self.close()
            raise
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Release the connection; twice is fine."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._owner.give_back(connection, self._idle)
            self._places.put(None)

    def interrupt(self) -> None:
        """Make the read of another thread fail at once; it is that thread which closes the reply."""
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def __del__(self) -> None:
        self.close()
