"""``atomic_file``: writes a file completely or not at all, also when the process crashes."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import BinaryIO, Iterator, Union

__all__ = ["atomic_file"]

_BINARY = getattr(os, "O_BINARY", 0)


@contextmanager
def atomic_file(path: Union[str, os.PathLike[str]], *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` when the block ends, unless the block raises."""
    # Threads and processes may write the same file at once, so each writer has a temporary file of its own.
    part = f"{os.fspath(path)}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, mode)
        with open(descriptor, "wb") as file:
            yield file
        os.replace(part, path)
    finally:
        with suppress(OSError, ValueError):  # it was renamed, or never created
            os.remove(part)
