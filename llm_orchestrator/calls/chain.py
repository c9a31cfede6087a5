"""Which models a call may ask, in which order, and none that belong to another provider."""

from __future__ import annotations

from typing import Mapping, Optional, Sequence, Set, Tuple

from llm_orchestrator.config.manager import ProviderConfig
from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.models.names import foreign_owner, is_fine_tuned
from llm_orchestrator.models.registry import ModelRegistry

__all__ = ["ModelChooser"]


class ModelChooser:
    """Chooses the models of calls; shared by an orchestrator and its siblings."""

    def __init__(self, entries: Mapping[str, ProviderConfig], registry: ModelRegistry) -> None:
        self._entries = entries
        self._registry = registry
        self._own: Set[Tuple[str, str]] = set()  # found not to belong to another provider

    def chain(self, provider: str, first: Optional[str], fallbacks: Sequence[str]) -> Tuple[str, ...]:
        """Put the models of a call in order."""
        if not first:
            raise InvalidRequestError(
                f"No model is chosen for {provider!r}. Name one with model=, or in for_provider."
            )
        if (provider, first) not in self._own and is_fine_tuned(first):
            raise InvalidRequestError(
                f"{first!r} is a fine-tuned model, which is not supported. Name its base model."
            )
        models = tuple(dict.fromkeys((first, *fallbacks))) if fallbacks else (first,)
        for model in models:
            if (provider, model) not in self._own:
                self._check_own(provider, model)
        return models

    def forget(self) -> None:
        """Forget whose models are whose, because there are new listings."""
        self._own.clear()

    def _check_own(self, provider: str, model: str) -> None:
        """Refuse a model that belongs to another configured provider."""
        # An entry that borrows its protocol may be a gateway, whose names carry their makers'.
        is_foreign = self._entries[provider].adapter not in (None, provider)
        owner = None if is_foreign else self._owner(provider, model)
        if owner is not None:
            raise InvalidRequestError(
                f"The model {model!r} belongs to provider {owner!r}, but {provider!r} is active. "
                f"Use for_provider({owner!r}) for it."
            )
        self._own.add((provider, model))

    def _owner(self, provider: str, model: str) -> Optional[str]:
        owner = foreign_owner(model, provider, self._entries)
        if owner is None and self._registry.known(provider, model) is None:
            listing = [name for name in self._registry.providers_listing(model) if name in self._entries]
            owner = next((name for name in listing if name != provider), None)
        return owner
