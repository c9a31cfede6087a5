"""Lets a fork wait while a thread gets ready what a first call needs: modules of the library, and SDKs.

A lock that a thread holds, such as that of a module it imports, would stay locked in the child, which has no
such thread, and the child's first call would wait for ever.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Dict

__all__ = ["forks_wait"]


class _ForksWait:
    """A context in which no other thread forks; it may be entered again inside."""

    def __init__(self) -> None:
        self._begin_anew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._stop, after_in_parent=self._go_on, after_in_child=self._begin_anew
            )

    def _begin_anew(self) -> None:
        self._change = threading.Condition()
        self._depths: Dict[int, int] = {}  # by thread
        self._is_stopped = False

    def __enter__(self) -> None:
        thread = threading.get_ident()
        with self._change:
            self._depths[thread] = self._depths.get(thread, 0) + 1

    def __exit__(self, *failure: Any) -> None:
        thread = threading.get_ident()
        with self._change:
            self._depths[thread] -= 1
            if not self._depths[thread]:
                del self._depths[thread]
                self._change.notify_all()

    def _stop(self) -> None:
        """Wait until no other thread is inside, and let none in."""
        self._change.acquire()
        self._is_stopped = True
        while self._depths.keys() - {threading.get_ident()}:
            self._change.wait()

    def _go_on(self) -> None:
        if self._is_stopped:  # a fork that was under way when this module was imported stopped nothing
            self._is_stopped = False
            self._change.release()


forks_wait = _ForksWait()
