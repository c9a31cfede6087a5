"""Sends JSON through google-genai and hands back the raw reply; nothing else uses that SDK.

The SDK has no public call for that, so its client's ``_build_request``, ``_request`` and ``_async_request``
are used. The HTTP clients are ours: so redirects are never followed, an installed aiohttp changes nothing and
a bad status is seen before the SDK's error class sees it, which cannot read every body.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Dict, Optional

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers.http.error_bodies import abound_error_body, bad_status, bound_error_body
from llm_orchestrator.providers.http.placeholders import remove_placeholder
from llm_orchestrator.providers.http.pools import MAX_CONNECTIONS, async_client_arguments
from llm_orchestrator.providers.wire import Limits, RawReply, WireRequest

__all__ = ["GeminiTransport"]

API_VERSION = "v1beta"
#: Where the HTTP library looks for the certificates to trust.
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
#: What is used of the SDK's inner client.
PRIVATE_NAMES = ("_build_request", "_request", "_async_request")


class GeminiTransport:
    """One client of google-genai and the HTTP clients under it, for all threads or for one event loop."""

    #: What has to be installed.
    PACKAGE = "google.genai"

    def __init__(
        self, *, base_url: str, api_version: str = API_VERSION, vertexai: bool = False, **identity: Any
    ) -> None:
        from google import genai
        from google.genai.client import DebugConfig

        self._http = _http_library(genai.__version__)
        certificates = _certificates(self._http, *map(os.environ.get, CERTIFICATE_VARIABLES))
        self._client = self._http.Client(**self._settings(certificates, _raise_for_status))
        self._async_client = self._http.AsyncClient(
            **self._settings(certificates, _araise_for_status),
            **async_client_arguments(self._http, certificates),
        )
        # What is left out here, the SDK takes from the environment.
        self._genai = genai.Client(
            **identity,
            vertexai=vertexai,
            debug_config=DebugConfig(client_mode=None, replay_id=None, replays_directory=None),
            http_options=genai.types.HttpOptions(
                base_url=base_url,
                api_version=api_version,
                httpx_client=self._client,
                httpx_async_client=self._async_client,
                # Not for requests, only so that the SDK does not load certificates of its own.
                client_args={"verify": certificates},
                async_client_args={"verify": certificates, "ssl": certificates},
            ),
        )
        self._inner: Any = getattr(self._genai, "_api_client", None)
        if not all(hasattr(self._inner, name) for name in PRIVATE_NAMES):
            raise ConfigurationError(
                f"google-genai {genai.__version__} has other inner calls than the releases that are known. "
                'Run: pip install "google-genai<4", or use transport: direct with a key.'
            )

    def _settings(self, certificates: Any, hook: Any) -> Dict[str, Any]:
        return {
            "verify": certificates,
            "follow_redirects": False,
            "event_hooks": {"response": [hook]},
            "limits": self._http.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=100),
        }

    def open(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request and wait for the head of the reply."""
        reply: RawReply = self._inner._request(self._request(wire, limits), stream=True).response_stream
        return reply

    async def aopen(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request and wait for the head of the reply, async."""
        sent = await self._inner._async_request(self._request(wire, limits), stream=True)
        reply: RawReply = sent.response_stream
        return reply

    def _request(self, wire: WireRequest, limits: Limits) -> Any:
        request = self._inner._build_request(wire.method.lower(), wire.path, dict(wire.body or {}))
        request.headers = self._http.Headers(request.headers)  # a copy: some generations share one dict
        remove_placeholder(request)
        request.headers.update(wire.headers)
        request.timeout = self._http.Timeout(limits.head(), connect=min(limits.connect, limits.head()))
        return request

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        await self._async_client.aclose()


@cache
def _certificates(http: Any, *_: Optional[str]) -> Any:
    """The certificates to trust, loaded once for each place: it takes long enough to make a loop stutter."""
    return http.create_ssl_context()


def _http_library(version: str) -> Any:
    """The HTTP library that this generation of the SDK uses; httpx2 since version 3."""
    if int(version.partition(".")[0]) >= 3:
        import httpx2

        return httpx2
    import httpx

    return httpx


def _raise_for_status(response: Any) -> None:
    """Raise for a bad status, as a response hook."""
    bound_error_body(response)
    if response.status_code != 200:
        raise bad_status(response.status_code, response.headers, response.read(), response.request)


async def _araise_for_status(response: Any) -> None:
    """Raise for a bad status, as a response hook for async callers."""
    await abound_error_body(response)
    if response.status_code != 200:
        content = await response.aread()
        raise bad_status(response.status_code, response.headers, content, response.request)
