"""What a person asks of a ledger in a database: how it is, and to forget what is old."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import List, NamedTuple, Optional

import sqlalchemy as sa

from llm_orchestrator.usage.database.carrier import reason_of
from llm_orchestrator.usage.database.ledger import DatabaseLedger
from llm_orchestrator.usage.database.schema import USAGE
from llm_orchestrator.usage.database.setup import (
    LedgerDatabaseError,
    is_empty_database,
    own_version,
    prepare,
)

__all__ = ["Status", "Stored", "count_before", "prune", "status_of"]


class Stored(NamedTuple):
    """The rows of a database: how many, and the moments of the oldest and the newest."""

    rows: int = 0
    first: Optional[datetime] = None
    last: Optional[datetime] = None


class Status(NamedTuple):
    """How a ledger is.

    Attributes:
        version: The version of its tables; None where there are none, or none of ours.
        problem: Why it takes no rows; None when it does.
        stored: What is in it.
        waiting: Rows in the spool whose program has ended.
        in_use: Rows in the spool of programs that run.
        refused: Files of rows that the database does not take.
    """

    version: Optional[str]
    problem: Optional[str]
    stored: Stored
    waiting: int
    in_use: int
    refused: List[Path]


def status_of(ledger: DatabaseLedger) -> Status:
    """Look at a ledger; makes no table and carries nothing over."""
    spool = ledger.spool
    version, problem, stored = None, None, Stored()
    try:
        version = _version(ledger.engine)
        if version:
            prepare(ledger.engine)
            stored = _stored(ledger.engine)
        problem = _why_not_writable(ledger.engine, version)
    except (sa.exc.SQLAlchemyError, LedgerDatabaseError) as error:
        problem = reason_of(error)
    return Status(version, problem, stored, spool.waiting(), spool.in_use(), spool.refused())


def _version(engine: sa.Engine) -> Optional[str]:
    if is_empty_database(engine):
        return None
    with engine.connect() as connection:
        return own_version(connection)


def _stored(engine: sa.Engine) -> Stored:
    moment = USAGE.c.timestamp
    with engine.connect() as connection:
        row = connection.execute(sa.select(sa.func.count(), sa.func.min(moment), sa.func.max(moment))).one()
    return Stored(*row)


def _why_not_writable(engine: sa.Engine, version: Optional[str]) -> Optional[str]:
    """What the role of the URL may not do, and needs to."""
    if engine.dialect.name != "postgresql":
        return None  # the file was looked at when the ledger was made
    if version:
        may = sa.and_(*[sa.func.has_table_privilege(USAGE.name, right) for right in ("SELECT", "INSERT")])
        answer = f"Its role may not write. Run as the owner: GRANT SELECT, INSERT ON {USAGE.name} TO ROLE."
    else:
        may = sa.func.has_schema_privilege(sa.func.current_schema(), "CREATE")
        answer = "Its role may not make the tables. Run `ledger upgrade` with the URL of one that may."
    with engine.connect() as connection:
        return None if connection.execute(sa.select(may)).scalar() else answer


def count_before(ledger: DatabaseLedger, moment: datetime) -> int:
    """How many rows are older than a moment."""
    ledger.writer.get_ready()
    with ledger.engine.connect() as connection:
        query = sa.select(sa.func.count()).where(USAGE.c.timestamp < moment)
        return connection.execute(query).scalar_one()


def prune(ledger: DatabaseLedger, moment: datetime) -> int:
    """Remove the rows that are older than a moment; returns how many there were."""
    ledger.writer.get_ready()
    with ledger.engine.begin() as connection:
        return connection.execute(sa.delete(USAGE).where(USAGE.c.timestamp < moment)).rowcount
