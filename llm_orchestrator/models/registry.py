"""Which models the configured providers offer, learned from the providers' own listings and only when asked.

The registry informs, it never gates: a model it does not know may be used all the same. A model that
disappears from a listing is marked deprecated and kept.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Set,
    Tuple,
    Type,
    Union,
)

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.models.cache import Listing, ModelCache, default_cache_path
from llm_orchestrator.models.names import exclusion_by_kind, is_fine_tuned
from llm_orchestrator.types import ModelInfo
from llm_orchestrator.utils.suggestions import did_you_mean

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["ListsModels", "ModelInfo", "ModelRegistry"]

logger = logging.getLogger(__name__)


class ListsModels(Protocol):
    """What the registry needs of a provider; every ``BaseLLMProvider`` has it.

    A provider may also have an attribute ``model_kinds``: which list in ``not_chat.json`` tells its chat
    models from others.
    """

    def get_available_models(self) -> List[ModelInfo]:
        """Ask the provider for everything it lists."""

    async def aget_available_models(self) -> List[ModelInfo]:
        """Ask the provider for everything it lists, async."""

    def validate_model(self, model: str) -> bool:
        """Ask the provider whether it offers a model."""

    async def avalidate_model(self, model: str) -> bool:
        """Ask the provider whether it offers a model, async."""


def _utc_now() -> datetime:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc)


class ModelRegistry:
    """The models of all configured providers, kept in a cache file that processes share.

    It may be used by any number of threads and event loops at once. Making one touches no network; a provider
    is looked up only when it is to be asked.

    Args:
        providers: The providers by the name of their configured entry. Reading an item may raise
            ConfigurationError for an entry that cannot be used, which is then left out of a refresh of all.
        cache_path: The JSON file; None is ``models.json`` in the user's cache folder.
        addresses: Where entries are that are not at their vendor's own address, by name: what one host offers
            says nothing of another host under the same name.
        now: The clock, for tests.
    """

    def __init__(
        self,
        providers: Mapping[str, ListsModels],
        cache_path: Union[str, os.PathLike[str], None] = None,
        *,
        addresses: Optional[Mapping[str, str]] = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._providers = providers
        self._cache = ModelCache(cache_path if cache_path is not None else default_cache_path(), addresses)
        self._now = now
        self._warned: Set[Tuple[str, str]] = set()
        self._warned_lock = threading.Lock()

    def refresh_models(self, provider_name: Optional[str] = None) -> None:
        """Ask providers for their models.

        Args:
            provider_name: Name of the configured entry; None asks every one that can be used.

        Raises:
            ConfigurationError: There is no such entry, or it cannot be used.
            ProviderError: A provider failed; its old list is kept, and the others are refreshed all the same.
        """
        if provider_name is not None:
            provider = self._provider(provider_name)
            self._store(provider_name, provider, provider.get_available_models())
            return
        first_error = _FirstError()
        for name, provider in self._usable():
            with first_error.of(name):
                self._store(name, provider, provider.get_available_models())
        first_error.raise_again()

    async def arefresh_models(self, provider_name: Optional[str] = None) -> None:
        """Ask providers for their models, async; see ``refresh_models``.

        Args:
            provider_name: Name of the configured entry; None asks every one that can be used.
        """
        if provider_name is not None:
            provider = self._provider(provider_name)
            self._store(provider_name, provider, await provider.aget_available_models())
            return
        first_error = _FirstError()
        for name, provider in self._usable():
            with first_error.of(name):
                self._store(name, provider, await provider.aget_available_models())
        first_error.raise_again()

    def validate_model(self, provider_name: str, model: str) -> bool:
        """Ask a provider whether it offers a model.

        Args:
            provider_name: Name of the configured entry.
            model: The model's name.

        Returns:
            Whether the provider knows the model; False for a fine-tuned one, without asking.
        """
        if not model or is_fine_tuned(model):
            return False
        return self._note(provider_name, model, self._provider(provider_name).validate_model(model))

    async def avalidate_model(self, provider_name: str, model: str) -> bool:
        """Ask a provider whether it offers a model, async; see ``validate_model``.

        Args:
            provider_name: Name of the configured entry.
            model: The model's name.

        Returns:
            Whether the provider knows the model; False for a fine-tuned one, without asking.
        """
        if not model or is_fine_tuned(model):
            return False
        return self._note(provider_name, model, await self._provider(provider_name).avalidate_model(model))

    def get_available_models(self, provider_name: str, include_deprecated: bool = False) -> List[ModelInfo]:
        """Return the chat models that a provider's last refresh listed.

        Args:
            provider_name: Name of the configured entry.
            include_deprecated: Whether deprecated models are returned too.

        Returns:
            The models by name; empty before the first refresh.
        """
        models = self._listing(provider_name).models.values()
        listed = (info for info in models if info.last_seen is not None and info.exclusion is None)
        return sorted(
            (info for info in listed if include_deprecated or not info.deprecated), key=lambda info: info.name
        )

    def known(self, provider_name: str, model: str) -> Optional[ModelInfo]:
        """Return what is known about a model, also about one that is not offered for chat.

        Args:
            provider_name: Name of the configured entry.
            model: The model's name.

        Returns:
            The model, or None when no refresh and no validation ever met it.
        """
        return self._cache.listing(provider_name).models.get(model)

    def is_model_deprecated(self, provider_name: str, model: str) -> bool:
        """Tell whether a model is on its way out, or gone from the provider's listing.

        Args:
            provider_name: Name of the configured entry.
            model: The model's name.

        Returns:
            True when it is; False also for a model that is not known.
        """
        info = self.known(provider_name, model)
        return info is not None and info.deprecated

    def providers_listing(self, model: str) -> List[str]:
        """Return whose listings hold a model.

        Args:
            model: The model's name.

        Returns:
            Names of configured entries, in their order.
        """
        found = ((name, self.known(name, model)) for name in self._providers)
        return [name for name, info in found if info is not None and info.last_seen is not None]

    def warn_if_deprecated(self, provider_name: str, model: str) -> None:
        """Log one warning for each deprecated model that is used.

        Args:
            provider_name: Name of the configured entry.
            model: The model about to be used.
        """
        if not self.is_model_deprecated(provider_name, model):
            return
        with self._warned_lock:
            warned = (provider_name, model) in self._warned
            self._warned.add((provider_name, model))
        if not warned:
            logger.warning(
                "%s Choose a successor; until then it is used as asked.", self.explain(provider_name, model)
            )

    def explain(self, provider_name: str, model: str) -> str:
        """Say in one sentence why a model is listed or not.

        Args:
            provider_name: Name of the configured entry.
            model: The model's name.

        Returns:
            The sentence.
        """
        subject = f"Model {model!r} of provider {provider_name!r}"
        listing = self._listing(provider_name)
        if is_fine_tuned(model):
            return f"{subject} is never listed, because it is fine-tuned."
        if listing.refreshed_at is None:
            return (
                f"{subject} is not listed, because the provider was never asked: call refresh_models first."
            )
        info = listing.models.get(model)
        if info is None or info.last_seen is None:
            return (
                f"{subject} was never seen in the provider's listing, also not on {listing.refreshed_at}: "
                "refresh_models asks again."
            )
        return f"{subject} {_standing(info, listing)}."

    def _listing(self, provider_name: str) -> Listing:
        # Not `in` the mapping itself: a lazy one would have to make the provider to answer.
        if provider_name not in list(self._providers):
            self._provider(provider_name)  # says what is wrong with the name or the entry
        return self._cache.listing(provider_name)

    def _provider(self, provider_name: str) -> ListsModels:
        try:
            return self._providers[provider_name]
        except KeyError:
            hint = did_you_mean(provider_name, self._providers)
            raise ConfigurationError(f"There is no provider entry named {provider_name!r}. {hint}") from None

    def _usable(self) -> Iterator[Tuple[str, ListsModels]]:
        for name in self._providers:
            try:
                provider = self._providers[name]
            except ConfigurationError as error:
                logger.info("The models of %s are not refreshed: %s", name, error)
            else:
                yield name, provider

    def _store(self, name: str, provider: ListsModels, listed: Sequence[ModelInfo]) -> None:
        now = self._now().isoformat()
        kinds = getattr(provider, "model_kinds", "")
        found = [_checked(info, name, kinds) for info in listed if not is_fine_tuned(info.name)]
        self._cache.update(name, lambda old: _merged(old, found, now))

    def _note(self, name: str, model: str, offered: bool) -> bool:
        now = self._now().isoformat()
        if offered or self.known(name, model):
            self._cache.update(name, lambda old: _validated(old, model, name, now))
        return offered


def _checked(info: ModelInfo, provider: str, kinds: str) -> ModelInfo:
    """The model under its entry's name, with what its own name and date tell."""
    return replace(
        info,
        provider=provider,
        deprecated=info.deprecated or info.retires_at is not None,
        exclusion=info.exclusion or exclusion_by_kind(info.name, kinds),
    )


def _merged(old: Listing, found: Iterable[ModelInfo], now: str) -> Listing:
    """The new listing; what is missing in it is kept, deprecated if it was ever listed."""
    models: Dict[str, ModelInfo] = {
        name: replace(info, deprecated=True) if info.last_seen else info for name, info in old.models.items()
    }
    for info in found:
        before = old.models.get(info.name, info)
        models[info.name] = replace(
            info,
            first_seen=before.first_seen or now,
            last_seen=now,
            last_validated=before.last_validated,
        )
    return Listing(refreshed_at=now, models=models)


def _validated(old: Listing, model: str, provider: str, now: str) -> Listing:
    info = old.models.get(model) or ModelInfo(name=model, provider=provider)
    return replace(old, models={**old.models, model: replace(info, last_validated=now)})


def _standing(info: ModelInfo, listing: Listing) -> str:
    """How a model that was seen stands: the end of the sentence about it."""
    if info.exclusion:
        return f"is not listed for chat: {info.exclusion}"
    if info.last_seen != listing.refreshed_at:
        return f"is deprecated: it is gone from the provider's listing, last seen there on {info.last_seen}"
    if info.retires_at:
        return f"is deprecated: the provider switches it off on {info.retires_at}"
    if info.deprecated:
        return f"is deprecated: the provider declares it so, last on {info.last_seen}"
    return f"is listed as a chat model, since {info.first_seen}"


class _FirstError:
    """Lets a refresh of several providers go on after one failed, and raises the first failure in the end."""

    def __init__(self) -> None:
        self._error: Optional[Exception] = None
        self._name = ""

    def of(self, name: str) -> _FirstError:
        """Name the provider whose refresh comes next."""
        self._name = name
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        logger.warning("The models of %s were not refreshed, the old list is kept: %s", self._name, error)
        self._error = self._error or error
        return True

    def raise_again(self) -> None:
        """Raise the first failure, if there was one."""
        if self._error is not None:
            raise self._error
