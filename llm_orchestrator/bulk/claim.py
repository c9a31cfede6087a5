"""A run's claim on a file: two runs at once on one journal would ask the same rows, and pay them twice."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Optional

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.file_lock import lock, unlock

__all__ = ["Claim"]


class Claim:
    """A lock on a file beside the claimed one, which the system gives back when the program dies.

    A journal itself cannot be locked: to close it once more would take SQLite's own locks away.

    Args:
        path: The claimed file.
        refusal: What is said where another run has it.

    Raises:
        ConfigurationError: Another run has it.
        OSError: Nothing can be written beside it.
    """

    def __init__(self, path: str, refusal: str) -> None:
        self._path = f"{path}.lock"
        self._descriptor: Optional[int] = None
        while self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(descriptor, refusal)
                if self._is_named(descriptor):
                    self._descriptor = descriptor
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    def _is_named(self, descriptor: int) -> bool:
        """Whether the file still bears its name: the run before removes it when it ends."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let others in. Twice is fine."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            with suppress(OSError):  # Windows removes no file that is open; it is empty, and stays
                os.remove(self._path)
            with suppress(OSError):  # as when it was locked
                unlock(descriptor)
        finally:
            os.close(descriptor)


def _lock(descriptor: int, refusal: str) -> None:
    with suppress(OSError):  # a file system without locks; SQLite would hardly work on it either
        if not lock(descriptor, 0):
            raise ConfigurationError(refusal)
