"""``ledger``: bring a file in, look, copy, and forget what is old, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict

import pytest

pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

from tests.scenarios.cli.conftest import Command, write
from tests.support.costs import TOKENS, fill, make
from tests.support.databases import LEDGERS, PostgreSQL

databases = pytest.mark.parametrize("ledger_kind", LEDGERS[1:])
CONFIG: Dict[str, Any] = {
    "active_provider": "local",
    "active_model": "m",
    "providers": {"local": {"model_path": "m.gguf"}},
}


@pytest.fixture
def configured(folder: Path, place: Dict[str, Any]) -> None:
    write(folder, {**CONFIG, "cost_tracking": {name: str(value) for name, value in place.items()}})


def _without_lines(file: bytes, count: int) -> bytes:
    header, *lines = file.splitlines(keepends=True)
    return b"".join([header, *lines[count:]])


@databases
@pytest.mark.usefixtures("configured")
def test_a_file_is_brought_in_looked_at_copied_and_forgotten(command: Command, folder: Path) -> None:
    tracker = make(folder / "costs.csv")
    fill(tracker)
    assert "Tables: none yet" in command("ledger", "status").out
    assert "5 rows brought in; 0 were there" in command("ledger", "import", "costs.csv").out
    tracker.log_usage(
        "p", "later", TOKENS, cost=Decimal(1), timestamp=datetime(2026, 2, 1, tzinfo=timezone.utc)
    )
    tracker.close()
    (folder / "costs.csv").rename(folder / "moved.csv")
    assert "1 row brought in; 5 were there" in command("ledger", "import", "moved.csv").out
    opened_in_a_spreadsheet = b"\xef\xbb\xbf" + (folder / "moved.csv").read_bytes().replace(b"\n", b"\r\n")
    (folder / "saved.csv").write_bytes(opened_in_a_spreadsheet)
    assert "0 rows brought in; 6 were there" in command("ledger", "import", "saved.csv").out

    status = command("ledger", "status")
    assert status.code == 0
    assert "Rows: 6, from 2026-01-01" in status.out and "On the way: 0 rows" in status.out
    assert "Wrote 6 rows" in command("ledger", "export", "out.csv").out
    assert (folder / "out.csv").read_bytes() == (folder / "moved.csv").read_bytes()
    (folder / "out.csv").write_bytes(_without_lines((folder / "out.csv").read_bytes(), 1))
    again = command("ledger", "import", "out.csv")
    assert "0 rows brought in; 5 were there" in again.out, "an export has other places, and the same rows"
    assert "Wrote 1 row " in command("ledger", "export", "out.jsonl", "--since", "2026-02").out
    assert "6 calls" in command("costs").out + command("costs").err

    assert "Wrote 1 row " in command("ledger", "export", "one.csv", "--tag", "n=3").out
    assert "Wrote 0 rows" in command("ledger", "export", "none.csv", "--last-month", "--tag", "n=3").out

    refused = command("ledger", "prune", "--before", "2026-01-15", stdin="n\n")
    assert refused.code == 1 and "Remove 5 rows" in refused.err + refused.out
    assert "Removed 5 rows" in command("ledger", "prune", "--before", "2026-01-15", "--yes").out
    assert "Rows: 1," in command("ledger", "status").out
    assert "version 0001" in command("ledger", "upgrade").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ledger", "status"], "no ledger in a database"),
        (["ledger", "export", "out.xml"], ".parquet"),
        (["ledger", "prune", "--before", "soon"], "2026-11-01"),
    ],
)
def test_what_cannot_be_done_is_told(arguments: Any, told: str, command: Command, folder: Path) -> None:
    write(folder, CONFIG)
    ended = command(*arguments)
    assert ended.code == 2
    assert told in ended.err


def test_a_database_that_is_away_is_told_and_what_waits_is_counted(command: Command, folder: Path) -> None:
    url = "postgresql://me:secret@127.0.0.1:1/ledger"
    write(folder, {**CONFIG, "cost_tracking": {"database_url": url, "spool_path": str(folder / "spool")}})
    tracker = make(None, database_url=url, spool_path=folder / "spool")
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    ended = command("ledger", "status")
    assert ended.code == 1
    assert "takes no rows" in ended.err and "Check the server, and user" in " ".join(ended.err.split())
    assert "Of programs that run: 1 row" in ended.out
    tracker._recorder.store.ledger.close()  # type: ignore[union-attr]
    assert "On the way: 1 row," in command("ledger", "status").out
    assert "secret" not in ended.err + ended.out
    missing = command("ledger", "import", "nothing.csv")
    assert missing.code == 2 and "There is no ledger nothing.csv" in missing.err
    (folder / "other.csv").write_text("a,b\n1,2\n")
    assert "is not a ledger" in command("ledger", "import", "other.csv").err


@pytest.mark.parametrize("budget", [{}, {"month": 5}])
def test_a_role_that_cannot_keep_budgets_is_told_where_there_are_some(
    budget: Dict[str, Any], command: Command, folder: Path, postgres: PostgreSQL
) -> None:
    name = postgres.new_database().rpartition("/")[2]
    place = {"spool_path": str(folder / "spool"), "budget": budget}
    write(folder, {**CONFIG, "cost_tracking": {"database_url": postgres.url(name), **place}})
    command("ledger", "upgrade")
    postgres.execute("DROP ROLE IF EXISTS writer", "CREATE ROLE writer LOGIN")
    grants = ("GRANT SELECT ON llm_alembic_version TO writer", "GRANT SELECT, INSERT ON llm_usage TO writer")
    postgres.execute(*grants, database=name)
    write(folder, {**CONFIG, "cost_tracking": {"database_url": postgres.url(name, user="writer"), **place}})

    ended = command("ledger", "status")
    assert "Rows: 0" in ended.out
    assert (ended.code, "keeps no budgets" in ended.err) == ((1, True) if budget else (0, False))
    assert "GRANT DELETE ON llm_usage TO writer" in " ".join(
        command("ledger", "prune", "--before", "2026-01-01", "--yes").err.split()
    )
    postgres.execute("DROP OWNED BY writer", database=name)
