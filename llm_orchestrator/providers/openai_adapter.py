"""The OpenAI adapter: one entry, two APIs, and every server that speaks one of them.

It chooses the API of a call and makes the SDK's clients; the JSON is written and read in ``openai/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Dict, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import ConfigurationError, InvalidResponseError, ProviderError
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.failures import Failure
from llm_orchestrator.providers.http.error_bodies import with_bounded_error_bodies
from llm_orchestrator.providers.http.placeholders import PLACEHOLDER, without_placeholder
from llm_orchestrator.providers.openai import CHAT, RESPONSES, failures
from llm_orchestrator.providers.openai.cache import (
    CACHE_OPTIONS,
    refusal_of,
    with_breakpoints,
    with_cache,
    without_options,
)
from llm_orchestrator.providers.openai.clients import (
    headers_against_environment,
    is_hosted_by_openai,
    without_environment,
)
from llm_orchestrator.providers.openai.compat import Compat, with_output_form
from llm_orchestrator.providers.openai.usage import find_usage, read_usage
from llm_orchestrator.providers.reading import as_count
from llm_orchestrator.providers.sdk import SDKProvider, address_arguments
from llm_orchestrator.providers.wire import Endpoint, StreamState, WireRequest
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
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.providers import embedding
    from llm_orchestrator.providers.openai import (
        chat,
        embeddings,
        models,
        output_tool,
        responses,
        think_tags,
    )
else:  # a program mostly needs one of the two APIs, answers alone, and nothing of what only some hosts do
    embedding = LazyModule("llm_orchestrator.providers.embedding")
    chat = LazyModule("llm_orchestrator.providers.openai.chat")
    embeddings = LazyModule("llm_orchestrator.providers.openai.embeddings")
    models = LazyModule("llm_orchestrator.providers.openai.models")
    output_tool = LazyModule("llm_orchestrator.providers.openai.output_tool")
    responses = LazyModule("llm_orchestrator.providers.openai.responses")
    think_tags = LazyModule("llm_orchestrator.providers.openai.think_tags")

__all__ = ["OpenAIAdapter"]

OPENAI_URL = "https://api.openai.com/v1"
AUTO = "auto"
APIS = (AUTO, RESPONSES, CHAT)
#: Parameters that take a call to Chat, because Responses has no field for them.
CHAT_PARAMETERS = ("stop", "seed", "frequency_penalty", "presence_penalty")


class OpenAIAdapter(SDKProvider):
    """OpenAI, Azure OpenAI (v1) and OpenAI-compatible servers."""

    protocol: ClassVar[str] = "openai"
    service: ClassVar[str] = "openai"
    extra: ClassVar[str] = "openai"
    takes_compat: ClassVar[bool] = True
    batch_api: ClassVar[Any] = LazyModule("llm_orchestrator.providers.openai.batches")
    # OpenAI takes 2048 texts; the longest vectors of so many would be more than a reply may have.
    embedding_texts: ClassVar[Optional[int]] = 1024
    embedding_tokens: ClassVar[Optional[int]] = 300_000  # openai, types/embedding_create_params.py

    def __init__(
        self, name: str, *, api: str = AUTO, compat: Optional[Mapping[str, Any]] = None, **arguments: Any
    ) -> None:
        super().__init__(name, **arguments)
        if api not in APIS:
            raise ConfigurationError(
                f"Provider {name!r} has api: {api}, which does not exist. Use {', '.join(APIS)}."
            )
        self.api = api
        self.compat = Compat(**(compat or {}))

    @property
    def hosted_by_openai(self) -> bool:
        """Whether the entry leads to OpenAI's own API, Azure's included, and not to a compatible server."""
        return is_hosted_by_openai(self.base_url)

    @property
    def price_provider(self) -> str:
        """Whose price list holds; OpenAI's for its regional hosts too."""
        return self.protocol if self.hosted_by_openai else super().price_provider

    @property
    def model_kinds(self) -> str:
        """Which list of model kinds fits the listing."""
        return "openai" if self.hosted_by_openai else "openai-compatible"

    def api_for(self, request: LLMRequest) -> str:
        """Choose the API of a call."""
        if self.api != AUTO:
            return self.api
        needs_chat = any(getattr(request, name) not in (None, ()) for name in CHAT_PARAMETERS)
        return RESPONSES if self.hosted_by_openai and not needs_chat else CHAT

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        """Translate a request; see ``Adapter.build_request``."""
        request = with_output_form(request, self.compat)
        api = self.api_for(request)
        takes_options = api == RESPONSES or self.hosted_by_openai
        request = with_breakpoints(request, takes_options=takes_options)
        if api == RESPONSES:
            wire = responses.build_request(request, stream=stream)
        else:
            wire = chat.build_request(
                request, stream=stream, hosted_by_openai=self.hosted_by_openai, compat=self.compat
            )
        return with_cache(wire, request, takes_options=takes_options, takes_longer=api == RESPONSES)

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a request for a model that may take no cache options; see ``Adapter.build_attempt``."""
        if CACHE_OPTIONS not in context.without:
            return self.build_request(request, stream=stream)
        plain = without_options(request)
        wire = self.build_request(plain, stream=stream)
        return wire if plain is request else evolve(wire, warnings=(*wire.warnings, refusal_of(request)))

    def parse_reply(self, body: JSON, headers: Mapping[str, str]) -> LLMResponse:
        """Translate a whole reply; see ``Adapter.parse_reply``."""
        if failures.is_failure(body):
            raise self.failure_in(body, headers)
        if _is_response(body):
            response = responses.parse_reply(body, self.name)
        else:
            failure = chat.failure_in_choice(chat.first_choice(body))
            if failure is not None:
                raise self.failure_in(failure, headers)
            body = think_tags.reply_without_tags(body) if self.compat.think_tags else body
            response = chat.parse_reply(body, self.name)
        return output_tool.output_as_text(response) if self.compat.output_is_a_call else response

    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        """Translate one event; see ``Adapter.parse_event``."""
        if failures.is_failure(event):
            if "response" not in state.reply:
                chat.remember_usage(event, state)
            if not state.complete:
                raise self.failure_in(event, state.headers)
            return ()  # after the end of the answer only its usage counts
        if "choices" in event:
            event = think_tags.chunk_without_tags(event, state) if self.compat.think_tags else event
            events = self._read_chunk(event, state)
        else:
            events = responses.parse_event(event, state)
        return output_tool.events_as_text(events, state) if self.compat.output_is_a_call else events

    def _read_chunk(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        try:
            return chat.parse_event(event, state)
        except ProviderError as error:
            error.request_id = self.request_id_of(state.headers)
            raise

    def assemble_reply(self, state: StreamState) -> JSON:
        """Put the reply together; see ``Adapter.assemble_reply``."""
        if "response" in state.reply:
            return responses.assemble_reply(state)
        return chat.assemble_reply(state)

    def usage_in(self, body: JSON) -> Optional[TokenUsage]:
        """Read the usage alone; see ``Adapter.usage_in``."""
        if _is_response(body):
            return read_usage(body.get("usage"), "input_tokens", "output_tokens")
        usage = find_usage(body, chat.first_choice(body)) or None
        return read_usage(usage, "prompt_tokens", "completion_tokens")

    def is_unfinished(self, response: LLMResponse) -> bool:
        """Tell whether a response is paused, cancelled or under way; see ``Adapter.is_unfinished``."""
        body = response.raw_response or {}
        return _is_response(body) and body.get("status") in responses.UNFINISHED

    def background_options(self, request: LLMRequest, window: str) -> Mapping[str, Any]:
        """Name the options of Responses; see ``Adapter.background_options``."""
        if self.api_for(request) != RESPONSES:
            return super().background_options(request, window)
        return {"background": True, "background_options": {"completion_window": window}}

    def poll_request(self, body: JSON) -> Optional[WireRequest]:
        """Ask for a response that is made in the background; see ``Adapter.poll_request``."""
        return None if body.get("choices") else responses.poll_request(body)

    def check_polled(self, body: JSON, headers: Mapping[str, str]) -> None:
        """Look at the state of a response; see ``Adapter.check_polled``."""
        if not body.get("status") and failures.is_failure(body):
            raise self.failure_in(body, headers)
        if not _is_response(body):
            raise InvalidResponseError("The reply is not the response that was asked for. Try again.")

    def parse_failure(self, body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
        """Read a failure; see ``Adapter.parse_failure``."""
        return failures.parse_failure(body, status_code, headers)

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """Ask for the models; see ``Adapter.list_request``."""
        return models.list_request(cursor)

    def model_request(self, model: str) -> WireRequest:
        """Ask for one model; see ``Adapter.model_request``."""
        return models.model_request(model)

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """Translate the listing; see ``Adapter.parse_models``."""
        return models.parse_models(body, self.name)

    def count_request(self, request: LLMRequest, wire: WireRequest) -> WireRequest:
        """Ask for a count, where the API of the call has one; see ``Adapter.count_request``."""
        if wire.api == RESPONSES:
            if (wire.body or {}).get("prompt") is not None:
                raise self.cannot_count("its endpoint for it does not know the templates of `prompt`")
            return responses.count_request(wire)
        if self.hosted_by_openai:
            raise self.cannot_count(
                "OpenAI has an endpoint for it in Responses, and none in Chat Completions",
                "Set `api: responses` in its entry.",
            )
        return chat.count_request(wire)

    def parse_count(self, body: JSON) -> Optional[int]:
        """Read a count; see ``Adapter.parse_count``."""
        if failures.is_failure(body):
            raise self.failure_in(body, {})
        return as_count(body.get("input_tokens"))

    def embedding_request(self, request: EmbeddingRequest) -> WireRequest:
        """Ask for vectors; see ``Adapter.embedding_request``."""
        return embeddings.request_embeddings(request)

    def parse_embeddings(self, body: JSON) -> embedding.EmbeddingReply:
        """Read vectors; see ``Adapter.parse_embeddings``."""
        if failures.is_failure(body):
            raise self.failure_in(body, {})
        return embeddings.parse_embeddings(body)

    def endpoint(self) -> Endpoint:
        """Where the API is; a compatible server may do without a key."""
        if not self._api_key and self.hosted_by_openai:
            raise self.missing_key("OPENAI_API_KEY")
        credential = {"authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        return Endpoint(self.base_url or OPENAI_URL, credential)

    def make_client(self) -> Any:
        """Make the SDK's client for threads."""
        client = self.package("openai").OpenAI(**self.client_arguments())
        return self._as_configured(client)

    def make_async_client(self) -> Any:
        """Make the SDK's client for one event loop."""
        from llm_orchestrator.providers.http.library import http_library_of  # only the SDK needs them
        from llm_orchestrator.providers.http.pools import async_client_arguments

        sdk = self.package("openai")
        http_client = sdk.DefaultAsyncHttpxClient(**async_client_arguments(http_library_of(sdk)))
        client = sdk.AsyncOpenAI(**{"http_client": http_client, **self.client_arguments()})
        return self._as_configured(client)

    def _as_configured(self, client: Any) -> Any:
        client = with_bounded_error_bodies(without_environment(client))
        return client if self._api_key else without_placeholder(client)

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of both clients: everything the environment could change, and no retries."""
        key = self._api_key or (None if self.hosted_by_openai else PLACEHOLDER)
        if key is None:
            raise self.missing_key("OPENAI_API_KEY")
        sdk = self.package("openai")
        return {
            "api_key": key,
            **address_arguments(self.base_url or OPENAI_URL),
            "max_retries": 0,
            "default_headers": headers_against_environment(sdk, Authorization=f"Bearer {key}"),
        }


def _is_response(body: JSON) -> bool:
    """Whether a reply is one of Responses; a completion may hold a field ``output`` of its host's own."""
    return body.get("object") == "response" or ("output" in body and not body.get("choices"))
