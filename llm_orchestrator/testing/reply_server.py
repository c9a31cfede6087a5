"""A small HTTP server on loopback that sends the replies of a test and records the requests.

It has no protocol of its own: a reply is a status, headers and pieces of a body. It can pause in the middle
of a reply and break the connection, which a provider must handle.
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
from typing import Any, Deque, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.utils.values import Value

__all__ = ["Received", "Reply", "ReplyServer", "closed_url"]

#: Seconds between two looks at whether to continue or to end.
POLL = 0.005


@dataclass(frozen=True, eq=False, repr=False)
class Reply(Value):
    """What the server sends for one request.

    Attributes:
        pieces: The body, each piece a chunk of its own.
        status: HTTP status.
        headers: Headers besides ``transfer-encoding``.
        held: After how many pieces the server waits for ``go_on`` or for the client to disconnect; 0 is
            before the status line, None is never.
        broken: Whether the connection is closed instead of the body's proper end.
    """

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    held: Optional[int] = None
    broken: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Received(Value):
    """One request; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class ReplyServer(ThreadingTCPServer):
    """Sends scripted replies, one for each request; use it with ``with``.

    Attributes:
        requests: Every request, in order of arrival.
        client_left: Set once a client has disconnected before the end of its reply.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.requests: List[Received] = []
        self.client_left = threading.Event()
        self._going_on = threading.Event()
        self._script: Deque[Reply] = deque()
        threading.Thread(target=self.serve_forever, args=(POLL,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.go_on()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def script(self, *replies: Reply) -> None:
        """Add replies for the next requests.

        Args:
            *replies: The replies; a request for which there is none gets status 500.
        """
        self._script.extend(replies)

    def take(self, request: Received) -> Reply:
        """Record a request and return its reply; to be called directly where the protocol is not HTTP.

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
        """Continue a reply that waits, and do not wait from now on."""
        self._going_on.set()

    def wait(self, client: socket.socket) -> bool:
        """Wait for ``go_on``.

        Args:
            client: The connection of the reply.

        Returns:
            Whether to continue; False when the client has disconnected.
        """
        while not self._going_on.wait(POLL):
            if select.select([client], [], [], 0)[0] and _has_ended(client):
                self.client_left.set()
                return False
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, except of a client that has disconnected, which it may do at any time.

        Args:
            request: The connection.
            client_address: The address of the client.
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
        """Do nothing: the requests are in ``ReplyServer.requests``."""


def _has_ended(client: socket.socket) -> bool:
    """Whether a readable connection is at its end."""
    try:
        return not client.recv(1, socket.MSG_PEEK)
    except ConnectionError:  # the client disconnected without reading everything
        return True


def closed_url() -> str:
    """Find an address at which no server listens.

    Returns:
        A URL on loopback whose port was free a moment ago.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: Tuple[str, int] = listener.getsockname()
    return f"http://127.0.0.1:{address[1]}"
