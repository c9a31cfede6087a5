"""The scripted server's faults and its own life, seen from a plain socket.

What a client makes of a fault is the library's affair and tested there.
"""

from __future__ import annotations

import socket
import threading
from typing import Any, Iterator

import pytest

from tests.support.scripted_server import (
    HalfClose,
    Reply,
    ScriptedServer,
    Stall,
)


class Line:
    """A client that sends one request and reads what comes."""

    def __init__(self, server: ScriptedServer) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=5)

    def ask(self) -> Line:
        self.socket.sendall(b"GET /v1/ducks HTTP/1.1\r\nhost: here\r\n\r\n")
        return self

    def read(self) -> bytes:
        """Everything until the server stops sending."""
        content = b""
        while True:
            piece = self.socket.recv(65536)
            if not piece:
                return content
            content += piece

    def read_until(self, end: bytes) -> bytes:
        content = b""
        while not content.endswith(end):
            content += self.socket.recv(1)
        return content


@pytest.fixture
def line(server: ScriptedServer) -> Iterator[Line]:
    line = Line(server)
    yield line
    line.socket.close()


STREAM = Reply(chunks=(b"one ", b"two ", b"three"))


def test_a_connection_serves_many_requests(server: ScriptedServer, line: Line) -> None:
    server.script(Reply(body=b"first"), STREAM, Reply(body=b"third"))
    assert line.ask().read_until(b"first")
    assert (
        line.ask()
        .read_until(b"0\r\n\r\n")
        .endswith(b"\r\n\r\n4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n")
    )
    assert line.ask().read_until(b"third")
    assert [request.connection for request in server.requests] == [1, 1, 1]
    assert (server.open_connections, server.connections_opened) == (1, 1)


def test_a_half_closed_connection_stays_open_for_the_client(server: ScriptedServer, line: Line) -> None:
    server.script(STREAM.but(fault=HalfClose(after=1)))
    assert line.ask().read().endswith(b"one \r\n")
    assert server.open_connections == 1
    line.socket.close()
    assert server.wait_for_connections(0)


def test_tls_to_the_plain_port_is_refused(line: Line) -> None:
    line.socket.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert line.read().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "part", [b"POST /v1/mess", b"POST / HTTP/1.1\r\nhost:", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"]
)
def test_half_a_request_is_none(server: ScriptedServer, line: Line, part: bytes) -> None:
    line.socket.sendall(part)
    line.socket.shutdown(socket.SHUT_WR)
    assert line.read() == b"" and (server.requests, server.errors) == ([], [])


def test_a_chunked_request_is_read(server: ScriptedServer, line: Line) -> None:
    server.script(Reply(body=b"answer"))
    line.socket.sendall(
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n3\r\n, 2\r\n1\r\n]\r\n0\r\n\r\n"
    )
    line.read_until(b"answer")
    assert server.requests[0].body == [1, 2]


def test_a_mistake_in_a_reply_function_is_told(server: ScriptedServer, line: Line) -> None:
    def mistaken(_: Any) -> Reply:
        raise KeyError("duck")

    server.script(mistaken)
    assert b"KeyError" in line.ask().read_until(b"}}")
    assert [str(error) for error in server.errors] == ["'duck'"]
    server.errors.clear()


# the server itself


def test_reset_makes_it_as_new(server: ScriptedServer, line: Line) -> None:
    server.default = STREAM
    server.script(Reply(body=b"first"), Reply(body=b"never"))
    line.ask().read_until(b"first")
    server.reset()
    assert (server.requests, server.open_connections, server.connections_opened) == ([], 0, 0)
    assert line.read() == b""
    fresh = Line(server)
    assert fresh.ask().read_until(b"}}").startswith(b"HTTP/1.1 404 ")
    fresh.socket.close()


def test_close_leaves_nothing_behind() -> None:
    before = threading.active_count()
    with ScriptedServer() as server:
        server.script(STREAM.but(fault=Stall()))
        line = Line(server).ask()
        line.read_until(b"three\r\n")
    server.close()
    assert threading.active_count() == before
    assert line.read() == b""
    with pytest.raises(ConnectionRefusedError):
        Line(server)
    line.socket.close()


@pytest.mark.slow
def test_500_connections_at_once(server: ScriptedServer) -> None:
    server.default = Reply(body=b"answer")
    lines = [Line(server) for _ in range(500)]
    for _ in range(2):
        for line in lines:
            line.ask()
        for line in lines:
            line.read_until(b"answer")
    assert (server.open_connections, server.connections_opened, len(server.requests)) == (500, 500, 1000)
    for line in lines:
        line.socket.close()
    assert server.wait_for_connections(0)
