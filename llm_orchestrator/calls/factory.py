"""Makes calls: what an application asked for, with the settings of its provider entry, becomes a ``Call``.

The facade and conversations both get their calls here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Mapping, Optional

from llm_orchestrator.calls.attempts import CallSettings
from llm_orchestrator.calls.call import Call
from llm_orchestrator.calls.chain import ModelChooser
from llm_orchestrator.calls.providers import ProviderSet
from llm_orchestrator.calls.shared import SharedState
from llm_orchestrator.config.manager import ProviderConfig
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.models.registry import ModelRegistry
from llm_orchestrator.request.arguments import CallArguments, snapshot
from llm_orchestrator.request.messages import check_owner
from llm_orchestrator.types import ModelInfo
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.calls.pace import Pace
    from llm_orchestrator.calls.turn import Turn

__all__ = ["CallFactory"]


#: Seconds until calls notice what another process has listed: none of them is worth a look at the file.
LISTING_AGE = 1.0


class CallFactory:
    """Makes the calls of an orchestrator and its siblings."""

    def __init__(
        self,
        entries: Mapping[str, ProviderConfig],
        providers: ProviderSet,
        registry: ModelRegistry,
        shared: SharedState,
    ) -> None:
        self._providers = providers
        self._registry = registry
        self._shared = shared
        self._models = ModelChooser(entries, registry)

    def make(
        self,
        arguments: CallArguments,
        provider: str,
        model: Optional[str],
        *,
        streamed: bool,
        turn: Optional[Turn] = None,
        counting: bool = False,
        pace: Optional[Pace] = None,
    ) -> Call:
        """Make a call of one provider entry; ``model`` is asked where the arguments name none.

        One that is ``counting`` costs nothing and needs no price.
        """
        self._shared.check_open()
        self._shared.flush()
        adapter = self._providers[provider]
        entry = self._providers.entry(provider)
        request = arguments.request
        check_owner(request.messages, provider)
        chain = self._models.chain(
            provider, request.model or model, entry.fallback_models if arguments.fallback else ()
        )
        if self._shared.tracker.strict_pricing and not counting:
            for name in chain:
                self._shared.tracker.check_price(adapter.name, adapter.price_provider_of(name), name)
        if streamed and turn is None:
            request = snapshot(request)  # a turn's messages are one already
        settings = CallSettings(
            chain=chain,
            max_retries=entry.max_retries if arguments.max_retries is None else arguments.max_retries,
            max_retry_wait=entry.max_retry_wait,
            max_continuations=entry.max_continuations,
            drop_unsupported=entry.on_unsupported_parameter == "drop",
            reask=arguments.reask,
            total_timeout=arguments.total_timeout or entry.total_timeout,
            known_model=partial(self._known_model, provider),
            pace=pace,
        )
        if request.model != chain[0]:
            request = evolve(request, model=chain[0])
        return Call(adapter, request, settings, self._shared, streamed=streamed, turn=turn, counting=counting)

    def embedding_model(self, provider: str) -> str:
        """The model that an entry names for vectors."""
        model = self._providers.entry(provider).embedding_model
        if model is None:
            raise ConfigurationError(
                f"providers.{provider}.embedding_model is missing. Add it to the entry, or name a model with "
                "model=."
            )
        return model

    def forget_models(self) -> None:
        """Forget whose models are whose, because there are new listings."""
        self._models.forget()

    def _known_model(self, provider: str, model: str) -> Optional[ModelInfo]:
        """Look up what the registry knows of a model; warns once of a deprecated one."""
        known = self._registry.known(provider, model, max_age=LISTING_AGE)
        if known is not None and known.deprecated:
            self._registry.warn_if_deprecated(provider, model)
        return known
