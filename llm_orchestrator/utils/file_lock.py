"""A lock on an open file that keeps other processes out, by ``fcntl``, or on Windows by ``msvcrt``."""

from __future__ import annotations

import importlib
import os
import time
from typing import Any, Optional

try:
    import fcntl as _fcntl
except ImportError:  # Windows

    fcntl: Any = None
else:
    fcntl = _fcntl

__all__ = ["lock", "unlock"]

#: The byte that is locked on Windows. There a lock keeps others from reading, too: so none that a file has.
_FAR_BYTE = 2**31 - 2
_PAUSE = 0.0005


def lock(descriptor: int, timeout: float) -> bool:
    """Try for so many seconds to get the lock; an OSError where the file system has none."""
    give_up: Optional[float] = None
    while not _try(descriptor):
        now = time.monotonic()
        give_up = now + timeout if give_up is None else give_up
        if now >= give_up:
            return False
        time.sleep(_PAUSE)
    return True


def unlock(descriptor: int) -> None:
    """Give the lock back."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    else:
        _lock_far_byte(descriptor, "LK_UNLCK")


def _try(descriptor: int) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _lock_far_byte(descriptor, "LK_NBLCK")
    except (BlockingIOError, PermissionError):  # how each of the two says that another one has it
        return False
    return True


def _lock_far_byte(descriptor: int, how: str) -> None:
    msvcrt: Any = importlib.import_module("msvcrt")
    os.lseek(descriptor, _FAR_BYTE, os.SEEK_SET)
    msvcrt.locking(descriptor, getattr(msvcrt, how), 1)
