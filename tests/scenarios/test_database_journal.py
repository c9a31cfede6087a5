"""The journal in a database: who asks for a row, what is kept, and what becomes of it when somebody dies."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

import sqlalchemy as sa

from llm_orchestrator import AuthenticationError, ConfigurationError, InvalidRequestError
from llm_orchestrator.bulk import Worker, database_journal
from llm_orchestrator.bulk.answer_table import ANSWERS, AnswerTable, Claim
from llm_orchestrator.bulk.database_journal import DatabaseJournal
from llm_orchestrator.bulk.journals import open_journal, pinned_journal, shown_journal
from llm_orchestrator.types import LLMResponse, TokenUsage
from llm_orchestrator.usage.database.engine import make_engine
from tests.support.configs import ROOT
from tests.support.databases import PostgreSQL
from tests.support.fixtures import Orchestrate
from tests.support.marks import chat
from tests.support.programs import SDK_WARNINGS
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.scripted_server.echo import echo

ANSWER = LLMResponse("Hi", "m", "p", cost=Decimal("0.0000001"), usage=TokenUsage(3, 1, 4))
PRINT = b"print"
Open = Callable[[], DatabaseJournal]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def journals(url: str) -> Iterator[Open]:
    """Opens journals, which are closed after the test."""
    opened: List[DatabaseJournal] = []

    def open_one() -> DatabaseJournal:
        opened.append(DatabaseJournal(url))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


def execute(url: str, statement: Any) -> None:
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


def let_leases_end(url: str) -> None:
    """What a minute does."""
    past = "'2000-01-01T00:00:00.000000+00:00'"
    execute(url, sa.text(f"UPDATE llm_answer SET expires_at = {past} WHERE content IS NULL"))


# ---------------------------------------------------------------- what is kept


def test_what_a_file_tells_a_database_tells(url: str, tmp_path: Path) -> None:
    told = []
    for place in (str(tmp_path / "rows.journal"), url):
        journal = open_journal(place)

        async def keep(journal: Any = journal) -> None:
            for key in ('"a"', '"b"'):
                assert await journal.claim(key, PRINT) is None
                await journal.add(key, PRINT, ANSWER)

        asyncio.run(keep())
        assert journal.find('"a"', PRINT) == ("Hi", False, Decimal("0.0000001"))
        assert journal.find('"a"', b"another") is None and journal.find('"c"', PRINT) is None
        sums = journal.sums()
        answers = list(journal.answers())
        for row in (sums, *answers):
            for name in {"first", "last", "answered_at"} & set(row):
                assert row.pop(name)[10] == "T"
        told.append((sums, answers, journal.forget('"a"'), [row["key"] for row in journal.answers()]))
        assert journal.forget() == 1 and journal.sums()["answers"] == 0
        journal.close()
    assert told[0] == told[1]
    assert told[1][0] == {
        "answers": 2,
        "rows": 2,
        "prompts": 1,
        "cost": Decimal("0.0000002"),
        "unpriced": 0,
    }


def test_texts_that_a_database_takes_in_no_column_are_kept_without_those_characters(journals: Open) -> None:
    journal = journals()

    async def keep() -> None:
        for key, content in (('"\ud800"', "a\0b"), ("x" * 9000, "half \udc00 a character")):
            assert await journal.claim(key, PRINT) is None
            await journal.add(key, PRINT, ANSWER.__class__(content, "m", "p"))

    asyncio.run(keep())
    found = journal.find('"\ud800"', PRINT), journal.find("x" * 9000, PRINT)
    assert [each and each.content for each in found] == ["a\ufffdb", "half ? a character"]


def test_answers_that_come_together_are_kept_together(
    journals: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    keep = AnswerTable.keep
    monkeypatch.setattr(
        AnswerTable, "keep", lambda table, rows: (sizes.append(len(rows)), keep(table, rows))[1]
    )
    journal = journals()

    async def ask(key: str) -> None:
        assert await journal.claim(key, PRINT) is None
        await journal.add(key, PRINT, ANSWER)

    async def ask_all() -> None:
        await asyncio.gather(*(ask(str(number)) for number in range(200)))

    asyncio.run(ask_all())
    assert sum(sizes) == 200 == journal.sums()["answers"] and len(sizes) < 100


# ---------------------------------------------------------------- who asks


def test_a_row_that_another_asks_for_is_waited_for(journals: Open) -> None:
    async def run() -> None:
        first, second = journals(), journals()
        assert await first.claim("a", PRINT) is None
        assert await first.claim("b", PRINT) is None
        waiting = [asyncio.ensure_future(second.claim(key, PRINT)) for key in "ab"]
        assert await asyncio.wait_for(second.claim("c", PRINT), 30) is None, "others are not held up"
        assert not any(each.done() for each in waiting)
        await first.add("a", PRINT, ANSWER)
        first.release("b", PRINT)  # it failed there
        kept, ours = await asyncio.wait_for(asyncio.gather(*waiting), 30)
        assert kept is not None and kept.content == "Hi"
        assert ours is None, "it is asked again"

    asyncio.run(run())


def test_a_repeated_row_is_asked_once_by_a_worker(journals: Open) -> None:
    async def run() -> None:
        journal = journals()
        assert await journal.claim("a", PRINT) is None
        again = asyncio.ensure_future(journal.claim("a", PRINT))
        await journal.claim("b", PRINT)
        await journal.add("a", PRINT, ANSWER)
        assert await asyncio.wait_for(again, 30) == ("Hi", False, ANSWER.cost)

    asyncio.run(run())


def test_the_claims_of_the_dead_end_and_those_of_the_living_do_not(
    url: str, journals: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        dead, third = journals(), journals()
        monkeypatch.setattr(database_journal, "_BEAT", 0.05)
        living, row = journals(), Claim.to("b", PRINT)
        assert await dead.claim("a", PRINT) is None
        assert await living.claim("b", PRINT) is None
        let_leases_end(url)
        while third._table.find([row.id]) != [True]:  # until its thread has renewed it
            await asyncio.sleep(0.01)
        assert third._table.claim([row]) == [False]
        assert await asyncio.wait_for(third.claim("a", PRINT), 30) is None
        waiting = asyncio.ensure_future(third.claim("b", PRINT))
        await third.add("a", PRINT, ANSWER)
        assert not waiting.done()
        await dead.add("a", PRINT, LLMResponse("Late", "m", "p"))  # it was not dead, only slow
        assert third.find("a", PRINT) == ("Hi", False, ANSWER.cost), "the first answer stays"
        living.close()
        assert await asyncio.wait_for(waiting, 30) is None, "who closes gives its claims back"

    asyncio.run(run())


def test_a_claim_that_is_cancelled_on_its_way_is_given_back(journals: Open) -> None:
    async def run() -> None:
        first, second = journals(), journals()
        for key in map(str, range(20)):
            wish = asyncio.ensure_future(first.claim(key, PRINT))
            while not first._places or first._places._value == 64:  # until it asks for the claim
                if wish.done():
                    break
                await asyncio.sleep(0)
            wish.cancel()
            await asyncio.gather(wish, return_exceptions=True)
            first.release(key, PRINT)
            assert await asyncio.wait_for(second.claim(key, PRINT), 30) is None

    asyncio.run(run())


def test_of_many_that_claim_at_once_each_row_is_one_s(url: str) -> None:
    tables = [AnswerTable(url) for _ in range(8)]
    rows = [str(number) for number in range(300)]

    def claim(table: AnswerTable) -> int:
        table.prepare()  # all at once on an empty database
        granted = 0
        for start in range(0, len(rows), 30):
            claims = [Claim.to(key, PRINT) for key in rows[start : start + 30]]
            results = table.claim(claims)
            assert table.claim(claims) == results, "trying again changes nothing"
            granted += sum(results)
        return granted

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, tables)) == 300
    for table in tables:
        table.close()


# ---------------------------------------------------------------- runs


def start(*arguments: str) -> subprocess.Popen[str]:
    rules = [f"-W{rule}" for rule in SDK_WARNINGS]
    return subprocess.Popen(
        [sys.executable, *rules, "-m", "tests.support.programs.bulk", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def answers_of(program: subprocess.Popen[str]) -> List[str]:
    output, _ = program.communicate(timeout=120)
    assert program.returncode == 0
    return sorted(line.partition(" ")[2] for line in output.splitlines())


@chat
def test_two_processes_share_the_rows_and_both_have_all_answers(
    server: ScriptedServer, dialect: Dialect, url: str
) -> None:
    server.default = lambda request: echo(request).but(delay=0.02)
    programs = [start(dialect.name, server.url, url, "400", "20") for _ in range(2)]
    expected = sorted(f"row {number}" for number in range(400))
    assert [answers_of(program) for program in programs] == [expected, expected]
    assert len(server.requests) == 400


@chat
@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed")
def test_what_a_killed_process_had_under_way_is_asked_by_the_other(
    server: ScriptedServer, dialect: Dialect, url: str
) -> None:
    server.default = lambda request: echo(request).but(delay=0.02)
    first, second = (start(dialect.name, server.url, url, "400", "20") for _ in range(2))
    assert server.wait_for_requests(150, timeout=60)
    first.kill()
    first.communicate()
    paid = len(server.requests)
    let_leases_end(url)  # the other's end too, as at a stall: what it asks for is its own all the same
    assert answers_of(second) == sorted(f"row {number}" for number in range(400))
    assert paid < 400
    assert 400 <= len(server.requests) <= 420


@chat
def test_a_run_resumes_and_a_changed_prompt_asks_again(
    orchestrate: Orchestrate, server: ScriptedServer, url: str
) -> None:
    server.default = echo
    orchestrator = orchestrate()
    rows = [{"id": number, "text": f"row {number}"} for number in range(30)]

    def ask(template: str, count: int) -> Any:
        run = orchestrator.map(rows[:count], messages=template, key="id", journal=url, order="input")
        contents = [result.content for result in run]
        return contents, run.summary.requests, run.summary.resumed

    assert ask("{text}", 20)[1:] == (20, 0)
    assert orchestrator.map(rows, messages="{text}", key="id", journal=url).estimate().kept == 20
    assert ask("{text}", 30) == ([f"row {number}" for number in range(30)], 10, 20)
    assert ask("Say {text}", 30)[1:] == (30, 0)
    assert ask("{text}", 30)[1:] == (0, 30)


@chat
def test_a_row_that_failed_may_be_asked_by_another_run_at_once(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, url: str
) -> None:
    server.default = lambda request: dialect.failure("bad_request")
    rows = [{"text": "a"}, {"text": "b"}]
    arguments: Dict[str, Any] = {"messages": "{text}", "key": "text", "journal": url, "concurrency": 1}
    with orchestrate(max_retries=0).map(rows, **arguments) as run:
        assert next(run).error is not None
        server.default = echo
        assert [result.content for result in orchestrate().map(rows[:1], **arguments)] == ["a"]


@chat
def test_a_run_that_is_left_gives_its_rows_back(
    orchestrate: Orchestrate, server: ScriptedServer, url: str
) -> None:
    server.default = lambda request: echo(request).but(delay=0.01)
    orchestrator = orchestrate(max_retries=0)
    rows = [{"text": str(number)} for number in range(100)]
    with orchestrator.map(rows, messages="{text}", key="text", journal=url, concurrency=10) as run:
        for _ in zip(range(20), run):
            pass
    table = AnswerTable(url)
    with table._engine.connect() as connection:
        open_claims = connection.execute(
            sa.select(sa.func.count()).select_from(ANSWERS).where(ANSWERS.c.content.is_(None))
        ).scalar()
    table.close()
    assert open_claims == 0
    assert len(list(orchestrator.map(rows, messages="{text}", key="text", journal=url))) == 100


@chat
def test_a_run_that_ends_waits_for_no_other(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, url: str
) -> None:
    may_answer = threading.Event()
    server.default = lambda request: (may_answer.wait(60), echo(request))[1]
    rows = [{"text": str(number)} for number in range(4)]
    arguments: Dict[str, Any] = {"messages": "{text}", "key": "text", "journal": url}
    with ThreadPoolExecutor(1) as pool, orchestrate(max_retries=0) as other:
        first = pool.submit(lambda: list(other.map(rows, **arguments)))
        try:
            assert server.wait_for_requests(4, timeout=60)
            server.default = lambda request: dialect.failure("bad_key")
            with pytest.raises(AuthenticationError):
                list(orchestrate(max_retries=0).map([*rows, {"text": "new"}], **arguments))
            assert not first.done()
        finally:
            may_answer.set()
        assert len(first.result(60)) == 4


@chat
def test_workers_share_the_rows_whichever_they_are_given(
    server: ScriptedServer, dialect: Dialect, url: str, tmp_path: Path
) -> None:
    server.default = lambda request: echo(request).but(delay=0.01)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(dialect.config(server.url, max_retries=0)))
    columns = {"id": list(range(60)), "text": [f"row {number}" for number in range(60)]}
    workers = [Worker(config, messages="{text}", key="id", journal=url, concurrency=8) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda worker: worker(columns)["answer"], workers))
    for worker in workers:
        worker.close()
    assert answers == [columns["text"]] * 3
    assert len(server.requests) == 60


# ---------------------------------------------------------------- a server that goes away


@chat
def test_a_server_that_starts_again_costs_a_pause(
    orchestrate: Orchestrate, server: ScriptedServer, postgres: PostgreSQL, postgres_url: str
) -> None:
    server.default = lambda request: echo(request).but(delay=0.01)
    rows = [{"text": str(number)} for number in range(200)]
    run = orchestrate().map(rows, messages="{text}", key="text", journal=postgres_url, concurrency=10)
    results = [next(run) for _ in range(50)]
    postgres.stop_hard()
    starting = threading.Timer(1, postgres.start)
    starting.start()
    results += list(run)
    starting.join()
    assert sorted(int(str(result.content)) for result in results) == list(range(200))
    assert len(server.requests) == 200
    journal = DatabaseJournal(postgres_url)
    assert journal.sums()["answers"] == 200
    journal.close()


@chat
def test_a_server_that_stays_away_ends_the_run_and_loses_no_answer(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    postgres: PostgreSQL,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database_journal, "PATIENCE", 0.5)
    server.default = lambda request: echo(request).but(delay=0.01)
    rows = [{"text": str(number)} for number in range(500)]
    run = orchestrate().map(rows, messages="{text}", key="text", journal=postgres_url, concurrency=10)
    results = [next(run) for _ in range(50)]
    postgres.stop_hard()
    try:
        with pytest.raises(ConfigurationError, match="cannot be used.*Start the same again") as caught:
            results += run
    finally:
        postgres.start()
    assert "postgres@" not in str(caught.value)
    assert len(results) == len(server.requests) < 500, "each answer was handed out"
    again = orchestrate().map(rows, messages="{text}", key="text", journal=postgres_url)
    let_leases_end(postgres_url)
    assert len(list(again)) == 500
    assert len(server.requests) <= 510


# ---------------------------------------------------------------- what cannot be used


def test_a_table_of_another_program_is_left_alone(url: str) -> None:
    execute(url, sa.text("CREATE TABLE llm_answer (id int)"))
    journal = DatabaseJournal(url)
    with pytest.raises(ConfigurationError, match="lacks the columns key, fingerprint.*another schema"):
        asyncio.run(journal.claim("a", PRINT))
    journal.close()


def test_a_journal_that_must_exist_is_not_made(url: str) -> None:
    for _ in range(2):
        journal = DatabaseJournal(url, must_exist=True)
        with pytest.raises(ConfigurationError, match="There is no journal in"):
            journal.sums()
        assert not journal.has_answers()
        journal.close()


WRONG = {
    "mysql://me:secret@host/database": "cannot hold a journal",
    "postgresql://me:secret@host:port/database": "The URL of the journal is not a URL",
    "sqlite://": "names no file",
    "sqlite:////missing/folder/journal.db": "folder of the journal .* does not exist",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_url_is_told_without_its_password(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=WRONG[wrong]) as caught:
        open_journal(wrong)
    assert "secret" not in str(caught.value) and caught.value.__cause__ is None


@chat
def test_no_password_is_shown_where_no_server_answers(orchestrate: Orchestrate) -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL needs the extra `database`")
    place = "postgresql://me:secret@127.0.0.1:1/database?password=secret"
    run = orchestrate().map(["Hi"], journal=place)
    assert "secret" not in repr(run) + repr(vars(run)["_job"]) + shown_journal(place)
    with pytest.raises(
        ConfigurationError, match="postgresql://127.0.0.1:1/database cannot be used"
    ) as caught:
        list(run)
    error: Any = caught.value
    while error is not None:
        assert "secret" not in str(error)
        error = error.__cause__


@chat
def test_batches_keep_their_notes_in_a_file(orchestrate: Orchestrate) -> None:
    with pytest.raises(InvalidRequestError, match="Name a file as journal"):
        orchestrate().map(["Hi"], mode="batch", journal="sqlite:///journal.db")


def test_a_worker_names_the_same_file_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pinned_journal("sqlite:///j.db") == f"sqlite:///{tmp_path}/j.db"
    assert pinned_journal("j") == f"{tmp_path}/j"
    assert pinned_journal("postgresql://host/j") == "postgresql://host/j"
