"""A server for benchmarks that answers every request with the same bytes, as fast as asyncio allows.

    python benchmarks/canned_server.py --latency 0.02 --certificate key_and_certificate.pem

It prints its port and serves until its standard input is closed. It runs in a process of its own, so that the
CPU time of the process that measures is the client's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import ssl
import sys
import threading
from typing import Optional

from canned_answers import OBJECT_STREAMS, STREAMS, WHOLE, Answer

#: To the question for a model, which has no canned answer.
NOT_FOUND: Answer = (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",)
CONTENT_LENGTH = re.compile(rb"(?i)\ncontent-length: *(\d+)")


class CannedConnection(asyncio.Protocol):
    """One connection: finds the end of each request and writes the answer that fits its path.

    Args:
        latency: Seconds between a request and its answer.
    """

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._received = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer when the request is whole; clients here send one at a time."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if separator and len(body) >= _content_length(head):
            self._received = b""
            self._loop.call_later(self._latency, self._answer, _answer_to(head, body))

    def _answer(self, answer: Answer) -> None:
        for part in answer:
            self._transport.write(part)


def _content_length(head: bytes) -> int:
    found = CONTENT_LENGTH.search(head)
    return int(found[1]) if found else 0


def _answer_to(head: bytes, body: bytes) -> Answer:
    end = head.split(b" ", 2)[1].partition(b"?")[0].decode()
    is_stream = end.endswith(":streamGenerateContent") or b'"stream":true' in body.replace(b" ", b"")
    streams = OBJECT_STREAMS if b"schema" in body.lower() else STREAMS
    answers = streams if is_stream else WHOLE
    return next((answer for known, answer in answers.items() if end.endswith(known)), NOT_FOUND)


async def serve(latency: float, certificate: Optional[str]) -> None:
    """Serve until standard input is closed.

    Args:
        latency: Seconds between a request and its answer.
        certificate: PEM file with key and certificate; None to serve without TLS.
    """
    loop = asyncio.get_running_loop()
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    server = await loop.create_server(
        lambda: CannedConnection(latency), "127.0.0.1", 0, backlog=2000, ssl=tls
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    closed = asyncio.Event()

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=wait, daemon=True).start()
    await closed.wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Answer every request with the same bytes.")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--certificate", help="PEM file with key and certificate, for TLS")
    options = parser.parse_args()
    asyncio.run(serve(options.latency, options.certificate))


if __name__ == "__main__":
    main()
