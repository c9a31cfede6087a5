"""The ledger file: rows of usage appended to a CSV file that several processes may share.

One row is one physical line and one write to a descriptor opened for appending. An advisory lock on the file
orders what must not happen twice (the header, mending a half-written row, rotation); the lines themselves are
whole without it. Meant for local file systems: network file systems guarantee neither the lock nor whole
appends.
"""

from __future__ import annotations

import csv
import errno
import io
import logging
import os
import re
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from decimal import Decimal
from pathlib import Path
from typing import IO, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage_record import COLUMNS, REQUIRED_COLUMNS, parse_timestamp

if sys.platform != "win32":
    import fcntl

__all__ = ["Ledger", "Row", "write_csv"]

logger = logging.getLogger(__name__)

Row = Mapping[str, str]

#: Seconds to try for the lock before a row is written without it: an event loop may be waiting.
LOCK_PATIENCE = 0.05
_BINARY = getattr(os, "O_BINARY", 0)
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)

# A spreadsheet would run a cell that begins like this as a formula; the apostrophe in front makes it text.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
# Whatever some reader takes for the end of a line, and control characters that break CSV readers.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")


class Ledger:
    """A CSV file of usage rows. Calls of ``append`` and ``close`` are for the owner to serialize.

    Args:
        path: The CSV file; it is created with the first row.
        fsync: Wait for the disk after each row.
        rotate_mb: Megabytes from which on the file is put aside as ``name.1.csv``, ``name.2.csv`` ... and a
            new one is begun; None: never. The files put aside are still read.

    Raises:
        ConfigurationError: The file cannot be created or written, or is not a ledger.
    """

    def __init__(
        self, path: Union[str, Path], *, fsync: bool = False, rotate_mb: Optional[float] = None
    ) -> None:
        self.path = Path(os.path.abspath(os.path.expanduser(path)))
        self._fsync = fsync
        self._rotate_bytes = None if rotate_mb is None else int(rotate_mb * 1_000_000)
        self._descriptor: Optional[int] = None
        self._columns: Optional[Sequence[str]] = None
        self._check()

    def append(self, row: Row) -> None:
        """Write one row, whole or not at all as far as the system allows.

        Args:
            row: Text by column name.

        Raises:
            OSError: The row could not be written.
            ConfigurationError: Another program put a file in this place that is not a ledger.
        """
        with self._locked() as (descriptor, locked):
            lead_in = self._lead_in(descriptor)
            line = lead_in + _encode(row.get(column, "") for column in self._columns or COLUMNS)
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, "only a part of the row could be written", str(self.path))
            if self._fsync:
                os.fsync(descriptor)
            if locked and self._rotate_bytes and os.fstat(descriptor).st_size >= self._rotate_bytes:
                self._rotate()

    def rows(self) -> Iterator[Dict[str, str]]:
        """Read all rows, oldest file first, one at a time; broken lines are skipped with one warning.

        Yields:
            Text by column name.

        Raises:
            ConfigurationError: A file is not a ledger.
        """
        # The current file is opened first: a rotation meanwhile neither hides its rows nor shows them twice.
        current = _open_if_there(self.path)
        with current or nullcontext():
            seen = os.fstat(current.fileno()) if current else None
            for path in self._rotated():
                if seen is None or not os.path.samestat(seen, os.stat(path)):
                    with _open_text(path) as file:
                        yield from _read_rows(file, path)
            if current:
                yield from _read_rows(current, self.path)

    def close(self) -> None:
        """Give the descriptor back; the next row opens the file again."""
        descriptor, self._descriptor, self._columns = self._descriptor, None, None
        if descriptor is not None:
            with suppress(OSError):  # every row was already written, there is nothing left to lose
                os.close(descriptor)

    def _check(self) -> None:
        """Fail now rather than at the first row that has to be written."""
        if self._rotate_bytes and sys.platform == "win32":
            raise ConfigurationError(
                "rotate_mb needs file locks this system does not have. Remove rotate_mb."
            )
        folder = self.path.parent
        try:
            if not folder.is_dir():
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
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | _BINARY)
        try:
            self._read_header(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[Tuple[int, bool]]:
        """The descriptor of the file that bears the ledger's name now, and whether it could be locked."""
        for _ in range(20):
            if self._descriptor is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY | _CLOSE_ON_EXEC
                self._descriptor = os.open(self.path, flags, 0o666)
            locked = _lock(self._descriptor)
            if self._is_current(self._descriptor):
                break
            self.close()
        else:
            raise OSError(errno.EBUSY, "the file is replaced again and again", str(self.path))
        descriptor = self._descriptor
        try:
            yield descriptor, locked
        finally:
            if locked:
                _unlock(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _lead_in(self, descriptor: int) -> bytes:
        """What has to stand before the next row: the header, the end of a half-written row, or nothing."""
        if os.fstat(descriptor).st_size and self._columns is None:
            self._columns = self._read_header(descriptor)
            if self._columns is None:
                os.ftruncate(descriptor, 0)  # a process died while it wrote the header
        if not os.fstat(descriptor).st_size:
            self._columns = COLUMNS
            return _encode(COLUMNS)
        os.lseek(descriptor, -1, os.SEEK_END)
        return b"" if os.read(descriptor, 1) == b"\n" else b"\n"

    def _read_header(self, descriptor: int) -> Optional[List[str]]:
        """The file's own columns; None when the file is empty or ends within our header."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        start = os.read(descriptor, 65536)
        if b"\n" not in start and _encode(COLUMNS).startswith(start):
            return None
        header = start.split(b"\n", 1)[0].decode("utf-8-sig", "replace")
        return _check_header(header, self.path)

    def _rotated(self) -> List[Path]:
        """The files put aside, oldest first."""
        pattern = re.compile(re.escape(self.path.stem) + r"\.(\d+)" + re.escape(self.path.suffix))
        matches = (pattern.fullmatch(name) for name in os.listdir(self.path.parent))
        numbers = sorted(int(match.group(1)) for match in matches if match)
        return [self._aside(number) for number in numbers]

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.stem}.{number}{self.path.suffix}")

    def _rotate(self) -> None:
        number = 1
        while self._aside(number).exists():
            number += 1
        try:
            os.rename(self.path, self._aside(number))
        except OSError as error:  # the row is written; a file that grows on is no reason to report it lost
            self._rotate_bytes = None
            logger.error("The ledger %s cannot be rotated and grows on: %s", self.path, error)


def write_csv(path: Path, rows: Iterable[Row]) -> int:
    """Write rows to a new CSV file, which appears only when it is complete.

    Args:
        path: The file to write; one that exists is replaced.
        rows: Text by column name.

    Returns:
        Number of rows written.

    Raises:
        OSError: The file cannot be written.
    """
    count = 0
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(_encode(COLUMNS))
            for row in rows:
                file.write(_encode(row.get(column, "") for column in COLUMNS))
                count += 1
        os.replace(part, path)
    finally:
        with suppress(FileNotFoundError):  # it has its final name
            part.unlink()
    return count


def _lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        return False
    give_up = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > give_up:
                return False
            time.sleep(0.0005)


def _unlock(descriptor: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _encode(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_guard(cell) for cell in cells])
    return line.getvalue().encode("utf-8", "backslashreplace")


def _guard(cell: str) -> str:
    if _FORMULA.match(cell):
        cell = "'" + cell
    return _CONTROL.sub(" ", cell)


def _decode(line: str) -> List[str]:
    """The cells of one physical line; an unclosed quote is an error instead of swallowing the next line."""
    cells = next(csv.reader([line], strict=True)) if '"' in line else line.split(",")
    if "'" in line:
        cells = [cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell for cell in cells]
    return cells


def _open_text(path: Path) -> IO[str]:
    return open(path, encoding="utf-8-sig", errors="replace", newline="\n")


def _open_if_there(path: Path) -> Optional[IO[str]]:
    try:
        return _open_text(path)
    except FileNotFoundError:
        return None


def _check_header(header: str, path: Path) -> List[str]:
    try:
        columns = _decode(header.rstrip("\r\n"))
    except csv.Error:
        columns = []
    missing = [column for column in REQUIRED_COLUMNS if column not in columns]
    if missing:
        raise ConfigurationError(
            f"The file {path} is not a ledger: its first line lacks the columns {', '.join(missing)}. "
            "Move the file away or change log_path."
        )
    return columns


def _read_rows(file: IO[str], path: Path) -> Iterator[Dict[str, str]]:
    header = file.readline()
    if not header.endswith("\n") and ",".join(COLUMNS).startswith(header):
        return  # empty, or cut within its header
    columns = _check_header(header, path)
    broken = 0
    for line in file:
        row = _read_row(line, columns)
        if row is not None:
            yield row
        elif line != header:  # without file locks two processes may both have written the header
            broken += 1
    if broken:
        logger.warning("Skipped %d broken or half-written line(s) of the ledger %s.", broken, path)


def _read_row(line: str, columns: Sequence[str]) -> Optional[Dict[str, str]]:
    """The row by column name; None when the line is not a whole row."""
    try:
        cells = _decode(line.rstrip("\r\n"))
        row = dict(zip(columns, cells))
        parse_timestamp(row["timestamp"])
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            int(row[name] or 0)
        whole = len(cells) == len(columns) and Decimal(row["cost"] or 0).is_finite()
    except (KeyError, ValueError, ArithmeticError, csv.Error):
        return None
    return row if whole and row.get("schema", "?") else None
