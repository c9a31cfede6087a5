"""How the tables come about: an empty database gets them at the first connection; a version says which.

The version is alembic's, in a table of its own beside one that the application's alembic may have.
"""

from __future__ import annotations

from typing import Optional

import sqlalchemy as sa

from llm_orchestrator.usage.database.engine import BEGIN
from llm_orchestrator.usage.database.schema import METADATA, USAGE

__all__ = ["KNOWN", "NEWEST", "VERSIONS", "LedgerDatabaseError", "prepare", "version_of"]

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
    with engine.connect() as connection:
        is_empty = _is_empty(connection)
    if is_empty:
        with engine.connect().execution_options(**{BEGIN: "IMMEDIATE"}) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            if _is_empty(connection):  # nobody was faster
                METADATA.create_all(connection)
                VERSIONS.create(connection)
                connection.execute(VERSIONS.insert().values(version_num=NEWEST))
    with engine.connect() as connection:
        _check(connection)


def version_of(connection: sa.Connection) -> Optional[str]:
    """The version of the tables; None where there are none, or they are not ours."""
    if not sa.inspect(connection).has_table(VERSIONS.name):
        return None
    version: Optional[str] = connection.execute(sa.select(VERSIONS.c.version_num)).scalar()
    return version


def _is_empty(connection: sa.Connection) -> bool:
    inspector = sa.inspect(connection)
    return not any(inspector.has_table(name) for name in (*METADATA.tables, VERSIONS.name))


def _check(connection: sa.Connection) -> None:
    version = version_of(connection)
    if version is None:
        raise LedgerDatabaseError(
            f"It has a table {USAGE.name}, llm_budget or llm_hold that this library did not make. "
            "Use another database, or another schema by ?options=-csearch_path=NAME in the URL."
        )
    if version not in KNOWN:
        raise LedgerDatabaseError(
            f"Its tables are of version {version}, which is newer than this library knows ({NEWEST}). "
            "Install the newest llm-orchestrator."
        )
    if version != NEWEST:
        raise LedgerDatabaseError(
            f"Its tables are of version {version}, and this library needs {NEWEST}. "
            "Run: llm-orchestrator ledger upgrade."
        )
    _check_columns(connection)


def _check_columns(connection: sa.Connection) -> None:
    found = {column["name"] for column in sa.inspect(connection).get_columns(USAGE.name)}
    missing = [column.name for column in USAGE.columns if column.name not in found]
    if missing:
        raise LedgerDatabaseError(
            f"Its table {USAGE.name} lacks the columns {', '.join(missing)}. Restore the table, or use "
            "another database."
        )
