"""Makes the calls of rows that go by a provider's batch API: what ``bulk`` is given to call for them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Callable, FrozenSet, Optional, Set, Union

from llm_orchestrator.calls.factory import CallFactory
from llm_orchestrator.calls.shared import SharedState
from llm_orchestrator.exceptions import OrchestratorError
from llm_orchestrator.providers.batch_values import BatchItem, BatchResult
from llm_orchestrator.providers.batches import BatchClient, error_of_batch
from llm_orchestrator.request.arguments import CallArguments
from llm_orchestrator.types import JSON, LLMRequest, LLMResponse
from llm_orchestrator.utils.money import ZERO

if TYPE_CHECKING:
    from llm_orchestrator.calls.call import Call
    from llm_orchestrator.exceptions import ProviderError
    from llm_orchestrator.providers.base import BaseLLMProvider

__all__ = ["BatchCaller"]


class BatchCaller:
    """Asks one provider entry for the answers of rows, by its batch API.

    Attributes:
        client: Talks to the batch API.
        provider: Name of the entry.
    """

    def __init__(
        self,
        factory: CallFactory,
        shared: SharedState,
        *,
        provider: BaseLLMProvider,
        model: str,
        template: CallArguments,
        estimated_cost: Callable[..., Optional[Decimal]],
    ) -> None:
        self.provider = provider.name
        self.client = BatchClient(provider, template.request)
        self._factory = factory
        self._shared = shared
        self._adapter = provider
        self._model = model
        self._template = template
        self._estimated_cost = estimated_cost
        self._recorded: Set[str] = set()

    def item(self, request: LLMRequest) -> BatchItem:
        """Make the request of one row, as it is written into a batch."""
        return self.client.item(*self._call(request).in_batch())

    def recall(self, marks: FrozenSet[str]) -> None:
        """Look up which requests of these batches were recorded already; their ``call_id`` begins with it."""
        length = len(next(iter(marks), ""))
        ids = self._shared.tracker.call_ids()
        self._recorded.update(call_id for call_id in ids if call_id[:length] in marks)

    def receive(
        self, request: Optional[LLMRequest], result: BatchResult, *, call_id: str, sent_at: datetime
    ) -> Union[LLMResponse, OrchestratorError]:
        """Record and complete what came of a row; None is a row that the input does not have any more.

        What is raised is nothing that came of it, so it can be received again.
        """
        call = self._call(request or self._template.request)
        item = self.client.item(*call.in_batch())
        try:
            return call.receive(
                item, result, call_id=call_id, sent_at=sent_at, is_recorded=call_id in self._recorded
            )
        except OrchestratorError as error:
            return error

    def error(self, body: JSON) -> ProviderError:
        """Make the error of a whole batch that the provider refused."""
        error = error_of_batch(self._adapter, body, status_code=400)  # it was looked at and refused
        error.status_code = None
        return error

    async def check_may_send(self) -> None:
        """Refuse to submit when the orchestrator is closed, or a budget is spent; reserves nothing."""
        self._shared.check_open()
        tracker, session, tags = self._shared.tracker, self._shared.session_id, self._template.request.tags
        tracker.check_budget(session, None, tags)
        asked = tracker.request_budget(session, tags, lambda: ZERO, 0)
        if asked is not None:
            (await asked.atake()).settle(ZERO)

    def estimated_cost(self, request: LLMRequest, completion: int) -> Optional[Decimal]:
        """What a row would cost in a batch with an answer of so many tokens."""
        return self._estimated_cost(request, completion, batch=True)

    def _call(self, request: LLMRequest) -> Call:
        arguments = self._template._replace(request=request)
        return self._factory.make(arguments, self._adapter.name, self._model, streamed=False)
