"""The spool: a folder of files in which rows wait on their way to the database.

A file belongs to the process that holds its lock, and each row is one write to it. The lock of a process that
ended is free, so that any other can carry over what it left. A file is a CSV ledger with ids in front: people
can read it, and ``ledger import`` too.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Generator, Iterator, List, NamedTuple, Optional, Sequence, Union
from uuid import UUID

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.models.cache import default_cache_path
from llm_orchestrator.usage.columns import COLUMNS
from llm_orchestrator.usage.ledger_csv import encode, encode_values
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.utils.file_lock import lock
from llm_orchestrator.utils.files import open_regular, pinned

__all__ = ["COLUMNS_OF_LINES", "Chunk", "Spool", "read_chunks", "spool_root"]

#: What a line holds. It begins every file, so that a later version knows what the cells are.
COLUMNS_OF_LINES = ("id", *COLUMNS)
HEADER = encode(COLUMNS_OF_LINES)
#: Rows that are carried over at once.
BATCH = 500
#: Bytes after which a new file is begun: one that is always being added to is never empty, and never cut.
MOST_BYTES = 16_000_000
#: Seconds to try for the lock of a new file, which only a process that looks for old ones may hold.
_PATIENCE = 0.02
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND


class Chunk(NamedTuple):
    """Some lines of a file below its header, and where in it they end."""

    path: Path
    header: bytes
    lines: List[bytes]
    end: int


def spool_root(path: Union[str, Path, None]) -> Path:
    """The folder with the spools of all databases; by default it is beside the cache of models."""
    return Path(pinned(path) if path else os.path.join(os.path.dirname(default_cache_path()), "spool"))


class Spool:
    """The files of one database, in a folder that a machine's processes share; for many threads at once."""

    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        self.folder = folder
        self._fsync = fsync
        self._lock = threading.Lock()
        self._file: Optional[int] = None
        self._reading: Optional[int] = None  # reads the same file, also when somebody removed it
        self._path: Optional[Path] = None
        self._size = self._carried = 0
        self._check()

    def _check(self) -> None:
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise ConfigurationError(
                f"The spool {self.folder} cannot be written: {error.strerror}. "
                "Change its permissions or spool_path."
            ) from error

    def append(self, record: UsageRecord) -> None:
        """Write a row; an OSError when it could not be written whole."""
        line = b"%s,%s" % (_new_id(), encode_values(record.values()))
        with self._lock:
            if self._file is None or self._size > MOST_BYTES:
                self._begin()
            self._write(line)

    def _begin(self) -> None:
        self._release()
        os.makedirs(self.folder, mode=0o700, exist_ok=True)  # somebody may have tidied up
        while self._path is None:
            self._path = self.folder / f"{time.time_ns():020}-{os.getpid()}-{os.urandom(4).hex()}.csv"
            self._file = open_regular(self._path, _NEW)
            if not (
                _is_locked(self._file) and self._path.exists()
            ):  # one that looks for old files was faster
                self._release()
        self._reading = open_regular(self._path)
        self._write(HEADER)
        self._carried = self._size

    def _write(self, line: bytes) -> None:
        assert self._file is not None, "a file was begun"
        if os.write(self._file, line) != len(line):
            raise OSError(errno.ENOSPC, "only a part of the row could be written", str(self._path))
        self._size += len(line)
        if self._fsync:
            os.fsync(self._file)

    def next_chunk(self) -> Optional[Chunk]:
        """Rows of this process that were not carried over; None where all were."""
        with self._lock, self._own_chunks() as chunks:
            return next(chunks, None)

    @contextmanager
    def _own_chunks(self) -> Iterator[Iterator[Chunk]]:
        """The rows of this process that were not carried over, read by whoever holds the lock."""
        if self._reading is None or self._path is None or self.is_empty:
            yield iter(())
            return
        with open(self._reading, "rb", closefd=False) as file:
            yield _chunks(file, self._path, HEADER, self._carried)

    @property
    def is_empty(self) -> bool:
        """Whether all rows of this process were carried over."""
        return self._carried == self._size

    def mark_carried(self, chunk: Chunk) -> None:
        """Note that rows were carried over; a file of which all were is emptied."""
        with self._lock:
            if chunk.path == self._path and self._file is not None:
                self._carried = chunk.end
                if self.is_empty and not self._path.exists():
                    self._release()
                elif self.is_empty:
                    os.ftruncate(self._file, len(HEADER))
                    self._carried = self._size = len(HEADER)

    def abandoned(self) -> Iterator[Path]:
        """Find the files of processes that ended; each is locked until the next is asked for."""
        for path in sorted(self.folder.glob("*.csv")):
            if path != self._path:
                with _locked(path) as is_ours:
                    if is_ours:
                        yield path

    def set_aside(self, header: bytes, lines: Sequence[bytes]) -> Path:
        """Keep rows that the database refuses where a person finds them."""
        path = self.folder / f"{time.time_ns():020}-{os.getpid()}.refused"
        with open(open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as file:
            file.write(header + b"".join(lines))
        return path

    def waiting(self) -> int:
        """How many rows wait: those of this process, and what ended processes left behind."""
        with self._lock, self._own_chunks() as chunks:
            own = sum(len(chunk.lines) for chunk in chunks)
        return own + sum(map(_rows_in, self.abandoned()))

    def in_use(self) -> int:
        """How many rows lie in the files of processes that run, some of which may be carried over already."""
        free = set(self.abandoned())
        return sum(_rows_in(path) for path in self.folder.glob("*.csv") if path not in free | {self._path})

    def refused(self) -> List[Path]:
        """The files of rows that were set aside."""
        return sorted(self.folder.glob("*.refused"))

    def close(self) -> None:
        """Give the file back, for others to adopt what is in it; a later row begins another."""
        with self._lock:
            self._release()

    def __del__(self) -> None:
        self._forget()  # of a tracker that was never closed; what its file holds is adopted

    def _release(self) -> None:
        if self._path is not None and self.is_empty:
            with suppress(OSError):
                os.remove(self._path)
        self._forget()

    def _forget(self) -> None:
        descriptors = self._file, self._reading
        self._file = self._reading = self._path = None
        self._size = self._carried = 0
        for descriptor in descriptors:
            if descriptor is not None:
                with suppress(OSError):  # every row was already written, there is nothing left to lose
                    os.close(descriptor)

    def renew_after_fork(self) -> None:
        """Begin anew in a child process; the file, its lock and its rows are the parent's."""
        self._lock = threading.Lock()
        self._forget()


def read_chunks(path: Path) -> Generator[Chunk, None, None]:
    """Read the rows of a file that another process wrote."""
    with open(open_regular(path), "rb") as file:
        header = file.readline()
        if header.endswith(b"\n"):
            yield from _chunks(file, path, header, len(header))


def _chunks(file: IO[bytes], path: Path, header: bytes, start: int) -> Iterator[Chunk]:
    """Read rows from a place on; half a line at the end never was one."""
    file.seek(start)
    while True:
        lines = [line for line in islice(file, BATCH) if line.endswith(b"\n")]
        if not lines:
            return
        start += sum(map(len, lines))
        yield Chunk(path, header, lines, start)


def _rows_in(path: Path) -> int:
    with suppress(OSError):  # another process has just carried it over
        return sum(len(chunk.lines) for chunk in read_chunks(path))
    return 0


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Try for the lock of a file: False where its process still lives, and where there are no locks."""
    descriptor: Optional[int] = None
    with suppress(OSError):  # it is gone, or another user's
        descriptor = open_regular(path, os.O_RDWR)
    try:
        yield descriptor is not None and _is_free(descriptor) and path.exists()
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    """Lock a new file; where there are no locks nobody adopts anything, and none is needed."""
    try:
        return lock(descriptor, _PATIENCE)
    except OSError:
        return True


def _is_free(descriptor: int) -> bool:
    try:
        return lock(descriptor, 0)
    except OSError:
        return False


def _new_id() -> bytes:
    """A new id (UUID version 7): later ones are greater, so that the database adds them at one end."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    randomness = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
    number = milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | randomness
    return str(UUID(int=number)).encode()
