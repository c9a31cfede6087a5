"""How the tables come about: an empty database gets them at the first connection; a version says which.

The version is alembic's, in a table of its own beside one that the application's alembic may have.
"""

from __future__ import annotations

from typing import Optional

import sqlalchemy as sa

from llm_orchestrator.usage.database.engine import BEGIN
from llm_orchestrator.usage.database.schema import METADATA

__all__ = [
    "KNOWN",
    "NEWEST",
    "VERSIONS",
    "LedgerDatabaseError",
    "is_empty_database",
    "lock_out_others",
    "own_version",
    "prepare",
]

#: The versions of the tables, oldest first; each has a script in ``migrations``.
KNOWN = ("0001",)
NEWEST = KNOWN[-1]
#: Where alembic keeps the version.
VERSIONS = sa.Table(
    "llm_alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True)
)
#: Which lock of a PostgreSQL server keeps two processes from making the tables at once: any fixed number.
_LOCK = 0x6C6C6D


class LedgerDatabaseError(Exception):
    """Why rows cannot be carried over although the server answers; the text says what to do."""


def prepare(engine: sa.Engine) -> None:
    """Make the tables where there are none, and see that they are ours; safe for many processes at once."""
    if is_empty_database(engine):
        with engine.connect().execution_options(**{BEGIN: "IMMEDIATE"}) as connection, connection.begin():
            lock_out_others(connection)
            if _is_empty(connection):  # nobody was faster
                METADATA.create_all(connection)
                VERSIONS.create(connection)
                connection.execute(VERSIONS.insert().values(version_num=NEWEST))
    with engine.connect() as connection:
        _check(connection)


def is_empty_database(engine: sa.Engine) -> bool:
    """Whether there is no table of the ledger yet."""
    with engine.connect() as connection:
        return _is_empty(connection)


def _is_empty(connection: sa.Connection) -> bool:
    inspector = sa.inspect(connection)
    return not any(inspector.has_table(name) for name in (*METADATA.tables, VERSIONS.name))


def lock_out_others(connection: sa.Connection) -> None:
    """Let no other process change the tables before the transaction ends; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def own_version(connection: sa.Connection) -> str:
    """The version of the tables, which are ours, and not newer than this library."""
    version: Optional[str] = None
    if sa.inspect(connection).has_table(VERSIONS.name):
        version = connection.execute(sa.select(VERSIONS.c.version_num)).scalar()
    if version is None:
        raise LedgerDatabaseError(
            f"It has a table {' or '.join(METADATA.tables)} that this library did not make. "
            "Use another database, or another schema by ?options=-csearch_path=NAME in the URL."
        )
    if version not in KNOWN:
        raise LedgerDatabaseError(
            f"Its tables are of version {version}, which is newer than this library knows ({NEWEST}). "
            "Install the newest llm-orchestrator."
        )
    return version


def _check(connection: sa.Connection) -> None:
    version = own_version(connection)
    if version != NEWEST:
        raise LedgerDatabaseError(
            f"Its tables are of version {version}, and this library needs {NEWEST}. "
            "Run: llm-orchestrator ledger upgrade."
        )
    for table in METADATA.tables.values():
        _check_columns(connection, table)


def _check_columns(connection: sa.Connection, table: sa.Table) -> None:
    inspector = sa.inspect(connection)
    there = inspector.get_columns(table.name) if inspector.has_table(table.name) else []
    found = {column["name"] for column in there}
    missing = [column.name for column in table.columns if column.name not in found]
    if missing:
        raise LedgerDatabaseError(
            f"Its table {table.name} lacks the columns {', '.join(missing)}. Restore the table, or use "
            "another database."
        )
