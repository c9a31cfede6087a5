"""The notes on batches in a journal: what is about to be submitted, what was, and which rows lie in it.

A note is written before its batch is submitted. A row's line is removed in the same commit that keeps its
answer, so whatever is left belongs to a row that nothing came of yet.
"""

from __future__ import annotations

import os
import time
from typing import Iterable, List, NamedTuple, Optional, Tuple

from llm_orchestrator.bulk.journal import Journal
from llm_orchestrator.types import LLMResponse

__all__ = ["BatchNote", "BatchNotes", "Place"]

_TABLES = (
    "CREATE TABLE IF NOT EXISTS batches (mark TEXT PRIMARY KEY, provider TEXT NOT NULL, id TEXT, "
    "requests INTEGER NOT NULL, began_at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS batch_rows (mark TEXT NOT NULL, position INTEGER NOT NULL, "
    "key TEXT NOT NULL, fingerprint BLOB NOT NULL, PRIMARY KEY (mark, position)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS batch_rows_by_key ON batch_rows (key, fingerprint)",
)
_REMOVE = "DELETE FROM batch_rows WHERE mark = ? AND position = ?"


class BatchNote(NamedTuple):
    """One batch.

    Attributes:
        mark: What it is, or would have been, submitted with; the ids of its requests begin with it.
        provider: Name of the provider entry.
        id: The provider's id; None while it is not known whether it was submitted.
        requests: How many requests it has.
        began_at: When it was about to be submitted, in Unix seconds.
    """

    mark: str
    provider: str
    id: Optional[str]
    requests: int
    began_at: float


class Place(NamedTuple):
    """Where a row lies: in which batch, and as which of its requests."""

    mark: str
    position: int

    @property
    def call_id(self) -> str:
        """The id of its call in the ledger, by which a row is known that was recorded before a crash."""
        return f"{self.mark}{self.position:08x}"


class BatchNotes:
    """The notes in one journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        with journal.transaction() as database:
            for statement in _TABLES:
                database.execute(statement)

    def all_of(self, provider: str) -> List[BatchNote]:
        """The batches of a provider entry, oldest first."""
        found = self._journal.select("SELECT * FROM batches WHERE provider = ? ORDER BY began_at", provider)
        return [BatchNote(*cells) for cells in found]

    def intend(self, provider: str, rows: Iterable[Tuple[str, bytes]]) -> BatchNote:
        """Note that rows, by key and fingerprint, are about to be submitted as one batch."""
        mark = os.urandom(12).hex()
        places = [(mark, position, *row) for position, row in enumerate(rows)]
        note = BatchNote(mark, provider, None, len(places), time.time())
        with self._journal.transaction() as database:
            database.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?)", note)
            database.executemany("INSERT INTO batch_rows VALUES (?, ?, ?, ?)", places)
        return note

    def submitted(self, mark: str, identifier: str) -> None:
        """Note the provider's id of a batch."""
        with self._journal.transaction() as database:
            database.execute("UPDATE batches SET id = ? WHERE mark = ?", (identifier, mark))

    def forget(self, mark: str) -> None:
        """Remove a batch that is collected, or was never submitted; rows that are left may be asked again."""
        with self._journal.transaction() as database:
            database.execute("DELETE FROM batch_rows WHERE mark = ?", (mark,))
            database.execute("DELETE FROM batches WHERE mark = ?", (mark,))

    def place_of(self, key: str, fingerprint: bytes) -> Optional[Place]:
        """Find the batch in which a row lies."""
        found = self._journal.select(
            "SELECT mark, position FROM batch_rows WHERE key = ? AND fingerprint = ?", key, fingerprint
        )
        return Place(*found[0]) if found else None

    def row_at(self, place: Place) -> Optional[Tuple[str, bytes]]:
        """The key and fingerprint of a row; None where something came of it already."""
        found = self._journal.select(
            "SELECT key, fingerprint FROM batch_rows WHERE mark = ? AND position = ?", *place
        )
        return (found[0][0], found[0][1]) if found else None

    def positions_left(self, mark: str) -> List[int]:
        """The requests of a batch of which nothing came."""
        found = self._journal.select("SELECT position FROM batch_rows WHERE mark = ? ORDER BY position", mark)
        return [position for (position,) in found]

    def answered(self, place: Place, row: Tuple[str, bytes], response: LLMResponse) -> None:
        """Keep the answer to a row."""
        with self._journal.transaction() as database:
            self._journal.keep(*row, response)
            database.execute(_REMOVE, place)

    def failed(self, place: Place) -> None:
        """Note that a row has an error, which is not kept."""
        with self._journal.transaction() as database:
            database.execute(_REMOVE, place)
