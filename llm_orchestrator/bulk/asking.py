"""From one row to its result: out of the journal, or from the provider through the gate."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Callable, Optional, Protocol

from llm_orchestrator.bulk.collecting import BatchCaller
from llm_orchestrator.bulk.gate import Gate, Limits, RowPace, RunEndedError
from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.journals import AnyJournal, open_journal
from llm_orchestrator.bulk.outcomes import paid_answer, refused, result_of, resumed, vector_of
from llm_orchestrator.bulk.prepare import Preparation, Prepared
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.bulk.spending import Spending
from llm_orchestrator.exceptions import (
    AllFallbacksFailedError,
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ModelNotFoundError,
    OrchestratorError,
    QuotaExceededError,
)
from llm_orchestrator.types import LLMRequest, LLMResponse, Messages

__all__ = ["HOLDS_FOR_ALL", "Caller", "MaxCostReachedError", "RowAsker"]

#: Errors that every other row would meet, too.
HOLDS_FOR_ALL = (
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ModelNotFoundError,
    QuotaExceededError,
)
#: Most rows under way at once where a request takes many: their vectors fill some 200 MB.
MOST_ROWS = 4096


class MaxCostReachedError(RunEndedError):
    """The next row might cost more than is left of ``max_cost``."""


class Caller(Protocol):
    """What a run is given to call."""

    #: Whether a row becomes a vector, instead of getting an answer.
    gives_vectors: bool
    #: How many rows may go in one request.
    together: int

    @property
    def limits(self) -> Limits:
        """The limits of the provider entry."""

    @property
    def identity(self) -> Any:
        """What decides an answer beside the request."""

    @property
    def is_closed(self) -> bool:
        """Whether no row can be asked any more."""

    def request_of(self, messages: Messages) -> LLMRequest:
        """Make the request of one row."""

    async def ask(self, request: LLMRequest, pace: RowPace) -> LLMResponse:
        """Get the answer to one row."""

    def batches(self) -> BatchCaller:
        """What asks for the same answers by the provider's batch API."""

    def parsed(self, content: str) -> Any:
        """Parse the text of an answer that was kept."""

    @property
    def has_batches(self) -> bool:
        """Whether the provider has a batch API."""

    def estimated_cost(
        self, request: LLMRequest, completion: int, *, batch: bool = False, now: bool = False
    ) -> Optional[Decimal]:
        """What a row would cost with an answer of so many tokens."""


class RowAsker:
    """Gets the results of rows, one for all rows of a run or of a worker; used on one loop.

    Attributes:
        gate: What all its requests pass.
        width: How many rows may be given to it at once; some may wait for other runs.
        together: How many rows may go in one request.
    """

    def __init__(self, job: BulkJob, caller: Caller, *, may_repeat: bool = False) -> None:
        self.gate = Gate(job.concurrency, caller.limits)
        self.together = caller.together
        places = max(job.concurrency, min(job.concurrency * caller.together, MOST_ROWS), caller.together)
        self._caller = caller
        self._preparation = Preparation(job, caller, may_repeat=may_repeat)
        # Workers of an engine share a journal, and each gets rows of its own.
        self._journal: Optional[AnyJournal] = None
        if job.journal is not None:
            self._journal = open_journal(job.journal, is_alone=not may_repeat, concurrency=places)
        self.width = max(places, job.concurrency * (self._journal.width if self._journal else 1))
        self._spending = Spending(job.max_cost, caller)

    async def ask(self, index: int, row: Any, deliver: Callable[[BulkResult], None]) -> None:
        """Deliver the result of one row, or raise what holds for all rows.

        An answer that was paid is delivered also where it cannot be kept, which is then raised.
        """
        try:
            prepared = self._preparation.of(index, row)
        except OrchestratorError as error:
            deliver(refused(self._preparation.key_of(row, index), index, row, error))
            return
        if self._journal is None:
            await self._ask(prepared, deliver)
            return
        key, fingerprint = prepared.key_text, prepared.fingerprint
        known = await self._journal.claim(key, fingerprint, self.gate.check_open)
        if known is not None:
            deliver(resumed(prepared, known, self._caller))
            return
        try:
            await self._ask(prepared, deliver)
        finally:
            self._journal.release(key, fingerprint)

    def close(self) -> None:
        """Commit what was answered, and close all files."""
        try:
            if self._journal is not None:
                self._journal.close()
        finally:
            self._preparation.close()

    async def _ask(self, prepared: Prepared, deliver: Callable[[BulkResult], None]) -> None:
        held = await self._spending.reserve(prepared.request)
        if held is None:
            raise MaxCostReachedError
        response: Optional[LLMResponse] = None
        try:
            response = await self._caller.ask(prepared.request, RowPace(self.gate))
        except OrchestratorError as error:
            if self._is_for_all(error):
                raise
            response = paid_answer(error)
            deliver(result_of(prepared, response, error))
            return
        finally:
            self._spending.settle(held, response.cost if response is not None else None)
        try:
            if self._journal is not None:
                await self._journal.add(prepared.key_text, prepared.fingerprint, response)
        finally:  # it was paid, whatever became of the journal
            made = vector_of if self._caller.gives_vectors else result_of
            deliver(made(prepared, response))

    def _is_for_all(self, error: OrchestratorError) -> bool:
        if self.gate.has_given_up or self._caller.is_closed:
            return True
        first = error.__cause__ if isinstance(error, AllFallbacksFailedError) else error
        return isinstance(error, HOLDS_FOR_ALL) or isinstance(
            first, (AuthenticationError, QuotaExceededError)
        )
