"""The network in memory: sockets that look like the system's, segments that arrive at their moment.

Only the operating system is played: asyncio's own transports run on these sockets, and so do the sync
connections. What comes waits in a socket until the program reads it, as it would in the kernel.
"""

from __future__ import annotations

import errno
import os
import socket
import zlib
from random import Random
from typing import Any, Callable, Dict, List, Optional, Protocol, Tuple

from tools.simulation.clock import VirtualClock

READABLE, WRITABLE = 1, 4  # POLLIN and POLLOUT
ALL = 1 << 30


class Peer(Protocol):
    """The server's end of a connection."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""

    def left(self) -> None:
        """The client has closed its end."""


class Listener(Protocol):
    """Whoever answers at an address.

    Attributes:
        open: Sockets that connect, or are connected, to it.
        most_open: The most there were while the program waited.
    """

    open: int
    most_open: int

    def accept(self, link: Link) -> Peer:
        """Take a connection."""

    def connecting(self) -> Tuple[str, float]:
        """How the next attempt to connect ends, and after how many seconds: ``ok``, ``refused``, ``lost``."""


class Network:
    """All sockets and hosts of one simulation.

    Attributes:
        listeners: Who answers, by address.
        names: Addresses of the hosts, by name.
        sockets: The sockets that are open, by descriptor.
        readable: Those of them that a read would not block on.
        digest: A checksum of all that happened, which is the same for the same seed.
        log: What happened, line by line; None to keep the checksum alone.
    """

    def __init__(self, clock: VirtualClock, chance: Random) -> None:
        self.clock = clock
        self.chance = chance
        self.listeners: Dict[str, Listener] = {}
        self.names: Dict[str, List[str]] = {}
        self.sockets: Dict[int, Endpoint] = {}
        self.readable: Dict[int, Endpoint] = {}
        self.digest = 0
        self.log: Optional[List[str]] = None
        self._descriptors = 1000

    def note(self, *what: object) -> None:
        """Add a line to the trace."""
        line = f"{self.clock.now:.6f} {' '.join(map(str, what))}"
        self.digest = zlib.crc32(line.encode(), self.digest)
        if self.log is not None:
            self.log.append(line)

    def socket_for(self, address: Any) -> SimulatedSocket:
        """Stands in for ``ClientSocket.to``."""
        self._descriptors += 1
        end = self.sockets[self._descriptors] = Endpoint(self, self._descriptors)
        return SimulatedSocket(end, address.family)

    def resolve(self, host: str, port: int) -> List[Tuple[Any, ...]]:
        """Stands in for ``getaddrinfo``."""
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [_entry(address, port) for address in self.names[host]]

    def look(self) -> None:
        """Note how many sockets are open at a moment at which the program waits."""
        for listener in self.listeners.values():
            listener.most_open = max(listener.most_open, listener.open)


def _entry(address: str, port: int) -> Tuple[Any, ...]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)


class Link:
    """One connection on its way: segments in both directions, in order, each with its delay.

    Attributes:
        client: The client's socket; None once it is closed.
        sent: Bytes that the client has sent in all.
        seconds: How long a segment takes.
        room: Bytes that the client can send before the server takes some.
    """

    def __init__(self, client: Endpoint, listener: Listener, chance: Random) -> None:
        self.client: Optional[Endpoint] = client
        self.network = client.network
        self.number = client.descriptor
        self.sent = 0
        self.seconds = chance.choice((0.0, 0.0001, 0.001, 0.03))
        self.room = chance.choice((ALL, ALL, ALL, ALL, 700, 150))
        self._arrives = 0.0
        self._is_gone = False  # the server's end
        self._peer = listener.accept(self)

    # ------------------------------------------------------------ from the client

    def upward(self, data: bytes) -> int:
        """Send what there is room for."""
        taken = data[: self.room]
        self.sent += len(taken)
        self.room -= len(taken)
        if taken:
            clock = self.network.clock
            clock.at(clock.now + self.seconds, self._reach_server, taken)
        return len(taken)

    def _reach_server(self, data: bytes) -> None:
        self.room += len(data)
        if self._is_gone:  # nobody takes it, which the client is told
            self.reset()
            return
        self._peer.receive(data)

    def close_client(self) -> None:
        self.client = None
        clock = self.network.clock
        clock.at(clock.now + self.seconds, self._peer.left)

    # ------------------------------------------------------------ from the server

    def downward(self, data: bytes, delay: float = 0.0) -> float:
        """Send a segment; returns when it arrives, which is never before an earlier one."""
        return self._plan(delay, self.reach_client, data)

    def finish(self, delay: float = 0.0) -> None:
        """Close the server's end, after all that was sent before."""
        self._plan(delay, self._end_client)

    def reset(self, delay: float = 0.0) -> None:
        """Break the connection, after all that was sent before."""
        self._plan(delay, self._break_client)

    def when_here(self, delay: float, action: Callable[[], None]) -> None:
        """Do something at the client's end of the wire, after all that was sent before."""
        self._plan(delay, action)

    @property
    def until_quiet(self) -> float:
        """Seconds until all that was sent down has arrived, not counting the way itself."""
        return max(self._arrives - self.network.clock.now - self.seconds, 0.0)

    def _plan(self, delay: float, action: Callable[..., None], *arguments: Any) -> float:
        clock = self.network.clock
        self._arrives = max(self._arrives, clock.now + self.seconds + delay)
        clock.at(self._arrives, action, *arguments)
        return self._arrives

    def reach_client(self, data: bytes) -> None:
        """Let bytes arrive, unless the connection has ended before them."""
        if self.client is not None and not self._is_gone:
            self.network.note("segment", self.number, len(data))
            self.client.arrive(data)

    def _end_client(self) -> None:
        self._is_gone = True
        if self.client is not None:
            self.network.note("fin", self.number)
            self.client.end()

    def _break_client(self) -> None:
        self._is_gone = True
        if self.client is not None:
            self.network.note("rst", self.number)
            # On some systems what had come before can still be read, on others it is lost.
            self.client.fail(errno.ECONNRESET, keep=self.network.chance.random() < 0.7)


class Endpoint:
    """What the system keeps of the client's end of a connection.

    Attributes:
        descriptor: Its number; another socket never gets it.
        address: Where it connects to.
        is_open: The program has not closed it.
        link: The connection, once there is one.
        listener: Whoever is or will be at the other end.
        is_connecting: There will be one, or an error.
    """

    def __init__(self, network: Network, descriptor: int) -> None:
        self.network = network
        self.descriptor = descriptor
        self.address = ""
        self.is_open = True
        self.link: Optional[Link] = None
        self.listener: Optional[Listener] = None
        self.is_connecting = False
        self._came = bytearray()
        self._has_ended = False
        self._error = 0

    # ------------------------------------------------------------ what the network does

    def connected(self, listener: Listener, how: str) -> None:
        self.is_connecting = False
        if not self.is_open:
            return
        if how == "ok":
            self.link = Link(self, listener, self.network.chance)
        else:
            self.fail(errno.ECONNREFUSED)

    def arrive(self, data: bytes) -> None:
        self._came += data
        self._note_readable()

    def end(self) -> None:
        self._has_ended = True
        self._note_readable()

    def fail(self, code: int, *, keep: bool = False) -> None:
        self._error = code
        self._has_ended = True
        if not keep:
            self._came.clear()
        self._note_readable()

    # ------------------------------------------------------------ what the program asks for

    def ready(self, events: int) -> int:
        """Which of the events a poll would report."""
        is_readable = self._came or self._has_ended or self._error
        can_write = self.link is not None and self.link.room > 0
        is_writable = not self.is_connecting and (can_write or self._error)
        return events & ((READABLE if is_readable else 0) | (WRITABLE if is_writable else 0))

    def read(self, size: int) -> bytes:
        if self._came:
            data = bytes(self._came[:size])
            del self._came[:size]
            self._note_readable()
            return data
        if self._error:
            raise _error(self.take_error())
        if self._has_ended:
            return b""
        raise BlockingIOError(errno.EAGAIN, "nothing there")

    def write(self, data: bytes) -> int:
        if self._error or self.link is None:
            raise _error(self.take_error() or errno.EPIPE)
        sent = self.link.upward(data)
        if not sent:
            raise BlockingIOError(errno.EAGAIN, "no room")
        return sent

    def take_error(self) -> int:
        code, self._error = self._error, 0
        self._note_readable()
        return code

    def close(self) -> None:
        self.is_open = False
        self.network.sockets.pop(self.descriptor, None)
        self.network.readable.pop(self.descriptor, None)
        self.network.note("close", self.descriptor)
        if self.listener is not None:
            self.listener.open -= 1
        if self.link is not None:
            self.link.close_client()

    def _note_readable(self) -> None:
        if self.is_open and (self._came or self._has_ended or self._error):
            self.network.readable[self.descriptor] = self
        else:
            self.network.readable.pop(self.descriptor, None)


class SimulatedSocket:
    """A non-blocking socket, as far as the library and asyncio use one."""

    type = socket.SOCK_STREAM
    proto = 0

    def __init__(self, end: Endpoint, family: int) -> None:
        self.family = family
        self._end = end

    def __del__(self) -> None:
        self.close()

    def fileno(self) -> int:
        return self._end.descriptor if self._end.is_open else -1

    def gettimeout(self) -> float:
        return 0.0

    def setblocking(self, flag: bool) -> None:
        assert not flag, "the library never blocks on a socket"

    def setsockopt(self, *option: Any) -> None:
        pass

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR)
        return self._open_end().take_error()

    def getsockname(self) -> Tuple[str, int]:
        return ("client", self._end.descriptor)

    def getpeername(self) -> Tuple[str, int]:
        return (self._end.address, 80)

    def connect(self, sockaddr: Tuple[Any, ...]) -> None:
        end = self._open_end()
        end.address = sockaddr[0]
        network, listener = end.network, end.network.listeners[end.address]
        end.listener, (how, delay) = listener, listener.connecting()
        listener.open += 1
        network.note("connect", end.descriptor, end.address, how, delay)
        if how == "unreachable":
            raise _error(errno.ENETUNREACH)
        end.is_connecting = True
        if how != "lost":
            network.clock.at(network.clock.now + delay, end.connected, listener, how)
        raise BlockingIOError(errno.EINPROGRESS, "in progress")

    def send(self, data: Any) -> int:
        return self._open_end().write(bytes(data))

    def sendmsg(self, buffers: Any) -> int:
        return self.send(b"".join(buffers))

    def recv(self, size: int) -> bytes:
        return self._open_end().read(size)

    def shutdown(self, how: int) -> None:
        self._open_end().end()

    def close(self) -> None:
        if self._end.is_open:
            self._end.close()

    def _open_end(self) -> Endpoint:
        if not self._end.is_open:
            raise _error(errno.EBADF)
        return self._end


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))  # Python makes it a ConnectionResetError, or what it is
