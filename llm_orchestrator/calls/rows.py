"""Makes the calls of many rows: what ``bulk`` is given to call; arguments are checked once for all."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Mapping, Optional

from llm_orchestrator.calls.batches import BatchCaller
from llm_orchestrator.calls.expected_cost import estimated_cost
from llm_orchestrator.calls.factory import CallFactory
from llm_orchestrator.calls.pace import limits_of_rows
from llm_orchestrator.calls.shared import SharedState
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.request.arguments import call_arguments
from llm_orchestrator.request.messages import read_messages
from llm_orchestrator.request.options import check_options
from llm_orchestrator.request.output import parse_output
from llm_orchestrator.types import FinishReason, LLMRequest, LLMResponse, Messages
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.calls.pace import Pace
    from llm_orchestrator.config.manager import ProviderConfig
    from llm_orchestrator.providers.base import BaseLLMProvider

__all__ = ["RowCaller"]

#: How long after the end of its window an answer in the background is still waited for.
SPARE_SECONDS = 3600.0


class RowCaller:
    """Asks one provider entry for the answers of rows that differ in their messages only."""

    gives_vectors = False
    together = 1

    def __init__(
        self,
        factory: CallFactory,
        shared: SharedState,
        *,
        provider: BaseLLMProvider,
        entry: ProviderConfig,
        model: Optional[str],
        arguments: Mapping[str, Any],
        window: Optional[str] = None,
    ) -> None:
        shared.check_open()
        self._factory = factory
        self._shared = shared
        self._provider = provider
        self._template = call_arguments("A row.", **arguments)
        self._model = self._template.request.model or model
        if not self._model:
            raise ConfigurationError(f"No model is set for {provider.name!r}. Pass one with model=.")
        self._window = window
        if window is not None:  # says now that the provider has none
            self._in_window(self._template.request)
        self.limits = limits_of_rows(entry, provider)
        #: What, beside the messages, decides an answer.
        self.identity: Mapping[str, Any] = {
            "provider": provider.name,
            "model": self._model,
            "options": dict(entry.options),
        }

    @property
    def is_closed(self) -> bool:
        """Whether the orchestrator was closed, so that no row can be asked any more."""
        return self._shared.is_closed

    def request_of(self, messages: Messages) -> LLMRequest:
        """Make the request of one row, or say what is wrong with its messages."""
        turns = read_messages(messages)
        template = self._template.request
        if template.provider_options:
            check_options(template.provider_options, turns)
        return evolve(template, messages=turns)

    async def ask(self, request: LLMRequest, pace: Pace) -> LLMResponse:
        """Get the answer to one row."""
        arguments = self._template._replace(request=self._in_window(request))
        if self._window is not None and arguments.total_timeout is None:  # the entry's is for answers now
            arguments = arguments._replace(total_timeout=3600 * int(self._window[:-1]) + SPARE_SECONDS)
        call = self._factory.make(arguments, self._provider.name, self._model, streamed=False, pace=pace)
        return await call.asend()

    def _in_window(self, request: LLMRequest) -> LLMRequest:
        if self._window is None:
            return request
        named = evolve(request, model=request.model or self._model)
        options = self._provider.background_options(named, self._window)
        return evolve(request, provider_options={**request.provider_options, **options})

    def batches(self) -> BatchCaller:
        """What asks for the same answers by the provider's batch API, where it has one."""
        return BatchCaller(
            self._factory,
            self._shared,
            provider=self._provider,
            model=self._model or "",
            template=self._template,
            estimated_cost=self.estimated_cost,
        )

    def parsed(self, content: str) -> Any:
        """Parse the text of an answer that was kept, as it was parsed when it came."""
        answer = LLMResponse(content, self._model or "", self._provider.name, finish_reason=FinishReason.STOP)
        return parse_output(answer, self._template.request).parsed

    @property
    def has_batches(self) -> bool:
        """Whether the provider has a batch API."""
        return self._provider.batch_api is not None

    def estimated_cost(
        self, request: LLMRequest, completion: int, *, batch: bool = False, now: bool = False
    ) -> Optional[Decimal]:
        """What a row would cost with an answer of so many tokens; None where its price is not known.

        That is in the mode of the run, or else in a batch, or ``now``.
        """
        sent = request if now or batch else self._in_window(request)
        named = evolve(sent, model=request.model or self._model or "")
        return estimated_cost(self._shared.tracker, self._provider, named, completion, batch=batch)
