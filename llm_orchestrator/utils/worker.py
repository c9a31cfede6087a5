"""One thread that does work in the order in which it came, for threads and event loops that wait for it.

The thread ends when nothing is left, and does not keep the program alive, however long a server is silent.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future, TimeoutError
from typing import Any, Callable, Deque, Tuple, TypeVar

__all__ = ["SerialWorker", "SilenceError"]

Result = TypeVar("Result")
#: Seconds, at least, between two looks at work that is due.
_SHORTEST = 0.005


class SilenceError(Exception):
    """Nothing has come to an end for too long; what was waited for may still be done."""


class SerialWorker:
    """Does work one by one.

    Args:
        name: What its thread is called.
        patience: Seconds after which waiting is given up when no work comes to its end, or says that it goes
            on. Work that is in line behind other work is waited for as long as that goes on.
    """

    def __init__(self, name: str, patience: float) -> None:
        self._name = name
        self._patience = patience
        self.renew()

    def renew(self) -> None:
        """Begin anew, without what waits; after a fork the thread does not exist here."""
        self._waiting: Deque[Tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock = threading.Lock()
        self._is_at_work = False
        self._progress = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing left to do."""
        return not self._is_at_work

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Have work done after all that came before; waits for nothing."""
        future: Future[Result] = Future()
        with self._lock:
            self._waiting.append((future, work))
            is_first, self._is_at_work = not self._is_at_work, True
            if is_first:
                self._progress = time.monotonic()
        if is_first:
            try:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            except RuntimeError:  # the system has no thread left, or the program is at its end
                self._work()
        return future

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_at_work = False
                    return
                future, work = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 (whoever waits for it gets it)
                    future.set_exception(error)
            self.go_on()

    def go_on(self) -> None:
        """Note that the work goes on, although it is not at its end."""
        self._progress = time.monotonic()

    def wait(self, future: Future[Result]) -> Result:
        """Wait for work in this thread."""
        began = time.monotonic()
        while True:
            try:
                return future.result(self._seconds_left(began))
            except TimeoutError:
                if future.done():  # the work itself ended so
                    raise
                self._check_progress(future, began)

    async def await_(self, future: Future[Result]) -> Result:
        """Wait for work on a loop; a task that is cancelled takes back what was not begun."""
        import asyncio

        began = time.monotonic()
        waiting = asyncio.wrap_future(future)
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=self._seconds_left(began))
                if done:
                    return waiting.result()
                self._check_progress(future, began)
        finally:
            waiting.cancel()

    def _seconds_left(self, began: float) -> float:
        return max(max(self._progress, began) + self._patience - time.monotonic(), _SHORTEST)

    def _check_progress(self, future: Future[Any], began: float) -> None:
        if time.monotonic() - max(self._progress, began) >= self._patience:
            future.cancel()
            raise SilenceError
