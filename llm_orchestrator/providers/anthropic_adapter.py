"""Anthropic through its own SDK: the clients, the one call, and who translates what.

Requests are written by ``anthropic_requests`` and ``anthropic_messages``, answers are read by
``anthropic_replies`` and ``anthropic_events``; this class only puts them together and talks.
"""

from __future__ import annotations

import sys
from collections import abc
from dataclasses import replace
from functools import partial
from typing import Any, Callable, ClassVar, Dict, List, Mapping, Optional, Sequence, Tuple, cast
from urllib.parse import quote

from llm_orchestrator.exceptions import ConfigurationError, ProviderError
from llm_orchestrator.providers.anthropic.events import assembled, read_event
from llm_orchestrator.providers.anthropic.replies import read_models, read_reply
from llm_orchestrator.providers.anthropic.requests import write_request
from llm_orchestrator.providers.anthropic.thinking import form_of_thinking
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.failures import Failure, error_of_failure, unsupported_parameter
from llm_orchestrator.providers.http.clients import Clients
from llm_orchestrator.providers.http.error_bodies import with_bounded_error_bodies
from llm_orchestrator.providers.http.library import http_library_of
from llm_orchestrator.providers.http.pools import async_client_arguments
from llm_orchestrator.providers.wire import Limits, RawReply, StreamState, WireRequest
from llm_orchestrator.types import JSON, LLMRequest, LLMResponse, ModelInfo, StreamEvent

__all__ = ["AnthropicAdapter"]

BASE_URL = "https://api.anthropic.com"
CLIENT, ASYNC_CLIENT = "Anthropic", "AsyncAnthropic"  # the SDK's classes
API_VERSION = "2023-06-01"
#: Sent to servers that imitate the API and ask for no key; the SDK insists on one.
NO_KEY = "no-key"
#: Words by which an error means the fields that ``reasoning_effort`` is sent in, without quoting them.
REASONING_WORDS = ("thinking", "effort")


class AnthropicAdapter(BaseLLMProvider):
    """Claude models, and servers that speak the Anthropic Messages API."""

    protocol: ClassVar[str] = "anthropic"
    service: ClassVar[str] = "anthropic"
    #: The extra that brings what the adapter needs.
    extra: ClassVar[str] = "anthropic"
    #: How the names of the SDK's two client classes end; subclasses for other hosts name theirs.
    platform: ClassVar[str] = ""

    def __init__(self, name: str, *, api_version: Optional[str] = None, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.api_version = api_version or API_VERSION
        self._clients: Clients[Any, Any] = Clients(
            make=lambda: self._make_client(CLIENT),
            make_async=lambda: self._make_client(ASYNC_CLIENT),
            close=lambda client: client.close(),
            aclose=lambda client: client.close(),
            redactor=self.redactor,
        )

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        """Translate a request into the body of ``POST /v1/messages``."""
        return replace(write_request(request, stream=stream), headers=self._version)

    def parse_reply(self, body: JSON, headers: Mapping[str, str]) -> LLMResponse:
        """Translate a message."""
        if body.get("error"):
            raise self._failed(body, headers)
        return read_reply(body, self.name)

    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        """Translate one event of a streamed message."""
        if event.get("error") or event.get("type") == "error":
            raise self._failed(event, state.headers)
        return read_event(event, state)

    def assemble_reply(self, state: StreamState) -> JSON:
        """Put the streamed message together."""
        return assembled(state)

    def parse_failure(self, body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
        """Read the API's description of a failure; its ``error.details.error_code`` says most."""
        failure = super().parse_failure(body, status_code, headers)
        error = body.get("error")
        details = error.get("details") if isinstance(error, abc.Mapping) else None
        code = details.get("error_code") if isinstance(details, abc.Mapping) else None
        if isinstance(code, str) and code:
            failure = replace(failure, codes=(code, *failure.codes))
        about_reasoning = any(word in failure.message.lower() for word in REASONING_WORDS)
        if about_reasoning and unsupported_parameter(failure) is None:
            failure = replace(failure, parameter="reasoning_effort")
        return failure

    def form_sent(self, request: LLMRequest, parameter: str) -> Optional[str]:
        """Name the form in which a parameter was sent: ``reasoning_effort`` has two."""
        return form_of_thinking(request) if parameter == "reasoning_effort" else None

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """Build the request for one page of the models."""
        after = f"&after_id={quote(cursor, safe='')}" if cursor else ""
        return WireRequest(f"/v1/models?limit=1000{after}", headers=self._version)

    def model_request(self, model: str) -> WireRequest:
        """Build the request that asks for one model."""
        return WireRequest(f"/v1/models/{quote(model, safe='')}", headers=self._version)

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """Translate one page of the listing."""
        return read_models(body, self.name)

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request and wait for the head of the reply."""
        return cast(RawReply, _sdk_call(self._clients.for_threads(), wire, limits)())

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request and wait for the head of the reply, async."""
        return cast(RawReply, await _sdk_call(await self._clients.for_loop(), wire, limits)())

    async def aget_ready(self) -> None:
        """Make the client of the running loop."""
        await self._clients.for_loop()

    def close(self) -> None:
        """Close the connections of sync callers."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of sync callers."""
        await self._clients.aclose()

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of both clients: where the API is, who asks; a cloud has others."""
        if not self._api_key and self.base_url is None:
            raise ConfigurationError(
                f"Provider {self.name!r} has no api_key. Add `api_key: ${{ANTHROPIC_API_KEY}}` to its entry, "
                "and set the variable."
            )
        return {"api_key": self._api_key or NO_KEY, "base_url": self.base_url or BASE_URL}

    def _make_client(self, kind: str) -> Any:
        """Build one of the SDK's clients so that nothing in the environment changes what it does."""
        arguments = self.client_arguments()
        try:
            import anthropic
        except ImportError as error:
            raise ConfigurationError(
                f"Provider {self.name!r} needs the Anthropic SDK. "
                f'Install it with: pip install "llm-orchestrator[{self.extra}]".'
            ) from error
        client_class = getattr(anthropic, kind + self.platform)
        # Newer SDKs write prompts and answers into spans when the environment tells them to.
        if hasattr(client_class, "open_telemetry"):
            arguments["open_telemetry"] = False
        if kind == ASYNC_CLIENT:
            pools = async_client_arguments(http_library_of(anthropic))
            arguments["http_client"] = anthropic.DefaultAsyncHttpxClient(**pools)
        client = client_class(**arguments, max_retries=0)
        client._custom_headers = {}  # those of $ANTHROPIC_CUSTOM_HEADERS, which no argument keeps out
        return with_bounded_error_bodies(client)

    @property
    def _version(self) -> Mapping[str, str]:
        return {"anthropic-version": self.api_version}

    def _failed(self, body: JSON, headers: Mapping[str, str]) -> ProviderError:
        error = error_of_failure(self.parse_failure(body, None, headers))
        error.request_id = self.request_id_of(headers)
        return error


def _sdk_call(client: Any, wire: WireRequest, limits: Limits) -> Callable[[], Any]:
    """The SDK's generic call, ready to be made, and by async callers awaited; it gives the open reply."""
    library = sys.modules[type(client.base_url).__module__.partition(".")[0]]  # httpx or httpx2
    options = {
        "headers": wire.headers,
        "timeout": library.Timeout(limits.head(), connect=min(limits.connect, limits.head())),
        "max_retries": 0,
        "follow_redirects": False,
    }
    arguments = {"cast_to": library.Response, "options": options, "stream": True}
    if wire.method == "GET":
        return partial(client.get, wire.path, **arguments)
    return partial(client.post, wire.path, body=wire.body, **arguments)
