"""Files that appear only when they are complete: a crash leaves the old file or the new one, never a half."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import BinaryIO, Iterator, Union

__all__ = ["atomic_file"]

_BINARY = getattr(os, "O_BINARY", 0)


@contextmanager
def atomic_file(path: Union[str, os.PathLike[str]], *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file that takes its place when the block ends, and not at all when the block fails."""
    # Threads and processes may write the same file at once: the name is this writer's own.
    part = f"{os.fspath(path)}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, mode)
        with open(descriptor, "wb") as file:
            yield file
        os.replace(part, path)
    finally:
        with suppress(OSError, ValueError):  # it has its final name, or was never made
            os.remove(part)
