"""Waits for what other threads and processes do."""

from __future__ import annotations

import time
from typing import Callable

__all__ = ["until"]


def until(true: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait far longer than it can take on a busy machine."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
