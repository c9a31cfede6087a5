"""The ledger file: rows of usage appended to a CSV file that several processes may share.

One row is one physical line and one write to a descriptor opened for appending. A lock on the file orders
what must not happen twice (the header, mending a half-written row, rotation); the lines themselves are whole
without it, and nothing else is written without it. Meant for local file systems: network file systems
guarantee neither the lock nor whole appends.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.columns import COLUMNS, DETAIL_COLUMNS, REPORT_COLUMNS
from llm_orchestrator.usage.ledger_csv import check_header, encode, encode_values, read_cells, read_rows
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.usage.selection import ALL, Selection
from llm_orchestrator.utils.atomic_file import new_file_beside
from llm_orchestrator.utils.file_lock import lock, unlock
from llm_orchestrator.utils.files import OWN_MODE, open_regular, pinned

if TYPE_CHECKING:
    from llm_orchestrator.usage.tally import Tally

__all__ = ["Identity", "Ledger", "identity"]

logger = logging.getLogger(__name__)

#: What a file is, whatever it is called: device and number.
Identity = Tuple[int, int]

#: Seconds to try for the lock before a row is written without it: an application may be waiting.
LOCK_TIMEOUT = 0.05


class Ledger:
    """A CSV file of usage rows. Calls of ``append`` and ``close`` are for the owner to serialize."""

    def __init__(
        self, path: Union[str, Path], *, fsync: bool = False, rotate_mb: Optional[float] = None
    ) -> None:
        self.path = Path(_followed(pinned(path)))
        self._name = str(self.path)
        self._fsync = fsync
        self._rotate_bytes = None if rotate_mb is None else int(rotate_mb * 1_000_000)
        self._descriptor: Optional[int] = None
        self._opened: Optional[Identity] = None  # the file behind the descriptor
        self._columns: Optional[Sequence[str]] = None
        self._end = -1  # size of the file after our last row, when that row is known to be whole
        self._has_locks = True  # whether its file system has them
        self._check()

    def append(
        self, record: UsageRecord, *, lock_timeout: float = LOCK_TIMEOUT, without_lock: bool = True
    ) -> bool:
        """Write one row, whole or not at all as far as the system allows; returns whether it was written.

        ``lock_timeout`` is how many seconds to try for the file's lock, which another process may hold.
        ``without_lock`` says what happens then: the row is written all the same, or not written, so that the
        caller can try again later.
        """
        descriptor, size, locked = self._lock_current(lock_timeout)
        try:
            may_write = locked or (without_lock and self._is_row_alone(descriptor, size))
            if may_write:
                self._write(descriptor, size, record, locked)
            return may_write
        finally:
            if locked and self._has_locks:
                unlock(descriptor)

    def _is_row_alone(self, descriptor: int, size: int) -> bool:
        """Whether nothing but the row has to be written: two processes must not both write a header."""
        return size == self._end or (self._columns is not None and size > 0 and _ends_line(descriptor))

    def _write(self, descriptor: int, size: int, record: UsageRecord, locked: bool) -> None:
        lead_in = b"" if size == self._end else self._lead_in(descriptor, size)
        line = lead_in + _line_of(record, self._columns or COLUMNS)
        self._end = -1
        if os.write(descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, "only a part of the row could be written", str(self.path))
        self._end = size + len(line)
        if self._fsync:
            os.fsync(descriptor)
        if locked and self._rotate_bytes and self._end >= self._rotate_bytes:
            self._rotate()

    def __str__(self) -> str:
        return str(self.path)

    def settle(self) -> int:
        """See that every row is where it is read from: they all are, and none waits."""
        return 0

    def rows(self, selection: Selection = ALL) -> Iterator[Dict[str, str]]:
        """Read all rows, oldest file first, selected or not; broken lines are skipped with one warning."""
        for file, path in self.files():
            yield from read_rows(file, path)

    def cells(
        self, wanted: Sequence[str] = REPORT_COLUMNS, selection: Selection = ALL
    ) -> Iterator[Sequence[str]]:
        """Read what a report needs of the same rows, much faster than ``rows``."""
        for file, path in self.files():
            yield from read_cells(file, path, wanted)

    def pinned(self, selection: Selection) -> Selection:
        """The selection without rows that come later: those stand at the end, and are counted off."""
        return selection

    def summed(
        self, tally: Tally, selection: Selection, groupings: Mapping[str, Sequence[str]]
    ) -> Iterator[Sequence[str]]:
        """Give the rows that a tally has to add up: all."""
        return self.cells()

    def summed_page(self, sums: Any, selection: Selection) -> Iterator[Sequence[str]]:
        """Give the rows that a page has to add up: all."""
        return self.cells(DETAIL_COLUMNS)

    def say_if_missing(self) -> None:
        """Say that there is nothing to read: the path may be another one than was meant."""
        if not self.path.exists() and not self._rotated():
            logger.warning(
                "There is no ledger %s yet, so there is nothing to report. The first call creates it; if "
                "there were calls, check log_path.",
                self.path,
            )

    def files(self, since: Optional[Identity] = None) -> Iterator[Tuple[IO[bytes], Path]]:
        """Open the files of the ledger, oldest first."""
        # The current file is opened first: a rotation meanwhile neither hides its rows nor shows them twice.
        current = _open_if_there(self.path)
        with current or nullcontext():
            seen = identity(os.fstat(current.fileno())) if current else None
            if since is None or seen != since:
                for path in self._older(seen, since):
                    older = _open_if_there(path)
                    with older or nullcontext():
                        if older:
                            yield older, path
            if current:
                yield current, self.path

    def _older(self, current: Optional[Identity], since: Optional[Identity]) -> List[Path]:
        paths = [(path, identity(os.stat(path))) for path in self._rotated()]
        known = [file for _, file in paths]
        first = known.index(since) if since in known else 0
        return [path for path, file in paths[first:] if file != current]

    def would_read(self, path: Path) -> bool:
        """Whether a file is, or by its name would become, one of the ledger's."""
        if path.exists() and self.path.exists() and path.samefile(self.path):
            return True
        is_beside = os.path.realpath(path.parent) == os.path.realpath(self.path.parent)
        return is_beside and (path.name == self.path.name or self._number(path.name) is not None)

    def close(self) -> None:
        """Give the descriptor back; the next row opens the file again."""
        descriptor, self._descriptor = self._descriptor, None
        self._columns, self._end = None, -1
        if descriptor is not None:
            with suppress(OSError):  # every row was already written, there is nothing left to lose
                os.close(descriptor)

    def renew_after_fork(self) -> None:
        """Begin anew in a child process: a shared descriptor shares its lock."""
        self.close()

    def _check(self) -> None:
        """Fail now rather than at the first row that has to be written."""
        if self._rotate_bytes and sys.platform == "win32":
            raise ConfigurationError("Windows cannot rename a file that is open. Remove rotate_mb.")
        folder = self.path.parent
        try:
            if not (self.path.is_absolute() and folder.is_dir()):
                raise ConfigurationError(
                    f"The folder of the ledger {self.path} does not exist. Create it or change log_path."
                )
            if self.path.exists():
                self._check_existing()
            elif not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise ConfigurationError(
                f"The ledger {self.path} cannot be written: {error.strerror}. "
                "Change its permissions or log_path."
            ) from error

    def _check_existing(self) -> None:
        descriptor = open_regular(self.path, os.O_RDWR | os.O_APPEND)
        try:
            self._read_header(descriptor)
            if self._lock(descriptor, 0) and self._has_locks:
                unlock(descriptor)
        finally:
            os.close(descriptor)

    def _lock_current(self, lock_timeout: float) -> Tuple[int, int, bool]:
        """The file that bears the ledger's name now: its descriptor, its size, and whether it is locked."""
        for _ in range(20):
            if self._descriptor is None:
                self._descriptor = self._open()
                self._opened = identity(os.fstat(self._descriptor))
            locked = self._lock(self._descriptor, lock_timeout)
            try:
                status = os.stat(self._name)
                if identity(status) == self._opened:
                    return self._descriptor, status.st_size, locked
            except FileNotFoundError:
                pass  # somebody removed it: it is made anew
            self.close()  # this gives the lock back, too
        raise OSError(errno.EBUSY, "another program keeps replacing the file", str(self.path))

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND
        try:
            descriptor = open_regular(self.path, flags)
        except FileNotFoundError:
            self._begin()
            descriptor = open_regular(self.path, flags | os.O_CREAT)
        if self._columns is None:
            self._columns = self._read_header(descriptor)
        return descriptor

    def _begin(self) -> None:
        """Make the file with its header, unless another process is faster."""
        # Without links on this file system the header is written with the first row, under the lock.
        with suppress(OSError, NotImplementedError), new_file_beside(str(self.path), OWN_MODE) as file:
            file.write(encode(COLUMNS))
            file.flush()
            os.link(file.name, self.path)

    def _lock(self, descriptor: int, lock_timeout: float) -> bool:
        """Try for the lock; on a file system that has none, every row is written without it."""
        if self._has_locks:
            try:
                return lock(descriptor, lock_timeout)
            except OSError as error:
                self._has_locks = False
                logger.warning(
                    "The ledger %s is on a file system without locks (%s). Rows are written all the same; "
                    "let one process write to it, or put it on a local disk.",
                    self.path,
                    error.strerror,
                )
        return True

    def _lead_in(self, descriptor: int, size: int) -> bytes:
        """What has to stand before the next row: the header, the end of a half-written row, or nothing."""
        if size and self._columns is None:
            self._columns = self._read_header(descriptor)
            if self._columns is None:
                os.ftruncate(descriptor, 0)  # a process died while it wrote the header
                size = 0
        if not size:
            self._columns = COLUMNS
            return encode(COLUMNS)
        return b"" if _ends_line(descriptor) else b"\n"

    def _read_header(self, descriptor: int) -> Optional[Sequence[str]]:
        """The file's own columns; None when the file is empty or ends within our header."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        start = os.read(descriptor, 65536)
        if b"\n" not in start and encode(COLUMNS).startswith(start):
            return None
        header = start.split(b"\n", 1)[0].decode("utf-8-sig", "replace")
        columns = check_header(header, self.path)
        return COLUMNS if tuple(columns) == COLUMNS else columns

    def _rotated(self) -> List[Path]:
        """The rotated files, oldest first."""
        try:
            names = os.listdir(self.path.parent)
        except FileNotFoundError:  # the folder is gone, and all files with it
            return []
        numbers = [self._number(name) for name in names]
        return [self._aside(number) for number in sorted(number for number in numbers if number)]

    def _number(self, name: str) -> Optional[int]:
        """The number of the rotated file of this name; None when it is not one of them."""
        head, tail = self.path.stem + ".", self.path.suffix
        number = name[len(head) : len(name) - len(tail)]
        is_aside = name == f"{head}{number}{tail}" and number.isascii() and number.isdecimal()
        return int(number) if is_aside and number[0] != "0" else None

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.stem}.{number}{self.path.suffix}")

    def _rotate(self) -> None:
        number = 1
        while self._aside(number).exists():
            number += 1
        try:
            os.rename(self.path, self._aside(number))
        except OSError as error:  # the row is written, and not lost because the file keeps growing
            self._rotate_bytes = None
            logger.error("The ledger %s cannot be rotated and keeps growing: %s", self.path, error)


def identity(status: os.stat_result) -> Identity:
    """What a file is, whatever it is called."""
    return status.st_dev, status.st_ino


def _line_of(record: UsageRecord, columns: Sequence[str]) -> bytes:
    if columns is COLUMNS:
        return encode_values(record.values())
    row = record.to_row()
    if record.estimated and "estimated_cost" not in columns:
        row["cost"] = ""  # an older file has no column that would mark it as an estimate
    return encode([row.get(column, "") for column in columns])


def _ends_line(descriptor: int) -> bool:
    os.lseek(descriptor, -1, os.SEEK_END)
    return os.read(descriptor, 1) == b"\n"


def _followed(path: str) -> str:
    """The file that a link leads to, or rotation would rename the link."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # not a path that can exist; the check says so
        return path


def _open_if_there(path: Path) -> Optional[IO[bytes]]:
    try:
        return open(open_regular(path), "rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"The ledger {path} cannot be read: {error.strerror}. Make it a readable file or change log_path."
        ) from error
