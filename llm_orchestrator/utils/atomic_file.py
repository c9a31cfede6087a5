"""``atomic_file``: writes a file completely or not at all, also when the process crashes."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import BinaryIO, Iterator, Union

from llm_orchestrator.utils.files import require_regular

__all__ = ["atomic_file", "new_file_beside"]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def atomic_file(path: Union[str, os.PathLike[str]], *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` when the block ends, unless the block raises.

    A file that is there keeps its mode, and a link to it stays a link; a device or a pipe is not replaced.
    """
    target = os.path.realpath(path)
    with new_file_beside(target, mode) as file:
        with suppress(FileNotFoundError):
            status = os.stat(target)
            require_regular(status, target)
            _set_mode(file, stat.S_IMODE(status.st_mode))
        yield file
        file.close()
        os.replace(file.name, target)


@contextmanager
def new_file_beside(path: str, mode: int) -> Iterator[BinaryIO]:
    """Open a new file in the same folder, by a name that nobody can guess; it is removed at the end."""
    part = f"{path}.{os.urandom(8).hex()}.part"
    try:
        with open(part, "wb", opener=lambda name, _: os.open(name, _NEW, mode)) as file:
            yield file
    finally:
        with suppress(OSError, ValueError):  # it was renamed, or never created
            os.remove(part)


def _set_mode(file: BinaryIO, mode: int) -> None:
    if hasattr(os, "fchmod"):  # Windows has no such modes
        with suppress(OSError):  # nor has every file system
            os.fchmod(file.fileno(), mode)
