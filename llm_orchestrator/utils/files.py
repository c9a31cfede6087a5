"""Files of the application: one rule for paths, for what is read, and for who may read what is written."""

from __future__ import annotations

import errno
import os
import stat
from typing import Optional, Union

__all__ = ["OWN_MODE", "open_regular", "pinned", "read_regular", "require_regular"]

Path = Union[str, "os.PathLike[str]"]

#: Mode of the files we make: what was asked and spent is the user's alone.
OWN_MODE = 0o600
#: What the system must know of every descriptor: no translation of line ends, and no child inherits it.
_ALWAYS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
#: A pipe without a writer would be waited for without end.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def pinned(path: Path) -> str:
    """A path with ``~`` expanded, and absolute: a program may change its folder later."""
    expanded = os.path.expanduser(os.fspath(path))
    try:
        return os.path.abspath(expanded)
    except OSError:  # the folder that the program was started in is gone; using the path will show it
        return expanded


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = OWN_MODE) -> int:
    """Open a file and give its descriptor; a folder, a device or a pipe is an OSError, at once."""
    descriptor = os.open(path, flags | _ALWAYS | _NO_WAIT, mode)
    try:
        require_regular(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def require_regular(status: os.stat_result, path: Path) -> None:
    """Refuse what is not a file that has an end."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "It is a device or a pipe, not a regular file", os.fspath(path))


def read_regular(path: Path, most: Optional[int] = None) -> bytes:
    """Read a file, or so many bytes of it."""
    with open(open_regular(path), "rb") as file:
        return file.read(-1 if most is None else most)
