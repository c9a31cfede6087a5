"""Gemini, on Google's SDK google-genai: the ``generateContent`` API with a key.

Its JSON is written and read in ``gemini/``, whose ``transport`` carries it through the SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Dict, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.providers import gemini
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.failures import Failure
from llm_orchestrator.providers.gemini import failures, models
from llm_orchestrator.providers.gemini.replies import continuation_token, join_replies, read_usage
from llm_orchestrator.providers.gemini.requests import with_safety_settings
from llm_orchestrator.providers.gemini.transport import API_VERSION, GeminiTransport
from llm_orchestrator.providers.http.placeholders import PLACEHOLDER
from llm_orchestrator.providers.reading import as_count
from llm_orchestrator.providers.sdk import SDKProvider
from llm_orchestrator.providers.wire import Endpoint, Limits, StreamState, WireRequest
from llm_orchestrator.types import (
    JSON,
    EmbeddingRequest,
    LLMRequest,
    LLMResponse,
    ModelInfo,
    StreamEvent,
    TokenUsage,
)
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.urls import split_query, with_path
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.providers import embedding
    from llm_orchestrator.providers.gemini import embeddings
else:
    embedding = LazyModule("llm_orchestrator.providers.embedding")
    embeddings = LazyModule("llm_orchestrator.providers.gemini.embeddings")

__all__ = ["GeminiAdapter"]

BASE_URL = "https://generativelanguage.googleapis.com/"


class GeminiAdapter(SDKProvider):
    """Translates to and from Gemini's JSON, and sends it with google-genai."""

    protocol: ClassVar[str] = "gemini"
    service: ClassVar[str] = "gcp.gemini"
    response_id_field: ClassVar[str] = "responseId"
    price_headers: ClassVar[Tuple[str, ...]] = ("x-gemini-service-tier",)
    extra: ClassVar[str] = "gemini"
    batch_api: ClassVar[Any] = LazyModule("llm_orchestrator.providers.gemini.batches")
    embedding_texts: ClassVar[Optional[int]] = 100  # "at most 100 requests can be in one batch"
    #: What carries the JSON.
    sdk_transport: ClassVar[Any] = GeminiTransport

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        """Translate a request; see ``Adapter.build_request``."""
        return self.build_attempt(request, AttemptContext(), stream=stream)

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a request for a model of which something is known; see ``Adapter.build_attempt``."""
        return gemini.build_request(request, context, stream=stream)

    def parse_reply(self, body: JSON, headers: Mapping[str, str]) -> LLMResponse:
        """Translate a whole reply; see ``Adapter.parse_reply``."""
        if failures.is_failure(body):
            raise self.failure_in(body, headers)
        return gemini.parse_reply(body, self.name)

    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        """Translate one event; see ``Adapter.parse_event``."""
        if failures.is_failure(event):
            usage = event.get("usageMetadata")
            if usage:
                gemini.parse_event({"usageMetadata": usage}, state)  # it is paid for
            raise self.failure_in(event, state.headers)
        return gemini.parse_event(event, state)

    def usage_in(self, body: JSON) -> Optional[TokenUsage]:
        """Read the usage alone; see ``Adapter.usage_in``."""
        return read_usage(body.get("usageMetadata"))

    def assemble_reply(self, state: StreamState) -> JSON:
        """Put the reply together; see ``Adapter.assemble_reply``."""
        return gemini.assemble_reply(state)

    def continuation(self, request: LLMRequest, response: LLMResponse) -> Optional[LLMRequest]:
        """Ask again with the token of a paused answer; see ``Adapter.continuation``."""
        token = continuation_token(response.raw_response or {})
        if token is None:
            return None
        return evolve(request, provider_options={**request.provider_options, "continuationToken": token})

    def is_unfinished(self, response: LLMResponse) -> bool:
        """Tell whether an answer is paused, be it without a token; see ``Adapter.is_unfinished``."""
        return response.raw_finish_reason == "CONTINUATION"

    def join_replies(self, earlier: JSON, later: JSON) -> JSON:
        """Put the parts of a paused answer and of its continuation together; see ``Adapter.join_replies``."""
        return join_replies(earlier, later)

    def parse_failure(self, body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
        """Read a failure; see ``Adapter.parse_failure``."""
        return failures.parse_failure(body, status_code, headers)

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """Ask for one page of the models; see ``Adapter.list_request``."""
        return models.list_request(cursor)

    def model_request(self, model: str) -> WireRequest:
        """Ask for one model; see ``Adapter.model_request``."""
        return models.model_request(model)

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """Translate one page of the listing; see ``Adapter.parse_models``."""
        return models.parse_models(body, self.name)

    def count_request(self, request: LLMRequest, wire: WireRequest) -> WireRequest:
        """Ask for a count; see ``Adapter.count_request``."""
        return gemini.count_request(wire)

    def parse_count(self, body: JSON) -> Optional[int]:
        """Read a count; see ``Adapter.parse_count``."""
        if failures.is_failure(body):
            raise self.failure_in(body, {})
        return as_count(body.get("totalTokens"))

    def embedding_request(self, request: EmbeddingRequest) -> WireRequest:
        """Ask for vectors; see ``Adapter.embedding_request``."""
        return embeddings.request_embeddings(request)

    def parse_embeddings(self, body: JSON) -> embedding.EmbeddingReply:
        """Read vectors; see ``Adapter.parse_embeddings``."""
        if failures.is_failure(body):
            raise self.failure_in(body, {})
        return embeddings.parse_embeddings(body)

    def translate_options(self, options: JSON) -> JSON:
        """Translate ``safety_settings``; every other option is Gemini's own field."""
        return with_safety_settings(options)

    def endpoint(self) -> Endpoint:
        """Where the API is; a host of the user's own may do without a key."""
        if self._api_key is None and self.base_url is None:
            raise self.missing_key("GEMINI_API_KEY")
        credential = {"x-goog-api-key": self._api_key} if self._api_key else {}
        return Endpoint(with_path(self.base_url or BASE_URL, API_VERSION), credential)

    def call_sdk(self, client: Any, wire: WireRequest, limits: Limits) -> Any:
        """Send one request through the SDK's client for threads."""
        return client.open(self._with_query(wire), limits)

    def acall_sdk(self, client: Any, wire: WireRequest, limits: Limits) -> Any:
        """Send one request through the SDK's client for one event loop; to be awaited."""
        return client.aopen(self._with_query(wire), limits)

    def _with_query(self, wire: WireRequest) -> WireRequest:
        """The SDK would put paths behind the query of a base URL."""
        query = split_query(self.base_url or "")[1]
        return evolve(wire, path=f"{wire.path}{'&' if '?' in wire.path else '?'}{query}") if query else wire

    def transport_arguments(self) -> Dict[str, Any]:
        """What the SDK's client needs to know; subclasses for other hosts have others."""
        if self._api_key is None and self.base_url is None:
            raise self.missing_key("GEMINI_API_KEY")
        return {
            "base_url": split_query(self.base_url or BASE_URL)[0],
            "api_key": self._api_key or PLACEHOLDER,
        }

    def make_client(self) -> Any:
        """Make what carries the JSON, for threads."""
        arguments = self.transport_arguments()
        self.package(self.sdk_transport.PACKAGE)
        return self.sdk_transport(**arguments)

    def make_async_client(self) -> Any:
        """Make what carries the JSON, for one event loop."""
        return self.make_client()
