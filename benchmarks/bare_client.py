"""What the canned server can do: a client that writes one request's bytes and counts those of the answer."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from typing import List, Optional
from urllib.parse import urlsplit

from certificate import TRUSTED
from contenders import LIMIT, MESSAGES, MODEL


class BareConnection(asyncio.Protocol):
    """One connection; an answer is whole when nothing of its announced length is missing."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._answer: Optional[asyncio.Future[None]] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Wake the caller when the answer is whole."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0) if separator else 1
        if len(body) >= length and self._answer is not None:
            self._received = b""
            self._answer.set_result(None)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Let no caller wait for ever."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("The canned server closed the connection."))

    async def exchange(self, request: bytes) -> None:
        """Send a request and wait for the answer."""
        self._answer = self._loop.create_future()
        self._transport.write(request)
        await self._answer


class BareClient:
    """Asks for Chat's whole answer over as many connections as there are calls at once.

    Args:
        url: Where the canned server listens.
    """

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._host, self._port = place.hostname or "", place.port or 0
        body = json.dumps({"model": MODEL, "messages": MESSAGES, "max_tokens": LIMIT}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {place.netloc}\r\n"
        self._request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        self._tls: Optional[ssl.SSLContext] = None
        if place.scheme == "https":
            self._tls = ssl.create_default_context(cafile=os.environ[TRUSTED])
        self._idle: List[BareConnection] = []

    async def call(self) -> None:
        """Make one call."""
        connection = self._idle.pop() if self._idle else await self._connect()
        await connection.exchange(self._request)
        self._idle.append(connection)

    async def _connect(self) -> BareConnection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(BareConnection, self._host, self._port, ssl=self._tls))[1]
