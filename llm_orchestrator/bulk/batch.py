"""A run by the provider's batch API, on one event loop: rows are packed, submitted, waited for and collected.

All of it can be killed at any moment: what was submitted is in the journal, and the same run goes on from
there. Rows that lie in batches are kept in memory until they are collected.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Dict, List, Optional

from llm_orchestrator.bulk.allowance import Allowance
from llm_orchestrator.bulk.asking import Caller
from llm_orchestrator.bulk.batch_notes import BatchNotes
from llm_orchestrator.bulk.collecting import BatchCaller, Collector
from llm_orchestrator.bulk.dispatch import Dispatcher
from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.journal import Journal
from llm_orchestrator.bulk.outbox import Outbox
from llm_orchestrator.bulk.outcomes import refused, resumed
from llm_orchestrator.bulk.prepare import Preparation
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.bulk.rows import Rows
from llm_orchestrator.bulk.status import BatchState, BulkStatus
from llm_orchestrator.bulk.submitting import OpenBatch, patiently
from llm_orchestrator.bulk.tally import Tally
from llm_orchestrator.exceptions import (
    ConfigurationError,
    OrchestratorError,
    ProviderError,
)
from llm_orchestrator.providers.batch_values import CANCELLED, FAILED, BatchStatus

__all__ = ["BatchEngine"]

logger = logging.getLogger(__name__)

#: Seconds between two looks at the batches: the first, the longest, and how they grow.
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 5.0, 60.0, 1.5
#: Results that wait to be taken before no further row is read.
ROOM = 1000
#: Rows that are read before the loop gets a turn.
ROWS_A_TURN = 50


class BatchEngine:
    """Carries a job out by batches; the methods are those of ``Engine``, ``status`` and ``cancel``."""

    def __init__(self, job: BulkJob, caller: Caller, batches: BatchCaller, rows: Rows, tally: Tally) -> None:
        self._folder = TemporaryDirectory() if job.journal is None else None
        self._job = job = replace(job, journal=f"{self._folder.name}/journal") if self._folder else job
        self._caller = batches
        self._parser = caller
        self._rows = rows
        self._tally = tally
        self._preparation = Preparation(job, caller)
        self._journal = Journal(str(job.journal), is_alone=True)
        self._notes = BatchNotes(self._journal)
        self._collector = Collector(batches, self._notes, self._deliver)
        self._allowance = Allowance(job.max_cost, batches)
        self._outbox = Outbox(job, tally)
        self._open: Dict[str, OpenBatch] = {}
        self._dispatch = Dispatcher(
            batches, self._notes, self._open, deliver=self._deliver, make_room=self._make_room
        )
        tally.gate = self._dispatch.counts
        self._left: List[OpenBatch] = []  # of earlier runs, without a row of this one
        self._waits_for_room = job.waits
        self._is_submitted = asyncio.Event()
        self._woken = asyncio.Event()
        self._task: Optional[asyncio.Task[None]] = None
        self._failure: Optional[BaseException] = None
        self._first_error: Optional[OrchestratorError] = None

    # ---------------------------------------------------------------- for the consumer

    def start(self) -> None:
        """Begin to submit."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def pop(self) -> Optional[BulkResult]:
        """Take a finished row, if there is one."""
        result = self._outbox.pop()
        if result is not None and len(self._outbox) == ROOM // 2:
            self._woken.set()
        return result

    async def wait(self) -> bool:
        """Wait for a finished row; False, or the error of the run, when there will be no more."""
        return await self._outbox.wait()

    async def status(self) -> BulkStatus:
        """Ask how far the batches are, once everything is submitted."""
        await self._until_submitted()
        for batch in self._known():
            if batch.note.id is not None:
                batch.heard(await self._asked(batch.note.id))
        return self.last_status()

    def last_status(self) -> BulkStatus:
        """How far the batches were when they were last asked for."""
        return BulkStatus(tuple(_state_of(batch) for batch in self._known()), self._tally.waiting)

    async def cancel(self) -> None:
        """Have all batches cancelled; rows that are answered by then are kept, the others get an error."""
        self._dispatch.is_cancelled = True
        self._woken.set()
        await self._until_submitted()
        for batch in self._known():
            if batch.note.id is not None and not (batch.status and batch.status.is_final):
                await self._cancel(batch.note.id)
        self._woken.set()

    async def close(self) -> None:
        """Stop waiting, and close all files; without a journal nobody could ever collect the batches."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            if self._folder is not None and not self._outbox.is_complete:
                for batch in self._known():
                    if batch.note.id is not None:
                        await self._cancel(batch.note.id)
        finally:
            self._close_files()

    def _close_files(self) -> None:
        try:
            self._journal.close()
        finally:
            self._preparation.close()
            self._rows.close()
            if self._folder is not None:
                self._folder.cleanup()

    def _known(self) -> List[OpenBatch]:
        return [*self._left, *self._open.values()]

    async def _until_submitted(self) -> None:
        self._waits_for_room = False  # nobody takes results meanwhile
        self._woken.set()
        await self._is_submitted.wait()
        if self._failure is not None:
            raise self._failure

    async def _cancel(self, identifier: str) -> None:
        try:
            await self._caller.client.cancel(identifier)
        except ProviderError as error:  # it may have come to its end meanwhile
            logger.warning("The batch %s could not be cancelled: %s", identifier, error)

    # ---------------------------------------------------------------- the run

    async def _run(self) -> None:
        try:
            await self._carry_out()
        except Exception as error:  # noqa: BLE001  # it is raised where the results are taken
            self._failure = error
            self._outbox.end(error)
        else:
            self._outbox.end()
        finally:
            self._is_submitted.set()
            self._journal.let_others_in()

    async def _carry_out(self) -> None:
        await self._reopen()
        await self._read_rows()
        unwanted = [batch for batch in self._open.values() if not batch.rows]
        await self._dispatch.submit_full(and_rest=True)
        if self._job.waits:  # else it is over at once, and others may go on with the journal
            self._is_submitted.set()
        pause = FIRST_PAUSE
        while True:
            has_ended = await self._look()
            self._leave([batch for batch in unwanted if batch.note.mark in self._open])
            await self._dispatch.submit_full(and_rest=True)
            await self._dispatch.submit_held(has_ended)
            if not self._job.waits or not (self._open or self._dispatch.holds_back):
                return
            pause = FIRST_PAUSE if has_ended else min(pause * GROWTH, LONGEST_PAUSE)
            await self._sleep(pause)

    async def _sleep(self, seconds: float) -> None:
        """Wait for the next look, or for a cancellation."""
        self._woken.clear()
        self._tally.tell(str(self.last_status()))
        seconds = max(seconds, self._dispatch.not_before - time.monotonic())
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except asyncio.TimeoutError:
            return

    async def _make_room(self) -> None:
        """Wait until a batch has ended."""
        if not await self._look():
            await self._sleep(LONGEST_PAUSE)

    # ---------------------------------------------------------------- rows in

    async def _reopen(self) -> None:
        """Take up the batches of earlier runs; whether one was submitted may have to be found out."""
        for note in self._notes.all_of(self._caller.provider):
            batch = OpenBatch(note)
            if note.id is not None or await self._dispatch.submitter.resolve(batch):
                self._open[note.mark] = batch
        self._collector.earlier = frozenset(self._open)

    async def _read_rows(self) -> None:
        for index, row in enumerate(self._rows):
            if self._dispatch.is_cancelled or not self._take(index, row):
                return
            self._check_goes_on()
            await self._dispatch.submit_full()
            if index % ROWS_A_TURN == 0:
                await asyncio.sleep(0)
            while self._waits_for_room and len(self._outbox) > ROOM:
                self._woken.clear()
                await self._woken.wait()

    def _take(self, index: int, row: object) -> bool:
        """Take a row in; False when its cost does not fit any more."""
        try:
            prepared = self._preparation.of(index, row)
        except OrchestratorError as error:
            self._put(refused(self._preparation.key_of(row, index), index, row, error))
            return True
        kept = self._journal.find(prepared.key_text, prepared.fingerprint)
        if kept is not None:
            self._put(resumed(prepared, kept, self._parser))
            return True
        place = self._notes.place_of(prepared.key_text, prepared.fingerprint)
        if place is not None and place.mark in self._open:
            self._allowance.hold(prepared)
            self._tally.waiting += 1
            self._open[place.mark].rows[place.position] = prepared
            return True
        if not self._allowance.reserve(prepared):
            self._tally.stopped = "max_cost"
            return False
        self._tally.waiting += 1
        self._dispatch.pack(prepared)
        return True

    # ---------------------------------------------------------------- looking and collecting

    async def _look(self) -> bool:
        """Ask how far the batches are, and collect those that have ended; returns whether one has."""
        has_ended = False
        for mark, batch in list(self._open.items()):
            if await self._has_ended(batch):
                has_ended = True
                if mark in self._open:
                    await self._collect(batch)
                    self._check_goes_on()
        return has_ended

    async def _has_ended(self, batch: OpenBatch) -> bool:
        identifier = batch.note.id
        if identifier is None:
            if not await self._dispatch.submitter.resolve(batch):
                del self._open[batch.note.mark]
                for row in batch.rows.values():
                    self._dispatch.pack(row)
                return True
            identifier = batch.note.id
        if identifier is None:
            return False
        batch.heard(await self._asked(identifier))
        return batch.status is not None and batch.status.is_final

    async def _asked(self, identifier: str) -> BatchStatus:
        try:
            return await patiently(lambda: self._caller.client.status(identifier))
        except (ProviderError, ConfigurationError) as error:
            if error.status_code != 404:
                raise
            raise ConfigurationError(
                f"Provider {self._caller.provider!r} does not know the batch {identifier}, which the journal "
                "says was submitted. Use the key that it was submitted with, or another journal."
            ) from error

    def _leave(self, batches: List[OpenBatch]) -> None:
        """Wait for no batch that holds no row of this input; had it ended, it would have been collected."""
        for batch in batches:
            self._left.append(self._open.pop(batch.note.mark))
            logger.warning(
                "The batch %s of an earlier run holds no row of this input. It is left as it is; a run with "
                "its rows collects it from this journal.",
                batch.note.id,
            )

    async def _collect(self, batch: OpenBatch) -> None:
        status = batch.status
        assert status is not None, "it has ended"
        mark = batch.note.mark
        if status.state == FAILED and not (status.results or status.inline):
            left = [batch.rows[place] for place in self._notes.positions_left(mark) if place in batch.rows]
            faulty = [batch.rows[place] for place in status.faulty_lines if place in batch.rows]
            self._forget(batch)
            await self._dispatch.refused_late(status, left, faulty, was_alone=batch.was_alone)
            return
        fates = await self._collector.collect(batch, status)
        left_rows = [
            (batch.rows[place], batch.was_running and fates.get(place, False))
            for place in self._notes.positions_left(mark)
            if place in batch.rows
        ]
        self._forget(batch)
        self._dispatch.ask_again(left_rows, stops=batch.was_running and status.state == CANCELLED)

    def _forget(self, batch: OpenBatch) -> None:
        self._notes.forget(batch.note.mark)
        del self._open[batch.note.mark]

    # ---------------------------------------------------------------- results

    def _deliver(self, result: BulkResult) -> None:
        """Hand over what came of a row that waited."""
        self._tally.waiting -= 1
        self._allowance.settle(result)
        self._put(result)

    def _put(self, result: BulkResult) -> None:
        if result.error is not None and self._job.stops_at_error:
            self._first_error = self._first_error or result.error
        self._outbox.put(result)

    def _check_goes_on(self) -> None:
        """End the run at the first error, where that is wished; what else was paid is collected by then."""
        if self._first_error is not None:
            raise self._first_error


def _state_of(batch: OpenBatch) -> BatchState:
    status = batch.status
    if status is None:
        return BatchState(batch.note.id, "unknown", batch.note.requests)
    return BatchState(
        status.id,
        status.state,
        batch.note.requests,
        status.answered,
        status.failed,
        status.created_at,
        status.expires_at,
    )
