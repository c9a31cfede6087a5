"""Reads rows one by one: of any iterable, or of a file of JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import json
import os
from collections import abc
from itertools import islice
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

from llm_orchestrator.exceptions import ConfigurationError, InvalidMessagesError, InvalidRequestError

__all__ = ["BadRow", "Rows"]


class BadRow:
    """A row that cannot be read, in the place of the row."""

    def __init__(self, text: Any, problem: str) -> None:
        self.text = text
        self.error = InvalidMessagesError(problem)


class Rows:
    """The rows of a run, read only when they are asked for.

    Args:
        source: An iterable, or the path of a file.
        limit: Read no more than so many.
        counts: Read a file once more beforehand, to know how many rows it has.

    Attributes:
        total: How many there are; None where that is not known.
    """

    def __init__(self, source: Any, *, limit: Optional[int] = None, counts: bool = False) -> None:
        self.total: Optional[int] = None
        self._left = limit
        self._columns: Optional[List[str]] = None  # of a file in which every row has the same
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            self._iterator: Iterator[Any] = _read_file(path)
            self._columns = _columns_of(path)
            if counts:
                self.total = sum(1 for _ in islice(_read_file(path), limit))
            return
        if isinstance(source, (abc.Mapping, bytes)) or not isinstance(source, abc.Iterable):
            raise InvalidRequestError(
                f"rows is a {type(source).__name__}. Pass an iterable of rows, or the path of a file."
            )
        if isinstance(source, abc.Sized):
            self.total = len(source) if limit is None else min(len(source), limit)
        self._iterator = iter(source)

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> Any:
        if self._left is not None:
            if self._left == 0:
                raise StopIteration
            self._left -= 1
        return next(self._iterator)

    def check_columns(self, fields: Iterable[str]) -> None:
        """Refuse fields that no row can have; without this each row would fail for itself."""
        for field in fields:
            if self._columns is not None and field not in self._columns:
                raise InvalidRequestError(
                    f"The file of rows has no column {field!r}. It has {', '.join(self._columns) or 'none'}. "
                    "Correct messages or key, or the first line of the file."
                )

    def close(self) -> None:
        """Close the file, or the generator, that the rows come from."""
        close = getattr(self._iterator, "close", None)
        if callable(close):
            close()


def _read_file(path: Path) -> Iterator[Any]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigurationError(
            f"{path} cannot be read: its ending is none of {', '.join(_READERS)}. "
            "Convert it, or pass an iterable of rows."
        )
    if not path.is_file():
        raise ConfigurationError(f"There is no file {path}. Check the path.")
    return reader(path)


def _columns_of(path: Path) -> Optional[List[str]]:
    if path.suffix.lower() == ".parquet":
        with _parquet_file(path) as table:
            return list(table.schema_arrow.names)
    if path.suffix.lower() != ".csv":
        return None
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), None)
    except (csv.Error, UnicodeDecodeError):  # which its first row says
        return None


def _json_lines(path: Path) -> Iterator[Any]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                yield json.loads(text)
            except ValueError as error:
                yield BadRow(
                    text.decode("utf-8", "replace").rstrip("\r\n"),
                    f"Line {number} of {path} is not valid JSON: {error}. Mend it, or remove it.",
                )


def _csv_rows(path: Path) -> Iterator[Any]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="")
        while True:
            try:
                row: Dict[Any, Any] = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnicodeDecodeError) as error:
                yield BadRow(
                    None,
                    f"{path} cannot be read after line {reader.line_num}: {error}. Save it as CSV in UTF-8.",
                )
                return
            if "" in row and isinstance(row[""], list):
                yield BadRow(row, f"Line {reader.line_num} of {path} has too many cells. Quote its commas.")
            elif None in row.values():
                yield BadRow(row, f"Line {reader.line_num} of {path} has too few cells. Complete it.")
            else:
                yield row


def _parquet_rows(path: Path) -> Iterator[Any]:
    return _of_batches(_parquet_file(path))


def _parquet_file(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError(
            f'{path} is a Parquet file, which needs pyarrow. Run: pip install "llm-orchestrator[arrow]".'
        ) from error
    return parquet.ParquetFile(path)


def _of_batches(file: Any) -> Iterator[Any]:
    with file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()


_READERS: Dict[str, Callable[[Path], Iterator[Any]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
