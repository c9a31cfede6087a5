"""The Anthropic adapter: Claude, and servers that speak the Messages API, through Anthropic's SDK.

Its JSON is written and read in ``anthropic/``; this class puts that together and makes the clients.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.providers import anthropic
from llm_orchestrator.providers.anthropic import failures, models
from llm_orchestrator.providers.anthropic.requests import DEFAULT_MAX_TOKENS
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.failures import Failure
from llm_orchestrator.providers.finishes import failure_of_finish, says_failure
from llm_orchestrator.providers.http.error_bodies import with_bounded_error_bodies
from llm_orchestrator.providers.http.placeholders import PLACEHOLDER, without_placeholder
from llm_orchestrator.providers.reading import as_count, as_list, as_mapping
from llm_orchestrator.providers.sdk import SDKProvider, address_arguments
from llm_orchestrator.providers.wire import Endpoint, StreamState, WireRequest
from llm_orchestrator.types import JSON, LLMRequest, LLMResponse, ModelInfo, StreamEvent, TokenUsage
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.values import evolve

__all__ = ["AnthropicAdapter"]

BASE_URL = "https://api.anthropic.com"
API_VERSION = "2023-06-01"
#: Stop reasons of a turn that goes on when it is sent back (platform.claude.com, handling stop reasons).
PAUSES = ("pause_turn", "compaction")


class AnthropicAdapter(SDKProvider):
    """Claude models, and servers that speak the Anthropic Messages API."""

    protocol: ClassVar[str] = "anthropic"
    service: ClassVar[str] = "anthropic"
    extra: ClassVar[str] = "anthropic"
    batch_api: ClassVar[Any] = LazyModule("llm_orchestrator.providers.anthropic.batches")
    default_max_tokens: ClassVar[Optional[int]] = DEFAULT_MAX_TOKENS
    #: How the names of the SDK's two client classes end; subclasses for other hosts name theirs.
    platform: ClassVar[str] = ""

    def __init__(self, name: str, *, api_version: Optional[str] = None, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.api_version = api_version or API_VERSION

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        """Translate a request; see ``Adapter.build_request``."""
        return self.build_attempt(request, AttemptContext(), stream=stream)

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a request for a model of which something is known; see ``Adapter.build_attempt``."""
        return anthropic.build_request(request, context, stream=stream, headers=self.batch_headers)

    def parse_reply(self, body: JSON, headers: Mapping[str, str]) -> LLMResponse:
        """Translate a message; see ``Adapter.parse_reply``."""
        if failures.is_failure(body):
            raise self.failure_in(body, headers)
        self._check_finish(body.get("stop_reason"), headers)
        return anthropic.parse_reply(body, self.name)

    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        """Translate one event of a streamed message; see ``Adapter.parse_event``."""
        if failures.is_failure(event):
            raise self.failure_in(event, state.headers)
        if event.get("type") == "message_delta":
            reason = as_mapping(event.get("delta")).get("stop_reason")
            if says_failure(reason):
                anthropic.parse_event({**event, "delta": {}}, state)  # its usage is paid for
                state.is_counted = bool(event.get("usage"))
            self._check_finish(reason, state.headers)
        return anthropic.parse_event(event, state)

    def _check_finish(self, reason: Any, headers: Mapping[str, str]) -> None:
        if reason and says_failure(reason):
            raise self.failure_in(failure_of_finish(reason), headers)

    def usage_in(self, body: JSON) -> Optional[TokenUsage]:
        """Read the usage alone; see ``Adapter.usage_in``."""
        return anthropic.read_usage(body.get("usage"))

    def assemble_reply(self, state: StreamState) -> JSON:
        """Put the streamed message together; see ``Adapter.assemble_reply``."""
        return anthropic.assemble_reply(state)

    def continuation(self, request: LLMRequest, response: LLMResponse) -> Optional[LLMRequest]:
        """Send a paused turn back as it came; see ``Adapter.continuation``."""
        if response.raw_finish_reason not in PAUSES or response.message is None:
            return None
        return evolve(request, messages=(*request.messages, response.message))

    def join_replies(self, earlier: JSON, later: JSON) -> JSON:
        """Put the blocks of a paused turn and of its continuation together; see ``Adapter.join_replies``."""
        return {**later, "content": [*as_list(earlier.get("content")), *as_list(later.get("content"))]}

    def parse_failure(self, body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
        """Read a failure; see ``Adapter.parse_failure``."""
        return failures.with_details(super().parse_failure(body, status_code, headers), body)

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """Ask for one page of the models; see ``Adapter.list_request``."""
        return self._versioned(models.list_request(cursor))

    def model_request(self, model: str) -> WireRequest:
        """Ask for one model; see ``Adapter.model_request``."""
        return self._versioned(models.model_request(model))

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """Translate one page of the listing; see ``Adapter.parse_models``."""
        return models.parse_models(body, self.name)

    def count_request(self, request: LLMRequest, wire: WireRequest) -> WireRequest:
        """Ask for a count; see ``Adapter.count_request``."""
        return anthropic.count_request(wire)

    def parse_count(self, body: JSON) -> Optional[int]:
        """Read a count; see ``Adapter.parse_count``."""
        if failures.is_failure(body):
            raise self.failure_in(body, {})
        return as_count(body.get("input_tokens"))

    @property
    def batch_headers(self) -> Mapping[str, str]:
        """The version, as with every request."""
        return {"anthropic-version": self.api_version}

    def _versioned(self, wire: WireRequest) -> WireRequest:
        return evolve(wire, headers={"anthropic-version": self.api_version})

    def endpoint(self) -> Endpoint:
        """Where the API is; a server that imitates it may do without a key."""
        if not self._api_key and self.base_url is None:
            raise self.missing_key("ANTHROPIC_API_KEY")
        return Endpoint(self.base_url or BASE_URL, {"x-api-key": self._api_key} if self._api_key else {})

    def make_client(self) -> Any:
        """Make the SDK's client for threads."""
        return self._client("Anthropic")

    def make_async_client(self) -> Any:
        """Make the SDK's client for one event loop."""
        from llm_orchestrator.providers.http.library import http_library_of  # only the SDK needs them
        from llm_orchestrator.providers.http.pools import async_client_arguments

        sdk = self.package("anthropic")
        http_client = sdk.DefaultAsyncHttpxClient(**async_client_arguments(http_library_of(sdk)))
        return self._client("AsyncAnthropic", http_client=http_client)

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of both clients: where the API is, who asks; a cloud has others."""
        if not self._api_key and self.base_url is None:
            raise self.missing_key("ANTHROPIC_API_KEY")
        return {"api_key": PLACEHOLDER, **address_arguments(self.base_url or BASE_URL)}

    def client_headers(self) -> Dict[str, str]:
        """The key in its documented header; releases of the SDK differ in where they put it."""
        return {"X-Api-Key": self._api_key} if self._api_key else {}

    def _client(self, kind: str, **arguments: Any) -> Any:
        """Make one of the SDK's clients so that nothing in the environment changes what it does."""
        arguments.update(self.client_arguments(), max_retries=0)
        client_class = getattr(self.package("anthropic"), kind + self.platform)
        # Newer SDKs write prompts and answers into spans when the environment asks them to.
        if hasattr(client_class, "open_telemetry"):
            arguments["open_telemetry"] = False
        client = client_class(**arguments)
        # In place of those of $ANTHROPIC_CUSTOM_HEADERS, which no argument keeps out.
        client._custom_headers = self.client_headers()
        return without_placeholder(with_bounded_error_bodies(client))
