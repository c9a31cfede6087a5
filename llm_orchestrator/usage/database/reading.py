"""Rows read back, as they stream in from the server: whole ones, or of each the cells that a report needs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Sequence

import sqlalchemy as sa

from llm_orchestrator.usage.columns import SCHEMA
from llm_orchestrator.usage.database.rows import row_of
from llm_orchestrator.usage.database.schema import TYPED, USAGE
from llm_orchestrator.usage.selection import Selection

__all__ = ["cells", "rows"]

#: Rows that are in memory at once.
_AT_ONCE = 5_000
_ORDER = (USAGE.c.timestamp, USAGE.c.id)


def rows(engine: sa.Engine, selection: Selection) -> Iterator[Dict[str, str]]:
    """Read whole rows, the oldest first; all of the selection, and maybe others."""
    columns = [USAGE.c[name] for name in (*TYPED, "detail")]
    with _streamed(engine, sa.select(*columns), selection) as result:
        for row in result.mappings():
            yield row_of({**row})


def cells(engine: sa.Engine, selection: Selection, wanted: Sequence[str]) -> Iterator[Sequence[str]]:
    """Read what a report needs of the same rows, as texts that the server makes."""
    texts = [_text(name, engine.dialect.name).label(name) for name in wanted]
    with _streamed(engine, sa.select(*texts), selection) as result:
        yield from result


@contextmanager
def _streamed(engine: sa.Engine, query: Any, selection: Selection) -> Iterator[sa.Result[Any]]:
    query = query.where(*_conditions(selection, engine.dialect.name)).order_by(*_ORDER)
    with engine.connect() as connection:
        yield connection.execution_options(yield_per=_AT_ONCE).execute(query)


def _conditions(selection: Selection, dialect: str) -> List[sa.ColumnElement[bool]]:
    """What the server can leave out; who reads the rows still selects them."""
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
    tags = {name: value for name, value in selection.tags.items() if value}
    if tags and dialect == "postgresql":
        found.append(column.tags.contains(tags))
    return found


def _text(name: str, dialect: str) -> sa.ColumnElement[str]:
    """A column as the text that a CSV ledger has in its place; empty for NULL."""
    if name == "schema":
        return sa.literal(SCHEMA)
    column = USAGE.c.get(name)
    if column is None:
        return sa.func.coalesce(USAGE.c.detail[name].as_string(), "")
    if isinstance(column.type, sa.Text):
        return sa.func.coalesce(sa.type_coerce(column, sa.Text), "")
    if isinstance(column.type, sa.Boolean):
        return sa.case((column.is_(True), "true"), (column.is_(False), "false"), else_="")
    if name in ("timestamp", "started_at") and dialect == "postgresql":
        moment = sa.func.to_char(sa.func.timezone("UTC", column), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
        return sa.func.coalesce(moment, "")
    return sa.func.coalesce(sa.cast(column, sa.Text), "")
