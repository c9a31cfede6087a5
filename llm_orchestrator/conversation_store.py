"""``ConversationStore``: conversations by session in a SQLite file, to which rows are only ever added.

A save adds the messages that are new, and a row that says how long the history is now: after an ``undo`` it
is shorter, and what was taken back stays in the file. A message counts until a later save has another one in
its place. The texts stand in the file as they are; only its owner may read it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from functools import partial
from typing import Any, ContextManager, Dict, Iterator, List, NamedTuple, Optional, Union

from llm_orchestrator.conversation import Conversation, OrchestratorLike
from llm_orchestrator.exceptions import ConfigurationError, InvalidRequestError, OrchestratorError
from llm_orchestrator.utils.files import open_regular, pinned
from llm_orchestrator.utils.threads import in_thread

__all__ = ["ConversationStore", "SavedConversation"]

#: Seconds to wait while another program writes.
LOCK_SECONDS = 10.0
_TABLES = (
    """CREATE TABLE IF NOT EXISTS conversation_saves (
    session TEXT NOT NULL, revision INTEGER NOT NULL, length INTEGER NOT NULL, head TEXT NOT NULL,
    saved_at TEXT NOT NULL, PRIMARY KEY (session, revision))""",
    """CREATE TABLE IF NOT EXISTS conversation_messages (
    session TEXT NOT NULL, position INTEGER NOT NULL, revision INTEGER NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (session, position, revision))""",
)
_LAST_SAVE = """SELECT revision, length, head FROM conversation_saves WHERE session = ?
    ORDER BY revision DESC LIMIT 1"""
#: SQLite takes the message from the row with the maximum (sqlite.org/lang_select.html, bare columns).
_MESSAGES = """SELECT message, max(revision) FROM conversation_messages WHERE session = ? AND position < ?
    GROUP BY position ORDER BY position"""
_ALL = """SELECT session, length, head, saved_at, max(revision) FROM conversation_saves GROUP BY session
    ORDER BY saved_at DESC, session"""


@dataclass(frozen=True)
class SavedConversation:
    """One conversation of a store, without its messages.

    Attributes:
        session: The name it was saved under.
        provider: Name of the provider entry it belongs to.
        model: The model it was with when it was saved.
        messages: Number of its messages.
        cost: US dollars it has cost, as far as known.
        saved_at: When it was last saved (UTC).
    """

    session: str
    provider: str
    model: Optional[str]
    messages: int
    cost: Decimal
    saved_at: datetime


class _Stored(NamedTuple):
    """The last save of a session."""

    revision: int
    head: str
    messages: List[str]


_NOTHING = _Stored(0, "", [])


class ConversationStore:
    """Conversations by session, in a SQLite file that several threads and processes may share.

    Args:
        path: The file; made when it is missing, for its owner alone. It may be a SQLite database that has
            other tables too.

    Raises:
        ConfigurationError: The file cannot be made or is not a SQLite database.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self.path = pinned(path)
        self._known: weakref.WeakKeyDictionary[Conversation, Dict[str, int]] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        try:
            os.close(open_regular(self.path, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise self._unusable(error) from error
        with self._writing() as database:
            for table in _TABLES:
                database.execute(table)

    def __repr__(self) -> str:
        return f"ConversationStore({self.path!r})"

    def __contains__(self, session: object) -> bool:
        with self._reading() as database:
            return isinstance(session, str) and _read(database, session) is not _NOTHING

    def save(self, conversation: Conversation, session: str) -> None:
        """Keep what a conversation has come to; what was saved before is not written again.

        Args:
            conversation: The conversation. A call that is running is not part of it yet.
            session: The name to find it by. Saved under a second one, it goes on in two directions.

        Raises:
            OrchestratorError: Another conversation was saved under this name, or another program went on with
                this one; nothing is written.
            InvalidMessagesError: A message holds what JSON cannot.
            ConfigurationError: The file cannot be written.
        """
        _check_session(session)
        document = json.loads(conversation.to_json())
        messages = [json.dumps(message) for message in document.pop("messages")]
        head = json.dumps(document)
        with self._lock:
            known = self._known.setdefault(conversation, {})
            with self._writing() as database:
                stored = _read(database, session)
                same = _common(stored.messages, messages)
                if known.get(session, 0) != stored.revision and same < len(stored.messages):
                    raise _other(session)
                now = _Stored(stored.revision, head, messages)
                if now != stored:
                    now = now._replace(revision=stored.revision + 1)
                    _write(database, session, now, same)
            known[session] = now.revision

    def load(self, session: str, orchestrator: OrchestratorLike, **defaults: Any) -> Conversation:
        """Bring the conversation of a session back.

        Args:
            session: The name it was saved under.
            orchestrator: As in ``Conversation.from_json``.
            **defaults: Arguments of ``send_request`` that hold for every turn from now on.

        Returns:
            The conversation, as it was last saved.

        Raises:
            InvalidRequestError: Nothing was saved under this name.
            OrchestratorError: What ``Conversation.from_json`` raises.
            ConfigurationError: The file cannot be read.
        """
        _check_session(session)
        with self._reading() as database:
            stored = _read(database, session)
        if stored is _NOTHING:
            raise InvalidRequestError(
                f"No conversation is saved as {session!r} in {self.path}. Start one, or see list()."
            )
        text = f'{{"messages": [{", ".join(stored.messages)}], {stored.head[1:]}'
        conversation = Conversation.from_json(text, orchestrator, **defaults)
        with self._lock:
            self._known[conversation] = {session: stored.revision}
        return conversation

    def list(self) -> List[SavedConversation]:
        """Tell which conversations there are, the one that was saved last first.

        Returns:
            One entry for each session.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        with self._reading() as database:
            rows = database.execute(_ALL).fetchall()
        return [_entry(*row[:4]) for row in rows]

    async def asave(self, conversation: Conversation, session: str) -> None:
        """Keep what a conversation has come to, in a thread; see ``save``.

        Args:
            conversation: The conversation.
            session: The name to find it by.
        """
        await in_thread(partial(self.save, conversation, session))

    async def aload(self, session: str, orchestrator: OrchestratorLike, **defaults: Any) -> Conversation:
        """Bring a conversation back, read in a thread; see ``load``.

        Args:
            session: The name it was saved under.
            orchestrator: As in ``Conversation.from_json``.
            **defaults: Arguments of ``send_request`` that hold for every turn from now on.

        Returns:
            The conversation, as it was last saved.
        """
        return await in_thread(partial(self.load, session, orchestrator, **defaults))

    def _reading(self) -> ContextManager[sqlite3.Connection]:
        return self._transaction("BEGIN")

    def _writing(self) -> ContextManager[sqlite3.Connection]:
        return self._transaction("BEGIN IMMEDIATE")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        """One connection for one thing to do: it belongs to no thread, and a fork inherits none."""
        try:
            database = sqlite3.connect(self.path, timeout=LOCK_SECONDS, isolation_level=None)
            try:
                database.execute(begin)
                yield database
                database.execute("COMMIT")
            finally:
                database.close()  # what is not committed by now never was
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> ConfigurationError:
        remedy = "Name a SQLite file in a folder that can be written, or make room on its disk."
        if "locked" in str(error):
            remedy = "Another program is writing it; try again, or end that program."
        return ConfigurationError(f"The conversations in {self.path} cannot be used: {error}. {remedy}")


def _check_session(session: Any) -> None:
    if not isinstance(session, str) or not session or not session.isprintable():
        raise InvalidRequestError(f"session is {session!r}. Pass a text that can be printed.")


def _read(database: sqlite3.Connection, session: str) -> _Stored:
    last = database.execute(_LAST_SAVE, (session,)).fetchone()
    if last is None:
        return _NOTHING
    revision, length, head = last
    rows = database.execute(_MESSAGES, (session, length)).fetchall()
    return _Stored(revision, head, [message for message, _ in rows])


def _write(database: sqlite3.Connection, session: str, now: _Stored, same: int) -> None:
    """Add a save, with the messages behind those that are the same."""
    length, moment = len(now.messages), datetime.now(timezone.utc).isoformat()
    database.execute(
        "INSERT INTO conversation_saves VALUES (?, ?, ?, ?, ?)",
        (session, now.revision, length, now.head, moment),
    )
    database.executemany(
        "INSERT INTO conversation_messages VALUES (?, ?, ?, ?)",
        [(session, position, now.revision, now.messages[position]) for position in range(same, length)],
    )


def _common(stored: List[str], messages: List[str]) -> int:
    """How many messages are the same from the beginning on."""
    pairs = enumerate(zip(stored, messages))
    return next((place for place, (one, other) in pairs if one != other), min(len(stored), len(messages)))


def _other(session: str) -> OrchestratorError:
    return OrchestratorError(
        f"What is saved as {session!r} is another conversation, or somebody went on with this one. Load it "
        "again, or save under another name."
    )


def _entry(session: str, length: int, head: str, saved_at: str) -> SavedConversation:
    document = json.loads(head)
    return SavedConversation(
        session,
        document["provider"],
        document["model"],
        length,
        Decimal(document["cost"]),
        datetime.fromisoformat(saved_at),
    )
