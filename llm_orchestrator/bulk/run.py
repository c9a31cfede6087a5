"""``BulkRun`` and ``AsyncBulkRun``: the results of ``map`` and ``amap``, one after the other."""

from __future__ import annotations

import asyncio
import time
from typing import Generic, Optional, Set, Tuple, Union

from llm_orchestrator.bulk.asking import Caller
from llm_orchestrator.bulk.batch import BatchEngine
from llm_orchestrator.bulk.engine import Engine
from llm_orchestrator.bulk.estimate import estimated
from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.loops import PrivateLoop, private_loop
from llm_orchestrator.bulk.messages import fields_of, messages_function
from llm_orchestrator.bulk.progress import Bar, listener_of
from llm_orchestrator.bulk.results import BulkEstimate, BulkResult, BulkSummary
from llm_orchestrator.bulk.rows import Rows
from llm_orchestrator.bulk.status import BulkStatus
from llm_orchestrator.bulk.tally import Tally
from llm_orchestrator.exceptions import InvalidRequestError, OrchestratorError
from llm_orchestrator.types import Parsed_co

__all__ = ["AsyncBulkRun", "BulkRun"]

#: Seconds for which finished rows are handed out without a look at the loop.
SLICE = 0.005


class _Run:
    """What both kinds have: the job, its sums, and its engine once it began."""

    def __init__(self, job: BulkJob, caller: Caller) -> None:
        messages_function(job.messages)  # says now that it is wrong
        self._job = job
        self._caller = caller
        shows = job.progress is not None and job.progress is not False
        self._rows = job.rows if isinstance(job.rows, Rows) else Rows(job.rows, counts=shows)
        self._rows.check_columns([*fields_of(job.messages), *([job.key] if isinstance(job.key, str) else [])])
        self._bar: Optional[Bar] = None
        listener, self._bar = listener_of(job.progress)
        self._tally = Tally(self._rows.total, listener)
        self._batches = caller.batches() if job.uses_batches else None  # says now that there is no such API
        self._engine: Union[Engine, BatchEngine, None] = None
        self._is_closed = False

    @property
    def summary(self) -> BulkSummary:
        """The sums so far, or at the end; may be read at any time, from any thread."""
        return self._tally.summary()

    def estimate(self) -> BulkEstimate:
        """Read all rows and estimate what they would cost, instead of asking; the run is over then.

        Returns:
            How many rows there are, of which kinds, and the tokens and dollars of those that would be asked.

        Raises:
            OrchestratorError: The run has begun, or has ended.
        """
        if self._engine is not None or self._is_closed:
            raise OrchestratorError("The run has begun. Make another one to estimate it.")
        try:
            return estimated(self._job, self._caller, self._rows)
        finally:
            self._ended()
            self._rows.close()

    async def _begin(self) -> Union[Engine, BatchEngine]:
        self._tally.begin()
        engine: Union[Engine, BatchEngine]
        if self._batches is not None:
            engine = BatchEngine(self._job, self._caller, self._batches, self._rows, self._tally)
        else:
            engine = Engine(self._job, self._caller, self._rows, self._tally)
        self._engine = engine
        engine.start()
        return engine

    def _check_has_batches(self) -> None:
        if self._batches is None:
            raise InvalidRequestError('Only a run with mode="batch" has batches to ask for. Use summary.')

    def _ended(self) -> None:
        self._is_closed = True
        self._tally.end()
        if self._bar is not None:
            self._bar.close()


class BulkRun(_Run, Generic[Parsed_co]):
    """The results of ``map``; iterate over it, once.

    Nothing is sent before the first row is asked for. Leaving early, by ``close``, the end of a ``with``
    block or dropping it, cancels what is under way; what was answered is in the journal, where there is one.

    Attributes:
        summary: The sums of the run, a ``BulkSummary``; may be read at any time.
    """

    def __init__(self, job: BulkJob, caller: Caller) -> None:
        self._loop: Optional[PrivateLoop] = None
        self._looked_at = 0.0
        super().__init__(job, caller)
        if not job.waits:
            self.status()  # everything is submitted when map returns

    def __iter__(self) -> BulkRun[Parsed_co]:
        return self

    def __next__(self) -> BulkResult[Parsed_co]:
        if self._is_closed:
            raise StopIteration
        try:
            result = self._next()
        except BaseException:  # a Ctrl-C leaves nothing open either
            self.close()
            raise
        if result is None:
            self.close()
            raise StopIteration
        return result

    def _next(self) -> Optional[BulkResult]:
        loop, engine = self._begun()
        if time.monotonic() - self._looked_at > SLICE:
            loop.run(asyncio.sleep(0))  # lets it see what has come
            self._looked_at = time.monotonic()
        result = engine.pop()
        if result is None:
            result = loop.run(_popped(engine))
            self._looked_at = time.monotonic()
        return result

    def _begun(self) -> Tuple[PrivateLoop, Union[Engine, BatchEngine]]:
        if self._loop is None:
            self._loop = private_loop()
            self._engine = self._loop.run(self._begin())
        if self._engine is None:
            raise OrchestratorError("The run did not begin. Start a new one.")
        return self._loop, self._engine

    def status(self) -> BulkStatus:
        """Ask how far the batches of a run with ``mode="batch"`` are, once everything is submitted.

        Returns:
            The batches that are not collected yet; after the end of the run, as they were last heard of.

        Raises:
            InvalidRequestError: The run has another mode.
            OrchestratorError: What ended the run.
        """
        self._check_has_batches()
        if self._is_closed:
            return self._engine.last_status() if isinstance(self._engine, BatchEngine) else BulkStatus()
        try:
            loop, engine = self._begun()
            assert isinstance(engine, BatchEngine), "as was checked"
            return loop.run(engine.status())
        except BaseException:  # a Ctrl-C leaves nothing open either
            self.close()
            raise

    def cancel(self) -> None:
        """Have the batches of a run with ``mode="batch"`` cancelled.

        What is answered by then is paid, and is among the results; the other rows have an error.

        Raises:
            InvalidRequestError: The run has another mode.
            OrchestratorError: The run has ended; or what ended it.
        """
        self._check_has_batches()
        if self._is_closed:
            raise OrchestratorError("The run has ended. Make the same run again to cancel its batches.")
        loop, engine = self._begun()
        assert isinstance(engine, BatchEngine), "as was checked"
        loop.run(engine.cancel())

    def close(self) -> None:
        """End the run: cancel what is under way, and close files and connections. Twice is fine."""
        if self._is_closed:
            return
        self._ended()
        try:
            if self._engine is not None and self._loop is not None:
                self._loop.run(self._engine.close(), to_the_end=True)
            else:
                self._rows.close()
        finally:
            if self._loop is not None:
                self._loop.close()

    def __enter__(self) -> BulkRun[Parsed_co]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_is_closed", True):
            self.close()


class AsyncBulkRun(_Run, Generic[Parsed_co]):
    """The results of ``amap``; iterate over it with ``async for``, once. Otherwise as ``BulkRun``.

    Attributes:
        summary: The sums of the run, a ``BulkSummary``; may be read at any time.
    """

    _home: Optional[asyncio.AbstractEventLoop] = None

    def __aiter__(self) -> AsyncBulkRun[Parsed_co]:
        return self

    async def __anext__(self) -> BulkResult[Parsed_co]:
        if self._is_closed:
            raise StopAsyncIteration
        try:
            result = await _popped(await self._abegun())
        except BaseException:  # a cancelled task leaves nothing open either
            await self.aclose()
            raise
        if result is None:
            await self.aclose()
            raise StopAsyncIteration
        return result

    async def _abegun(self) -> Union[Engine, BatchEngine]:
        if self._engine is None:
            self._home = asyncio.get_running_loop()
            self._engine = await self._begin()
        return self._engine

    async def status(self) -> BulkStatus:
        """Ask how far the batches are; see ``BulkRun.status``.

        Returns:
            The batches that are not collected yet.

        Raises:
            InvalidRequestError: The run has another mode.
            OrchestratorError: What ended the run.
        """
        self._check_has_batches()
        if self._is_closed:
            return self._engine.last_status() if isinstance(self._engine, BatchEngine) else BulkStatus()
        engine = await self._abegun()
        assert isinstance(engine, BatchEngine), "as was checked"
        return await engine.status()

    async def cancel(self) -> None:
        """Have the batches cancelled; see ``BulkRun.cancel``.

        Raises:
            InvalidRequestError: The run has another mode.
            OrchestratorError: The run has ended; or what ended it.
        """
        self._check_has_batches()
        if self._is_closed:
            raise OrchestratorError("The run has ended. Make the same run again to cancel its batches.")
        engine = await self._abegun()
        assert isinstance(engine, BatchEngine), "as was checked"
        await engine.cancel()

    async def aclose(self) -> None:
        """End the run: cancel what is under way, and close its files. Twice is fine."""
        if self._is_closed:
            return
        self._ended()
        if self._engine is not None:
            await self._engine.close()
        else:
            self._rows.close()

    async def __aenter__(self) -> AsyncBulkRun[Parsed_co]:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        engine, home = getattr(self, "_engine", None), self._home
        if engine is None or home is None or self._is_closed or home.is_closed():
            return
        home.call_soon_threadsafe(_close_on, home, engine)


async def _popped(engine: Union[Engine, BatchEngine]) -> Optional[BulkResult]:
    """Wait for a finished row and take it; None at the end."""
    return engine.pop() if await engine.wait() else None


_closing: Set[asyncio.Task[None]] = set()


def _close_on(loop: asyncio.AbstractEventLoop, engine: Union[Engine, BatchEngine]) -> None:
    task = loop.create_task(engine.close())
    _closing.add(task)  # the loop itself keeps no task alive
    task.add_done_callback(_closing.discard)
