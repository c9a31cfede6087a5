"""Rows of usage are inserted, some hundred at once; one that is there already is not inserted again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from llm_orchestrator.usage.database.rows import row_of, values_of
from llm_orchestrator.usage.database.schema import USAGE
from llm_orchestrator.usage.database.setup import prepare
from llm_orchestrator.usage.database.spool import Chunk
from llm_orchestrator.usage.ledger_csv import LineReader

__all__ = ["Writer", "is_about_a_row"]

_LINES = Path("spool")
#: The class of PostgreSQL's errors for a row that is too large in some way.
_LIMITS = "54"
_Row = Tuple[bytes, Dict[str, Any]]


class Writer:
    """Writes rows to the tables, which it makes where there are none."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self._insert = insert(USAGE).on_conflict_do_nothing(index_elements=["id"])
        self._is_ready = False

    def get_ready(self) -> None:
        """See once that the tables are there and ours."""
        if not self._is_ready:
            prepare(self._engine)
            self._is_ready = True

    def insert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, all or none."""
        self.get_ready()
        try:
            with self._engine.begin() as connection:
                if rows:
                    connection.execute(self._insert, rows)
        except sa.exc.ProgrammingError:
            self._is_ready = False  # somebody changed the tables: look at them again
            raise

    def new_of(self, rows: Sequence[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
        """Those of some rows that are not there yet, be it under another id: rows of an export have none."""
        self.get_ready()
        ids, moments = ([row[name] for row in rows] for name in ("id", "timestamp"))
        query = sa.select(USAGE).where(sa.or_(USAGE.c.id.in_(ids), USAGE.c.timestamp.in_(moments)))
        with self._engine.connect() as connection:
            found = [{**row} for row in connection.execute(query).mappings()]
        there = {row["id"] for row in found}
        same = {_cells(row) for row in found if row["call_id"]}  # two rows without one may be alike
        return [row for row in rows if row["id"] not in there and _cells(row) not in same]

    def write(self, chunk: Chunk) -> List[bytes]:
        """Insert the rows of some lines; returns the lines that can never be inserted."""
        rows, refused = _rows_of(chunk)
        try:
            self.insert([values for _, values in rows])
        except sa.exc.DBAPIError as error:
            if not is_about_a_row(error):
                raise
            refused += [line for line, values in rows if not self._takes(values)]
        return refused

    def _takes(self, values: Mapping[str, Any]) -> bool:
        try:
            self.insert([values])
        except sa.exc.DBAPIError as error:
            if not is_about_a_row(error):
                raise
            return False
        return True


def _cells(row: Mapping[str, Any]) -> Tuple[str, ...]:
    return tuple(row_of(row).values())


def _rows_of(chunk: Chunk) -> Tuple[List[_Row], List[bytes]]:
    reader = LineReader(_text(chunk.header), _LINES)
    rows: List[_Row] = []
    refused: List[bytes] = []
    for line in chunk.lines:
        row = reader.row(_text(line))
        try:
            rows.append((line, values_of(UUID((row or {})["id"]), row or {})))
        except (KeyError, ValueError):
            refused.append(line)
    return rows, refused


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").replace("\0", " ")


def is_about_a_row(error: sa.exc.DBAPIError) -> bool:
    """Whether another row would be taken: the database is well, but not this value."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, (sa.exc.DataError, sa.exc.IntegrityError)) or state.startswith(_LIMITS)
