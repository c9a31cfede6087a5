"""Sockets, as sync and async connections need them: made, opened in the right order, and looked at.

All of them are non-blocking, so that every wait is ours to bound.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 (a look-up imports it, in whatever thread it is)
import select
import socket
from typing import Any, List, NamedTuple, Tuple

from llm_orchestrator.exceptions import OrchestratorError
from llm_orchestrator.providers.http.core.network_errors import (
    is_descriptor_shortage,
    not_connected,
    reason_of,
    too_many_files,
)

__all__ = [
    "ATTEMPT_DELAY",
    "READABLE",
    "WRITABLE",
    "Address",
    "ClientSocket",
    "Poll",
    "connect_error",
    "in_order",
    "resolve",
    "resolve_error",
]

#: Seconds until the next address of a host is tried beside the one before (RFC 8305).
ATTEMPT_DELAY = 0.25
#: Seconds until an idle connection is tried, between tries, and tries until it counts as lost: a model thinks
#: for minutes, and routers forget connections that say nothing.
KEEP_ALIVE_OPTIONS = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5}
READABLE, WRITABLE = 1, 4  # POLLIN and POLLOUT
_LONGEST_WAIT = 86_400.0


class Address(NamedTuple):
    """Where a socket can connect to."""

    family: int
    sockaddr: Tuple[Any, ...]


class ClientSocket(socket.socket):
    """A socket that is closed without a word when nobody holds it any more."""

    def __del__(self) -> None:
        if self.fileno() >= 0:  # else there was no descriptor for it
            self.close()

    @classmethod
    def to(cls, address: Address) -> ClientSocket:
        """Make a socket for an address, not connected yet."""
        made = cls(address.family, socket.SOCK_STREAM)
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE_OPTIONS.items():
            if hasattr(socket, name):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return made


def resolve(host: str, port: int) -> List[Address]:
    """Find the addresses of a host; the system's own look-up takes as long as it takes."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise resolve_error(host, error) from error
    return in_order([Address(family, sockaddr) for family, _, _, _, sockaddr in found])


def in_order(addresses: List[Address]) -> List[Address]:
    """Alternate between the families, the preferred one first: a broken one costs one attempt's delay."""
    first = [address for address in addresses if address.family == addresses[0].family]
    others = [address for address in addresses if address.family != addresses[0].family]
    shorter = min(len(first), len(others))
    pairs = [address for pair in zip(first, others) for address in pair]
    return pairs + first[shorter:] + others[shorter:]


def resolve_error(host: str, error: Exception) -> OrchestratorError:
    """What it means that a host was not found: the look-up needs files and sockets, too."""
    if isinstance(error, OSError) and (is_descriptor_shortage(error) or not _can_open()):
        return too_many_files(error)
    return not_connected(f"{host}: {reason_of(error)}")


def _can_open() -> bool:
    """Whether a descriptor can be had; the system's look-up does not say that it could not."""
    try:
        socket.socket().close()
    except OSError as error:
        return not is_descriptor_shortage(error)
    return True


def connect_error(host: str, port: int, error: OSError) -> OrchestratorError:
    """What it means that no address of a host could be connected to."""
    if is_descriptor_shortage(error):
        return too_many_files(error)
    return not_connected(f"{host}:{port}: {reason_of(error)}")


class Poll:
    """Waits for one socket, and lives as long as it: making one for each wait costs more than waiting."""

    __slots__ = ("_events", "_poll", "_socket")

    def __init__(self, watched: socket.socket) -> None:
        self._socket = watched
        self._events = READABLE
        self._poll: Any = select.poll() if hasattr(select, "poll") else None  # Windows has none
        if self._poll is not None:
            self._poll.register(watched, READABLE)

    def wait(self, seconds: float, events: int = READABLE) -> int:
        """Wait until the socket is ready or broken."""
        if self._poll is None:
            return self._select(seconds, events)
        if events != self._events:
            self._poll.modify(self._socket, events)
            self._events = events
        found = self._poll.poll(min(seconds, _LONGEST_WAIT) * 1000)
        if not found:
            return 0
        return int(found[0][1]) if found[0][1] in {READABLE, WRITABLE} else events

    def _select(self, seconds: float, events: int) -> int:
        readers = [self._socket] if events & READABLE else []
        writers = [self._socket] if events & WRITABLE else []
        found = select.select(readers, writers, writers, min(seconds, _LONGEST_WAIT))
        return (READABLE if found[0] else 0) | (WRITABLE if found[1] or found[2] else 0)
