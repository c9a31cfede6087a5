"""Where conversations are kept, and the statements that are the same in every place."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import Any, ContextManager, Iterator, List, Mapping, Protocol, Sequence, Tuple, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.files import open_regular, pinned

__all__ = ["TABLES", "FilePlace", "Run", "StorePlace", "Values"]

#: Seconds to wait while another program writes.
LOCK_SECONDS = 10.0
#: Moments are text of one length, which sorts as they do.
TABLES = (
    """CREATE TABLE IF NOT EXISTS llm_conversation_save (
    session TEXT NOT NULL, revision INTEGER NOT NULL, length INTEGER NOT NULL, head TEXT NOT NULL,
    saved_at TEXT NOT NULL, PRIMARY KEY (session, revision))""",
    """CREATE TABLE IF NOT EXISTS llm_conversation_message (
    session TEXT NOT NULL, position INTEGER NOT NULL, revision INTEGER NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (session, position, revision))""",
)

#: The values of a statement, by the names that stand in it.
Values = Mapping[str, Any]


class Run(Protocol):
    """Runs a statement with values by their names, or one without a result with many of them."""

    def __call__(self, statement: str, values: Union[Values, Sequence[Values]] = ()) -> List[Tuple[Any, ...]]:
        """The rows of its result."""


class StorePlace(Protocol):
    """Where conversations are kept."""

    @property
    def name(self) -> str:
        """What the place is called where it is shown, without a password."""

    def reading(self) -> ContextManager[Run]:
        """A transaction that reads."""

    def writing(self, session: str) -> ContextManager[Run]:
        """A transaction that writes to a session, which nobody else does meanwhile."""

    def close(self) -> None:
        """Close connections."""


class FilePlace:
    """A SQLite file; made when it is missing, for its owner alone."""

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self.name = pinned(path)
        try:
            os.close(open_regular(self.name, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise self._unusable(error) from error
        with self._transaction("BEGIN IMMEDIATE") as run:
            for table in TABLES:
                run(table)

    def reading(self) -> ContextManager[Run]:
        """See ``StorePlace``."""
        return self._transaction("BEGIN")

    def writing(self, session: str) -> ContextManager[Run]:
        """See ``StorePlace``; a file has one writer."""
        return self._transaction("BEGIN IMMEDIATE")

    def close(self) -> None:
        """See ``StorePlace``; nothing is open between two transactions."""

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Run]:
        """One connection for one thing to do: it belongs to no thread, and a fork inherits none."""
        try:
            database = sqlite3.connect(self.name, timeout=LOCK_SECONDS, isolation_level=None)

            def run(statement: str, values: Union[Values, Sequence[Values]] = ()) -> List[Tuple[Any, ...]]:
                if isinstance(values, list):
                    return database.executemany(statement, values).fetchall()
                return database.execute(statement, values).fetchall()

            try:
                database.execute(begin)
                yield run
                database.execute("COMMIT")
            finally:
                database.close()  # what is not committed by now never was
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> ConfigurationError:
        remedy = "Name a SQLite file in a folder that can be written, or make room on its disk."
        if "locked" in str(error):
            remedy = "Another program is writing it; try again, or end that program."
        return ConfigurationError(f"The conversations in {self.name} cannot be used: {error}. {remedy}")
