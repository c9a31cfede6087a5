"""A small HTTP server on loopback that sends what a test hands it, and notes what it was asked.

It knows no protocol: a reply is a status, headers and pieces of a body. It can hold a reply back in the
middle, and break a connection off, which is what a provider must be able to bear.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Deque, List, Mapping, Optional, Sequence, Tuple, Type

__all__ = ["Received", "Reply", "ReplyServer", "closed_url"]


@dataclass(frozen=True)
class Reply:
    """What the server sends for one request.

    Attributes:
        pieces: The body, one write for each.
        status: HTTP status.
        headers: Headers beside those of the transfer.
        held: After how many pieces the server waits for ``go_on`` or for its client to leave; 0 is before
            the head, None is nowhere.
        broken: Close the connection in place of the body's proper end.
    """

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    held: Optional[int] = None
    broken: bool = False


@dataclass(frozen=True)
class Received:
    """One request as it came; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class ReplyServer(ThreadingTCPServer):
    """Sends scripted replies, one for each request; use it with ``with``.

    Attributes:
        requests: Every request, in order of arrival.
        client_left: Set once a client has left before its reply was sent whole.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.requests: List[Received] = []
        self.client_left = threading.Event()
        self._going_on = threading.Event()
        self._script: Deque[Reply] = deque()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._closed:
            self.handle_request()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]] = None,
        error: Optional[BaseException] = None,
        trace: Optional[TracebackType] = None,
    ) -> None:
        self.go_on()
        self._closed = True
        socket.create_connection(("127.0.0.1", self.server_address[1])).close()  # wakes the thread
        self._thread.join()
        self.server_close()

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def script(self, *replies: Reply) -> None:
        """Queue replies, one for each request to come.

        Args:
            *replies: The replies; a request without one gets status 500.
        """
        self._script.extend(replies)

    def take(self, request: Received) -> Reply:
        """Note a request and take its reply; for stand-ins of servers that are not asked over HTTP.

        Args:
            request: The request.

        Returns:
            The next reply of the script.
        """
        self.requests.append(request)
        try:
            return self._script.popleft()
        except IndexError:
            return Reply([b'{"error": {"message": "The script has no reply for this request."}}'], 500)

    def go_on(self) -> None:
        """Send what is held back, now and from now on."""
        self._going_on.set()

    def wait(self, client: socket.socket) -> bool:
        """Hold a reply back.

        Args:
            client: The connection it is for.

        Returns:
            Whether to go on; False when the client has left.
        """
        while not self._going_on.wait(0.005):
            if select.select([client], [], [], 0)[0] and _has_ended(client):
                self.client_left.set()
                return False
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, but for clients that left: they may, whenever they like.

        Args:
            request: The connection.
            client_address: Where it comes from.
        """
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    """One connection, for as many requests as its client sends."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ReplyServer

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Received(self.command, self.path, headers, self.rfile.read(length))
        reply = self.server.take(request)
        try:
            self.close_connection = not self._send(reply)
        except ConnectionError:
            self.close_connection = True
            self.server.client_left.set()

    def do_GET(self) -> None:
        self.do_POST()

    def _send(self, reply: Reply) -> bool:
        """Send a reply; returns whether the connection can serve another request."""
        if reply.held == 0 and not self.server.wait(self.connection):
            return False
        self.send_response(reply.status)
        for name, value in (("transfer-encoding", "chunked"), *reply.headers.items()):
            self.send_header(name, value)
        self.end_headers()
        for number, piece in enumerate(reply.pieces, start=1):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if reply.held == number and not self.server.wait(self.connection):
                return False
        if not reply.broken:
            self.wfile.write(b"0\r\n\r\n")
        return not reply.broken

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test asks the server what came."""


def _has_ended(client: socket.socket) -> bool:
    """Whether a connection that has something to read has only its end."""
    try:
        return not client.recv(1, socket.MSG_PEEK)
    except ConnectionError:  # its client left without reading what it had been sent
        return True


def closed_url() -> str:
    """Find an address where nobody listens.

    Returns:
        A URL on loopback whose port was free a moment ago.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: Tuple[str, int] = listener.getsockname()
    return f"http://127.0.0.1:{address[1]}"
