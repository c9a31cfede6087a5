"""The ledger in a database: rows go to a spool first, a carrier takes them over, reports read the tables.

The store uses it as it uses a CSV ledger. Nothing on the way of a call waits for the database.
"""

from __future__ import annotations

import hashlib
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Union

import sqlalchemy as sa

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.columns import DETAIL_COLUMNS, REPORT_COLUMNS
from llm_orchestrator.usage.database import reading, summing
from llm_orchestrator.usage.database.carrier import Carrier, reason_of
from llm_orchestrator.usage.database.engine import make_engine, shown_url
from llm_orchestrator.usage.database.forgetting import forget_budgets
from llm_orchestrator.usage.database.schema import Now
from llm_orchestrator.usage.database.setup import LedgerDatabaseError
from llm_orchestrator.usage.database.spool import Chunk, Spool, spool_root
from llm_orchestrator.usage.database.writing import Writer
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.usage.selection import ALL, Selection
from llm_orchestrator.usage.tally import Tally

__all__ = ["PATIENCE", "DatabaseLedger"]

#: Seconds that a report and ``close`` wait for rows to be carried over.
PATIENCE = 10.0
#: Connections of parent processes: a child must neither use nor close them, so it keeps them.
_of_parents: List[sa.Engine] = []


class DatabaseLedger:
    """A ledger that many machines share; making one asks no server.

    Attributes:
        spool: Where rows wait on their way.
    """

    def __init__(self, url: str, spool_path: Union[str, Path, None] = None, *, fsync: bool = False) -> None:
        self._url = url
        self._connect()
        self._name = shown_url(self.engine)
        self.spool = Spool(spool_root(spool_path) / _folder_of(self.engine), fsync=fsync)
        self._carrier = Carrier(self.spool, self._write, self._tidy, self._name)

    def _connect(self) -> None:
        self.engine = make_engine(self._url)
        # What nobody closed is closed with its last user; not in a child process, where it is the parent's.
        self._at_the_end = weakref.finalize(self, self.engine.dispose)
        self.writer = Writer(self.engine)

    def __str__(self) -> str:
        return self._name

    def append(
        self, record: UsageRecord, *, lock_timeout: float = 0.0, without_lock: bool = True
    ) -> bool:  # no other process is waited for, so the arguments of a CSV ledger make no difference
        """Put a row into the spool, from where it is carried over soon."""
        self.spool.append(record)
        self._carrier.notify()
        return True

    def _write(self, chunk: Chunk) -> List[bytes]:
        return self.writer.write(chunk)

    def _tidy(self) -> None:
        with self.engine.begin() as connection:
            forget_budgets(connection)

    def settle(self) -> int:
        """Have what waits carried over, for some seconds; returns how many rows still wait."""
        if not self.spool.waiting():
            return 0  # nothing needs the database
        self._carrier.carry_over(PATIENCE)
        return self.spool.waiting()

    def rows(self, selection: Selection = ALL) -> Iterator[Dict[str, str]]:
        """Read whole rows, the oldest first; all of the selection, and maybe others."""
        with self._readable():
            yield from reading.rows(self.engine, selection)

    def cells(
        self, wanted: Sequence[str] = REPORT_COLUMNS, selection: Selection = ALL
    ) -> Iterator[Sequence[str]]:
        """Read what a report needs of them, much faster than ``rows``."""
        with self._readable():
            yield from reading.cells(self.engine, selection, wanted)

    def pinned(self, selection: Selection) -> Selection:
        """The selection without rows that come later."""
        with self._readable(), self.engine.connect() as connection:
            return selection.pinned(connection.execute(sa.select(Now())).scalar_one())

    def summed(
        self, tally: Tally, selection: Selection, groupings: Mapping[str, Sequence[str]]
    ) -> Iterator[Sequence[str]]:
        """Have the server add up what it can; gives the cells of the rows that a tally has to look at."""
        with self._readable():
            if self.engine.dialect.name == "postgresql":
                yield from summing.add_sums(self.engine, tally, selection, groupings)
            else:
                yield from reading.cells(self.engine, selection, REPORT_COLUMNS)

    def summed_page(self, sums: Any, selection: Selection) -> Iterator[Sequence[str]]:
        """Have the server add up what it can of a page; gives the cells of the rows that are left."""
        with self._readable():
            if self.engine.dialect.name == "postgresql":
                from llm_orchestrator.usage.database.page_sums import add_page_sums

                yield from add_page_sums(self.engine, sums, selection)
            else:
                yield from reading.cells(self.engine, selection, DETAIL_COLUMNS)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        with self.explained("read"):
            self.writer.get_ready()
            yield

    @contextmanager
    def explained(self, done: str) -> Iterator[None]:
        """Tell what the database answers, or that it does not, as an error of the configuration."""
        try:
            yield
        except (sa.exc.SQLAlchemyError, LedgerDatabaseError) as error:
            raise ConfigurationError(
                f"The ledger {self} cannot be {done}: {reason_of(error)} "
                "Run `llm-orchestrator ledger status`, or change database_url."
            ) from error

    def say_if_missing(self) -> None:
        """Say nothing: a database that is not there cannot be read."""

    def would_read(self, path: Path) -> bool:
        """Whether a file is one of the spool's."""
        return self.spool.folder in path.absolute().parents

    def close(self) -> None:
        """Give file and connections back; a row that comes later begins others."""
        self.spool.close()
        self.engine.dispose()

    def renew_after_fork(self) -> None:
        """Begin anew in a child process."""
        self._at_the_end.detach()
        _of_parents.append(self.engine)
        self._connect()
        self.spool.renew_after_fork()
        self._carrier.renew_after_fork()


def _folder_of(engine: sa.Engine) -> str:
    """A name for what waits for this database, whoever connects to it: a spool may serve several."""
    place = f"{shown_url(engine)} {engine.url.query.get('options', '')}"
    return hashlib.sha256(place.encode()).hexdigest()[:16]
