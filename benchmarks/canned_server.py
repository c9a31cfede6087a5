"""A server for benchmarks that answers every request with the same bytes, as fast as asyncio allows.

    python benchmarks/canned_server.py --latency 0.02

It prints its port and serves until its standard input is closed. It runs in a process of its own, on another
core where there is one, so that the CPU time of the process that measures is the client's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from typing import Dict

from canned_answers import STREAMS, WHOLE

#: To the question for a model, which has no canned answer.
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


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
            self._loop.call_later(self._latency, self._transport.write, _answer(head, body))


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _answer(head: bytes, body: bytes) -> bytes:
    path = head.split(b" ", 2)[1].decode()
    answers: Dict[str, bytes] = STREAMS if b'"stream":true' in body.replace(b" ", b"") else WHOLE
    end = path.partition("?")[0]
    answers = STREAMS if end.endswith(":streamGenerateContent") else answers
    return next((answer for known, answer in answers.items() if end.endswith(known)), NOT_FOUND)


async def serve(latency: float) -> None:
    """Serve until standard input is closed.

    Args:
        latency: Seconds between a request and its answer.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: CannedConnection(latency), "127.0.0.1", 0, backlog=2000)
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
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    asyncio.run(serve(options.latency))


if __name__ == "__main__":
    main()
