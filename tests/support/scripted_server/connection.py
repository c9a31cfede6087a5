"""One client connection of the scripted server: reads requests, writes replies, commits their faults.

Written on plain sockets, because a test must be able to break every rule that an HTTP library would keep.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import responses as PHRASES
from typing import Any, Dict, Iterator, Optional, Tuple
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.scripted_server.faults import BEFORE_HEAD
from tests.support.scripted_server.replies import Reply


class ClientLeft(ConnectionError):
    """The client left before its request or the reply was complete, or the server was reset."""


@dataclass(frozen=True)
class Request:
    """One request as it arrived.

    Attributes:
        method: ``GET``, ``POST`` and so on.
        path: The path without query, percent-decoded.
        query: The query's parameters.
        headers: The headers, names in lower case.
        body: The JSON body; None when there was none or it is not JSON.
        content: The body's bytes.
        connection: Number of the connection it came on, counted from 1 since the last reset.
        time: When it was read completely, on the clock of ``time.monotonic``.
    """

    method: str
    path: str
    query: Dict[str, str]
    headers: Dict[str, str]
    body: Any
    content: bytes = field(repr=False)
    connection: int = 0
    time: float = 0.0

    @property
    def api_key(self) -> Optional[str]:
        """The key, wherever the SDK put it."""
        bearer = self.headers.get("authorization", "")
        if bearer.lower().startswith("bearer "):
            return bearer[len("bearer ") :]
        headers = (self.headers.get(name) for name in ("x-api-key", "x-goog-api-key", "api-key"))
        return next(filter(None, headers), self.query.get("key"))


class Connection:
    """The server's side of one connection.

    Args:
        client: The accepted socket; the connection closes it.
        number: The connection's number.
    """

    def __init__(self, client: socket.socket, number: int) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self._socket = client
        self._reader = client.makefile("rb")
        self._chunked = False

    # reading

    def requests(self) -> Iterator[Request]:
        """The requests that arrive, until the client leaves."""
        while True:
            first = self._reader.peek(1)[:1]
            if first and not first.isalpha():
                # A TLS greeting; real servers answer it in plain text too.
                self.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                return
            if not first:
                return
            yield self._read_request()

    def _read_request(self) -> Request:
        method, target, _ = self._read_line().split()
        headers = dict(self._read_headers())
        content = self._read_content(headers)
        url = urlsplit(target)
        return Request(
            method=method,
            path=unquote(url.path),
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers=headers,
            body=_json_or_none(content),
            content=content,
            connection=self.number,
            time=time.monotonic(),
        )

    def _read_headers(self) -> Iterator[Tuple[str, str]]:
        while True:
            line = self._read_line()
            if not line:
                return
            name, _, value = line.partition(":")
            yield name.strip().lower(), value.strip()

    def _read_content(self, headers: Dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._read_bytes(int(headers.get("content-length", 0)))
        content = b""
        while True:
            size = int(self._read_line().partition(";")[0], 16)
            content += self._read_bytes(size)
            self._read_line()
            if not size:
                return content

    def _read_line(self) -> str:
        line = self._reader.readline()
        if not line.endswith(b"\n"):
            raise ClientLeft
        return line.decode("latin-1").strip()

    def _read_bytes(self, count: int) -> bytes:
        content = self._reader.read(count)
        if len(content) < count:
            raise ClientLeft
        return content

    # writing

    def answer(self, reply: Reply, request: Request) -> bool:
        """Send one reply; returns whether the connection can serve another request."""
        fault = reply.fault
        self._chunked = reply.chunked
        if reply.delay:
            self.wait(reply.delay)
        if fault and fault.after == BEFORE_HEAD:
            return fault.commit(self)
        pieces = reply.pieces(request)
        self.send(_head(reply, sum(map(len, pieces))))
        for count, piece in enumerate(pieces):
            if fault and fault.after == count:
                return fault.commit(self)
            if reply.pause:
                self.wait(reply.pause)
            self.send_piece(piece)
        if fault:
            return fault.commit(self)
        if self._chunked:
            self.end_body()
        return not reply.length_error and reply.headers.get("connection") != "close"

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._socket.sendall(data)

    def send_piece(self, piece: bytes) -> None:
        """Write a piece of the body, framed as the reply's head announced."""
        if not self._chunked:
            self.send(piece)
        elif piece:  # An empty chunk would end the body.
            self.send(b"%x\r\n%b\r\n" % (len(piece), piece))

    def end_body(self) -> bool:
        """End a chunked body; one with a length cannot end early, so its connection has to go."""
        if self._chunked:
            self.send(b"0\r\n\r\n")
        return self._chunked

    # the line itself

    def wait(self, seconds: Optional[float]) -> None:
        """Wait some seconds, or for ever (None); ends at once with ClientLeft when the client hangs up."""
        self._socket.settimeout(seconds)
        try:
            if not self._socket.recv(1):
                raise ClientLeft
        except socket.timeout:
            pass
        finally:
            self._socket.settimeout(None)

    def half_close(self) -> None:
        """Tell the client that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Make the coming close a reset: what is still under way is thrown away."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reader.close()
        self._socket.close()

    def drop(self) -> None:
        """Wake up whatever waits on this connection, from another thread; it ends with ClientLeft."""
        with suppress(OSError):  # The client may have been faster.
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, with a proper goodbye also when a forked process still holds the socket."""
        self.drop()
        self._reader.close()
        self._socket.close()


def _head(reply: Reply, length: int) -> bytes:
    framing = "transfer-encoding: chunked"
    if not reply.chunked:
        framing = f"content-length: {length + reply.length_error}"
    lines = [f"HTTP/1.1 {reply.status} {PHRASES.get(reply.status, 'Scripted')}", framing]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _json_or_none(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
