"""Conversations in a database: PostgreSQL, or SQLite by its URL. Needs the extra ``database``."""

from __future__ import annotations

import os
import weakref
from contextlib import contextmanager
from typing import Any, ContextManager, Dict, Iterator, List, Sequence, Tuple, Union

import sqlalchemy as sa

from llm_orchestrator.conversation_store.places import TABLES, Run, Values
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.database.carrier import reason_of
from llm_orchestrator.usage.database.engine import BEGIN, Use, make_engine, shown_url
from llm_orchestrator.usage.database.setup import lock_out_others

__all__ = ["DatabasePlace"]

_USE = Use("The URL of the store", "store")
#: Which lock of a PostgreSQL server keeps two programs from one session: any fixed number, and the session's.
_LOCK = "SELECT pg_advisory_xact_lock(1819045219, hashtext(:session))"


class DatabasePlace:
    """Two tables of a database, which may be the ledger's; made when they are missing."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url, use=_USE)
        self.name = shown_url(self._engine)
        self._is_postgresql = self._engine.dialect.name == "postgresql"
        self._process = os.getpid()
        self._at_the_end = weakref.finalize(self, self._engine.dispose)
        with self._transaction({BEGIN: "IMMEDIATE"}) as connection:
            lock_out_others(connection)
            for table in TABLES:
                connection.execute(sa.text(table))

    def reading(self) -> ContextManager[Run]:
        """See ``StorePlace``."""
        return self._running({})

    def writing(self, session: str) -> ContextManager[Run]:
        """See ``StorePlace``."""
        return self._running({BEGIN: "IMMEDIATE"}, session)

    def close(self) -> None:
        """See ``StorePlace``."""
        self._engine.dispose()

    @contextmanager
    def _running(self, options: Dict[str, Any], session: str = "") -> Iterator[Run]:
        with self._transaction(options) as connection:

            def run(statement: str, values: Union[Values, Sequence[Values]] = ()) -> List[Tuple[Any, ...]]:
                result = connection.execute(sa.text(statement), values or None)
                return [tuple(row) for row in result] if result.returns_rows else []

            if session and self._is_postgresql:
                run(_LOCK, {"session": session})
            yield run

    @contextmanager
    def _transaction(self, options: Dict[str, Any]) -> Iterator[sa.Connection]:
        if os.getpid() != self._process:  # the connections are the parent's
            self._engine.dispose(close=False)
            self._process = os.getpid()
        try:
            with self._engine.execution_options(**options).begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise ConfigurationError(
                f"The conversations in {self.name} cannot be used: {reason_of(error)} "
                "See that the database can be reached and written, or name another one."
            ) from error
