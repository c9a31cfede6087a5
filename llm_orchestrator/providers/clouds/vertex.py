"""Google's Vertex AI: Gemini, and Claude by Anthropic's protocol; the entry's ``publisher`` says which.

Without a key, the SDKs google-genai and ``AnthropicVertex`` find the credentials in Google's own chain, the
application default credentials.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Mapping, Optional, Tuple, Type
from urllib.parse import quote

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers.anthropic_adapter import AnthropicAdapter
from llm_orchestrator.providers.clouds.base import (
    CloudProvider,
    ConfiguredNames,
    as_cloud_request,
)
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.gemini_adapter import GeminiAdapter
from llm_orchestrator.providers.reading import listed_models
from llm_orchestrator.providers.wire import Endpoint, WireRequest
from llm_orchestrator.types import JSON, EmbeddingRequest, LLMRequest, ModelInfo
from llm_orchestrator.utils.hidden import hidden
from llm_orchestrator.utils.json import beside
from llm_orchestrator.utils.values import evolve

__all__ = ["ClaudeOnVertex", "GeminiOnVertex", "VertexAdapter"]

#: The version of the API for Claude, and that for Gemini.
CLAUDE_VERSION = "vertex-2023-10-16"
GEMINI_VERSION = "v1beta1"
GLOBAL = "global"
#: Regions that are whole continents have addresses of their own form.
CONTINENTS = ("us", "eu")
#: What Vertex counts of a request to Gemini (google-genai, models.py, _CountTokensConfig_to_vertex).
COUNTED = ("contents", "generationConfig", "systemInstruction", "tools")
GOOGLE = "publishers/google/"


class VertexAdapter(CloudProvider):
    """Models in one project and region; making one gives the adapter of the publisher's protocol."""

    service: ClassVar[str] = "gcp.vertex_ai"
    extra: ClassVar[str] = "vertex"
    credential_packages: ClassVar[Tuple[str, ...]] = ("google.auth",)
    credential_remedy: ClassVar[str] = "Run: gcloud auth application-default login."

    def __new__(cls, name: str, *, publisher: str = "google", **settings: Any) -> VertexAdapter:
        """Choose the class that speaks the publisher's protocol."""
        by_publisher: Dict[str, Type[VertexAdapter]] = {"google": GeminiOnVertex, "anthropic": ClaudeOnVertex}
        if publisher not in by_publisher:
            raise ConfigurationError(
                f"providers.{name}.publisher is {publisher!r}. Use one of {', '.join(by_publisher)}."
            )
        return object.__new__(by_publisher[publisher] if cls is VertexAdapter else cls)

    def __init__(
        self,
        name: str,
        *,
        publisher: str = "google",
        project: Optional[str] = None,
        region: Optional[str] = None,
        **settings: Any,
    ) -> None:
        super().__init__(name, **settings)
        self._project = project
        self._region = region or GLOBAL

    @property
    def price_provider(self) -> str:
        """Whose price list holds: the vendor's in the global region, nobody's in others."""
        return self.protocol if self._region == GLOBAL else self.name

    @property
    def host(self) -> str:
        """The address of the region."""
        if self.base_url:
            return self.base_url.rstrip("/")
        if self._region == GLOBAL:
            return "https://aiplatform.googleapis.com"
        if self._region in CONTINENTS:
            return f"https://aiplatform.{self._region}.rep.googleapis.com"
        return f"https://{self._region}-aiplatform.googleapis.com"


class ClaudeOnVertex(VertexAdapter, ConfiguredNames, AnthropicAdapter):
    """Claude on Vertex AI; the arguments are those of ``VertexAdapter``."""

    platform: ClassVar[str] = "Vertex"

    def __init__(self, name: str, *, api_version: Optional[str] = None, **settings: Any) -> None:
        super().__init__(name, api_version=api_version or CLAUDE_VERSION, **settings)
        self.required("project", self._project)

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of both clients; see ``AnthropicAdapter.client_arguments``."""
        self.package("google.auth.transport.requests")
        return {
            "region": self._region,
            "project_id": self._project,
            "access_token": self._api_key,
            "base_url": f"{self.host}/v1",
        }

    def client_headers(self) -> Dict[str, str]:
        """None: the SDK sends the credential in the cloud's form; see ``AnthropicAdapter.client_headers``."""
        return {}

    def endpoint(self) -> Endpoint:
        """Where the region's API is; the key is an access token. See ``SDKProvider.endpoint``."""
        return Endpoint(f"{self.host}/v1", {"authorization": f"Bearer {self._api_key}"})

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a request, whose model stands in the path; see ``AnthropicAdapter``."""
        wire = super().build_attempt(request, context, stream=stream)
        method = "streamRawPredict" if stream else "rawPredict"
        path = f"{self._models_path}/{quote(request.model, safe='@')}:{method}"
        headers = hidden({**self.headers, **request.extra_headers})
        return as_cloud_request(wire, path, self.api_version, headers, in_path=("model",))

    def count_request(self, request: LLMRequest, wire: WireRequest) -> WireRequest:
        """Ask for a count: of a model of its own, to which the body names the model."""
        counting = super().count_request(request, wire)
        body = {"model": request.model, **(counting.body or {})}
        return evolve(counting, path=f"{self._models_path}/count-tokens:rawPredict", body=body)

    @property
    def _models_path(self) -> str:
        return f"/projects/{self._project}/locations/{self._region}/publishers/anthropic/models"


class GeminiOnVertex(VertexAdapter, GeminiAdapter):
    """Gemini on Vertex AI; the arguments are those of ``VertexAdapter``."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, **settings)
        if self._api_key is None:
            self.required("project", self._project)

    @property
    def model_kinds(self) -> str:
        """Which list of kinds fits: Vertex lists everything Google publishes."""
        return "vertex"

    def endpoint(self) -> Endpoint:
        """Where the region's API is; see ``SDKProvider.endpoint``."""
        return Endpoint(f"{self.host}/{GEMINI_VERSION}", {"x-goog-api-key": self._api_key or ""})

    def transport_arguments(self) -> Dict[str, Any]:
        """What the SDK's client needs; see ``GeminiAdapter.transport_arguments``."""
        where: Mapping[str, Any] = {"project": self._project, "location": self._region}
        return {
            "base_url": f"{self.host}/",
            "api_version": GEMINI_VERSION,
            "vertexai": True,
            **(where if self._api_key is None else {"api_key": self._api_key}),
        }

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a call; see ``GeminiAdapter.build_attempt``."""
        return _published(super().build_attempt(request, context, stream=stream))

    def count_request(self, request: LLMRequest, wire: WireRequest) -> WireRequest:
        """Ask for a count: here the fields of a request stand in the body itself."""
        counting = super().count_request(request, wire)
        return wire.narrowed(counting.path, COUNTED)

    def embedding_request(self, request: EmbeddingRequest) -> WireRequest:
        """Ask for vectors; here the settings of each text stand below a name of their own."""
        wire = super().embedding_request(request)
        requests = [_configured(each) for each in (wire.body or {})["requests"]]
        return _published(evolve(wire, body={"requests": requests}))

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """Ask for one page of Google's models; see ``GeminiAdapter.list_request``."""
        return _published(super().list_request(cursor))

    def model_request(self, model: str) -> WireRequest:
        """Ask for one model; see ``GeminiAdapter.model_request``."""
        return _published(super().model_request(model))

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """Translate one page, whose entries have other names here; see ``GeminiAdapter.parse_models``."""
        entries = [
            {**entry, "name": entry["name"].replace(GOOGLE, "", 1)}
            for entry in listed_models(body.get("publisherModels"), "name")
        ]
        return super().parse_models({**body, "models": entries})


def _configured(request: JSON) -> JSON:
    settings = beside(request, "model", "content")
    return {"content": request["content"], **({"embedContentConfig": settings} if settings else {})}


def _published(wire: WireRequest) -> WireRequest:
    return evolve(wire, path=f"{GOOGLE}{wire.path}")
