"""The keys of rows: under which an answer is found again."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Callable, Optional

from llm_orchestrator.bulk.messages import Field, field_of, function_of
from llm_orchestrator.exceptions import InvalidMessagesError

__all__ = ["Keys"]

_as_text = json.JSONEncoder(default=str, sort_keys=True, ensure_ascii=False).encode  # dumps makes one a row


class Keys:
    """Gives each row its key, and refuses one that an earlier row of the run has.

    What was seen is kept in SQLite's own temporary file: in memory ten million keys would take a gigabyte.
    """

    # An engine runs the rows of a lost process again, so there a key ``may_repeat``.

    def __init__(self, key: Optional[Field], *, may_repeat: bool = False) -> None:
        self._may_repeat = may_repeat
        self._read = _reader(key) if key is not None else None
        self._seen: Optional[sqlite3.Connection] = None

    def of(self, row: Any, index: int) -> Any:
        """The key of a row; its position where there is no other."""
        if self._read is None:
            return index
        key = self._read(row)
        if key is None:
            raise InvalidMessagesError("The row has no key. Give each row one of its own.")
        return key

    def text(self, key: Any) -> str:
        """A key as text, the same in every run; refuses the second row of one key."""
        text = str(key) if type(key) is int else _as_text(key)  # the same, and much faster
        if self._read is not None and not self._may_repeat and not self._is_new(text):
            raise InvalidMessagesError(
                f"An earlier row has the key {text}, too, so this one was not asked. Give each its own."
            )
        return text

    def _is_new(self, text: str) -> bool:
        if self._seen is None:
            self._seen = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._seen.execute("PRAGMA synchronous = OFF")
            self._seen.execute("PRAGMA journal_mode = OFF")
            self._seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID")
            self._seen.execute("BEGIN")
        return self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (text,)).rowcount == 1

    def close(self) -> None:
        """Remove the temporary file."""
        if self._seen is not None:
            self._seen.close()
            self._seen = None


def _reader(key: Field) -> Callable[[Any], Any]:
    if isinstance(key, str):
        name = key
        return lambda row: field_of(row, name)
    return function_of(key, "key")
