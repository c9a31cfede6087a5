"""A database that is away: nobody waits for it; a thread asks it now and then until it answers again."""

from __future__ import annotations

import threading
import weakref
from typing import Callable

__all__ = ["Outage"]


class Outage:
    """Whether a database can be asked, for many threads.

    ``ask`` is the method that asks it again, as long as there is its object, and says by ``end`` that it is
    over; ``pause`` tells how many seconds to wait before.

    Attributes:
        reason: Why it cannot be asked; empty while it can.
    """

    def __init__(self, ask: Callable[[], object], pause: Callable[[], float]) -> None:
        self._ask = weakref.WeakMethod(ask)
        self._pause = pause
        self.renew()

    def renew(self) -> None:
        """Begin anew: after a fork the thread does not exist here."""
        self.reason = ""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._over.set()

    def begin(self, reason: str) -> bool:
        """Note that it is away; returns whether that is new."""
        with self._lock:
            self.reason = reason
            if not self._over.is_set():
                return False
            self._over = threading.Event()
        try:
            threading.Thread(
                target=self._watch, args=(self._over,), name="llm-budget-watch", daemon=True
            ).start()
        except RuntimeError:  # the system has no thread left, or the program is at its end
            self._over.set()  # the next call asks itself
            self.reason = ""
        return True

    def end(self) -> bool:
        """Note that it answers; returns whether it was away."""
        with self._lock:
            was_away, self.reason = bool(self.reason), ""
            self._over.set()
        return was_away

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(self._pause()):
            ask = self._ask()
            if ask is None:
                return
            ask()
            del ask  # so that nothing is kept alive meanwhile
