"""A CSV ledger brought into a database, as often as one likes: what is there is not brought in again."""

from __future__ import annotations

import io
from itertools import islice
from pathlib import Path
from typing import IO, Any, Dict, Iterator, Mapping, NamedTuple, Optional
from uuid import NAMESPACE_URL, UUID, uuid5

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.database.rows import values_of
from llm_orchestrator.usage.database.spool import BATCH
from llm_orchestrator.usage.database.writing import Writer
from llm_orchestrator.usage.ledger import Ledger
from llm_orchestrator.usage.ledger_csv import LineReader

__all__ = ["Imported", "import_csv"]


class Imported(NamedTuple):
    """How many rows a file had, how many of them were not in the database yet, and its broken lines."""

    rows: int
    new: int
    broken: int


def import_csv(writer: Writer, path: Path) -> Imported:
    """Bring in a CSV ledger with its rotated files, or a file of a spool."""
    if not path.exists():
        raise ConfigurationError(f"There is no ledger {path}. Pass the file that was set as log_path.")
    rows = new = broken = 0
    for file, name in Ledger(path).files():
        lines = _Lines(file, name)
        values = iter(lines)
        for batch in iter(lambda: list(islice(values, BATCH)), []):  # noqa: B023 (used up before the next)
            missing = writer.new_of(batch)
            writer.insert(missing)
            rows += len(batch)
            new += len(missing)
        broken += lines.broken
    return Imported(rows, new, broken)


class _Lines:
    """The rows of a file as the database takes them."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self.broken = 0

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        text = io.TextIOWrapper(self._file, encoding="utf-8-sig", errors="replace", newline="\n")
        with text:
            header = text.readline()
            if not header.endswith("\n"):
                return
            reader = LineReader(header, self._path)
            identity: Optional[UUID] = None
            for number, line in enumerate(text):
                # A spreadsheet may have changed how lines end.
                identity = identity or uuid5(
                    NAMESPACE_URL, f"llm-orchestrator:{header.strip()}\n{line.strip()}\n"
                )
                row = reader.row(line.replace("\0", " ")) if line.endswith("\n") else None
                if row is not None:
                    yield values_of(_id_of(row, identity, number, line), row)
        self.broken = reader.broken


def _id_of(row: Mapping[str, str], identity: UUID, number: int, line: str) -> UUID:
    """The id of a row: its own in a spool's file, else one of the file's first row, its place and its text.

    So a copy of a ledger, and a ledger that grew, have the ids they had.
    """
    try:
        return UUID(row["id"])
    except (KeyError, ValueError):
        return uuid5(identity, f"{number}:{line.strip()}")
