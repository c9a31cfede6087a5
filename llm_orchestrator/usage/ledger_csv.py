"""The CSV of a ledger: rows to lines and back, safe for spreadsheets, whatever a line holds.

A row is one physical line. Lines are read one by one, so that a broken one never takes the next with it; of
the lines this library wrote, a report reads the beginning only.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import (
    IO,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Pattern,
    Sequence,
    Tuple,
)

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.columns import COLUMNS, END_OF_ROW, REPORT_COLUMNS, REQUIRED_COLUMNS, SCHEMA
from llm_orchestrator.usage.record import WRITERS, as_text, parse_timestamp
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.numbers import is_amount, is_count

__all__ = [
    "LineReader",
    "Row",
    "as_stored",
    "check_header",
    "encode",
    "encode_values",
    "read_cells",
    "read_rows",
]

logger = logging.getLogger(__name__)

Row = Mapping[str, str]

# A spreadsheet would run a cell that begins like this as a formula; the apostrophe in front prevents that.
_FORMULA = LazyPattern(r"'*[=+\-@\t\r]")
# Whatever some reader takes for the end of a line, and control characters that break CSV readers.
_CONTROL = LazyPattern("[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
#: What ``_FORMULA`` begins with, tabs aside, which cannot be printed, as nothing of ``_CONTROL`` can.
_LEADS = "'=+-@"
_OLD_SCHEMA = "1"  # of version 0.1
_LONGEST_CELL = 131_072
_QUOTED = LazyPattern(r'(?:"([^"]*(?:""[^"]*)*)"|([^,"]*))(,|$)')


def encode(cells: Iterable[str]) -> bytes:
    """Write cells as one line."""
    return _line(",".join(map(_text, cells)))


def encode_values(values: Sequence[Any]) -> bytes:
    """Write the values of a record as one line; the same as ``encode`` of their texts, and faster."""
    line = ",".join(
        ["" if value is None else _CELL_WRITERS.get(type(value), _of_any)(value) for value in values]
    )
    return encode(map(as_text, values)) if ",-" in line else _line(line)  # a negative number is seldom


def _line(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _of_any(value: Any) -> str:
    return _text(as_text(value))


def _text(text: str) -> str:
    # Most cells are plain words and numbers; only the others are worth a closer look.
    if not text or text.isalnum():
        return text
    if not text.isprintable() or text[0] in _LEADS:
        return _cell(text)
    return _quoted(text) if "," in text or '"' in text else text


def as_stored(text: str) -> str:
    """A text as it is read back from a ledger."""
    if not text or text.isalnum():
        return text
    return _CONTROL.sub(" ", text).encode("utf-8", "backslashreplace").decode()


def _cell(cell: str) -> str:
    if _FORMULA.match(cell):
        cell = "'" + cell
    cell = _CONTROL.sub(" ", cell)
    return _quoted(cell) if "," in cell or '"' in cell else cell


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


#: Numbers and moments hold nothing that needs a closer look, a minus aside.
_CELL_WRITERS: Mapping[type, Callable[[Any], str]] = {
    **{kind: WRITERS[kind] for kind in (bool, int, float, Decimal, datetime)},
    str: _text,
}


def _decode(line: str) -> List[str]:
    """The cells of one physical line; an unclosed quote is an error instead of swallowing the next line."""
    if '"' not in line:
        cells = line.split(",")
    else:  # the csv module takes no longer cell, unless the whole program allows it
        cells = next(csv.reader([line], strict=True)) if len(line) <= _LONGEST_CELL else _split(line)
    if "'" in line:
        cells = [cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell for cell in cells]
    return cells


def _split(line: str) -> List[str]:
    """What the csv module would read."""
    cells: List[str] = []
    place, comma = 0, ","
    while comma:
        match = _QUOTED.match(line, place)
        if match is None:
            raise csv.Error("a quote stands where none may")
        quoted, plain, comma = match.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        place = match.end()
    return cells


def check_header(header: str, path: Path) -> List[str]:
    """Read the first line of a ledger."""
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


# The cells of a row as this library writes them; a row with any other is left to the careful reader.
_PLAIN, _COUNT, _MONEY = r"""([^,"']*)""", r"([0-9]{0,9})", r"(|[0-9]{1,9}(?:\.[0-9]*)?)"
_MOMENT = r"""((?:19[7-9]|2[0-9]{2})[0-9]-[^,"']*)"""
_JSON = r'(|"[^"]*(?:""[^"]*)*")'
_CELLS = {
    "timestamp": _MOMENT,
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), _COUNT),
    **dict.fromkeys(("cost", "estimated_cost"), _MONEY),
    "tags": _JSON,
}
_TAGS = REPORT_COLUMNS.index("tags")
_NEVER = re.compile(r"(?!)")


@lru_cache(maxsize=4)
def _beginning(columns: Tuple[str, ...]) -> Pattern[str]:
    """The first columns of a row: to read further takes twice as long, and a report needs no more."""
    return re.compile(",".join(_CELLS.get(column, _PLAIN) for column in columns) + ",")


class LineReader:
    """Reads the lines of one file below its header, and counts those that are not rows."""

    def __init__(self, header: str, path: Path, wanted: Sequence[str] = REPORT_COLUMNS) -> None:
        self._wanted = wanted
        self.columns = check_header(header, path)
        self.broken = 0
        self._header = header
        is_ours = tuple(self.columns) == COLUMNS and COLUMNS[: len(wanted)] == wanted
        self._match = (_beginning(COLUMNS[: len(wanted)]) if is_ours else _NEVER).match

    def row(self, line: str) -> Optional[Dict[str, str]]:
        """Read a line by column name; None when it is not a whole row."""
        try:
            cells = _decode(line.rstrip("\r\n"))
            row = dict(zip(self.columns, cells))
            parse_timestamp(row["timestamp"])
            for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
                if not is_count(int(row[name] or 0)):
                    raise ValueError(name)
            whole = len(cells) == len(self.columns) and row.get("schema", _OLD_SCHEMA) in (
                _OLD_SCHEMA,
                SCHEMA,
            )
            for name in ("cost", "estimated_cost"):
                whole = whole and is_amount(Decimal(row.get(name) or 0))
        except (KeyError, ValueError, ArithmeticError, csv.Error):
            whole = False
        if whole:
            return row
        # Without file locks two processes may both have written the header: not a row, and no loss.
        self.broken += line != self._header
        return None

    def cells(self, line: str) -> Optional[List[str]]:
        """Read what a report needs of a line, a cell for each wanted column; None as for ``row``."""
        match = self._match(line)
        if match and line.endswith(END_OF_ROW) and not line.count('"') % 2:
            cells = list(match.groups())
            if cells[_TAGS]:
                cells[_TAGS] = cells[_TAGS][1:-1].replace('""', '"')
            try:
                datetime.fromisoformat(cells[0])
                return cells
            except ValueError:
                pass  # the careful reader says what it is
        row = self.row(line)
        return None if row is None else [row.get(name, "") for name in self._wanted]


def read_rows(file: IO[bytes], path: Path) -> Iterator[Dict[str, str]]:
    """Read a ledger file; broken lines are skipped with one warning."""
    return _read(file, path, LineReader.row)


def read_cells(file: IO[bytes], path: Path, wanted: Sequence[str] = REPORT_COLUMNS) -> Iterator[List[str]]:
    """Read what a report needs of a ledger file; broken lines are skipped with one warning."""
    return _read(file, path, LineReader.cells, wanted)


def _read(
    file: IO[bytes], path: Path, read_line: Any, wanted: Sequence[str] = REPORT_COLUMNS
) -> Iterator[Any]:
    with io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="\n") as text:
        header = text.readline()
        if not header.endswith("\n") and ",".join(COLUMNS).startswith(header):
            return  # empty, or cut within its header
        reader = LineReader(header, path, wanted)
        for line in text:
            row = read_line(reader, line)
            if row is not None:
                yield row
    if reader.broken:
        logger.warning("Skipped %d broken or half-written line(s) of the ledger %s.", reader.broken, path)
