"""Files, written row by row: JSON lines, CSV and Parquet. An old file stays until the new one is there."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Protocol

from llm_orchestrator.exceptions import ConfigurationError

__all__ = ["ENDINGS", "Table", "open_table"]

#: Rows of one group of a Parquet file.
GROUP = 5000


class Table(Protocol):
    """A file that is being written."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a row."""

    def close(self) -> None:
        """Put the file in its place."""

    def discard(self) -> None:
        """Leave what was in its place before."""


def open_table(path: Path) -> Table:
    """Begin to write a file in the form that its ending names.

    Raises:
        ConfigurationError: The ending is unknown, the file cannot be written, or pyarrow is missing.
    """
    make = ENDINGS.get(path.suffix.lower())
    if make is None:
        raise ConfigurationError(
            f"{path} cannot be written: its ending is none of {', '.join(ENDINGS)}. Name another file."
        )
    try:
        return make(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"{path} cannot be written: {reason}. Name another file.") from error


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _put(file: IO[Any], path: Path) -> None:
    file.close()
    os.replace(_part_of(path), path)


def _drop(file: IO[Any], path: Path) -> None:
    file.close()
    os.remove(_part_of(path))


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(_part_of(path), "w", encoding="utf-8")  # noqa: SIM115  # close() does

    def write(self, row: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")

    def close(self) -> None:
        _put(self._file, self._path)

    def discard(self) -> None:
        _drop(self._file, self._path)


class _Csv:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(_part_of(path), "w", encoding="utf-8", newline="")  # noqa: SIM115  # close() does
        self._writer: Optional[csv.DictWriter[str]] = None

    def write(self, row: Mapping[str, Any]) -> None:
        cells = {name: _cell(value) for name, value in flat(row).items()}
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(cells), extrasaction="ignore")
            self._writer.writeheader()
        self._writer.writerow(cells)

    def close(self) -> None:
        _put(self._file, self._path)

    def discard(self) -> None:
        _drop(self._file, self._path)


class _Parquet:
    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise ConfigurationError(
                f'{path} is a Parquet file, which needs pyarrow. Run: pip install "llm-orchestrator[arrow]".'
            ) from error
        self._path = path
        self._arrow: Any = pyarrow
        self._parquet: Any = parquet
        self._file = open(_part_of(path), "wb")  # noqa: SIM115  # close() does
        self._rows: List[Dict[str, Any]] = []
        self._writer: Any = None

    def write(self, row: Mapping[str, Any]) -> None:
        self._rows.append(flat(row))
        if len(self._rows) >= GROUP:
            self._flush()

    def _flush(self) -> None:
        try:
            if self._writer is None:
                schema = _with_texts(self._arrow, self._arrow.Table.from_pylist(self._rows).schema)
                self._writer = self._parquet.ParquetWriter(self._file, schema)
            table = self._arrow.Table.from_pylist(self._rows, schema=self._writer.schema)
        except (self._arrow.ArrowInvalid, self._arrow.ArrowTypeError) as error:
            raise ConfigurationError(
                f"The rows do not fit into the columns of {self._path}: {error}. Write a .jsonl file instead."
            ) from error
        self._writer.write_table(table)
        self._rows.clear()

    def close(self) -> None:
        if self._rows or self._writer is None:
            self._flush()
        self._writer.close()
        _put(self._file, self._path)

    def discard(self) -> None:
        _drop(self._file, self._path)


def _with_texts(arrow: Any, schema: Any) -> Any:
    """Columns that hold nothing yet are of text, such as that of errors."""
    for position, field in enumerate(schema):
        if arrow.types.is_null(field.type):
            schema = schema.set(position, arrow.field(field.name, arrow.string()))
    return schema


def flat(row: Mapping[str, Any], before: str = "") -> Dict[str, Any]:
    """An object inside an object becomes columns with a dot in their names."""
    cells: Dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and value:
            cells.update(flat(value, f"{before}{name}."))
        else:
            cells[f"{before}{name}"] = value
    return cells


def _cell(value: Any) -> Any:
    if isinstance(value, (list, dict, bool)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


ENDINGS: Dict[str, Callable[[Path], Table]] = {".jsonl": _JsonLines, ".csv": _Csv, ".parquet": _Parquet}
