"""What PostgreSQL adds up for the page: a few thousand sums come back in place of a million rows.

Only calls of one request are added up here, and they are nearly all; how others count depends on all their
rows, which the page looks at itself.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Iterable, Iterator, List, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from llm_orchestrator.usage.columns import DETAIL_COLUMNS
from llm_orchestrator.usage.database.reading import conditions, streamed, text_of
from llm_orchestrator.usage.database.schema import USAGE
from llm_orchestrator.usage.database.summing import ESTIMATE, IS_UNPRICED
from llm_orchestrator.usage.page.cube import Cell, Cube, CubeKey
from llm_orchestrator.usage.page.figures import BINS_PER_DECADE, CACHE_CLASSES, MOST_SECONDS, Figures, Request
from llm_orchestrator.usage.page.sums import PageSums
from llm_orchestrator.usage.periods import Calendar
from llm_orchestrator.usage.selection import Selection
from llm_orchestrator.utils.numbers import MOST_TOKENS

__all__ = ["add_page_sums"]

_POSTGRESQL = "postgresql"
_USAGE = USAGE.c
_HASHED, _SORTED = (sa.text(f"SET LOCAL enable_sort = {value}") for value in ("off", "on"))
_COUNTS = text_of("counts", _POSTGRESQL)
#: No other row belongs to the call of such a row, and it tells of no retry.
_IS_ALONE = sa.func.coalesce(
    sa.or_(
        sa.and_(_USAGE.attempt == 1, _USAGE.final),
        sa.and_(text_of("call_id", _POSTGRESQL) == "", _USAGE.attempt.is_(None), _USAGE.final.is_not(False)),
    ),
    sa.false(),
)


def add_page_sums(engine: sa.Engine, sums: PageSums, selection: Selection) -> Iterator[Sequence[str]]:
    """Add to a page's sums what can be summed up; gives the cells of all other rows."""
    cells = sa.select(*[text_of(name, _POSTGRESQL).label(name) for name in DETAIL_COLUMNS])
    where = [_IS_ALONE, *conditions(selection, _POSTGRESQL)]
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        # The planner takes the groups for as many as the rows, and would sort them all on the disk.
        connection.execute(_HASHED)
        _add_cells(connection, sums.cube, where, sorted(sums.days))
        _add_requests(connection, sums.figures, where)
        _add_savings(connection, sums.figures, where)
        connection.execute(_SORTED)
        yield from streamed(connection, cells.where(sa.not_(_IS_ALONE)), selection)


# ---------------------------------------------------------------------------------------- what was spent


def _count_of(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Tokens of a kind; what cannot be a count is none."""
    return sa.case((column.between(0, MOST_TOKENS), column), else_=0)


def _sum(value: sa.ColumnElement[Any], *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    total = sa.func.sum(value)
    return sa.func.coalesce(total.filter(*conditions) if conditions else total, 0)


_READ, _WRITTEN, _REASONING = map(
    _count_of, (_USAGE.cached_tokens, _USAGE.cache_write_tokens, _USAGE.reasoning_tokens)
)
_HAS_PROMPT, _HAS_ANSWER = _USAGE.prompt_tokens.is_not(None), _USAGE.completion_tokens.is_not(None)
#: What a cell of the cross table holds, by its field.
_CELL = {
    "calls": sa.func.count(),
    "unpriced": sa.func.count().filter(IS_UNPRICED),
    "estimated": sa.func.count(ESTIMATE),
    "tokens": _sum(_USAGE.total_tokens),
    "input": _sum(sa.func.greatest(_USAGE.prompt_tokens - _READ - _WRITTEN, 0), _HAS_PROMPT),
    "cache_read": _sum(_READ, _HAS_PROMPT),
    "cache_write": _sum(_WRITTEN, _HAS_PROMPT),
    "output": _sum(sa.func.greatest(_USAGE.completion_tokens - _REASONING, 0), _HAS_ANSWER),
    "reasoning": _sum(_REASONING, _HAS_ANSWER),
    "cost": _sum(_USAGE.cost - sa.func.coalesce(ESTIMATE, 0)),
    "estimate": _sum(ESTIMATE),
}


def _add_cells(connection: sa.Connection, cube: Cube, where: Sequence[Any], days: List[str]) -> None:
    if not days:
        return
    calendar = Calendar(None)
    starts = sa.literal([calendar.start(date.fromisoformat(day)) for day in days], ARRAY(sa.DateTime(True)))
    is_named = _USAGE.model.in_(cube.models)
    keys = [
        sa.func.width_bucket(_USAGE.timestamp, starts),
        sa.case((is_named, _USAGE.provider)),
        sa.case((is_named, _USAGE.model)),
        *(_value_of(name, values) for name, values in cube.values.items()),
    ]
    query = sa.select(*keys, *_CELL.values()).where(*where).group_by(*_places_of(keys))
    for day, provider, model, *rest in connection.execute(query, execution_options={"yield_per": 5_000}):
        tags, sums = rest[: len(cube.tags)], rest[len(cube.tags) :]
        cell = Cell()
        for name, value in zip(_CELL, sums):
            setattr(cell, name, value if name in ("cost", "estimate") else int(value))
        cube.merge(CubeKey(days[max(day, 1) - 1], provider, model, tuple(tags)), cell)


def _places_of(keys: Sequence[Any]) -> List[sa.ColumnElement[Any]]:
    """The columns by their places, so that what they are computed by is said, and bound, once."""
    return [sa.literal_column(str(place)) for place in range(1, len(keys) + 1)]


def _value_of(name: str, values: Iterable[str]) -> sa.ColumnElement[Any]:
    """The value of a tag, empty without it, and NULL for one that has no name of its own."""
    value = sa.func.coalesce(_USAGE.tags[name].as_string(), "")
    return sa.case((value.in_(["", *values]), value))


# ---------------------------------------------------------------------------------------- how it went


def _bin_of(seconds: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    number = sa.func.floor(sa.func.log(seconds) * BINS_PER_DECADE)
    return sa.case((sa.and_(seconds > 0, seconds <= MOST_SECONDS), sa.cast(number, sa.Integer)))


def _add_requests(connection: sa.Connection, figures: Figures, where: Sequence[Any]) -> None:
    requested = sa.func.coalesce(_USAGE.requested_model, "")
    keys = [
        _USAGE.model,
        sa.case((requested == "", _USAGE.model), else_=requested),
        sa.func.coalesce(_USAGE.status, ""),
        sa.func.coalesce(_USAGE.price_status, "") == "stale",
        _USAGE.cost.is_not(None),
        sa.and_(_USAGE.cost.is_(None), _USAGE.total_tokens.is_(None)),
        _bin_of(_USAGE.latency),
        _bin_of(_USAGE.time_to_first_token),
    ]
    query = sa.select(*keys, sa.func.count()).where(*where).group_by(*_places_of(keys))
    for row in connection.execute(query):
        figures.add_requests(Request._make(tuple(row)[:-1]), row[-1])


def _sum_of_kind(kind: str) -> sa.ColumnElement[Any]:
    after = sa.func.split_part(sa.literal(" ") + _COUNTS, f" {kind}=", 2)
    count = sa.func.split_part(after, " ", 1)
    is_whole = count.regexp_match("^[0-9]{1,18}$")
    return sa.func.sum(sa.case((is_whole, sa.cast(count, sa.Numeric)), else_=0))


#: The counts of a row that have suffixes, whose rates depend on more than the kind of tokens; few have some.
_SUFFIXED = sa.case((_COUNTS.contains(":"), _COUNTS))
#: The kinds of cached tokens, each with its sum over all other rows.
_CACHED = {kind: _sum_of_kind(kind) for kind in CACHE_CLASSES}


def _add_savings(connection: sa.Connection, figures: Figures, where: Sequence[Any]) -> None:
    """Add what caching saved: that is a sum for each list of rates, of the tokens of each kind."""
    listed = [text_of(name, _POSTGRESQL) for name in ("rates", "multiplier", "discount")]
    keys = [_SUFFIXED, _USAGE.model, *listed]
    query = (
        sa.select(*keys, sa.func.count(), *_CACHED.values())
        .where(*where, _COUNTS.contains("cache_"))
        .group_by(*_places_of(keys))
    )
    for row in map(tuple, connection.execute(query)):
        (counts, *cells, number), sums = row[: len(keys) + 1], row[len(keys) + 1 :]
        whole = " ".join(f"{kind}={count}" for kind, count in zip(_CACHED, sums))
        model, *rates = cells
        for _ in range(1 if counts is None else number):
            figures.add_savings(model, counts or whole, *rates)
