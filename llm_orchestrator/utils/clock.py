"""The clock of all time limits, which stands still for a loop that nobody drives.

``map`` drives an event loop from its own iteration. While the application holds the iteration no answer can
be read, so that time counts for no limit: inside such a loop this clock is behind ``time.monotonic`` by it.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import Iterator

__all__ = ["behind", "monotonic", "set_back"]


class _Thread(threading.local):
    behind = 0.0


_thread = _Thread()


def monotonic() -> float:
    """Seconds on the clock of limits."""
    return time.monotonic() - _thread.behind


def behind() -> float:
    """By how many seconds this thread's clock is behind."""
    return _thread.behind


@contextmanager
def set_back(seconds: float) -> Iterator[None]:
    """Let this thread's clock be so many seconds behind."""
    before, _thread.behind = _thread.behind, seconds
    try:
        yield
    finally:
        _thread.behind = before
