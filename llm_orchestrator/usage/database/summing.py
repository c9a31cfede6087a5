"""Sums that PostgreSQL makes: what stays to be added row by row are calls of several requests.

How often such a call counts depends on all its rows. Any other row is a call, and their sum is what a tally
would come to.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Iterator, Mapping, Sequence, Tuple, Union

import sqlalchemy as sa

from llm_orchestrator.usage.columns import REPORT_COLUMNS
from llm_orchestrator.usage.database.reading import conditions, streamed, text_of
from llm_orchestrator.usage.database.schema import USAGE
from llm_orchestrator.usage.groups import Key
from llm_orchestrator.usage.selection import Selection
from llm_orchestrator.usage.tally import Tally
from llm_orchestrator.usage.totals import UsageTotals

__all__ = ["ESTIMATE", "IS_UNPRICED", "add_sums"]

_POSTGRESQL = "postgresql"
_USAGE = USAGE.c
#: Seconds of which no zone has a part on another day.
_QUARTER = 900
_QUARTERS = sa.cast(
    sa.func.floor(sa.cast(sa.extract("epoch", _USAGE.timestamp), sa.Float(53)) / _QUARTER), sa.BigInteger
)
_EPOCH, _ONE_QUARTER = datetime(1970, 1, 1, tzinfo=timezone.utc), timedelta(seconds=_QUARTER)
_NOTHING = sa.literal("")

#: What a row goes by, in the order of a ``Key``, and the kinds of groups that need it.
_PARTS = {
    "provider": (_USAGE.provider, {"provider"}),
    "model": (_USAGE.model, {"model"}),
    "session": (_USAGE.session_id, {"session"}),
    "quarter": (_QUARTERS, {"day", "month"}),
    "tags": (text_of("tags", _POSTGRESQL), {"tag"}),
}
#: No other row belongs to the call of such a row.
_IS_ALONE = sa.func.coalesce(
    sa.or_(sa.and_(_USAGE.attempt == 1, _USAGE.final), text_of("call_id", _POSTGRESQL) == ""), sa.false()
)
ESTIMATE = sa.case(
    (_USAGE.cost.is_(None), None),
    (_USAGE.estimated_cost.is_not(None), _USAGE.estimated_cost),
    (_USAGE.usage_status == "estimated", _USAGE.cost),
)
IS_UNPRICED = sa.or_(_USAGE.cost.is_(None), sa.func.coalesce(_USAGE.price_status, "") == "partial")
#: The fields of ``UsageTotals``.
_SUMS = [
    sa.func.count().filter(_IS_ALONE),
    sa.cast(sa.func.coalesce(sa.func.sum(_USAGE.total_tokens).filter(_IS_ALONE), 0), sa.BigInteger),
    sa.func.coalesce(sa.func.sum(_USAGE.cost - sa.func.coalesce(ESTIMATE, 0)).filter(_IS_ALONE), 0),
    sa.func.coalesce(sa.func.sum(ESTIMATE).filter(_IS_ALONE), 0),
    sa.func.count().filter(_IS_ALONE, IS_UNPRICED),
    sa.func.count(ESTIMATE).filter(_IS_ALONE),
]


def add_sums(
    engine: sa.Engine, tally: Tally, selection: Selection, groupings: Mapping[str, Sequence[str]]
) -> Iterator[Sequence[str]]:
    """Add to a tally what can be summed up; gives the cells of all other rows."""
    cells = sa.select(*[text_of(name, _POSTGRESQL).label(name) for name in REPORT_COLUMNS])
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        for grouping, kinds in groupings.items():
            for key, sums in _sums(connection, selection, kinds):
                tally.add_sums(grouping, key, sums)
        yield from streamed(connection, cells.where(sa.not_(_IS_ALONE)), selection)


def _sums(
    connection: sa.Connection, selection: Selection, kinds: Sequence[str]
) -> Iterator[Tuple[Key, UsageTotals]]:
    wanted = {kind.partition(":")[0] for kind in kinds}
    parts = [part if wanted & needed_by else _NOTHING for part, needed_by in _PARTS.values()]
    groups = [part for part in parts if part is not _NOTHING]
    query = sa.select(*parts, *_SUMS).where(*conditions(selection, _POSTGRESQL)).group_by(*groups)
    for row in connection.execute(query.order_by(sa.func.min(_USAGE.timestamp))):
        provider, model, session, quarter, tags, *sums = row
        yield (provider, model, session, _moment(quarter), tags), UsageTotals(*sums)


def _moment(quarter: Union[int, str]) -> str:
    """The first moment of a quarter of an hour as a ledger writes it."""
    return (_EPOCH + int(quarter) * _ONE_QUARTER).isoformat(timespec="microseconds") if quarter != "" else ""
