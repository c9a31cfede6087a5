"""The OpenAI adapter: one entry, two APIs, and every server that speaks one of them.

It chooses the API of a call and makes the SDK's clients; the JSON is written and read in ``openai/``.
"""

from __future__ import annotations

import os
from collections import abc
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import quote

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers.failures import Failure, error_of_failure
from llm_orchestrator.providers.http.error_bodies import with_bounded_error_bodies
from llm_orchestrator.providers.http.library import http_library_of
from llm_orchestrator.providers.http.pools import async_client_arguments
from llm_orchestrator.providers.openai import chat as openai_chat
from llm_orchestrator.providers.openai import chat_stream as openai_chat_stream
from llm_orchestrator.providers.openai import responses as openai_responses
from llm_orchestrator.providers.openai import responses_reply as openai_responses_reply
from llm_orchestrator.providers.openai import responses_stream as openai_responses_stream
from llm_orchestrator.providers.openai.cache import with_cache_key
from llm_orchestrator.providers.openai.common import as_list, as_text, is_hosted_by_openai, read_failure
from llm_orchestrator.providers.sdk import SDKProvider
from llm_orchestrator.providers.wire import StreamState, WireRequest
from llm_orchestrator.types import JSON, LLMRequest, LLMResponse, ModelInfo, StreamEvent

__all__ = ["OpenAIAdapter", "headers_against_environment", "without_environment"]

OPENAI_URL = "https://api.openai.com/v1"
#: Sent where a server wants no key, because the SDK insists on one.
PLACEHOLDER_KEY = "no-key-needed"
AUTO, RESPONSES, CHAT = "auto", openai_responses_reply.API, openai_chat.API
APIS = (AUTO, RESPONSES, CHAT)
#: Parameters that take a call to Chat, because Responses has no field for them.
CHAT_PARAMETERS = ("stop", "seed", "frequency_penalty", "presence_penalty")


class OpenAIAdapter(SDKProvider):
    """OpenAI, Azure OpenAI (v1) and OpenAI-compatible servers."""

    protocol: ClassVar[str] = "openai"
    service: ClassVar[str] = "openai"
    extra: ClassVar[str] = "openai"

    def __init__(self, name: str, *, api: str = AUTO, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        if api not in APIS:
            raise ConfigurationError(
                f"Provider {name!r} has api: {api}, which does not exist. Use {', '.join(APIS)}."
            )
        self.api = api

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

    # ---------------------------------------------------------------- translation

    def api_for(self, request: LLMRequest) -> str:
        """Choose the API of a call."""
        if self.api != AUTO:
            return self.api
        needs_chat = any(getattr(request, name) not in (None, ()) for name in CHAT_PARAMETERS)
        return RESPONSES if self.hosted_by_openai and not needs_chat else CHAT

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        """Translate a request; see ``Adapter.build_request``."""
        return with_cache_key(self._translated(request, stream), request)

    def _translated(self, request: LLMRequest, stream: bool) -> WireRequest:
        if self.api_for(request) == RESPONSES:
            return openai_responses.build_request(request, stream=stream)
        if self.hosted_by_openai:
            openai_chat.check_media(request.messages)
        # Reasoning models reject max_tokens, and it is the only name that many compatible servers know.
        name = "max_completion_tokens" if self.hosted_by_openai else "max_tokens"
        return openai_chat.build_request(request, stream=stream, max_tokens_name=name)

    def parse_reply(self, body: JSON, headers: Mapping[str, str]) -> LLMResponse:
        """Translate a whole reply; see ``Adapter.parse_reply``."""
        self._raise_failure(body, headers)
        if "output" in body or body.get("object") == "response":
            return openai_responses_reply.parse_reply(body, self.name)
        return openai_chat.parse_reply(body, self.name)

    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        """Translate one event; see ``Adapter.parse_event``."""
        self._raise_failure(event, state.headers)
        if "choices" in event:
            return openai_chat_stream.parse_event(event, state)
        return openai_responses_stream.parse_event(event, state)

    def assemble_reply(self, state: StreamState) -> JSON:
        """Put the reply together; see ``Adapter.assemble_reply``."""
        if "response" in state.reply:
            return openai_responses_stream.assemble_reply(state)
        return openai_chat_stream.assemble_reply(state)

    def parse_failure(self, body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
        """Read a failure; see ``Adapter.parse_failure``."""
        return read_failure(body, status_code, headers)

    def _raise_failure(self, body: JSON, headers: Mapping[str, str]) -> None:
        """Raise the failure that stands where an answer should, with status 200."""
        if body.get("error") or body.get("type") == "error" or body.get("object") == "error":
            raise error_of_failure(self.parse_failure(body, None, headers))

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """Ask for the models, all on one page; see ``Adapter.list_request``."""
        return WireRequest("/models")

    def model_request(self, model: str) -> WireRequest:
        """Ask for one model; see ``Adapter.model_request``."""
        return WireRequest(f"/models/{quote(model, safe='')}")

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """Translate the listing, which tells nothing of what a model can do; see ``Adapter.parse_models``."""
        models = [
            ModelInfo(
                name=entry["id"],
                provider=self.name,
                created_at=_moment(entry.get("created")),
                retires_at=as_text(entry.get("shutdown_date")) or None,
            )
            for entry in as_list(body.get("data"))
            if isinstance(entry, abc.Mapping) and isinstance(entry.get("id"), str)
        ]
        return models, None

    # ---------------------------------------------------------------- talk

    def make_client(self) -> Any:
        """Make the SDK's client for threads."""
        client = self.package("openai").OpenAI(**self.client_arguments())
        return with_bounded_error_bodies(without_environment(client))

    def make_async_client(self) -> Any:
        """Make the SDK's client for one event loop."""
        sdk = self.package("openai")
        http_client = sdk.DefaultAsyncHttpxClient(**async_client_arguments(http_library_of(sdk)))
        client = sdk.AsyncOpenAI(**{"http_client": http_client, **self.client_arguments()})
        return with_bounded_error_bodies(without_environment(client))

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of both clients: everything the environment could change, and no retries."""
        key = self._api_key or (None if self.hosted_by_openai else PLACEHOLDER_KEY)
        if key is None:
            raise self.missing_key("OPENAI_API_KEY")
        return {
            "api_key": key,
            "base_url": self.base_url or OPENAI_URL,
            "max_retries": 0,
            "default_headers": headers_against_environment(
                self.package("openai"), Authorization=f"Bearer {key}"
            ),
        }


def headers_against_environment(sdk: Any, **own: str) -> Dict[str, Any]:
    """Undo the headers of OPENAI_CUSTOM_HEADERS, which the SDK sends and no argument turns off."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    names = [line.partition(":")[0].strip() for line in lines if ":" in line]
    return {**{name: sdk.Omit() for name in names}, **own} if names else {}


def without_environment(client: Any) -> Any:
    """Forget the organization and project that the SDK took from the environment."""
    client.organization = None
    client.project = None
    return client


def _moment(seconds: Any) -> Optional[str]:
    """A Unix time as ISO 8601 in UTC; None when there is none, or none that a calendar knows."""
    from datetime import datetime, timezone

    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        return None
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat()
    except (OverflowError, ValueError, OSError):
        return None
