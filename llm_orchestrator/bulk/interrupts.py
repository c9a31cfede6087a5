"""What a Ctrl-C does while a run's loop is driven: it ends the waiting, as it does under ``asyncio.run``.

Raised in the middle of a row it would be taken for the row's fault, or leave its connection open.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import Any, Optional

__all__ = ["Interrupts"]


class Interrupts:
    """Takes Ctrl-C over from Python's own handler while a loop runs; an application's own is left alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._task: Optional[asyncio.Task[Any]] = None
        self._may_cancel = False
        self._is_due = self._is_installed = False

    def begin(self, task: asyncio.Task[Any], *, may_cancel: bool) -> None:
        """From now on the loop runs until this task is done."""
        self._task, self._may_cancel = task, may_cancel
        is_main = threading.current_thread() is threading.main_thread()  # no other may have handlers
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._is_installed = True

    def end(self) -> None:
        """The loop does not run any more."""
        if self._is_installed:
            self._is_installed = False
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._task = None

    def check(self) -> None:
        """Raise the Ctrl-C that came while the loop ran."""
        if self._is_due:
            self._is_due = False
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: Any) -> None:
        if self._task is None or self._is_due:  # the second one, of an impatient user
            signal.default_int_handler(number, frame)
        self._is_due = True
        if self._may_cancel:
            self._task.cancel()
            self._loop.call_soon_threadsafe(lambda: None)  # wakes the loop
