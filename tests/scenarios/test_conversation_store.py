"""A conversation that is saved by session and loaded goes on as if nothing had been between; no row is ever lost."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from llm_orchestrator import (
    ConfigurationError,
    Conversation,
    ConversationStore,
    InvalidRequestError,
    LLMOrchestrator,
    OrchestratorError,
    ProviderSwitchError,
)
from llm_orchestrator.testing import FakeProvider, FakeReply
from tests.scenarios.test_conversations import answer, say, sent
from tests.support.fakes import play, warm  # noqa: F401 (warm is a fixture)
from tests.support.fixtures import Orchestrate
from tests.support.forks import needs_fork, start_child, succeeded
from tests.support.opaque import TURNS, reply
from tests.support.scripted_server import Dialect, ScriptedServer

CASES = [(name, next(iter(cases))) for name, cases in TURNS.items()]
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}


@pytest.fixture(params=["file", "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What a store is given, for each place it can be in."""
    if request.param == "file":
        return str(tmp_path / "conversations.db")
    pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/conversations.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(place: str) -> Iterator[ConversationStore]:
    with ConversationStore(place) as opened:
        yield opened


@pytest.fixture
def orchestrator() -> LLMOrchestrator:
    """It repeats the question."""
    return play(lambda request: FakeReply(f"{request.messages[-1].text}!")).orchestrator


def texts(conversation: Conversation) -> List[str]:
    return [message.text for message in conversation.messages]


def rows(store: ConversationStore, table: str = "message") -> List[Any]:
    columns = "revision, position" if table == "message" else "revision, length"
    with store._place.reading() as run:
        return run(f"SELECT {columns}, session FROM llm_conversation_{table} ORDER BY {columns}")


@pytest.mark.parametrize(("dialect", "case"), CASES, indirect=["dialect"], ids=[name for name, _ in CASES])
def test_fb12_what_is_saved_by_session_goes_back_as_it_came(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    case: str,
    way: str,
    store: ConversationStore,
    place: str,
) -> None:
    turn = TURNS[dialect.name][case]
    server.script(reply(dialect, way, turn), *[answer(dialect, way)] * 2)
    conversation = orchestrate().start_conversation("Be brief.", tools=[CLOCK])
    say(conversation, way)
    store.save(conversation, "ada")

    with ConversationStore(place) as other:
        loaded = other.load("ada", orchestrate(), tools=[CLOCK])
    calls = conversation.messages[-1].tool_calls
    for each in (conversation, loaded):
        say(each, way, [call.result("noon") for call in calls] or "Go on.")

    _, unsaved, saved = server.requests
    assert saved.content == unsaved.content and sent(server, dialect)
    assert loaded.messages == conversation.messages
    assert (loaded.cost, loaded.usage) == (conversation.cost, conversation.usage)


def test_fb12_each_turn_is_added_once(store: ConversationStore, orchestrator: LLMOrchestrator) -> None:
    conversation = orchestrator.start_conversation()
    for text in ("a", "b", "c"):
        conversation.send(text)
        before = rows(store)
        store.save(conversation, "ada")
        store.save(conversation, "ada")
        assert rows(store)[: len(before)] == before, "append only"
    assert [position for _, position, _ in rows(store)] == [0, 1, 2, 3, 4, 5]
    lengths = [length for _, length, _ in rows(store, "save")]
    assert lengths == [2, 4, 6], "a save that has nothing new adds nothing"


def test_fb12_what_was_taken_back_stays_in_the_file(
    store: ConversationStore, orchestrator: LLMOrchestrator
) -> None:
    conversation = orchestrator.start_conversation()
    conversation.send("a")
    conversation.send("b")
    store.save(conversation, "ada")
    before = rows(store)

    conversation.undo()
    store.save(conversation, "ada")
    assert texts(store.load("ada", orchestrator)) == ["a", "a!"]
    conversation.send("c")
    store.save(conversation, "ada")
    conversation.undo()
    conversation.send("d")
    store.save(conversation, "ada")

    assert texts(store.load("ada", orchestrator)) == ["a", "a!", "d", "d!"]
    assert rows(store)[: len(before)] == before and len(rows(store)) == 8


def test_fb12_nobody_hides_the_turns_of_another(
    store: ConversationStore, orchestrator: LLMOrchestrator, place: str
) -> None:
    first = orchestrator.start_conversation()
    first.send("a")
    store.save(first, "ada")
    with ConversationStore(place) as other:
        second = other.load("ada", orchestrator)
        second.send("b")
        other.save(second, "ada")

    first.send("c")
    for late in (first, orchestrator.start_conversation()):
        with pytest.raises(OrchestratorError, match="'ada' is another conversation, or somebody went on"):
            store.save(late, "ada")
    assert texts(store.load("ada", orchestrator)) == ["a", "a!", "b", "b!"]
    store.save(first, "ada, too")
    assert texts(store.load("ada, too", orchestrator)) == ["a", "a!", "c", "c!"]


def test_fb12_the_list_has_the_latest_first(store: ConversationStore, orchestrator: LLMOrchestrator) -> None:
    assert store.list() == [] and "ada" not in store and 5 not in store
    conversation = orchestrator.start_conversation("Be brief.")
    conversation.send("a")
    for session in ("ada", "ben", "ada"):
        conversation.send("b")
        store.save(conversation, session)

    ada, ben = store.list()
    assert (ada.session, ada.messages, ben.session, ben.messages) == ("ada", 9, "ben", 7)
    assert (ada.provider, ada.model) == ("fake", "priced")
    assert ada.cost == conversation.cost != Decimal(0)
    assert ada.saved_at > ben.saved_at and ada.saved_at.utcoffset() is not None
    assert "ada" in store


def test_fb12_a_session_that_is_not_there_is_said(
    store: ConversationStore, orchestrator: LLMOrchestrator
) -> None:
    with pytest.raises(InvalidRequestError, match="No conversation is saved as 'ada'"):
        store.load("ada", orchestrator)
    for session in ("", None, 5, "\ud800", "a\0b"):
        with pytest.raises(InvalidRequestError, match="session is"):
            store.save(orchestrator.start_conversation(), session)  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match="session is"):
            store.load(session, orchestrator)  # type: ignore[arg-type]


def test_fb12_a_saved_conversation_stays_with_its_provider(
    store: ConversationStore, orchestrator: LLMOrchestrator
) -> None:
    store.save(orchestrator.start_conversation(), "ada")
    other = LLMOrchestrator(
        {
            "active_provider": "x",
            "active_model": "m",
            "providers": {"x": {"adapter": "openai", "api_key": "k"}},
        }
    )
    with pytest.raises(ProviderSwitchError):
        store.load("ada", other)


def test_fb12_a_file_that_is_no_database_is_said(tmp_path: Path, orchestrator: LLMOrchestrator) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("These are notes, and no database." * 100)
    for path in (text, tmp_path, tmp_path / "missing" / "x.db"):
        with pytest.raises(ConfigurationError, match=r"cannot be used: .* Name a SQLite file"):
            ConversationStore(path)
    assert text.read_text().startswith("These are notes")


def test_fb12_other_tables_of_the_file_are_left_alone(tmp_path: Path, orchestrator: LLMOrchestrator) -> None:
    pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
    path = tmp_path / "application.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE mine (a)")
        database.execute("INSERT INTO mine VALUES (1)")
    ConversationStore(path).save(orchestrator.start_conversation("Hi"), "ada")
    with ConversationStore(f"sqlite:///{path}") as same:
        assert "ada" in same, "a file and its URL are one place"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        assert database.execute("SELECT * FROM mine").fetchall() == [(1,)]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")
@pytest.mark.parametrize("place", ["file", "sqlite"], indirect=True)
def test_fb12_only_its_owner_reads_the_file(store: ConversationStore, tmp_path: Path) -> None:
    assert os.stat(tmp_path / "conversations.db").st_mode & 0o777 == 0o600


def test_fb12_a_database_that_cannot_be_used_is_said_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
    wrong = {
        "postgresql+psycopg://ada:sesame@127.0.0.1:1/db": "cannot be used",
        "mysql://ada:sesame@host/db": "names a database that cannot hold a store",
        f"sqlite:///{tmp_path}/missing/x.db": "The folder of the store",
    }
    for url, says in wrong.items():
        with pytest.raises(ConfigurationError, match=says) as caught:
            ConversationStore(url)
        assert "sesame" not in str(caught.value)


def test_fb12_it_may_be_the_ledgers_database(postgres_url: str, tmp_path: Path) -> None:
    costs = {"database_url": postgres_url, "spool_path": str(tmp_path / "spool")}
    config = {"active_provider": "fake", "active_model": "m", "providers": {}, "cost_tracking": costs}
    provider = {"fake": FakeProvider()}
    with (
        ConversationStore(postgres_url) as store,
        LLMOrchestrator(config, providers=provider) as orchestrator,
    ):
        conversation = orchestrator.start_conversation()
        conversation.send("a")
        store.save(conversation, "ada")
        assert orchestrator.cost_tracker.get_usage_report().total_requests == 1
        assert texts(store.load("ada", orchestrator))[0] == "a"
        assert "postgres@" not in repr(store)


@needs_fork
def test_fb12_a_child_has_connections_of_its_own(
    store: ConversationStore, orchestrator: LLMOrchestrator
) -> None:
    conversation = orchestrator.start_conversation("Hi")
    store.save(conversation, "ada")

    def in_the_child() -> None:
        store.save(conversation, "ben")

    assert succeeded(start_child(in_the_child))
    assert sorted(saved.session for saved in store.list()) == ["ada", "ben"]


def test_fb12_threads_and_loops_share_a_store(
    store: ConversationStore, orchestrator: LLMOrchestrator
) -> None:
    def talk(number: int) -> None:
        conversation = orchestrator.start_conversation()
        for text in ("a", "b"):
            conversation.send(f"{text}{number}")
            store.save(conversation, f"session {number}")

    async def talk_async(number: int) -> Conversation:
        conversation = orchestrator.start_conversation()
        await conversation.asend(f"a{number}")
        await store.asave(conversation, f"session {number}")
        return await store.aload(f"session {number}", orchestrator)

    async def all_at_once() -> List[Conversation]:
        return list(await asyncio.gather(*(talk_async(number) for number in range(8, 12))))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(talk, range(8)))
    loaded = asyncio.run(all_at_once())

    assert [texts(each)[0] for each in loaded] == ["a8", "a9", "a10", "a11"]
    assert sorted(each.messages for each in store.list()) == [2] * 4 + [4] * 8


PROGRAM = """
import sys
from llm_orchestrator import ConversationStore, LLMOrchestrator
from llm_orchestrator.testing import FakeProvider
config = {"active_provider": "fake", "active_model": "m", "providers": {}}
path, name = sys.argv[1:]
store = ConversationStore(path)
conversation = LLMOrchestrator(config, providers={"fake": FakeProvider()}).start_conversation()
for number in range(10):
    conversation.send(f"{name} {number}")
    store.save(conversation, name)
"""


APPENDING = """
import sys
from llm_orchestrator import ConversationStore, LLMOrchestrator, OrchestratorError
from llm_orchestrator.testing import FakeProvider
config = {"active_provider": "fake", "active_model": "m", "providers": {}}
path, name = sys.argv[1:]
orchestrator = LLMOrchestrator(config, providers={"fake": FakeProvider()})
store, refused = ConversationStore(path), 0
for number in range(10):
    while True:
        conversation = store.load("shared", orchestrator)
        conversation.send(f"{name} {number}")
        try:
            store.save(conversation, "shared")
            break
        except OrchestratorError as error:
            assert "somebody went on" in str(error), error
            refused += 1
store.close()
print(refused)
"""


@pytest.mark.slow
def test_fb12_two_processes_go_on_with_one_conversation_and_no_turn_is_lost(
    store: ConversationStore, orchestrator: LLMOrchestrator, place: str
) -> None:
    store.save(orchestrator.start_conversation("Hi"), "shared")
    running = [subprocess.Popen([sys.executable, "-c", APPENDING, place, name]) for name in "ab"]
    assert [each.wait() for each in running] == [0, 0]

    asked = texts(store.load("shared", orchestrator))[1::2]
    assert sorted(asked) == sorted(f"{name} {number}" for name in "ab" for number in range(10))
    assert [text for text in asked if text[0] == "a"] == [f"a {number}" for number in range(10)]
    revisions = [revision for revision, _, _ in rows(store, "save")]
    assert revisions == list(range(1, 22)), "each save is one, and none took the place of another"


@pytest.mark.slow
def test_fb12_processes_share_a_place(
    store: ConversationStore, orchestrator: LLMOrchestrator, place: str
) -> None:
    names = "abcd"
    running = [subprocess.Popen([sys.executable, "-c", PROGRAM, place, name]) for name in names]
    assert [each.wait() for each in running] == [0, 0, 0, 0]
    assert sorted((each.session, each.messages) for each in store.list()) == [(name, 20) for name in names]
    assert texts(store.load("b", orchestrator))[::2] == [f"b {number}" for number in range(10)]
