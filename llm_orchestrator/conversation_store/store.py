"""``ConversationStore``: conversations by session in a SQLite file or a database; rows are only ever added.

A save adds the messages that are new, and a row that says how long the history is now: after an ``undo`` it
is shorter, and what was taken back stays there. A message counts until a later save has another one in
its place. The texts stand there as they are; only its owner may read a file.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from functools import partial
from typing import Any, Dict, List, NamedTuple, Optional, Union

from llm_orchestrator.conversation import Conversation, OrchestratorLike
from llm_orchestrator.conversation_store.places import FilePlace, Run, StorePlace
from llm_orchestrator.exceptions import ConfigurationError, InvalidRequestError, OrchestratorError
from llm_orchestrator.utils.threads import in_thread
from llm_orchestrator.utils.values import Value

__all__ = ["ConversationStore", "SavedConversation"]

# SQLite and PostgreSQL read these alike. Rows are only added, so those up to a revision never change.
_LAST_SAVE = """SELECT revision, length, head FROM llm_conversation_save WHERE session = :session
    ORDER BY revision DESC LIMIT 1"""
_MESSAGES = """SELECT message FROM llm_conversation_message AS kept
    WHERE session = :session AND position < :length AND revision = (
        SELECT max(revision) FROM llm_conversation_message
        WHERE session = :session AND position = kept.position AND revision <= :revision)
    ORDER BY position"""
_ALL = """SELECT session, length, head, saved_at FROM llm_conversation_save AS kept
    WHERE revision = (SELECT max(revision) FROM llm_conversation_save WHERE session = kept.session)
    ORDER BY saved_at DESC, session"""
_ADD_SAVE = "INSERT INTO llm_conversation_save VALUES (:session, :revision, :length, :head, :saved_at)"
_ADD_MESSAGE = "INSERT INTO llm_conversation_message VALUES (:session, :position, :revision, :message)"


@dataclass(frozen=True, eq=False, repr=False)
class SavedConversation(Value):
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
    """Conversations by session, in a SQLite file or a database that threads and processes may share.

    Args:
        path: The file; made when it is missing, for its owner alone. It may be a SQLite database that has
            other tables too. Or the URL of a database, ``postgresql+psycopg://USER@HOST/DATABASE`` or
            ``sqlite:///FILE`` (extra ``database``), which may be that of the ledger.

    Raises:
        ConfigurationError: The file cannot be made or is not a SQLite database; the URL is wrong, or its
            database cannot be reached; or the extra is missing.

    Attributes:
        path: The whole path of the file, or the URL without who connects.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self._known: weakref.WeakKeyDictionary[Conversation, Dict[str, int]] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._place = _place_of(path)
        self.path = self._place.name

    def __repr__(self) -> str:
        return f"ConversationStore({self.path!r})"

    def __contains__(self, session: object) -> bool:
        with self._place.reading() as run:
            return isinstance(session, str) and session.isprintable() and _read(run, session) is not _NOTHING

    def __enter__(self) -> ConversationStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to a database; the next use opens them again. A file needs no closing."""
        self._place.close()

    def save(self, conversation: Conversation, session: str) -> None:
        """Keep what a conversation has come to; what was saved before is not written again.

        Args:
            conversation: The conversation. A call that is running is not part of it yet.
            session: The name to find it by. Saved under a second one, it goes on in two directions.

        Raises:
            OrchestratorError: Another conversation was saved under this name, or another program went on with
                this one; nothing is written.
            InvalidMessagesError: A message holds what JSON cannot.
            ConfigurationError: The file or the database cannot be written.
        """
        _check_session(session)
        document = json.loads(conversation.to_json())
        messages = [json.dumps(message) for message in document.pop("messages")]
        head = json.dumps(document)
        with self._lock:
            known = self._known.setdefault(conversation, {})
            with self._place.writing(session) as run:
                stored = _read(run, session)
                same = _common(stored.messages, messages)
                if known.get(session, 0) != stored.revision and same < len(stored.messages):
                    raise _other(session)
                now = _Stored(stored.revision, head, messages)
                if now != stored:
                    now = now._replace(revision=stored.revision + 1)
                    _write(run, session, now, same)
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
            ConfigurationError: The file or the database cannot be read.
        """
        _check_session(session)
        with self._place.reading() as run:
            stored = _read(run, session)
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
            ConfigurationError: The file or the database cannot be read.
        """
        with self._place.reading() as run:
            rows = run(_ALL)
        return [_entry(*row) for row in rows]

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


def _place_of(path: Union[str, os.PathLike[str]]) -> StorePlace:
    """The place that a path, or the URL of a database, names; its tables are there."""
    if not isinstance(path, str) or "://" not in path:
        return FilePlace(path)
    try:
        from llm_orchestrator.conversation_store.database import DatabasePlace
    except ImportError as error:
        raise ConfigurationError(
            "Conversations in a database need SQLAlchemy, which cannot be imported. "
            'Run: pip install "llm-orchestrator[database]".'
        ) from error
    return DatabasePlace(path)


def _check_session(session: Any) -> None:
    if not isinstance(session, str) or not session or not session.isprintable():
        raise InvalidRequestError(f"session is {session!r}. Pass a text that can be printed.")


def _read(run: Run, session: str) -> _Stored:
    last = run(_LAST_SAVE, {"session": session})
    if not last:
        return _NOTHING
    revision, length, head = last[0]
    rows = run(_MESSAGES, {"session": session, "length": length, "revision": revision})
    return _Stored(revision, head, [message for (message,) in rows])


def _write(run: Run, session: str, now: _Stored, same: int) -> None:
    """Add a save, with the messages behind those that are the same."""
    saved_at = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    common = {"session": session, "revision": now.revision}
    run(_ADD_SAVE, {**common, "length": len(now.messages), "head": now.head, "saved_at": saved_at})
    new = [
        {**common, "position": position, "message": now.messages[position]}
        for position in range(same, len(now.messages))
    ]
    if new:
        run(_ADD_MESSAGE, new)


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
