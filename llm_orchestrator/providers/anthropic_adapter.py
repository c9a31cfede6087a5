"""The Anthropic adapter: Claude, and servers that speak the Messages API, through Anthropic's SDK.

Its JSON is written and read in ``anthropic/``; this class puts that together and makes the clients.
"""

from __future__ import annotations

from collections import abc
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import quote

from llm_orchestrator.exceptions import ProviderError
from llm_orchestrator.providers.anthropic import requests as anthropic_requests
from llm_orchestrator.providers.anthropic.events import assembled, read_event
from llm_orchestrator.providers.anthropic.replies import read_models, read_reply
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.failures import Failure, error_of_failure, unsupported_parameter
from llm_orchestrator.providers.http.error_bodies import with_bounded_error_bodies
from llm_orchestrator.providers.http.library import http_library_of
from llm_orchestrator.providers.http.pools import async_client_arguments
from llm_orchestrator.providers.sdk import SDKProvider
from llm_orchestrator.providers.wire import StreamState, WireRequest
from llm_orchestrator.types import JSON, LLMRequest, LLMResponse, ModelInfo, StreamEvent
from llm_orchestrator.utils.values import evolve

__all__ = ["AnthropicAdapter"]

BASE_URL = "https://api.anthropic.com"
CLIENT, ASYNC_CLIENT = "Anthropic", "AsyncAnthropic"  # the SDK's classes
API_VERSION = "2023-06-01"
#: Sent to servers that imitate the API and ask for no key; the SDK insists on one.
NO_KEY = "no-key"
#: Words by which an error means the fields that ``reasoning_effort`` is sent in, without quoting them.
REASONING_WORDS = ("thinking", "effort")


class AnthropicAdapter(SDKProvider):
    """Claude models, and servers that speak the Anthropic Messages API."""

    protocol: ClassVar[str] = "anthropic"
    service: ClassVar[str] = "anthropic"
    extra: ClassVar[str] = "anthropic"
    #: How the names of the SDK's two client classes end; subclasses for other hosts name theirs.
    platform: ClassVar[str] = ""

    def __init__(self, name: str, *, api_version: Optional[str] = None, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.api_version = api_version or API_VERSION

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        """Translate a request into the body of ``POST /v1/messages``."""
        return self.build_attempt(request, AttemptContext(), stream=stream)

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a request for a model of which something is known."""
        wire = anthropic_requests.build_request(request, context, stream=stream)
        return evolve(wire, headers=self._version)

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
            failure = evolve(failure, codes=(code, *failure.codes))
        about_reasoning = any(word in failure.message.lower() for word in REASONING_WORDS)
        if about_reasoning and unsupported_parameter(failure) is None:
            failure = evolve(failure, parameter="reasoning_effort")
        return failure

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

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of both clients: where the API is, who asks; a cloud has others."""
        if not self._api_key and self.base_url is None:
            raise self.missing_key("ANTHROPIC_API_KEY")
        return {"api_key": self._api_key or NO_KEY, "base_url": self.base_url or BASE_URL}

    def make_client(self) -> Any:
        """Make the SDK's client for threads."""
        return self._client_of(CLIENT)

    def make_async_client(self) -> Any:
        """Make the SDK's client for one event loop."""
        return self._client_of(ASYNC_CLIENT)

    def _client_of(self, kind: str) -> Any:
        """Make one of the SDK's clients so that nothing in the environment changes what it does."""
        arguments = self.client_arguments()
        anthropic = self.package("anthropic")
        client_class = getattr(anthropic, kind + self.platform)
        # Newer SDKs write prompts and answers into spans when the environment asks them to.
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
