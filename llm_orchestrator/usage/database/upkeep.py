"""What a person asks of a ledger in a database: how it is, and to forget what is old."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import sqlalchemy as sa

from llm_orchestrator.usage.database.carrier import reason_of
from llm_orchestrator.usage.database.forgetting import forget_budgets
from llm_orchestrator.usage.database.ledger import DatabaseLedger
from llm_orchestrator.usage.database.schema import BUDGETS, HOLDS, USAGE
from llm_orchestrator.usage.database.setup import (
    VERSIONS,
    LedgerDatabaseError,
    is_empty_database,
    own_version,
    prepare,
)

__all__ = ["Pruned", "Status", "Stored", "count_before", "prune", "status_of"]

_Rights = Dict[sa.Table, Tuple[str, ...]]
#: What a role has to be allowed so that it can write rows and read them, and so that it can keep budgets.
_FOR_ROWS: _Rights = {VERSIONS: ("SELECT",), USAGE: ("SELECT", "INSERT")}
_FOR_BUDGETS: _Rights = {BUDGETS: ("SELECT", "INSERT", "UPDATE"), HOLDS: ("SELECT", "INSERT", "DELETE")}
_FOR_PRUNING: _Rights = {USAGE: ("DELETE",), BUDGETS: ("UPDATE", "DELETE"), HOLDS: ("DELETE",)}
_MAY_NOT_CREATE = "Its role may not make the tables. Run `ledger upgrade` with the URL of one that may."


class Stored(NamedTuple):
    """The rows of a database: how many, and the moments of the oldest and the newest."""

    rows: int = 0
    first: Optional[datetime] = None
    last: Optional[datetime] = None


class Pruned(NamedTuple):
    """How many rows were removed, and how many budgets."""

    rows: int
    budgets: int


class Status(NamedTuple):
    """How a ledger is.

    Attributes:
        version: The version of its tables; None where there are none, or none of ours.
        problem: Why it takes no rows; None when it does.
        budget_problem: Why it takes rows and keeps no budgets; None when it does, or takes no rows.
        stored: What is in it.
        waiting: Rows in the spool whose program has ended.
        in_use: Rows in the spool of programs that run.
        refused: Files of rows that the database does not take.
    """

    version: Optional[str]
    problem: Optional[str]
    budget_problem: Optional[str]
    stored: Stored
    waiting: int
    in_use: int
    refused: List[Path]


def status_of(ledger: DatabaseLedger) -> Status:
    """Look at a ledger; makes no table and carries nothing over."""
    spool = ledger.spool
    version, problem, budget_problem, stored = None, None, None, Stored()
    try:
        if is_empty_database(ledger.engine):
            problem = _why_not_creatable(ledger.engine)
        else:
            problem = _missing_rights(ledger.engine, _FOR_ROWS)
            if problem is None:
                version = _version(ledger.engine)
                stored = _stored(ledger.engine)
                budget_problem = _missing_rights(ledger.engine, _FOR_BUDGETS)
    except sa.exc.OperationalError as error:
        problem = f"{reason_of(error)} Check the server, and user, password and database in database_url."
    except (sa.exc.SQLAlchemyError, LedgerDatabaseError) as error:
        problem = reason_of(error)
    return Status(version, problem, budget_problem, stored, spool.waiting(), spool.in_use(), spool.refused())


def _version(engine: sa.Engine) -> str:
    prepare(engine)
    with engine.connect() as connection:
        return own_version(connection)


def _stored(engine: sa.Engine) -> Stored:
    moment = USAGE.c.timestamp
    with engine.connect() as connection:
        row = connection.execute(sa.select(sa.func.count(), sa.func.min(moment), sa.func.max(moment))).one()
    return Stored(*row)


def _why_not_creatable(engine: sa.Engine) -> Optional[str]:
    if engine.dialect.name != "postgresql":
        return None  # the file was looked at when the ledger was made
    may = sa.func.has_schema_privilege(sa.func.current_schema(), "CREATE")
    with engine.connect() as connection:
        return None if connection.execute(sa.select(may)).scalar() else _MAY_NOT_CREATE


def _missing_rights(engine: sa.Engine, needed: _Rights) -> Optional[str]:
    """What the role of the URL may not do with the tables, and what its owner has to run."""
    if engine.dialect.name != "postgresql":
        return None
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(VERSIONS.name):
            return None  # the tables are not ours, which is told next
        role = connection.execute(sa.text("SELECT quote_ident(current_user)")).scalar_one()
        grants = [
            f"GRANT {', '.join(rights)} ON {table.name} TO {role};"
            for table, rights in needed.items()
            if not _may(connection, table, rights)
        ]
    if not grants:
        return None
    return f"Its role lacks rights. Run as the owner of the tables: {' '.join(grants)}"


def _may(connection: sa.Connection, table: sa.Table, rights: Tuple[str, ...]) -> bool:
    if not sa.inspect(connection).has_table(table.name):
        return True  # something else is wrong with the tables, which is told next
    may = [sa.func.has_table_privilege(table.name, right) for right in rights]
    return all(connection.execute(sa.select(*may)).one())


def count_before(ledger: DatabaseLedger, moment: datetime) -> int:
    """How many rows are older than a moment, for a role that may remove them."""
    ledger.writer.get_ready()
    problem = _missing_rights(ledger.engine, _FOR_PRUNING)
    if problem:
        raise LedgerDatabaseError(problem)
    with ledger.engine.connect() as connection:
        query = sa.select(sa.func.count()).where(USAGE.c.timestamp < moment)
        return connection.execute(query).scalar_one()


def prune(ledger: DatabaseLedger, moment: datetime) -> Pruned:
    """Remove the rows that are older than a moment, and the budgets that are over since."""
    ledger.writer.get_ready()
    with ledger.engine.begin() as connection:
        rows = connection.execute(sa.delete(USAGE).where(USAGE.c.timestamp < moment)).rowcount
    budgets = 0
    while True:  # some thousand at once
        with ledger.engine.begin() as connection:
            forgotten = forget_budgets(connection, moment)
        budgets += forgotten
        if not forgotten:
            return Pruned(rows, budgets)
