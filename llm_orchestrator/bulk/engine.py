"""The run itself, on one event loop: workers that pull rows, ask, and keep what comes.

A row's place is free again only when its answer is in the journal, so that at most ``concurrency`` answers
can be lost, and rows are pulled only while few results wait to be taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from decimal import Decimal
from typing import Any, Deque, Dict, List, Optional, Protocol

from llm_orchestrator.bulk.gate import Gate, Limits, RowPace, RunEndedError
from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.journal import Journal, Kept
from llm_orchestrator.bulk.prepare import Preparation, Prepared
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.bulk.rows import BadRow, Rows
from llm_orchestrator.bulk.spending import Spending
from llm_orchestrator.bulk.tally import Tally
from llm_orchestrator.bulk.waiting import Line
from llm_orchestrator.exceptions import (
    AllFallbacksFailedError,
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ModelNotFoundError,
    OrchestratorError,
    OutputParseError,
    OutputTruncatedError,
    QuotaExceededError,
)
from llm_orchestrator.types import LLMRequest, LLMResponse, Messages

__all__ = ["Caller", "Engine"]

#: Errors that every other row would meet, too.
HOLDS_FOR_ALL = (
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ModelNotFoundError,
    QuotaExceededError,
)
#: Rows between the one that is pulled and the one that is taken, for each place.
ROOM, ROOM_IN_ORDER = 2, 8


class Caller(Protocol):
    """What a run is given to call."""

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

    def parsed(self, content: str) -> Any:
        """Parse the text of an answer that was kept."""

    def estimated_cost(self, request: LLMRequest, completion: int) -> Optional[Decimal]:
        """What a row would cost with an answer of so many tokens."""


class Engine:
    """Carries a job out; made and used on one loop, but for ``tally``, which may be read from anywhere."""

    def __init__(self, job: BulkJob, caller: Caller, rows: Rows, tally: Tally) -> None:
        self._job = job
        self._caller = caller
        self._rows = rows
        self._tally = tally
        self._preparation = Preparation(job, caller)
        self._journal = Journal(job.journal) if job.journal is not None else None
        self._gate = tally.gate = Gate(job.concurrency, caller.limits)
        self._spending = Spending(job.max_cost, caller)
        self._room_left = job.concurrency * (ROOM_IN_ORDER if job.keeps_order else ROOM)
        self._room = Line()
        self._pulled = 0
        self._done: Deque[BulkResult] = deque()
        self._held_back: Dict[int, BulkResult] = {}
        self._next_index = 0
        self._change = asyncio.Event()
        self._is_ending = self._is_closed = False
        self._error: Optional[BaseException] = None
        self._workers: List[asyncio.Task[None]] = []
        self._active = 0

    def start(self) -> None:
        """Begin to ask."""
        loop = asyncio.get_running_loop()
        self._active = self._job.concurrency
        self._workers = [loop.create_task(self._work()) for _ in range(self._active)]
        for worker in self._workers:
            worker.add_done_callback(self._note_end)

    # ---------------------------------------------------------------- for the consumer

    def pop(self) -> Optional[BulkResult]:
        """Take a finished row, if there is one."""
        if not self._done:
            return None
        self._room_left += 1
        self._room.wake(1)
        return self._done.popleft()

    async def wait(self) -> bool:
        """Wait for a finished row; False, or the error of the run, when there will be no more."""
        while not self._done:
            if self._active == 0:
                if self._held_back:  # after rows that were given up
                    self._done.extend(self._held_back.pop(index) for index in sorted(self._held_back))
                    continue
                if self._error is not None:
                    raise self._error
                return False
            self._change.clear()
            await self._change.wait()
        return True

    async def close(self) -> None:
        """Cancel what is under way, keep what was answered, and close all files."""
        if self._is_closed:
            return
        self._is_closed = self._is_ending = True
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        try:
            if self._journal is not None:
                self._journal.close()
        finally:
            self._preparation.close()
            self._rows.close()

    # ---------------------------------------------------------------- a worker

    async def _work(self) -> None:
        while not self._is_ending:
            while self._room_left <= 0 and not self._is_ending:
                await self._room.wait()
            if self._may_not_pull():
                return
            try:
                row = next(self._rows)
            except StopIteration:
                self._is_ending = True
                self._room.wake_all()
                return
            except Exception as error:  # noqa: BLE001  # of the application's own iterable
                self._end(error)
                return
            self._room_left -= 1
            index, self._pulled = self._pulled, self._pulled + 1
            await self._handle(index, row)

    def _may_not_pull(self) -> bool:
        """Whether the run began to end while this worker waited."""
        return self._is_ending

    async def _handle(self, index: int, row: Any) -> None:
        try:
            prepared = self._preparation.of(index, row)
        except OrchestratorError as error:
            shown = row.text if isinstance(row, BadRow) else row
            self._deliver(BulkResult(self._preparation.key_of(row, index), index, shown, error=error))
            return
        try:
            known = self._journal.find(prepared.key_text, prepared.fingerprint) if self._journal else None
            if known is not None:
                self._deliver(self._resumed(prepared, known))
            else:
                await self._ask(prepared)
        except RunEndedError:
            return
        except Exception as error:  # noqa: BLE001  # it holds for all rows, or is nobody's
            self._end(error)

    def _resumed(self, prepared: Prepared, known: Kept) -> BulkResult:
        parsed = self._caller.parsed(known.content) if known.is_parsed else None
        return BulkResult(
            prepared.key,
            prepared.position,
            prepared.row,
            content=known.content,
            parsed=parsed,
            cost=known.cost,
            resumed=True,
        )

    async def _ask(self, prepared: Prepared) -> None:
        held = await self._spending.reserve(prepared.request)
        if held is None:
            self._tally.stopped = "max_cost"
            self._end(None)
            return
        response: Optional[LLMResponse] = None
        try:
            response = await self._caller.ask(prepared.request, RowPace(self._gate))
        except OrchestratorError as error:
            if self._is_for_all(error):
                raise
            response = _paid_answer(error)
            self._deliver(_result(prepared, response, error))
            return
        finally:
            self._spending.settle(held, response.cost if response is not None else None)
        try:
            if self._journal is not None:
                await self._journal.add(prepared.key_text, prepared.fingerprint, response)
        finally:  # it was paid, whatever became of the journal
            self._deliver(_result(prepared, response))

    def _is_for_all(self, error: OrchestratorError) -> bool:
        if self._gate.has_given_up or self._caller.is_closed:
            return True
        first = error.__cause__ if isinstance(error, AllFallbacksFailedError) else error
        return isinstance(error, HOLDS_FOR_ALL) or isinstance(
            first, (AuthenticationError, QuotaExceededError)
        )

    # ---------------------------------------------------------------- the end of a row, and of the run

    def _deliver(self, result: BulkResult) -> None:
        if self._is_closed:
            return
        self._tally.add(result)
        if result.error is not None and self._job.stops_at_error:
            self._end(result.error)
            return
        if self._job.keeps_order:
            self._held_back[result.index] = result
            while self._next_index in self._held_back:
                self._done.append(self._held_back.pop(self._next_index))
                self._next_index += 1
        else:
            self._done.append(result)
        self._change.set()

    def _end(self, error: Optional[BaseException]) -> None:
        """Ask no further row; those under way are paid, so they may end."""
        self._error = self._error or error
        self._is_ending = True
        self._gate.close()
        self._room.wake_all()
        self._change.set()

    def _note_end(self, worker: asyncio.Task[None]) -> None:
        self._active -= 1
        error = None if worker.cancelled() else worker.exception()
        if error is not None:  # the loop itself has raised a Ctrl-C, which must not come twice
            self._end(error if isinstance(error, Exception) else None)
        self._change.set()


def _paid_answer(error: OrchestratorError) -> Optional[LLMResponse]:
    """The answer that does not fit its schema, but was paid for."""
    return error.response if isinstance(error, (OutputParseError, OutputTruncatedError)) else None


def _result(
    prepared: Prepared, response: Optional[LLMResponse], error: Optional[OrchestratorError] = None
) -> BulkResult:
    return BulkResult(
        prepared.key,
        prepared.position,
        prepared.row,
        response=response,
        content=None if response is None else response.content,
        parsed=None if response is None else response.parsed,
        cost=None if response is None else response.cost,
        error=error,
    )
