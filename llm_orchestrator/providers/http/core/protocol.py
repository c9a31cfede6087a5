"""One connection without its socket: the tunnel through a proxy, TLS, and the replies.

Whoever holds the socket hands over what came and sends what is handed back; sync and async do nothing else.
"""

from __future__ import annotations

import ssl
from typing import Iterator, Optional, Union

from llm_orchestrator.exceptions import ConfigurationError, InvalidResponseError, OrchestratorError
from llm_orchestrator.providers.http.core.messages import ReplyParser
from llm_orchestrator.providers.http.core.network_errors import (
    connection_lost,
    not_connected,
    reason_of,
    tls_failure,
)
from llm_orchestrator.providers.http.core.origins import Origin
from llm_orchestrator.providers.http.core.settings import TLSSettings
from llm_orchestrator.providers.http.core.tls import TLSStream

__all__ = ["ClientProtocol"]

#: So much of a request is ciphered and sent at a time.
WRITE_BYTES = 256 * 1024


class ClientProtocol:
    """What is said on one connection."""

    __slots__ = ("_origin", "_tls", "_tls_settings", "_tunnel", "is_open", "parser")

    def __init__(self, origin: Origin, tls: Optional[TLSSettings]) -> None:
        self.parser = ReplyParser()
        self.is_open = False
        self._origin = origin
        self._tls_settings = tls
        self._tls: Optional[TLSStream] = None
        self._tunnel: Optional[ReplyParser] = None

    def start(self) -> bytes:
        """Begin, once the socket is connected."""
        if self._origin.tunnel_request:
            self._tunnel = ReplyParser()
            self._tunnel.begin("CONNECT")
            return self._origin.tunnel_request
        return self._start_tls()

    def _start_tls(self) -> bytes:
        if self._tls_settings is None:
            self.is_open = True
            return b""
        self._tls = TLSStream(self._tls_settings.context, self._origin.host)
        self._tls.handshake()
        return self._tls.outgoing()

    def receive(self, data: bytes) -> bytes:
        """Take what came from the network."""
        if self._tls is None:
            if self._tunnel is None:
                self.parser.feed(data)
                return b""
            return self._receive_tunnel(self._tunnel, data)
        try:
            return self._receive_tls(self._tls, data)
        except ssl.SSLError as error:
            raise self._tls_error(error) from error

    def lost(self, reason: str) -> OrchestratorError:
        """The error of a connection that broke: without a request on it, none was lost."""
        return not_connected(reason) if self.parser.complete else connection_lost(reason)

    def eof(self) -> None:
        """Take the end of the connection."""
        if not self.is_open:
            during = "the proxy's answer" if self._tls is None else "the TLS handshake"
            raise not_connected(f"it was closed during {during}")
        self.parser.end(is_clean=self._tls is None or self._tls.is_closed)

    def check_head(self) -> None:
        """Look at the head of a reply: a proxy answers for itself in the server's place."""
        if self.parser.status == 407 and self._origin.proxy is not None:
            raise self._proxy_error(407)

    def pieces(self, request: bytes) -> Iterator[Union[bytes, memoryview]]:
        """Cut a request into what is sent at a time."""
        for part in [request] if len(request) <= WRITE_BYTES else _cut(memoryview(request)):
            try:
                yield part if self._tls is None else self._tls.encrypt(part)
            except ssl.SSLError as error:
                raise self._tls_error(error) from error

    def _receive_tls(self, tls: TLSStream, data: bytes) -> bytes:
        if not tls.is_open:
            tls.handshake(data)
            data = b""  # what the handshake left over is read below
        self.is_open = tls.is_open
        for piece in tls.decrypt(data) if self.is_open else ():
            self.parser.feed(piece)
        if tls.is_closed:
            self.eof()
        return tls.outgoing()

    def _receive_tunnel(self, tunnel: ReplyParser, data: bytes) -> bytes:
        host, port = self._origin.address
        try:
            tunnel.feed(data)
        except InvalidResponseError as error:
            raise not_connected(f"the proxy {host}:{port} does not answer in HTTP") from error
        if not tunnel.head_done:
            return b""
        if not 200 <= tunnel.status < 300:
            raise self._proxy_error(tunnel.status)
        self._tunnel = None
        return self._start_tls()

    def _proxy_error(self, status: int) -> OrchestratorError:
        host, port = self._origin.address
        if status < 500:
            what = "asks for other credentials" if status == 407 else f"refuses with status {status}"
            return ConfigurationError(
                f"The proxy {host}:{port} {what}. Check http.proxy, HTTPS_PROXY and NO_PROXY."
            )
        return not_connected(f"the proxy {host}:{port} answered with status {status}")

    def _tls_error(self, error: ssl.SSLError) -> OrchestratorError:
        if not self.is_open and self._tls_settings is not None:
            return tls_failure(error, self._origin.host, self._tls_settings.trusted)
        return self.lost(reason_of(error))


def _cut(request: memoryview) -> Iterator[memoryview]:
    return (request[at : at + WRITE_BYTES] for at in range(0, len(request), WRITE_BYTES))
