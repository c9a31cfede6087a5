"""The clock of all time limits, which stands still for a loop that nobody drives.

``map`` drives an event loop from its own iteration. While the application holds the iteration no answer can
be read, so that time counts for no limit: inside such a loop this clock is behind ``time.monotonic`` by it.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import Dict, Iterator

__all__ = ["behind", "monotonic", "set_back"]


#: By how many seconds the clocks of threads are behind that are; in most programs there are none.
_behind: Dict[int, float] = {}


def monotonic() -> float:
    """Seconds on the clock of limits."""
    return time.monotonic() - behind() if _behind else time.monotonic()


def behind() -> float:
    """By how many seconds this thread's clock is behind."""
    return _behind.get(threading.get_ident(), 0.0)


@contextmanager
def set_back(seconds: float) -> Iterator[None]:
    """Let this thread's clock be so many seconds behind."""
    thread, before = threading.get_ident(), behind()
    _behind[thread] = seconds
    try:
        yield
    finally:
        if before:
            _behind[thread] = before
        else:
            del _behind[thread]
