"""Which models the configured providers offer, by their own lists, which are requested only on demand.

The registry informs and never restricts: a model it does not know can be used all the same. A model that
disappears from a list is marked deprecated and kept.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import (
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
    TypeVar,
    Union,
)

from llm_orchestrator.exceptions import ConfigurationError, InvalidRequestError
from llm_orchestrator.models.cache import Listing, ModelCache, default_cache_path
from llm_orchestrator.models.names import embeds_by_kind, exclusion_by_kind, is_fine_tuned
from llm_orchestrator.types import ModelInfo
from llm_orchestrator.utils.suggestions import did_you_mean
from llm_orchestrator.utils.threads import NoThreadError, in_thread

__all__ = ["ListsModels", "ModelInfo", "ModelRegistry"]

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: What is listed of a provider's models, by the kind asked for.
_LISTED: Mapping[str, Callable[[ModelInfo], bool]] = {
    "chat": lambda info: info.exclusion is None,
    "embedding": lambda info: info.embeds,
}


class ListsModels(Protocol):
    """What the registry needs of a provider; every ``BaseLLMProvider`` has it.

    A provider may also have an attribute ``model_kinds``: the key in ``not_chat.json`` of the words by which
    other models are excluded.
    """

    def get_available_models(self) -> List[ModelInfo]:
        """Request the provider's whole list of models."""

    async def aget_available_models(self) -> List[ModelInfo]:
        """Request the provider's whole list of models, async."""

    def validate_model(self, model: str) -> bool:
        """Ask the provider whether it offers a model."""

    async def avalidate_model(self, model: str) -> bool:
        """Ask the provider whether it offers a model, async."""


def _utc_now() -> datetime:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc)


class ModelRegistry:
    """The models of all configured providers, in a cache file that processes share.

    It can be used by several threads and event loops at once. The constructor does not use the network, and a
    provider is looked up only when it is to be asked.

    Args:
        providers: The providers by the name of their configured entry. Reading an item may raise
            ConfigurationError for an entry that cannot be used, which is then left out of a refresh of all.
        cache_path: The JSON file; None is ``models.json`` in the user's cache folder.
        addresses: The addresses of entries that are not at their vendor's, by name: another host under the
            same name may offer other models.
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
        """Request the lists of models.

        Args:
            provider_name: Name of the configured entry; None is every one that can be used.

        Raises:
            ConfigurationError: There is no such entry, or it cannot be used.
            ProviderError: A provider failed; its old list is kept, and the others are still refreshed.
        """
        if provider_name is not None:
            provider = self._provider(provider_name)
            self._store(provider_name, provider, provider.get_available_models())
            return
        first_error = _FirstError()
        for name, provider in self._usable():
            with first_error.refreshing(name):
                self._store(name, provider, provider.get_available_models())
        first_error.raise_if_any()

    async def arefresh_models(self, provider_name: Optional[str] = None) -> None:
        """Request the lists of models, async; see ``refresh_models``.

        Args:
            provider_name: Name of the configured entry; None is every one that can be used.
        """
        if provider_name is not None:
            provider = self._provider(provider_name)
            await self._astore(provider_name, provider, await provider.aget_available_models())
            return
        first_error = _FirstError()
        for name, provider in self._usable():
            with first_error.refreshing(name):
                await self._astore(name, provider, await provider.aget_available_models())
        first_error.raise_if_any()

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
        offered = await self._provider(provider_name).avalidate_model(model)
        return await _off_the_loop(partial(self._note, provider_name, model, offered))

    def get_available_models(
        self, provider_name: str, include_deprecated: bool = False, kind: str = "chat"
    ) -> List[ModelInfo]:
        """Return the models of one kind in the list of a provider's last refresh.

        Args:
            provider_name: Name of the configured entry.
            include_deprecated: Whether deprecated models are returned too.
            kind: ``chat`` for models that answer, ``embedding`` for models that make vectors.

        Returns:
            The models, sorted by name; empty before the first refresh.

        Raises:
            InvalidRequestError: There is no such kind.
        """
        if kind not in _LISTED:
            raise InvalidRequestError(
                f"There is no kind of models named {kind!r}. {did_you_mean(kind, _LISTED)}"
            )
        is_listed = _LISTED[kind]
        models = self._listing(provider_name).models.values()
        listed = (info for info in models if info.last_seen is not None and is_listed(info))
        return sorted(
            (info for info in listed if include_deprecated or not info.deprecated), key=lambda info: info.name
        )

    def known(self, provider_name: str, model: str, *, max_age: float = 0.0) -> Optional[ModelInfo]:
        """Return what is known about a model, also when it is not a chat model.

        Args:
            provider_name: Name of the configured entry.
            model: The model's name.
            max_age: Seconds that what another process found out may go unnoticed.

        Returns:
            The model; None when no refresh and no validation has found it.
        """
        return self._cache.listing(provider_name, max_age=max_age).models.get(model)

    def is_model_deprecated(self, provider_name: str, model: str) -> bool:
        """Whether the provider has deprecated a model, or no longer lists it.

        Args:
            provider_name: Name of the configured entry.
            model: The model's name.

        Returns:
            True when it is deprecated; False also for an unknown model.
        """
        info = self.known(provider_name, model)
        return info is not None and info.deprecated

    def providers_listing(self, model: str) -> List[str]:
        """Return the providers that list a model.

        Args:
            model: The model's name.

        Returns:
            Names of configured entries, in the order of the configuration.
        """
        found = ((name, self.known(name, model)) for name in self._providers)
        return [name for name, info in found if info is not None and info.last_seen is not None]

    def warn_if_deprecated(self, provider_name: str, model: str) -> None:
        """Log a warning, once for each deprecated model that is used.

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
                "%s Choose a successor. The call is sent as it is.", self.explain(provider_name, model)
            )

    def explain(self, provider_name: str, model: str) -> str:
        """Explain in one sentence why a model is listed or not.

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
            return f"{subject} is not listed, because the models were never requested: call refresh_models."
        info = listing.models.get(model)
        if info is None or info.last_seen is None:
            return (
                f"{subject} is not in the provider's list of {listing.refreshed_at}, nor in an earlier one: "
                "check its name, or call refresh_models."
            )
        return f"{subject} {_status(info, listing)}."

    def _listing(self, provider_name: str) -> Listing:
        # Not `in` the mapping itself, because a lazy mapping would have to make the provider.
        if provider_name not in list(self._providers):
            self._provider(provider_name)  # raises, and says what is wrong
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
        if not listed and self._cache.listing(name).models:
            logger.warning(
                "The list of models of %s is empty; the old list is kept. Check base_url and the key.",
                name,
            )
            return
        kinds = getattr(provider, "model_kinds", "")
        found = [_checked(info, name, kinds) for info in listed if not is_fine_tuned(info.name)]
        self._cache.update(name, lambda old: _merged(old, found, now))

    async def _astore(self, name: str, provider: ListsModels, listed: Sequence[ModelInfo]) -> None:
        await _off_the_loop(partial(self._store, name, provider, listed))

    def _note(self, name: str, model: str, offered: bool) -> bool:
        now = self._now().isoformat()
        if offered or self.known(name, model):
            self._cache.update(name, lambda old: _validated(old, model, name, now))
        return offered


async def _off_the_loop(work: Callable[[], Result]) -> Result:
    """Change the cache in a thread, for that waits for other processes; where none can be had, at once."""
    try:
        return await in_thread(work)
    except NoThreadError:
        return work()


def _checked(info: ModelInfo, provider: str, kinds: str) -> ModelInfo:
    """The model under its entry's name, with what follows from its own name and its dates."""
    return replace(
        info,
        provider=provider,
        deprecated=info.deprecated or info.retires_at is not None,
        exclusion=info.exclusion or exclusion_by_kind(info.name, kinds),
        embeds=info.embeds or (info.exclusion is None and embeds_by_kind(info.name, kinds)),
    )


def _merged(old: Listing, found: Iterable[ModelInfo], now: str) -> Listing:
    """The new listing, with the models that are missing from it: deprecated, if they were ever listed."""
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


def _status(info: ModelInfo, listing: Listing) -> str:
    """The second half of a sentence about a model that has been listed."""
    if info.exclusion:
        return f"is not listed for chat: {info.exclusion}"
    if info.last_seen != listing.refreshed_at:
        return f"is deprecated: the provider no longer lists it; it was last listed on {info.last_seen}"
    if info.retires_at:
        return f"is deprecated: the provider will switch it off on {info.retires_at}"
    if info.deprecated:
        return f"is deprecated: the provider said so on {info.last_seen}"
    return f"is listed as a chat model, since {info.first_seen}"


class _FirstError:
    """Lets a refresh of several providers continue after an error, and raises the first one at the end."""

    def __init__(self) -> None:
        self._error: Optional[Exception] = None
        self._name = ""

    def refreshing(self, name: str) -> _FirstError:
        """Set the provider that is refreshed in the ``with`` block."""
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
        logger.warning("The models of %s were not refreshed; the old list is kept: %s", self._name, error)
        self._error = self._error or error
        return True

    def raise_if_any(self) -> None:
        if self._error is not None:
            raise self._error
