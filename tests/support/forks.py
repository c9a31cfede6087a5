"""Runs work in forked children."""

from __future__ import annotations

import os
import traceback
import warnings
from typing import Any, Callable

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def start_child(work: Callable[[], Any]) -> int:
    """Fork and run work in the child, whose id is returned; a traceback goes to stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork beside threads
        child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:  # the child must not go on with the tests
            os._exit(1)
    return child


def succeeded(child: int) -> bool:
    """Wait for a child, and tell whether its work raised nothing."""
    return os.waitpid(child, 0)[1] == 0


def in_child(check: Callable[[], bool]) -> bool:
    """Tell whether a check holds in a forked child."""

    def work() -> None:
        assert check()

    return succeeded(start_child(work))
