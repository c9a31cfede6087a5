"""The journal of a run: a SQLite file with the answers that were paid, so that none is paid again.

The texts of the answers stand in it; only its owner may read the file.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from llm_orchestrator.bulk.claim import Claim
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.types import LLMResponse
from llm_orchestrator.utils.write_ahead import use_write_ahead_log

__all__ = ["Journal", "Kept"]

#: Marks the file as ours, and says which columns it has.
APPLICATION, VERSION = 0x4C4C4D4A, 1
#: Seconds that an answer waits for others to be committed with.
GROUP_SECONDS = 0.005
#: Seconds to wait while another program writes.
LOCK_SECONDS = 10.0

_TABLE = """
CREATE TABLE answers (
    key TEXT NOT NULL, fingerprint BLOB NOT NULL, content TEXT NOT NULL, is_parsed INTEGER NOT NULL,
    cost TEXT, provider TEXT, model TEXT, prompt_tokens INTEGER, completion_tokens INTEGER,
    finish_reason TEXT, request_id TEXT, answered_at TEXT NOT NULL, PRIMARY KEY (key, fingerprint)
)"""
_REMEDY = "which would ask the same rows. Wait for its end, or close it, or name another file."
_INSERT = f"INSERT OR REPLACE INTO answers VALUES ({', '.join('?' * 12)})"
_FIND = "SELECT content, is_parsed, cost FROM answers WHERE key = ? AND fingerprint = ?"


class Kept(NamedTuple):
    """An answer that an earlier run paid."""

    content: str
    is_parsed: bool
    cost: Optional[Decimal]


class Journal:
    """The answers of all runs that name this file.

    Args:
        path: The file; made when it is missing, with mode 0600.
        must_exist: Refuse a file that is missing, instead of making it.
        is_alone: Refuse a file that another one who is alone has, and keep such others out.

    Raises:
        ConfigurationError: The file cannot be used: it is in use, another program's, of another version,
            locked, read-only or damaged, or its folder is missing.
    """

    #: Rows that are looked at, for each that is asked: nobody else asks, so none is waited for.
    width = 1

    def __init__(self, path: str, *, must_exist: bool = False, is_alone: bool = False) -> None:
        self.path = path
        self._claim: Optional[Claim] = None
        self._waiting: List[Tuple[Any, ...]] = []
        self._commit: Optional[asyncio.Future[None]] = None
        if must_exist and not os.path.isfile(path):
            raise ConfigurationError(f"There is no journal {path}. Check the path.")
        try:
            _make_private(path)
            self._database = sqlite3.connect(
                path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"The journal {path} cannot be opened: {error}. Name a file in a folder that can be written."
            ) from error
        try:
            self._prepare()
            if is_alone:
                self._claim = Claim(path, f"The journal {path} is in use by another run, {_REMEDY}")
        except (OSError, sqlite3.Error) as error:
            self._database.close()
            raise self._unusable(error) from error
        except ConfigurationError:
            self._database.close()
            raise

    def _prepare(self) -> None:
        run = self._database.execute
        if not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            use_write_ahead_log(self._database, LOCK_SECONDS)
            run("BEGIN IMMEDIATE")
            if not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:  # no other process was faster
                run(_TABLE)
                run(f"PRAGMA application_id = {APPLICATION}")
                run(f"PRAGMA user_version = {VERSION}")
            run("COMMIT")
        if run("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise ConfigurationError(
                f"{self.path} is a database of another program, not a journal. Name another file."
            )
        version = run("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise ConfigurationError(
                f"The journal {self.path} is of version {version}, and this library reads {VERSION}. Use the "
                "library that wrote it, or another file."
            )
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN IMMEDIATE")  # says now that it is locked or read-only, not when answers were paid
        try:
            run(f"PRAGMA user_version = {VERSION}")  # a transaction that writes nothing may be read-only
        finally:
            run("ROLLBACK")

    def _unusable(self, error: Exception) -> ConfigurationError:
        reason = str(error)
        if "locked" in reason:
            remedy = "Another program is writing it; end that, or name another file."
        elif "full" in reason:
            remedy = "Make room on the disk, then start the same run again."
        elif "readonly" in reason:
            remedy = "Make the file and its folder writable, or name another file."
        elif "not a database" in reason or "malformed" in reason:
            remedy = "It is not a journal, or it is damaged; name another file."
        else:
            remedy = "Check the file and its disk, or name another file."
        return ConfigurationError(f"The journal {self.path} cannot be used: {reason}. {remedy}")

    def find(self, key: str, fingerprint: bytes) -> Optional[Kept]:
        """Look up the answer to a row."""
        try:
            found = self._database.execute(_FIND, (key, fingerprint)).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        if found is None:
            return None
        content, is_parsed, cost = found
        return Kept(content, bool(is_parsed), None if cost is None else Decimal(cost))

    async def claim(
        self, key: str, fingerprint: bytes, check: Callable[[], None] = lambda: None
    ) -> Optional[Kept]:
        """Find the answer to a row; None: it is ours to ask, as every row is in a file."""
        return self.find(key, fingerprint)

    def release(self, key: str, fingerprint: bytes) -> None:
        """Say that a claimed row got no answer, which nobody else waits for."""

    async def add(self, key: str, fingerprint: bytes, response: LLMResponse) -> None:
        """Keep an answer; returns when it is committed, with others that came meanwhile."""
        self._waiting.append(_row(key, fingerprint, response))
        if self._commit is None:
            loop = asyncio.get_running_loop()
            self._commit = loop.create_future()
            loop.call_later(GROUP_SECONDS, self.flush)
        await asyncio.shield(self._commit)

    def flush(self) -> None:
        """Commit what is waiting; whoever waits for it is told, errors included."""
        rows, self._waiting = self._waiting, []
        commit, self._commit = self._commit, None
        failure: Optional[ConfigurationError] = None
        if rows:
            try:
                self._write(rows)
            except sqlite3.Error as error:
                failure = self._unusable(error)
        if commit is None or commit.done():
            if failure is not None:
                raise failure
        elif failure is None:
            commit.set_result(None)
        else:
            commit.set_exception(failure)
            commit.exception()  # noted: nobody may be waiting any more

    def _write(self, rows: List[Tuple[Any, ...]]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(_INSERT, rows)
            self._database.execute("COMMIT")
        except sqlite3.Error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit statements together, such as those of the notes on batches, which stand in the same file."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:  # a Ctrl-C leaves no transaction open either
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def select(self, statement: str, *arguments: Any) -> List[Tuple[Any, ...]]:
        """Read what a statement finds."""
        try:
            return self._database.execute(statement, arguments).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def keep(self, key: str, fingerprint: bytes, response: LLMResponse) -> None:
        """Keep an answer inside a transaction."""
        self._database.execute(_INSERT, _row(key, fingerprint, response))

    def close(self) -> None:
        """Commit what is waiting, and close the file."""
        try:
            self.flush()
        finally:
            self._database.close()
            self.let_others_in()

    def let_others_in(self) -> None:
        """Be alone no longer: this one writes nothing any more that another could write, too."""
        if self._claim is not None:
            self._claim.release()

    def __del__(self) -> None:
        database = getattr(self, "_database", None)  # of a run that was interrupted while it began
        if database is not None:
            database.close()
            self.let_others_in()

    # ---------------------------------------------------------------- for the command line

    def sums(self) -> Dict[str, Any]:
        """How many answers there are, of how many rows and prompts, from when to when, and their cost."""
        count, prints, first, last = self._database.execute(
            "SELECT count(*), count(DISTINCT fingerprint), min(answered_at), max(answered_at) FROM answers"
        ).fetchone()
        costs = (Decimal(cost) for (cost,) in self._database.execute("SELECT cost FROM answers") if cost)
        unpriced = self._database.execute("SELECT count(*) FROM answers WHERE cost IS NULL").fetchone()[0]
        return {
            "answers": count,
            "rows": self._database.execute("SELECT count(DISTINCT key) FROM answers").fetchone()[0],
            "prompts": prints,
            "first": first,
            "last": last,
            "cost": sum(costs, Decimal(0)),
            "unpriced": unpriced,
        }

    def answers(self) -> Iterator[Dict[str, Any]]:
        """All answers, in the order in which they came."""
        cursor = self._database.execute("SELECT * FROM answers ORDER BY rowid")
        names = [column[0] for column in cursor.description]
        for cells in cursor:
            row = dict(zip(names, cells))
            row["fingerprint"] = row["fingerprint"].hex()
            yield row

    def forget(self, key: Optional[str] = None) -> int:
        """Remove the answers of one key, or all of them; returns how many."""
        chosen = ("", ()) if key is None else (" WHERE key = ?", (key,))
        removed = self._database.execute(f"DELETE FROM answers{chosen[0]}", chosen[1]).rowcount
        self._database.execute("VACUUM")  # or the texts would stay in the file
        return removed


def _make_private(path: str) -> None:
    """Make the file before SQLite does, which would let others read it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return


def _row(key: str, fingerprint: bytes, response: LLMResponse) -> Tuple[Any, ...]:
    usage = response.usage
    return (
        key,
        fingerprint,
        response.content,
        response.parsed is not None,
        None if response.cost is None else format(response.cost, "f"),
        response.provider,
        response.model,
        usage.prompt_tokens,
        usage.completion_tokens,
        response.finish_reason.value,
        response.request_id,
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
