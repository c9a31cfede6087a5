"""What is submitted next: batches that are full, that were refused, or that the provider had no room for."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Awaitable, Callable, Deque, Dict, List, NamedTuple, Tuple

from llm_orchestrator.bulk.asking import HOLDS_FOR_ALL
from llm_orchestrator.bulk.batch_notes import BatchNotes
from llm_orchestrator.bulk.collecting import BatchCaller
from llm_orchestrator.bulk.outcomes import result_of
from llm_orchestrator.bulk.packs import Packed, Packs, halves
from llm_orchestrator.bulk.prepare import Prepared
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.bulk.submitting import OpenBatch, Submitter
from llm_orchestrator.exceptions import (
    ContextLengthError,
    InvalidRequestError,
    OrchestratorError,
    OverloadedError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
)
from llm_orchestrator.providers.batch_values import BatchStatus

__all__ = ["Counts", "Dispatcher"]

#: Batches under way at once; Gemini takes 100 of one account.
MOST_OPEN = 50
#: How often a row is put into a batch that does not come to it.
MOST_TRIES = 3
#: How often a refused batch is cut in two to find the rows that are at fault.
MOST_HALVINGS = 64


class _Held(NamedTuple):
    """A batch that the provider has no room for yet, and whether no other of ours was in its way."""

    rows: List[Packed]
    was_alone: bool
    error: OrchestratorError


@dataclass
class Counts:
    """How many requests were submitted, and how many refused for want of room."""

    requests: int = 0
    refused: int = 0


class Dispatcher:
    """Puts rows into batches, and batches under way.

    Attributes:
        counts: What was submitted, and refused.
        is_cancelled: Nothing is submitted any more; what would be has an error.
        not_before: When there may be room at the provider again, on the clock of ``time.monotonic``.
    """

    def __init__(
        self,
        caller: BatchCaller,
        notes: BatchNotes,
        open_batches: Dict[str, OpenBatch],
        *,
        deliver: Callable[[BulkResult], None],
        make_room: Callable[[], Awaitable[None]],
    ) -> None:
        self.counts = Counts()
        self.is_cancelled = False
        self.not_before = 0.0
        self.submitter = Submitter(caller, notes)
        self._caller = caller
        self._open = open_batches
        self._deliver = deliver
        self._make_room = make_room
        self._packs = Packs(caller.client.limits)
        self._full: Deque[List[Packed]] = deque()
        self._held: Deque[_Held] = deque()
        self._tries: Dict[int, int] = {}
        self._halvings = 0

    @property
    def holds_back(self) -> bool:
        """Whether there are batches that wait for room at the provider."""
        return bool(self._held)

    def pack(self, row: Prepared) -> None:
        """Put a row into the batch that is being filled."""
        try:
            full = self._packs.add(Packed(row, self._caller.item(row.request)))
        except OrchestratorError as error:
            if isinstance(error, HOLDS_FOR_ALL):
                raise
            self._deliver(result_of(row, None, error))
            return
        if full is not None:
            self._full.append(full)

    async def submit_full(self, *, and_rest: bool = False) -> None:
        """Submit the batches that are full, or all."""
        if and_rest:
            self._full.extend(self._packs.take_rest())
        while self._full:
            await self._submit(self._full.popleft())

    async def _submit(self, rows: List[Packed]) -> None:
        while len(self._open) >= MOST_OPEN and not self.is_cancelled:
            await self._make_room()
        if self.is_cancelled:
            for packed in rows:
                self._deliver(result_of(packed.row, None, self._cancelled()))
            return
        try:
            batch = await self.submitter.submit(rows)
        except (RateLimitError, OverloadedError) as error:
            self._hold(rows, error, was_alone=not self._open)
        except OrchestratorError as error:
            await self._refuse(rows, error)
        else:
            batch.was_alone = not self._open
            self._open[batch.note.mark] = batch
            self.counts.requests += len(rows)

    def _hold(self, rows: List[Packed], error: OrchestratorError, *, was_alone: bool) -> None:
        """Keep a batch back for which there is no room at the provider."""
        self.counts.refused += len(rows)
        if isinstance(error, ProviderError) and error.retry_after is not None:
            self.not_before = time.monotonic() + error.retry_after
        self._held.append(_Held(rows, was_alone, error))

    async def submit_held(self, has_ended: bool) -> None:
        """Submit a batch that was held back, or half of it where it was too much alone."""
        if not self._held or (self._open and not has_ended):
            return
        held = self._held.popleft()
        if not held.was_alone:
            await self._submit(held.rows)
        elif len(held.rows) > 1:
            first, second = halves(held.rows)
            self._held.appendleft(_Held(second, False, held.error))
            await self._submit(first)
        elif self._may_try_again(held.rows[0].row):
            await self._submit(held.rows)
        else:
            self._deliver(result_of(held.rows[0].row, None, held.error))

    async def _refuse(self, rows: List[Packed], error: OrchestratorError) -> None:
        """Find the rows for which a batch was refused, by halves; only what is wrong with rows is theirs."""
        if not (isinstance(error, (InvalidRequestError, ContextLengthError)) and error.sent):
            raise error
        if len(rows) == 1 or self._halvings >= MOST_HALVINGS:
            for packed in rows:
                self._deliver(result_of(packed.row, None, error))
            return
        self._halvings += 1
        for half in halves(rows):
            await self._submit(half)

    async def refused_late(
        self,
        status: BatchStatus,
        rows: List[Prepared],
        faulty: List[Prepared],
        *,
        was_alone: bool,
    ) -> None:
        """A batch was taken, and refused when it was looked at: for its rows, or because too much waits."""
        error = self._caller.error(status.error or {})
        packed = [Packed(row, self._caller.item(row.request)) for row in rows]
        if status.is_over_quota:
            self._hold(packed, error, was_alone=was_alone)
        elif faulty and not isinstance(error, HOLDS_FOR_ALL) and self._halvings < MOST_HALVINGS:
            self._halvings += 1
            for row in faulty:
                self._deliver(result_of(row, None, error))
            at_fault = {row.position for row in faulty}
            for row in rows:
                if row.position not in at_fault:
                    self.pack(row)
        else:
            await self._refuse(packed, error)

    def ask_again(self, rows: List[Tuple[Prepared, bool]], *, stops: bool) -> None:
        """Put rows that nobody worked on into a new batch, unless somebody stopped theirs."""
        for row, was_cancelled in rows:
            if self.is_cancelled or stops or was_cancelled:
                self._deliver(result_of(row, None, self._cancelled()))
            elif self._may_try_again(row):
                self.pack(row)
            else:
                self._deliver(result_of(row, None, self._never_reached()))

    def _may_try_again(self, row: Prepared) -> bool:
        self._tries[row.position] = tries = self._tries.get(row.position, 1) + 1
        return tries <= MOST_TRIES

    def _cancelled(self) -> ProviderError:
        return ProviderError(
            "The batch was cancelled before this row was answered. Run the same call again to ask it.",
            provider=self._caller.provider,
        )

    def _never_reached(self) -> ProviderError:
        return ProviderTimeoutError(
            f"{MOST_TRIES} batches ended without a result for this row. Run the same call again, or use "
            'mode="now".',
            provider=self._caller.provider,
        )
