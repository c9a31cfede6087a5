"""The private event loop of a sync run: driven by its iteration, or in a thread where a loop runs already."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Coroutine, Protocol, TypeVar, cast

from llm_orchestrator.bulk.interrupts import Interrupts
from llm_orchestrator.utils.clock import monotonic, set_back

__all__ = ["PrivateLoop", "private_loop"]

Result = TypeVar("Result")


class PrivateLoop(Protocol):
    """A loop of one run."""

    def run(self, work: Coroutine[Any, Any, Result], *, to_the_end: bool = False) -> Result:
        """Run the loop until the work is done, or a Ctrl-C comes that need not wait for its end."""

    def close(self) -> None:
        """End every task, close the connections of this loop, and the loop."""


def private_loop() -> PrivateLoop:
    """Make the loop of a run."""
    return _ThreadLoop() if _is_running() else _DrivenLoop()


def _is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_Usual: Any = getattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop)  # Windows has the first


class _PausingLoop(_Usual):  # type: ignore[misc]
    """A loop whose timers stand still while nobody drives it."""

    def time(self) -> float:
        """Seconds on the clock of limits."""
        return monotonic()


class _DrivenLoop:
    """Runs only while someone waits for it; the time between counts for no limit inside it."""

    def __init__(self) -> None:
        self._loop = _PausingLoop()
        self._interrupts = Interrupts(self._loop)
        self._was_broken_off = False
        self._held = 0.0
        self._left_at = time.monotonic()

    def run(self, work: Coroutine[Any, Any, Result], *, to_the_end: bool = False) -> Result:
        if _is_running():  # such as a finalizer inside a coroutine: this thread cannot run a second loop
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(self._drive, work, to_the_end).result()
        result = self._drive(work, to_the_end)
        if not to_the_end:
            self._interrupts.check()
        return result

    def _drive(self, work: Coroutine[Any, Any, Result], to_the_end: bool) -> Result:
        self._held += time.monotonic() - self._left_at
        task = self._loop.create_task(work)
        self._interrupts.begin(task, may_cancel=not to_the_end)
        try:
            self._settle()
            with set_back(self._held):
                return cast("Result", self._loop.run_until_complete(task))
        except asyncio.CancelledError:
            self._interrupts.check()
            raise
        except (KeyboardInterrupt, SystemExit):
            self._was_broken_off = True
            raise
        finally:
            self._interrupts.end()
            self._left_at = time.monotonic()

    def _settle(self) -> None:
        """Take the end of a run that was broken off, or it would be taken for the end of this one."""
        while self._was_broken_off:
            self._was_broken_off = False
            self._loop.call_soon(self._loop.stop)
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit):  # of another row; the first is on its way to the caller
                self._was_broken_off = True

    def close(self) -> None:
        if self._loop.is_closed():
            return
        try:
            self.run(_end_all(), to_the_end=True)
        finally:
            self._loop.close()
        self._interrupts.check()  # of one that came while it was closed


class _ThreadLoop:
    """Runs in a thread of its own, because the caller's thread has a loop that runs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="llm_orchestrator-map", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result], *, to_the_end: bool = False) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        if self._loop.is_closed():
            return
        try:
            self.run(_end_all())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _end_all() -> None:
    """What ``asyncio.run`` does at its end."""
    loop = asyncio.get_running_loop()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
