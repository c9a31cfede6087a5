"""Runs a check in a forked child."""

from __future__ import annotations

import os
import traceback
import warnings
from typing import Callable

FAILED = 1


def in_child(check: Callable[[], bool]) -> bool:
    """Fork, run a check in the child, and tell the parent whether it held; a traceback goes to stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork beside threads
        child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        os._exit(0 if check() else FAILED)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(FAILED)
