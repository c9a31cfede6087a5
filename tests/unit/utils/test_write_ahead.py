"""Programs that open a new SQLite file at the same moment; SQLite itself decides who is refused."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Iterator, Tuple

import pytest

from llm_orchestrator.utils.write_ahead import use_write_ahead_log


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Tuple[sqlite3.Connection, sqlite3.Connection]]:
    """Two connections of which the first is reading, so that the second is refused at once."""
    path = tmp_path / "new.db"
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    reader.execute("CREATE TABLE kept (value)")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM kept").fetchall()
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    yield reader, other
    other.close()
    reader.close()


def test_the_change_waits_for_who_holds_the_file(two: Tuple[sqlite3.Connection, sqlite3.Connection]) -> None:
    reader, other = two
    timer = threading.Timer(0.02, reader.execute, ["COMMIT"])
    timer.start()
    use_write_ahead_log(other, 60)
    timer.join()
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_wait_has_an_end(two: Tuple[sqlite3.Connection, sqlite3.Connection]) -> None:
    _, other = two
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_write_ahead_log(other, 0.05)


def test_what_is_no_lock_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("The text of a letter, long enough to be taken for the head of a file of SQLite. " * 20)
    with closing(sqlite3.connect(path)) as database:
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            use_write_ahead_log(database, 60)
