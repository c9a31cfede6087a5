"""Budgets that are over are forgotten: their rows would otherwise grow with every session and day.

A row knows by the database's clock when it was last used. No window lasts longer than a month, so that one
which was not used for longer has ended; a session has no end, and is over when nobody uses it for long. A row
that a call holds something of stays, and one that is used meanwhile: it is looked at under its lock.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Optional

import sqlalchemy as sa

from llm_orchestrator.usage.database.schema import BUDGETS, HOLDS, Moment, Now

__all__ = ["IDLE_SESSION", "forget_budgets"]

#: How long a session's budget is remembered that nobody uses.
IDLE_SESSION = timedelta(days=90)
#: Longer than any day or month, wherever it begins.
_LONGEST_WINDOW = timedelta(days=32)
#: Rows that are removed at once.
_AT_ONCE = 5_000


def forget_budgets(connection: sa.Connection, before: Optional[datetime] = None) -> int:
    """Remove budgets that are over, some thousand at once; returns how many.

    ``before`` is the moment since which they must not have been used, in place of the usual times; a day or
    month that may still go on stays all the same.
    """
    now: datetime = connection.execute(sa.select(Now())).scalar_one()
    window = now - _LONGEST_WINDOW
    session = now - IDLE_SESSION
    if before is not None:
        session = before.astimezone(timezone.utc)
        window = min(window, session)
    old = BUDGETS.alias("old")
    is_session = old.c.scope.startswith("session")
    since = sa.case((is_session, _moment(session)), else_=_moment(window))
    found = (
        sa.select(old.c.scope, old.c.period)
        .where(old.c.used_at < since, ~_is_held(old, now))
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)  # so it waits for no call, and no call for it
    )
    key = sa.tuple_(BUDGETS.c.scope, BUDGETS.c.period)
    forgotten = connection.execute(sa.delete(BUDGETS).where(key.in_(found))).rowcount
    _forget_holds(connection, now)
    return forgotten


def _is_held(budget: sa.FromClause, now: datetime) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        HOLDS.c.scope == budget.c.scope, HOLDS.c.period == budget.c.period, HOLDS.c.expires_at > _moment(now)
    )


def _forget_holds(connection: sa.Connection, now: datetime) -> None:
    """Remove what dead workers held of budgets that are gone; elsewhere the next call of the budget does."""
    has_budget = sa.exists().where(BUDGETS.c.scope == HOLDS.c.scope, BUDGETS.c.period == HOLDS.c.period)
    connection.execute(sa.delete(HOLDS).where(HOLDS.c.expires_at <= _moment(now), ~has_budget))


def _moment(moment: datetime) -> sa.ColumnElement[datetime]:
    return sa.literal(moment, Moment())
