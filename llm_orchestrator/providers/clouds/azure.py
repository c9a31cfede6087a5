"""OpenAI's models on Azure: models are the names of your deployments.

With a key the SDK is not needed; tokens of Azure's own chain are got by its ``AzureOpenAI``. Azure's newer v1
address needs none of this: use the ``openai`` adapter there.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, ClassVar, Dict, Optional, Tuple
from urllib.parse import parse_qsl, quote

from llm_orchestrator.providers.clouds.base import ConfiguredNames
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.http.error_bodies import with_bounded_error_bodies
from llm_orchestrator.providers.openai import CHAT
from llm_orchestrator.providers.openai.clients import headers_against_environment, without_environment
from llm_orchestrator.providers.openai_adapter import AUTO, OpenAIAdapter
from llm_orchestrator.providers.wire import Endpoint, WireRequest
from llm_orchestrator.types import EmbeddingRequest, LLMRequest
from llm_orchestrator.utils.urls import split_query
from llm_orchestrator.utils.values import evolve

__all__ = ["AzureAdapter"]

#: The last dated version that is not a preview.
API_VERSION = "2024-10-21"
TOKEN_SCOPE = "https://cognitiveservices.azure.com/.default"


class AzureAdapter(ConfiguredNames, OpenAIAdapter):
    """A resource of Azure OpenAI."""

    service: ClassVar[str] = "azure.ai.openai"
    extra: ClassVar[str] = "azure"
    credential_packages: ClassVar[Tuple[str, ...]] = ("azure", "msal")
    credential_remedy: ClassVar[str] = "Run: az login, or set api_key in the entry."

    def __init__(
        self, name: str, *, api: str = AUTO, api_version: Optional[str] = None, **settings: Any
    ) -> None:
        super().__init__(name, api=CHAT if api == AUTO else api, **settings)
        resource, query = split_query(self.required("base_url", self.base_url))
        self._resource = resource.rstrip("/")
        # Azure's portal shows addresses that end with the version.
        self._api_version = api_version or dict(parse_qsl(query)).get("api-version") or API_VERSION

    @property
    def hosted_by_openai(self) -> bool:
        """Always: the models, their parameters and their prices are OpenAI's."""
        return True

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a request, whose deployment stands in the path of Chat; see ``Adapter.build_attempt``."""
        wire = super().build_attempt(request, context, stream=stream)
        if wire.api != CHAT:
            return wire
        return _of_deployment(wire, request)

    def embedding_request(self, request: EmbeddingRequest) -> WireRequest:
        """Ask a deployment for vectors; see ``Adapter.embedding_request``."""
        return _of_deployment(super().embedding_request(request), request)

    def endpoint(self) -> Endpoint:
        """Where the resource is; see ``SDKProvider.endpoint``."""
        url = f"{self._resource}/openai?api-version={quote(self._api_version)}"
        return Endpoint(url, {"api-key": self._api_key or ""})

    def make_client(self) -> Any:
        """Make the SDK's client for threads."""
        client = self.package("openai").AzureOpenAI(**self.client_arguments())
        return with_bounded_error_bodies(_without_token(client))

    def make_async_client(self) -> Any:
        """Make the SDK's client for one event loop."""
        arguments = self.client_arguments()
        if "azure_ad_token_provider" in arguments:
            arguments["azure_ad_token_provider"] = _in_thread(arguments["azure_ad_token_provider"])
        client = self.package("openai").AsyncAzureOpenAI(**arguments)
        return with_bounded_error_bodies(_without_token(client))

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of both clients; see ``OpenAIAdapter.client_arguments``."""
        return {
            "azure_endpoint": self._resource,
            "api_version": self._api_version,
            "max_retries": 0,
            "default_headers": headers_against_environment(self.package("openai")),
            **self._credentials(),
        }

    def _credentials(self) -> Dict[str, Any]:
        if self._api_key is not None:
            return {"api_key": self._api_key}
        identity = self.package("azure.identity")
        chain = identity.DefaultAzureCredential()
        return {"azure_ad_token_provider": identity.get_bearer_token_provider(chain, TOKEN_SCOPE)}


def _of_deployment(wire: WireRequest, request: LLMRequest) -> WireRequest:
    return evolve(wire, path=f"/deployments/{quote(request.model, safe='')}{wire.path}")


def _without_token(client: Any) -> Any:
    """Remove the token of AZURE_OPENAI_AD_TOKEN, which older SDKs prefer to what they are given."""
    client._azure_ad_token = None
    return without_environment(client)


def _in_thread(token: Callable[[], str]) -> Callable[[], Awaitable[str]]:
    """Get a token without blocking the event loop; most are in memory, an old one is renewed."""
    import asyncio

    async def renewed() -> str:
        return await asyncio.get_running_loop().run_in_executor(None, token)

    return renewed
