"""Reads the results of a batch; every line is recorded and kept at once, and none is counted twice."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timezone
from decimal import Decimal
from typing import Callable, Dict, FrozenSet, Optional, Protocol, Union

from llm_orchestrator.bulk.batch_notes import BatchNotes, Place
from llm_orchestrator.bulk.outcomes import paid_answer, result_of
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.bulk.submitting import Caller, OpenBatch, patiently
from llm_orchestrator.exceptions import ConfigurationError, OrchestratorError, ProviderError
from llm_orchestrator.providers.batch_values import BatchItem, BatchResult, BatchStatus
from llm_orchestrator.types import JSON, LLMRequest, LLMResponse

__all__ = ["BatchCaller", "Collector"]

logger = logging.getLogger(__name__)

#: What came of a row: its answer, or its error.
Outcome = Union[LLMResponse, OrchestratorError]
#: How often a file of results is read that has lines which cannot be read, and the seconds between.
MOST_READS, PAUSE = 3, 5.0


class BatchCaller(Caller, Protocol):
    """What a run by batches is given to call; see ``calls.batches.BatchCaller``."""

    def item(self, request: LLMRequest) -> BatchItem:
        """Make the request of one row, as it is written into a batch."""

    def recall(self, marks: FrozenSet[str]) -> None:
        """Look up which requests of these batches were recorded already."""

    def receive(
        self, request: Optional[LLMRequest], result: BatchResult, *, call_id: str, sent_at: datetime
    ) -> Outcome:
        """Record and complete what came of a row."""

    def error(self, body: JSON) -> ProviderError:
        """Make the error of a whole batch that the provider refused."""

    def estimated_cost(self, request: LLMRequest, completion: int) -> Optional[Decimal]:
        """What a row would cost in a batch with an answer of so many tokens."""


class Collector:
    """Collects batches that have ended; what came of the rows of this run is delivered.

    A row is recorded before its answer is kept, so the program may have been killed between the two.

    Attributes:
        earlier: Marks of the batches that an earlier run may have begun to collect.
    """

    def __init__(self, caller: BatchCaller, notes: BatchNotes, deliver: Callable[[BulkResult], None]) -> None:
        self._caller = caller
        self._notes = notes
        self._deliver = deliver
        self.earlier: FrozenSet[str] = frozenset()

    async def collect(self, batch: OpenBatch, status: BatchStatus) -> Dict[int, bool]:
        """Read all results; returns the rows that nobody worked on, and whether they were cancelled."""
        untouched: Dict[int, bool] = {}
        if batch.note.mark in self.earlier:
            self._caller.recall(self.earlier)
            self.earlier = frozenset()

        def take(result: BatchResult) -> None:
            self._take(batch, result, untouched)

        for read in range(MOST_READS):
            if read:
                await asyncio.sleep(PAUSE)
            if await self._read(status, take):
                break
        return untouched

    async def _read(self, status: BatchStatus, take: Callable[[BatchResult], None]) -> bool:
        try:
            return await patiently(lambda: self._caller.client.read_results(status, take))
        except (ProviderError, ConfigurationError) as error:
            if error.status_code != 404:
                raise
            logger.warning("The results of the batch %s are gone; its rows are asked again.", status.id)
            return True

    def _take(self, batch: OpenBatch, result: BatchResult, untouched: Dict[int, bool]) -> None:
        mark, _, number = result.custom_id.rpartition("-")
        if mark != batch.note.mark or not number.isdecimal():
            return  # nothing that we asked
        place = Place(mark, int(number))
        row = self._notes.row_at(place)
        if row is None:
            return  # it was taken before
        if result.body is None and result.error is None:
            untouched[place.position] = result.was_cancelled
            return
        prepared = batch.rows.get(place.position)
        sent_at = datetime.fromtimestamp(batch.note.began_at, timezone.utc)
        request = prepared.request if prepared else None
        outcome = self._caller.receive(request, result, call_id=place.call_id, sent_at=sent_at)
        error = None if isinstance(outcome, LLMResponse) else outcome
        response = outcome if isinstance(outcome, LLMResponse) else paid_answer(outcome)
        if error is None and response is not None:
            self._notes.answered(place, row, response)
        else:
            self._notes.failed(place)
        if prepared is not None:
            self._deliver(result_of(prepared, response, error))
