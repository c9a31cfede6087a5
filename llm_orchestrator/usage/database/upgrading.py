"""Tables of an older version get the columns they lack: alembic runs the scripts; nothing is taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from llm_orchestrator.usage.database import setup
from llm_orchestrator.usage.database.engine import BEGIN
from llm_orchestrator.usage.database.schema import METADATA

__all__ = ["upgrade"]

#: A script for each version, in the folder ``versions``.
SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(engine: sa.Engine) -> str:
    """Bring the tables to the newest version; returns the version they had, also when it was that."""
    if setup.is_empty_database(engine):
        setup.prepare(engine)
    with engine.connect().execution_options(**{BEGIN: "IMMEDIATE"}) as connection, connection.begin():
        setup.lock_out_others(connection)
        version = setup.own_version(connection)
        if version != setup.NEWEST:
            _run_scripts(connection)
    setup.prepare(engine)
    return version


def _run_scripts(connection: sa.Connection) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(SCRIPTS))

    def steps(revision: Any, context: Any) -> Any:
        return scripts._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), scripts, fn=steps, destination_rev="head") as environment:
        environment.configure(
            connection=connection, version_table=setup.VERSIONS.name, target_metadata=METADATA
        )
        environment.run_migrations()
