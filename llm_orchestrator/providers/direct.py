"""The direct transport: an adapter's requests over connections of our own, without a vendor's SDK.

An adapter says where its API is and which headers carry the credential; here requests become bytes, and a
reply with a bad status becomes an error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Dict, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from llm_orchestrator.exceptions import (
    InvalidResponseError,
    ProviderConnectionError,
    ProviderTimeoutError,
    forget_frames,
)
from llm_orchestrator.providers.http.core.connections import Connections, Reply
from llm_orchestrator.providers.http.core.messages import header_bytes
from llm_orchestrator.providers.http.core.origins import Origin
from llm_orchestrator.providers.http.core.settings import HttpSettings
from llm_orchestrator.providers.http.error_bodies import BadStatusError, bad_status
from llm_orchestrator.providers.wire import Endpoint, Limits, RawReply, WireRequest
from llm_orchestrator.utils.clock import monotonic
from llm_orchestrator.utils.hidden import hidden

if TYPE_CHECKING:
    from llm_orchestrator.providers.http.core.aconnections import AsyncReply

__all__ = ["AsyncDirectTransport", "DirectTransport"]

USER_AGENT = "llm-orchestrator"
ABOVE = "../"
#: A body that holds itself is found by its depth; to look for it in every body would take long.
_json_of = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), allow_nan=False
).encode


class _Requests:
    """Writes requests for one endpoint; shared by the sync and the async transport."""

    def __init__(self, endpoint: Endpoint, settings: HttpSettings) -> None:
        self.origin = Origin.of(endpoint.url, settings)  # which refuses what is no URL
        url = urlsplit(endpoint.url)
        self._path = url.path.rstrip("/")
        self._query = url.query
        self._common = hidden({"accept": "application/json", "user-agent": USER_AGENT, **endpoint.headers})
        self._last_written: Tuple[Mapping[str, str], bool, bytes] = ({}, False, header_bytes(self._common))

    def path_of(self, wire: WireRequest) -> str:
        base, own = self._path, wire.path.lstrip("/")
        if own.startswith(ABOVE):
            base, own = base.rpartition("/")[0], own[len(ABOVE) :]
        path = f"{base}/{own}"
        return f"{path}{'&' if '?' in path else '?'}{self._query}" if self._query else path

    def headers_of(self, wire: WireRequest) -> bytes:
        """The header lines; most calls of an entry have those of the call before."""
        headers, has_body, lines = self._last_written
        if wire.headers != headers or has_body != (wire.method == "POST"):
            has_body = wire.method == "POST"
            lines = header_bytes(self._merged(wire.headers, has_body))
            self._last_written = (wire.headers, has_body, lines)
        return lines

    def _merged(self, own: Mapping[str, str], has_body: bool) -> Dict[str, str]:
        """The entry's headers, and over them those of the call: each name once, whatever its case."""
        merged = hidden(self._common)
        if has_body:
            merged["content-type"] = "application/json"
        merged.update((name.lower(), value) for name, value in own.items())
        return merged

    @staticmethod
    def body_of(wire: WireRequest) -> Optional[bytes]:
        if wire.body is None:
            return None if wire.content is None else bytes(wire.content)
        return _json_of(wire.body).encode("utf-8")


class DirectTransport:
    """Sends the requests of one entry, for any number of threads."""

    def __init__(self, endpoint: Endpoint, settings: HttpSettings) -> None:
        self._requests = _Requests(endpoint, settings)
        self._connections = Connections(self._requests.origin, settings)

    def open(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request and wait for the head of the reply."""
        requests = self._requests
        try:
            reply = self._connections.open(
                wire.method, requests.path_of(wire), requests.headers_of(wire), requests.body_of(wire), limits
            )
        except ProviderConnectionError as error:
            raise _as_attempt(error) from error.__cause__
        if 200 <= reply.status_code < 300:
            return reply
        reply.wait_until(monotonic() + limits.head())
        raise _bad_status(reply, _error_body(reply))

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


class AsyncDirectTransport:
    """Sends the requests of one entry, for the tasks of one event loop."""

    def __init__(self, endpoint: Endpoint, settings: HttpSettings) -> None:
        from llm_orchestrator.providers.http.core.aconnections import AsyncConnections

        self._requests = _Requests(endpoint, settings)
        self._connections = AsyncConnections(self._requests.origin, settings)

    async def open(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request and wait for the head of the reply."""
        requests = self._requests
        try:
            reply = await self._connections.open(
                wire.method, requests.path_of(wire), requests.headers_of(wire), requests.body_of(wire), limits
            )
        except ProviderConnectionError as error:
            raise _as_attempt(error) from error.__cause__
        if 200 <= reply.status_code < 300:
            return reply
        reply.wait_until(monotonic() + limits.head())
        raise _bad_status(reply, await _aerror_body(reply))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connections.aclose()


def _as_attempt(error: ProviderConnectionError) -> ProviderConnectionError:
    """A connection that failed is an attempt, with its row; nothing can be billed where nothing was sent."""
    if not error.sent:
        error.sent, error.may_be_billed = True, False
    return error


def _error_body(reply: Reply) -> bytes:
    """Read the body of a bad status; the status is enough where it breaks off, but silence is a timeout."""
    content = bytearray()
    try:
        for chunk in reply.iter_bytes():
            content += chunk
    except ProviderTimeoutError:
        raise
    except (InvalidResponseError, ProviderConnectionError):
        pass
    finally:
        reply.close()
    return bytes(content)


async def _aerror_body(reply: AsyncReply) -> bytes:
    """Read the body of a bad status, async; see ``_error_body``."""
    content = bytearray()
    try:
        async for chunk in reply.aiter_bytes():
            content += chunk
    except ProviderTimeoutError:
        raise
    except (InvalidResponseError, ProviderConnectionError) as error:
        forget_frames(error)  # the connection keeps it, and it would keep what this call leads to
    finally:
        await reply.aclose()
    return bytes(content)


def _bad_status(reply: RawReply, content: bytes) -> BadStatusError:
    return bad_status(reply.status_code, reply.headers, content)
