"""The results that are ready to be taken, in the order that was asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Deque, Dict, Optional

from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.bulk.tally import Tally

__all__ = ["Outbox"]


class Outbox:
    """Counts results and hands them out; used on one loop."""

    def __init__(self, job: BulkJob, tally: Tally) -> None:
        self._keeps_order = job.keeps_order
        self._tally = tally
        self._ready: Deque[BulkResult] = deque()
        self._held_back: Dict[int, BulkResult] = {}
        self._next_index = 0
        self._change = asyncio.Event()
        self._error: Optional[BaseException] = None
        self.is_complete = False

    def __len__(self) -> int:
        return len(self._ready)

    def put(self, result: BulkResult) -> None:
        """Add a result."""
        self._tally.add(result)
        if not self._keeps_order:
            self._ready.append(result)
        else:
            self._held_back[result.index] = result
            while self._next_index in self._held_back:
                self._ready.append(self._held_back.pop(self._next_index))
                self._next_index += 1
        self._change.set()

    def end(self, error: Optional[BaseException] = None) -> None:
        """Say that no more will come, after rows that were given up; an error is raised behind the last."""
        self._ready.extend(self._held_back.pop(index) for index in sorted(self._held_back))
        self._error = self._error or error
        self.is_complete = True
        self._change.set()

    def pop(self) -> Optional[BulkResult]:
        """Take a result, if there is one."""
        return self._ready.popleft() if self._ready else None

    async def wait(self) -> bool:
        """Wait for a result; False, or the error of the run, when there will be no more."""
        while not self._ready:
            if self.is_complete:
                if self._error is not None:
                    raise self._error
                return False
            self._change.clear()
            await self._change.wait()
        return True
