"""The providers of one configuration, each adapter made when it is first used."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Tuple, cast

from pydantic import SecretStr

from llm_orchestrator.config.manager import OrchestratorConfig, ProviderConfig
from llm_orchestrator.config.values import ConfigModel
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers import added_path, find_adapter, is_known, unused_settings
from llm_orchestrator.utils.files import pinned
from llm_orchestrator.utils.forks import forks_wait
from llm_orchestrator.utils.suggestions import did_you_mean
from llm_orchestrator.utils.urls import split_query

if TYPE_CHECKING:
    from llm_orchestrator.providers.base import BaseLLMProvider
    from llm_orchestrator.providers.keys import KeySource

__all__ = ["ProviderSet", "settings_of"]

logger = logging.getLogger(__name__)

#: Settings of an entry that concern calls, not the adapter.
_CALL_SETTINGS = {
    "adapter",
    "api_key_file",
    "fallback_models",
    "limits",
    "max_continuations",
    "max_retries",
    "max_retry_wait",
    "on_unsupported_parameter",
    "total_timeout",
}


class ProviderSet(Mapping[str, "BaseLLMProvider"]):
    """A mapping from entry names to providers; iterating leaves out entries that lack something."""

    def __init__(self, config: OrchestratorConfig, given: Mapping[str, BaseLLMProvider]) -> None:
        _check_given(given)
        _check_adapters(config, given)
        self._config = config
        self._made: Dict[str, BaseLLMProvider] = dict(given)
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> BaseLLMProvider:
        provider = self._made.get(name)
        if provider is None:
            entry = self.entry(name)
            with forks_wait, self._lock:
                provider = self._made.get(name)
                if provider is None:
                    provider = self._made[name] = _make(name, entry, self._models_of(name, entry))
        return provider

    def __contains__(self, name: object) -> bool:
        entry = self._config.providers.get(name) if isinstance(name, str) else None
        return entry is not None and self._is_usable(str(name), entry)

    def __iter__(self) -> Iterator[str]:
        return (name for name, entry in self._config.providers.items() if self._is_usable(name, entry))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def entry(self, name: str) -> ProviderConfig:
        """Find an entry of the configuration."""
        entry = self._config.providers.get(name)
        if entry is None:
            raise ConfigurationError(
                f"There is no provider named {name!r}. {did_you_mean(name, self._config.providers)}"
            )
        if not self._is_usable(name, entry):
            raise ConfigurationError(f"Provider {name!r} cannot be used: {entry.unavailable}")
        return entry

    def _models_of(self, name: str, entry: ProviderConfig) -> Tuple[str, ...]:
        """The models that the configuration uses of an entry."""
        active = (self._config.active_model,) if name == self._config.active_provider else ()
        embedding = (entry.embedding_model,) if entry.embedding_model else ()
        return (*active, *entry.fallback_models, *embedding)

    def addresses(self) -> Dict[str, str]:
        """Find the addresses of the entries that do not use a vendor's own."""
        places = {name: _address(entry) for name, entry in self._config.providers.items()}
        return {name: place for name, place in places.items() if place}

    def close(self) -> None:
        """Close the connections of sync callers."""
        for provider in list(self._made.values()):
            provider.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of sync callers."""
        for provider in list(self._made.values()):
            await provider.aclose()

    def _is_usable(self, name: str, entry: ProviderConfig) -> bool:
        return name in self._made or entry.unavailable is None


def _check_adapters(config: OrchestratorConfig, given: Mapping[str, BaseLLMProvider]) -> None:
    for name, entry in config.providers.items():
        if name not in given and not is_known(entry.adapter or name):
            try:
                find_adapter(entry.adapter or name)
            except ConfigurationError as error:
                raise ConfigurationError(f"providers.{name}: {error}") from None
        if name not in given and entry.compat.model_fields_set:
            _check_compat(name, entry)
        if name not in given:
            _check_base_url(name, entry)
            _warn_of_unused(name, entry)


def _warn_of_unused(name: str, entry: ProviderConfig) -> None:
    """Say which settings of an entry are another adapter's, where they say more than their defaults."""
    fields = type(entry).model_fields
    given = [key for key in entry.model_fields_set if getattr(entry, key) != fields[key].default]
    for key in sorted(unused_settings(entry.adapter or name, given)):
        logger.warning(
            "providers.%s.%s: has no effect on the adapter %r. Remove it, or correct `adapter`.",
            name,
            key,
            entry.adapter or name,
        )


def _check_base_url(name: str, entry: ProviderConfig) -> None:
    ending = added_path(entry.adapter or name, split_query(entry.base_url or "")[0])
    if ending is not None:
        raise ConfigurationError(
            f"providers.{name}.base_url: ends with {ending}, which the adapter {entry.adapter or name!r} "
            "adds itself. Leave that out."
        )


def _check_compat(name: str, entry: ProviderConfig) -> None:
    if not find_adapter(entry.adapter or name).takes_compat:
        raise ConfigurationError(
            f"providers.{name}.compat: has no effect on the adapter {entry.adapter or name!r}, which does "
            "not speak OpenAI's protocol. Remove it, or set `adapter: openai`."
        )


def _address(entry: ProviderConfig) -> str:
    url = entry.base_url.partition("?")[0] if entry.base_url else None  # a query may hold a key
    model = os.path.abspath(entry.model_path) if entry.model_path else None
    return " ".join(filter(None, (entry.adapter, url, entry.region, entry.project, model)))


def _check_given(given: Mapping[str, BaseLLMProvider]) -> None:
    if not given:
        return
    from llm_orchestrator.providers.base import BaseLLMProvider

    for name, provider in given.items():
        if not isinstance(provider, BaseLLMProvider):
            raise ConfigurationError(
                f"providers[{name!r}] is {provider!r}. Give an object derived from BaseLLMProvider."
            )
        if sum(provider is other for other in given.values()) > 1:
            raise ConfigurationError(
                f"providers[{name!r}] is given under another name, too. Make one provider for each name."
            )
        provider.name = name  # under which answers, records and errors show it


def _make(name: str, entry: ProviderConfig, models: Tuple[str, ...]) -> BaseLLMProvider:
    adapter, settings = find_adapter(entry.adapter or name), settings_of(entry)
    sources = _key_sources(entry)
    if not sources:
        return adapter(name, configured_models=models, **settings)
    from llm_orchestrator.providers.http.placeholders import PLACEHOLDER

    def make(key: str) -> Any:
        return adapter(name, configured_models=models, **{**settings, "api_key": key})

    provider = make(PLACEHOLDER)
    if not hasattr(provider, "use_keys"):
        raise ConfigurationError(
            f"providers.{name}: the adapter {entry.adapter or name!r} takes one key, as a text. Write that "
            "as api_key."
        )
    provider.use_keys(sources, make)
    return cast("BaseLLMProvider", provider)


def _key_sources(entry: ProviderConfig) -> List[KeySource]:
    """What gives the keys of an entry; nothing where it is one text, or none."""
    if entry.api_key_file is not None:
        from llm_orchestrator.providers.keys import KeyFile  # only a first call needs it

        return [KeyFile(pinned(entry.api_key_file))]
    if entry.api_key is None or isinstance(entry.api_key, SecretStr):
        return []
    keys = entry.api_key if isinstance(entry.api_key, list) else [entry.api_key]
    return [key.get_secret_value() if isinstance(key, SecretStr) else key for key in keys]


def settings_of(entry: ProviderConfig) -> Dict[str, Any]:
    """What an adapter is constructed with, beside its name."""
    settings = {key: getattr(entry, key) for key in type(entry).model_fields if key not in _CALL_SETTINGS}
    key = settings.pop("api_key")
    # Not by model_dump, for which pydantic would have to build a serializer of the section.
    settings["http"], settings["compat"] = _given_in(entry.http), _given_in(entry.compat)
    return {"api_key": key.get_secret_value() if isinstance(key, SecretStr) else None, **settings}


def _given_in(section: ConfigModel) -> Dict[str, Any]:
    return {key: getattr(section, key) for key in section.model_fields_set}
