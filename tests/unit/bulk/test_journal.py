"""The journal: whose file it is, what it says of one that cannot be used, and what it keeps."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from llm_orchestrator import ConfigurationError
from llm_orchestrator.bulk import journal as journals
from llm_orchestrator.bulk.journal import Journal
from llm_orchestrator.types import LLMResponse, TokenUsage

ANSWER = LLMResponse("Hi", "m", "p", cost=Decimal("0.0000001"), usage=TokenUsage(3, 1, 4))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "rows.journal")


def keep(journal: Journal, *keys: str) -> None:
    async def add() -> None:
        await asyncio.gather(*(journal.add(key, b"print", ANSWER) for key in keys))

    asyncio.run(add())


def test_an_answer_is_found_by_key_and_fingerprint(path: str) -> None:
    journal = Journal(path)
    keep(journal, '"a"', '"b"')
    journal.close()

    journal = Journal(path)
    found = journal.find('"a"', b"print")
    assert found == ("Hi", False, Decimal("0.0000001"))
    assert journal.find('"a"', b"another") is None
    assert journal.find('"c"', b"print") is None
    journal.close()


def test_answers_that_come_together_are_committed_together(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, sizes = Journal(path), []
    write = journal._write
    monkeypatch.setattr(journal, "_write", lambda rows: (sizes.append(len(rows)), write(rows)))
    keep(journal, *map(str, range(50)))
    assert sizes == [50]
    journal.close()


def test_the_answer_is_in_the_file_when_add_returns(path: str) -> None:
    journal = Journal(path)
    keep(journal, '"a"')
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM answers").fetchone() == (1,)
    other.close()
    journal.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_only_the_owner_may_read_it(path: str) -> None:
    journal = Journal(path)
    keep(journal, '"a"')
    modes = {name: os.stat(f"{path}{name}").st_mode & 0o777 for name in ("", "-wal")}
    assert modes == {"": 0o600, "-wal": 0o600}
    journal.close()


def test_sums_answers_and_forgetting(path: str) -> None:
    journal = Journal(path)
    keep(journal, '"a"', '"b"')
    sums = journal.sums()
    assert (sums["answers"], sums["rows"], sums["prompts"]) == (2, 2, 1)
    assert (sums["cost"], sums["unpriced"]) == (Decimal("0.0000002"), 0)
    assert [row["key"] for row in journal.answers()] == ['"a"', '"b"']
    assert journal.forget('"a"') == 1
    assert [row["key"] for row in journal.answers()] == ['"b"']
    assert journal.forget() == 1
    journal.close()
    assert b"Hi" not in Path(path).read_bytes(), "forgotten texts do not stay in the file"


def test_who_is_alone_keeps_others_out_who_would_be(path: str) -> None:
    first = Journal(path, is_alone=True)
    refused(path, "in use by another run.*name another file", is_alone=True)
    Journal(path).close()  # such as a worker's, or the command line's
    refused(path, "in use by another run", is_alone=True)
    first.let_others_in()
    second = Journal(path, is_alone=True)
    first.close()
    refused(path, "in use by another run", is_alone=True)
    second.close()
    assert os.path.exists(f"{path}.lock") == (os.name == "nt"), "nothing is left beside it"


def test_the_claim_of_who_is_dropped_is_free(path: str) -> None:
    first = Journal(path, is_alone=True)
    del first
    gc.collect()
    Journal(path, is_alone=True).close()


# ---------------------------------------------------------------- files that cannot be used


def refused(path: str, words: str, *, is_alone: bool = False) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Journal(path, is_alone=is_alone)


def test_a_database_of_another_program(path: str) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    refused(path, "of another program")


def test_a_journal_of_another_version(path: str) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 7")
    other.close()
    refused(path, "of version 7, and this library reads 1")


def test_a_file_that_is_no_database(path: str) -> None:
    Path(path).write_text("id,text\n1,something that is no database at all\n" * 20)
    refused(path, "not a journal, or it is damaged")


def test_a_locked_journal(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "LOCK_SECONDS", 0.01)
    Journal(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused(path, "locked.*Another program is writing it")
    other.close()


def test_a_read_only_journal(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal(path).close()
    connect = sqlite3.connect
    # As root, whom no mode keeps from writing.
    monkeypatch.setattr(
        journals.sqlite3,
        "connect",
        lambda file, **settings: connect(f"file:{file}?mode=ro", uri=True, **settings),
    )
    refused(path, "readonly.*Make the file and its folder writable")


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    refused(str(tmp_path / "missing" / "rows.journal"), "cannot be opened")


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    refused(str(tmp_path), "cannot be opened")


def test_a_full_disk(path: str) -> None:
    journal = Journal(path)
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ConfigurationError, match="full.*Make room on the disk"):
        keep(journal, *("x" * 5000 + str(number) for number in range(20)))
    journal._database.execute("PRAGMA max_page_count = 100000")
    keep(journal, '"a"')
    assert [row["key"] for row in journal.answers()] == ['"a"'], "it goes on when there is room"
    journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="the file is open")
def test_a_crash_in_the_middle_of_a_commit_loses_that_commit_only(path: str) -> None:
    journal = Journal(path)
    keep(journal, '"a"')
    keep(journal, '"b"')
    copy = path + ".copy"
    for name in ("", "-wal"):
        content = Path(path + name).read_bytes()
        Path(copy + name).write_bytes(content[:-100] if name else content)
    journal.close()

    journal = Journal(copy)
    assert [row["key"] for row in journal.answers()] == ['"a"']
    journal.close()
