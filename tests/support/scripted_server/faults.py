"""What can go wrong while a reply is sent: each fault is committed at a chosen place of the body.

``after`` counts the pieces of the body sent before the fault; None is after all of them, in place of the
body's proper end, and ``BEFORE_HEAD`` is before anything of the reply. No fault sleeps for a fixed time:
whatever waits, waits until the client leaves or the server is reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from tests.support.scripted_server.connection import Connection

#: The place before the reply's head.
BEFORE_HEAD = -1


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at one place of a reply.

    Attributes:
        after: Pieces of the body sent before it; None for all, ``BEFORE_HEAD`` for nothing at all.
    """

    after: Optional[int] = None

    def commit(self, connection: Connection) -> bool:
        """Do it; returns whether the connection can serve another request."""
        raise NotImplementedError


@dataclass(frozen=True)
class End(Fault):
    """A clean end, too early: the transfer is complete, what it carries is not."""

    def commit(self, connection: Connection) -> bool:
        """End the body as if nothing were missing."""
        return connection.end_body()


@dataclass(frozen=True)
class Close(Fault):
    """The connection is closed before the body's end."""

    def commit(self, connection: Connection) -> bool:
        """Leave the rest to the connection's end."""
        return False


@dataclass(frozen=True)
class HalfClose(Fault):
    """The server stops sending for good but keeps its side open for reading."""

    def commit(self, connection: Connection) -> bool:
        """Close one direction and wait for the client to leave."""
        connection.half_close()
        connection.wait(None)
        return False


@dataclass(frozen=True)
class Reset(Fault):
    """The connection breaks: the client sees "connection reset by peer"."""

    def commit(self, connection: Connection) -> bool:
        """Break the connection."""
        connection.reset()
        return False


@dataclass(frozen=True)
class Stall(Fault):
    """Silence: the connection stays open and nothing more comes."""

    def commit(self, connection: Connection) -> bool:
        """Wait for the client to leave."""
        connection.wait(None)
        return False


@dataclass(frozen=True)
class Pings(Fault):
    """Signs of life without content, for ever: an SSE comment, or whatever the dialect sends.

    Attributes:
        data: One sign of life; a dialect's own is its ``ping``.
        every: Seconds between two of them.
    """

    data: bytes = b": keep-alive\n\n"
    every: float = 0.02

    def commit(self, connection: Connection) -> bool:
        """Send them until the client leaves."""
        while True:
            connection.send_piece(self.data)
            connection.wait(self.every)


@dataclass(frozen=True)
class Garbage(Fault):
    """Bytes that break the transfer coding, then the end of the connection.

    Attributes:
        data: The bytes, sent without framing.
    """

    data: bytes = b"this is no chunk\r\n"

    def commit(self, connection: Connection) -> bool:
        """Send the bytes as they are."""
        connection.send(self.data)
        return False
