"""The run itself, on one event loop: workers that pull rows, ask, and keep what comes.

A row's place is free again only when its answer is in the journal, so that at most ``concurrency`` answers
can be lost, and rows are pulled only while few results wait to be taken.
"""

from __future__ import annotations

import asyncio
from typing import Any, List, Optional

from llm_orchestrator.bulk.asking import Caller, MaxCostReachedError, RowAsker
from llm_orchestrator.bulk.gate import RunEndedError
from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.outbox import Outbox
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.bulk.rows import Rows
from llm_orchestrator.bulk.tally import Tally
from llm_orchestrator.bulk.waiting import Line

__all__ = ["Engine"]

#: Rows between the one that is pulled and the one that is taken, for each place.
ROOM, ROOM_IN_ORDER = 2, 8


class Engine:
    """Carries a job out; made and used on one loop, but for ``tally``, which may be read from anywhere."""

    def __init__(self, job: BulkJob, caller: Caller, rows: Rows, tally: Tally) -> None:
        self._job = job
        self._rows = rows
        self._tally = tally
        self._asker = RowAsker(job, caller)
        self._gate = tally.gate = self._asker.gate
        room = job.concurrency * (ROOM_IN_ORDER if job.keeps_order else ROOM)
        self._room_left = max(room, self._asker.width)
        self._together = min(self._asker.together, self._room_left)
        self._granted = 0
        self._room = Line()
        self._pulled = 0
        self._outbox = Outbox(job, tally)
        self._is_ending = self._is_closed = False
        self._error: Optional[BaseException] = None
        self._workers: List[asyncio.Task[None]] = []
        self._active = 0

    def start(self) -> None:
        """Begin to ask."""
        loop = asyncio.get_running_loop()
        self._active = self._asker.width
        self._workers = [loop.create_task(self._work()) for _ in range(self._active)]
        for worker in self._workers:
            worker.add_done_callback(self._note_end)

    # ---------------------------------------------------------------- for the consumer

    def pop(self) -> Optional[BulkResult]:
        """Take a finished row, if there is one."""
        result = self._outbox.pop()
        if result is not None:
            self._room_left += 1
            if self._room_left >= self._together:
                self._room.wake(self._together)
        return result

    async def wait(self) -> bool:
        """Wait for a finished row; False, or the error of the run, when there will be no more."""
        return await self._outbox.wait()

    async def close(self) -> None:
        """Cancel what is under way, keep what was answered, and close all files."""
        if self._is_closed:
            return
        self._is_closed = self._is_ending = True
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        try:
            self._asker.close()
        finally:
            self._rows.close()

    # ---------------------------------------------------------------- a worker

    async def _work(self) -> None:
        while not self._is_ending:
            while not self._has_room() and not self._is_ending:
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
            self._granted -= 1
            index, self._pulled = self._pulled, self._pulled + 1
            await self._handle(index, row)

    def _has_room(self) -> bool:
        """Whether a row may be pulled: so many one after another as fit into a request."""
        if self._granted == 0 and self._room_left >= self._together:
            self._granted = self._together
        return self._granted > 0

    def _may_not_pull(self) -> bool:
        """Whether the run began to end while this worker waited."""
        return self._is_ending

    async def _handle(self, index: int, row: Any) -> None:
        try:
            await self._asker.ask(index, row, self._deliver)
        except MaxCostReachedError:
            self._tally.stopped = "max_cost"
            self._end(None)
        except RunEndedError:
            return
        except Exception as error:  # noqa: BLE001  # it holds for all rows, or is nobody's
            self._end(error)

    # ---------------------------------------------------------------- the end of a row, and of the run

    def _deliver(self, result: BulkResult) -> None:
        if self._is_closed:
            return
        if result.error is not None and self._job.stops_at_error:
            self._tally.add(result)
            self._end(result.error)
        else:
            self._outbox.put(result)

    def _end(self, error: Optional[BaseException]) -> None:
        """Ask no further row; those under way are paid, so they may end."""
        self._error = self._error or error
        self._is_ending = True
        self._gate.close()
        self._room.wake_all()

    def _note_end(self, worker: asyncio.Task[None]) -> None:
        self._active -= 1
        error = None if worker.cancelled() else worker.exception()
        if error is not None:  # the loop itself has raised a Ctrl-C, which must not come twice
            self._end(error if isinstance(error, Exception) else None)
        if self._active == 0:
            self._outbox.end(self._error)
