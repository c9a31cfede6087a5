"""SQLite files that readers and a writer use at once."""

from __future__ import annotations

import sqlite3
import time

__all__ = ["use_write_ahead_log"]

_PAUSE = 0.01  # seconds


def use_write_ahead_log(database: sqlite3.Connection, seconds: float) -> None:
    """Have the readers and the writer of a file not wait for each other.

    SQLite's own wait for a lock does not cover this change: of several programs that open a new file at the
    same moment, some are refused at once. So this waits for them, at most ``seconds``.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= end:
                raise
        time.sleep(_PAUSE)
