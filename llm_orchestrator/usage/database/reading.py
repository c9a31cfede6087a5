"""Rows read back, as they stream in from the server: whole ones, or of each the cells that a report needs."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Sequence

import sqlalchemy as sa

from llm_orchestrator.usage.columns import SCHEMA
from llm_orchestrator.usage.database.rows import row_of
from llm_orchestrator.usage.database.schema import TYPED, USAGE
from llm_orchestrator.usage.selection import Selection

__all__ = ["cells", "conditions", "moment_text", "rows", "streamed", "text_of"]

#: Rows that are in memory at once.
_AT_ONCE = 5_000
_ORDER = (USAGE.c.timestamp, USAGE.c.id)


def rows(engine: sa.Engine, selection: Selection) -> Iterator[Dict[str, str]]:
    """Read whole rows, the oldest first; all of the selection, and in SQLite maybe others."""
    query = sa.select(*[USAGE.c[name] for name in (*TYPED, "detail")])
    with engine.connect() as connection:
        for row in streamed(connection, query, selection).mappings():
            yield row_of({**row})


def cells(engine: sa.Engine, selection: Selection, wanted: Sequence[str]) -> Iterator[Sequence[str]]:
    """Read what a report needs of the same rows, as texts that the server makes."""
    dialect = engine.dialect.name
    query = sa.select(*[text_of(name, dialect).label(name) for name in wanted])
    with engine.connect() as connection:
        yield from streamed(connection, query, selection)


def streamed(connection: sa.Connection, query: Any, selection: Selection) -> sa.Result[Any]:
    """Have a query answered some thousand rows at a time, the oldest first."""
    query = query.where(*conditions(selection, connection.dialect.name)).order_by(*_ORDER)
    return connection.execution_options(yield_per=_AT_ONCE).execute(query)


def conditions(selection: Selection, dialect: str) -> List[sa.ColumnElement[bool]]:
    """What holds for the rows of a selection: in PostgreSQL all of it, in SQLite all but its tags."""
    column = USAGE.c
    wanted = {
        column.provider: selection.provider,
        column.model: selection.model,
        column.session_id: selection.session,
    }
    found = [name == value for name, value in wanted.items() if value is not None]
    if selection.start is not None:
        found.append(column.timestamp >= selection.start)
    if selection.end is not None:
        found.append(column.timestamp <= selection.end)
    if selection.as_of is not None:
        found.append(column.arrived_at <= selection.as_of)
    if dialect == "postgresql":
        found += [_tag(name) == value for name, value in selection.tags.items()]
    return found


def _tag(name: str) -> sa.ColumnElement[str]:
    return sa.func.coalesce(USAGE.c.tags[name].as_string(), "")


def text_of(name: str, dialect: str) -> sa.ColumnElement[str]:
    """A column as the text that a CSV ledger has in its place; empty for NULL."""
    if name == "schema":
        return sa.literal(SCHEMA)
    column = USAGE.c.get(name)
    if column is None:
        return sa.func.coalesce(USAGE.c.detail[name].as_string(), "")
    if isinstance(column.type, sa.Text):
        return sa.func.coalesce(column, "")
    if isinstance(column.type, sa.Boolean):
        return sa.case((column.is_(True), "true"), (column.is_(False), "false"), else_="")
    if name in ("timestamp", "started_at") and dialect == "postgresql":
        return sa.func.coalesce(moment_text(column), "")
    return sa.func.coalesce(sa.cast(column, sa.Text), "")


def moment_text(moment: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """A moment of PostgreSQL as a CSV ledger writes it."""
    return sa.func.to_char(sa.func.timezone("UTC", moment), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
