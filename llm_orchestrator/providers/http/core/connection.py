"""One connection of a sync caller: a socket whose every wait is bounded, without a thread."""

from __future__ import annotations

import os
import selectors
import socket
from collections import deque
from contextlib import suppress
from typing import Any, List, Optional, Union

from llm_orchestrator.exceptions import (
    OrchestratorError,
    ProviderConnectionError,
    ProviderTimeoutError,
    forget_frames,
)
from llm_orchestrator.providers.http.core.clock import Clock
from llm_orchestrator.providers.http.core.network_errors import connecting, reason_of
from llm_orchestrator.providers.http.core.origins import Target
from llm_orchestrator.providers.http.core.protocol import ClientProtocol
from llm_orchestrator.providers.http.core.sockets import (
    ATTEMPT_DELAY,
    READABLE,
    WRITABLE,
    Address,
    ClientSocket,
    Poll,
    connect_error,
    resolve,
)

__all__ = ["Connection"]

READ_BYTES = 64 * 1024
#: Looks at an idle connection: TLS says something of its own now and then, but not without end.
MAX_LOOKS = 8
#: Without a descriptor of its own: there may be none left.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Connection:
    """One connection, used by one call at a time.

    Attributes:
        protocol: What is said on it.
        idle_until: When it is too old to be used again.
        may_have_been_read: The server may have read the request that failed.
    """

    __slots__ = ("_clock", "_lost", "_poll", "_socket", "idle_until", "may_have_been_read", "protocol")

    def __init__(self, connected: ClientSocket, protocol: ClientProtocol, clock: Clock) -> None:
        self.protocol = protocol
        self.idle_until = 0.0
        self.may_have_been_read = True
        self._socket = connected
        self._poll = Poll(connected)
        self._clock = clock
        self._lost: Optional[OrchestratorError] = None

    @classmethod
    def open(cls, target: Target, clock: Clock) -> Connection:
        """Connect, through the proxy's tunnel and TLS where they are needed."""
        clock.connecting()
        host, port = target.origin.address
        with connecting(target.origin.proxy_name):
            connected = _connect(host, port, clock)
        connection = cls(connected, ClientProtocol(target.origin, target.tls), clock)
        try:
            connection._send_all(connection.protocol.start())
            while not connection.protocol.is_open:
                connection.fill()
        except BaseException:  # a Ctrl-C leaves no socket either
            connection.close()
            raise
        clock.connected()
        return connection

    def exchange(self, method: str, request: bytes, clock: Clock) -> None:
        """Send a request and read the head of its reply; a connection that fails is closed."""
        self._clock = clock
        self.may_have_been_read = False
        parser = self.protocol.parser
        try:
            clock.left()
            parser.begin(method)
            clock.sending()
            self._send_request(request)
            clock.sent()
            while not parser.head_done:
                self.fill()
            self.protocol.check_head()
        except BaseException:  # a Ctrl-C leaves half a reply on it
            self.may_have_been_read = self.may_have_been_read or parser.began
            self.close()
            raise

    def fill(self) -> None:
        """Wait for bytes and read them; what came of a body that broke off is handed out before the error."""
        if self._lost is not None:
            raise self._lost
        self._wait(READABLE)
        try:
            self._receive()
        except OrchestratorError as error:
            parser = self.protocol.parser
            if not (parser.head_done and parser.unread):
                raise
            forget_frames(error)  # they would keep the stream, which could not close when it is dropped
            self._lost = error

    def looks_usable(self) -> bool:
        """Whether nothing happened to an idle connection: what came unasked would answer the next request."""
        parser = self.protocol.parser
        try:
            for _ in range(MAX_LOOKS):
                if not self._poll.wait(0):
                    return parser.is_reusable
                self._receive()
                if not parser.is_reusable:
                    return False
        except OrchestratorError:
            pass
        return False

    def rest(self, now: float, keep_alive: float) -> None:
        """Stand idle from now on; a second less than the server allows, for it closes at its own time."""
        allowed = self.protocol.parser.idle_seconds()
        self.idle_until = now + (keep_alive if allowed is None else min(keep_alive, allowed - 1))

    def interrupt(self) -> None:
        """Make a waiting read in another thread end at once."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, without a word: a forked child has it, too."""
        self._socket.close()
        self.protocol.parser.release()

    def _send_request(self, request: bytes) -> None:
        parser = self.protocol.parser
        try:
            for piece in self.protocol.pieces(request):
                self._send_all(piece)
                if parser.head_done:
                    parser.spoiled = True
                    break
        except ProviderTimeoutError:
            raise
        except ProviderConnectionError:
            if not self._reply_came_first():
                raise
            parser.spoiled = True
        self.may_have_been_read = True

    def _reply_came_first(self) -> bool:
        """Whether a server that stopped reading had answered before."""
        parser = self.protocol.parser
        with suppress(OrchestratorError):
            while not parser.head_done and self._poll.wait(0):
                self._receive()
        return parser.head_done

    def _send_all(self, data: Union[bytes, memoryview]) -> None:
        while data:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise self.protocol.lost(reason_of(error)) from error
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
            if self._wait(READABLE | WRITABLE) & READABLE:
                self._receive()
                if self.protocol.parser.head_done:  # refused before it was read: the rest must not follow
                    self.protocol.parser.spoiled = True
                    return

    def _wait(self, events: int) -> int:
        found = self._poll.wait(self._clock.left(), events)
        if not found:
            raise self._clock.timeout()
        return found

    def _receive(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise self.protocol.lost(reason_of(error)) from error
        if not data:
            self.protocol.eof()
            return
        answer = self.protocol.receive(data)
        if answer:
            self._send_all(answer)


def _connect(host: str, port: int, clock: Clock) -> ClientSocket:
    """Connect to the first address of a host that answers, all of them within the time for connecting."""
    waiting = deque(resolve(host, port))
    failures = [OSError("no address")]
    with _Selector() as selector:
        try:
            while waiting or selector.get_map():
                if waiting:
                    _start_attempt(selector, waiting.popleft(), failures)
                left = min(clock.left(), ATTEMPT_DELAY if waiting else 86_400)
                connected = _first_connected(selector, left, failures)
                if connected is not None:
                    return connected
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()
    raise connect_error(host, port, failures[-1]) from failures[-1]


def _start_attempt(selector: Any, address: Address, failures: List[OSError]) -> None:
    try:
        selector.register(_begin_connecting(address), selectors.EVENT_WRITE)
    except OSError as error:
        failures.append(error.with_traceback(None))  # or it would keep the frames that keep it


def _first_connected(selector: Any, seconds: float, failures: List[OSError]) -> Optional[ClientSocket]:
    """Wait for attempts to end; None when none has succeeded yet."""
    for key, _ in selector.select(seconds) if selector.get_map() else ():
        attempt: ClientSocket = key.fileobj
        selector.unregister(attempt)
        code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            return attempt
        failures.append(OSError(code, os.strerror(code)))
        attempt.close()
    return None


def _begin_connecting(address: Address) -> ClientSocket:
    attempt = ClientSocket.to(address)
    try:
        attempt.connect(address.sockaddr)
    except BlockingIOError:
        pass
    except BaseException:  # a Ctrl-C leaves no socket either
        attempt.close()
        raise
    return attempt
