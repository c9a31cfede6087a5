"""What the adapters of the clouds share: required settings, missing credentials, and unlisted models.

A cloud's own library finds the credentials (environment, profiles, metadata servers ...) and raises its own
exceptions when there are none.
"""

from __future__ import annotations

from typing import Any, ClassVar, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import (
    AuthenticationError,
    ConfigurationError,
    NotSupportedError,
    ProviderConnectionError,
    ProviderError,
)
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.http.exceptions import causes_of
from llm_orchestrator.providers.http.redaction import secret_headers
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import ModelInfo
from llm_orchestrator.utils.values import evolve

__all__ = ["CloudProvider", "ConfiguredNames", "as_cloud_request"]


class CloudProvider(BaseLLMProvider):
    """A provider whose credentials come from a cloud's own chain."""

    batch_api: ClassVar[Any] = None  # the clouds have batches of their own kinds
    #: Packages whose exceptions mean that no credentials were found.
    credential_packages: ClassVar[Tuple[str, ...]] = ()
    #: What to do when there are no credentials.
    credential_remedy: ClassVar[str] = ""

    @property
    def can_go_direct(self) -> bool:
        """Whether the entry has a key: other credentials are computed by the SDK."""
        return self._api_key is not None

    def required(self, setting: str, value: Optional[str]) -> str:
        """Require a setting of the entry."""
        if not value:
            raise ConfigurationError(f"providers.{self.name}.{setting} is missing. Add it to the entry.")
        return value

    def translate_error(self, error: Exception) -> Optional[ProviderError]:
        """Turn an exception into one of ours, a credential chain's included; see ``Adapter``."""
        causes = list(causes_of(error))
        if not any(self._is_about_credentials(cause) for cause in causes):
            return super().translate_error(error)
        if any(isinstance(cause, OSError) for cause in causes):
            translated: ProviderError = ProviderConnectionError(
                "The service that issues credentials cannot be reached. Check the network."
            )
        else:
            translated = AuthenticationError(f"No credentials were found. {self.credential_remedy}")
        translated.sent = False
        return translated

    def _is_about_credentials(self, error: BaseException) -> bool:
        package = f"{type(error).__module__}."
        return package.startswith(tuple(f"{name}." for name in self.credential_packages))

    def watched(self, client: Any) -> Any:
        """Have every request show its credentials before it is sent: they are not known earlier."""
        for name in ("_client", "_async_client"):
            http_client: Any = getattr(client, name, None)
            hooks = getattr(http_client, "event_hooks", None)
            if hooks is not None:
                learn = self._alearn if hasattr(http_client, "aclose") else self._learn
                http_client.event_hooks = {**hooks, "request": [*hooks.get("request", ()), learn]}
        return client

    def _learn(self, request: Any) -> None:
        self.redactor.learn(secret_headers(request.headers))

    async def _alearn(self, request: Any) -> None:
        self._learn(request)


class ConfiguredNames(CloudProvider):
    """A provider whose host does not list its models: the entry's ``models`` are the listing.

    A model that the entry names as its ``embedding_model`` is listed for that alone.
    """

    def __init__(
        self,
        name: str,
        *,
        models: Sequence[str] = (),
        embedding_model: Optional[str] = None,
        **settings: Any,
    ) -> None:
        super().__init__(name, **settings)
        self._models = tuple(model for model in models if model != embedding_model)
        self._embedding_models = (embedding_model,) if embedding_model else ()

    @property
    def model_kinds(self) -> str:
        """None: every model that the configuration names is for chat."""
        return ""

    def get_available_models(self) -> List[ModelInfo]:
        """List the configured names, without a request."""
        if not self._models and not self._embedding_models:
            raise NotSupportedError(
                f"The host of provider {self.name!r} does not list its models. "
                f"Name them in providers.{self.name}.models."
            )
        source = {"source": "configuration"}
        reason = "the entry names it as its embedding_model"
        return [
            *(ModelInfo(model, self.name, capabilities=source) for model in self._models),
            *(
                ModelInfo(model, self.name, capabilities=source, exclusion=reason, embeds=True)
                for model in self._embedding_models
            ),
        ]

    async def aget_available_models(self) -> List[ModelInfo]:
        """List the configured names; see ``get_available_models``."""
        return self.get_available_models()

    def model_request(self, model: str) -> WireRequest:
        """Raise: the host has no question for one model."""
        raise NotSupportedError(
            f"The host of provider {self.name!r} cannot validate models. Call the model to find out."
        )


def as_cloud_request(
    wire: WireRequest, path: str, version: str, headers: Mapping[str, str], *, in_path: Tuple[str, ...]
) -> WireRequest:
    """Turn a request of Anthropic's own API into a cloud's, where the path says what some fields did.

    What Anthropic's API takes from headers, its version and the betas, the clouds expect in the body.
    """
    body = {name: value for name, value in (wire.body or {}).items() if name not in in_path}
    body["anthropic_version"] = version
    betas = [value for name, value in headers.items() if name.lower() == "anthropic-beta"]
    if betas:
        body.setdefault("anthropic_beta", betas[-1].split(","))
    return evolve(wire, path=path, body=body, headers={})
