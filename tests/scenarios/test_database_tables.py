"""The tables of a ledger in a database: who makes them, whose they are, and how an older version is upgraded."""

from __future__ import annotations

import logging
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

import sqlalchemy as sa

from llm_orchestrator import CostTracker
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.database import ledger, setup, upgrading
from llm_orchestrator.usage.database.engine import make_engine
from llm_orchestrator.usage.database.ledger import DatabaseLedger
from llm_orchestrator.usage.database.schema import USAGE
from llm_orchestrator.usage.database.upkeep import status_of
from tests.support.budgets import CENT, spender, sums
from tests.support.costs import TOKENS, make
from tests.support.databases import PostgreSQL

databases = pytest.mark.parametrize("ledger_kind", ["sqlite", "postgresql"])


def opened(place: Dict[str, Any]) -> DatabaseLedger:
    return DatabaseLedger(place["database_url"], place["spool_path"])


@databases
def test_eight_connections_at_once_make_the_tables_once(place: Dict[str, Any]) -> None:
    engines = [make_engine(place["database_url"]) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(setup.prepare, engines)) == [None] * 8
    with engines[0].connect() as connection:
        assert connection.execute(sa.select(setup.VERSIONS)).all() == [(setup.NEWEST,)]
        indexes = sa.inspect(connection).get_indexes("llm_usage")
        assert {index["name"] for index in indexes} == {"llm_usage_time", "llm_usage_session"}
    for engine in engines:
        engine.dispose()


PROBLEMS = {
    "foreign": (["CREATE TABLE llm_usage (id int)"], "this library did not make"),
    "newer": (
        [
            "CREATE TABLE llm_alembic_version (version_num varchar(32))",
            "INSERT INTO llm_alembic_version VALUES ('9999')",
        ],
        "newer than this library knows",
    ),
    "damaged": (
        [
            "CREATE TABLE llm_usage (id int)",
            "CREATE TABLE llm_alembic_version (version_num varchar(32))",
            f"INSERT INTO llm_alembic_version VALUES ('{setup.NEWEST}')",
        ],
        "lacks the columns timestamp, provider",
    ),
}


@databases
@pytest.mark.parametrize("name", PROBLEMS)
def test_tables_that_are_not_ours_are_left_alone_and_told_once(
    name: str, place: Dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    statements, told = PROBLEMS[name]
    engine = make_engine(place["database_url"])
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()

    tracker = make(None, **place)
    for _ in range(3):
        tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    tracker.close()
    warnings = [record.getMessage() for record in caplog.records if "takes no rows" in record.getMessage()]
    assert len(warnings) == 1
    assert told in warnings[0]
    with pytest.raises(ConfigurationError, match=told):
        tracker.get_usage_report()
    status = status_of(opened(place))
    assert told in str(status.problem)
    assert status.waiting == 3
    tracker.close()


@pytest.mark.parametrize("ledger_kind", ["postgresql"])
def test_a_role_without_rights_is_told_and_its_rows_wait(
    place: Dict[str, Any],
    postgres: PostgreSQL,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE", 5.0)
    name = place["database_url"].rpartition("/")[2]
    owner = make_engine(place["database_url"])
    setup.prepare(owner)
    owner.dispose()
    postgres.execute(
        "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        database=name,
    )  # fmt: skip
    reader = {**place, "database_url": postgres.url(name, user="reader")}
    tracker = make(None, **reader)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    assert tracker.get_usage_report().waiting_rows == 1  # it may read
    assert "permission denied" in caplog.text
    problem = str(status_of(opened(reader)).problem)
    assert problem.endswith("GRANT SELECT, INSERT ON llm_usage TO reader;")
    postgres.execute("REVOKE ALL ON llm_alembic_version FROM reader", database=name)
    assert "GRANT SELECT ON llm_alembic_version TO reader; GRANT" in str(status_of(opened(reader)).problem)

    postgres.execute(*_grants("problem", reader), database=name)
    assert tracker.get_usage_report().total_requests == 1
    assert status_of(opened(reader)).problem is None
    tracker.close()

    assert status_of(opened(place)).budget_problem is None
    postgres.execute(*_grants("budget_problem", reader), database=name)
    assert status_of(opened(reader)).budget_problem is None
    with spender(
        reader["database_url"], reader["spool_path"], {"day": 1, "on_unreachable": "refuse"}
    ) as allowed:
        allowed.send_request("Hi", max_tokens=1)
        assert sums(allowed) == (CENT, 0)


def test_nobody_is_asked_for_rights_on_a_table_of_someone_else(postgres: PostgreSQL, tmp_path: Path) -> None:
    name = postgres.new_database().rpartition("/")[2]
    postgres.execute("DROP ROLE IF EXISTS stranger", "CREATE ROLE stranger LOGIN")
    postgres.execute("CREATE TABLE llm_usage (id int)", database=name)
    place = {"database_url": postgres.url(name, user="stranger"), "spool_path": tmp_path}
    assert "that this library did not make" in str(status_of(opened(place)).problem)


def _grants(field: str, place: Dict[str, Any]) -> List[str]:
    """The statements that `ledger status` tells the owner to run, for the role of the test."""
    told = getattr(status_of(opened(place)), field)
    statements: List[str] = re.findall(r"GRANT [^;]*", told)
    return statements


@databases
def test_tables_of_an_older_version_wait_for_the_upgrade_and_lose_nothing(
    place: Dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = make(None, **place)
    tracker.log_usage("p", "before", TOKENS, cost=Decimal(1))
    assert tracker.get_usage_report().total_requests == 1
    tracker.close()
    scripts = tmp_path / "migrations"
    (scripts / "versions").mkdir(parents=True)
    oldest = (upgrading.SCRIPTS / "versions" / "v0001.py").read_text()
    (scripts / "versions" / "v0001.py").write_text(oldest)
    (scripts / "versions" / "v0002.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = '0002', '0001'\n"
        "def upgrade():\n    op.add_column('llm_usage', sa.Column('new', sa.Text))\n"
    )
    monkeypatch.setattr(upgrading, "SCRIPTS", scripts)
    monkeypatch.setattr(setup, "KNOWN", ("0001", "0002"))
    monkeypatch.setattr(setup, "NEWEST", "0002")

    tracker = make(None, **place)
    tracker.log_usage("p", "meanwhile", TOKENS, cost=Decimal(1))
    with pytest.raises(ConfigurationError, match="Run: llm-orchestrator ledger upgrade"):
        tracker.get_usage_report()
    engine = make_engine(place["database_url"])
    assert [upgrading.upgrade(engine), upgrading.upgrade(engine)] == ["0001", "0002"]
    with engine.connect() as connection:
        assert "new" in {column["name"] for column in sa.inspect(connection).get_columns(USAGE.name)}
    engine.dispose()
    assert set(tracker.get_usage_report().by_model) == {"before", "meanwhile"}
    tracker.close()


def test_the_newest_version_has_a_script_and_each_follows_the_one_before() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(upgrading.SCRIPTS))
    assert [script.revision for script in reversed(list(scripts.walk_revisions()))] == list(setup.KNOWN)


@databases
def test_a_tracker_that_only_reads_gets_an_empty_report(place: Dict[str, Any]) -> None:
    tracker = CostTracker(**place)
    assert tracker.get_usage_report().total_requests == 0
    assert tracker.to_dicts() == []
    tracker.close()


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such modes")
def test_what_was_spent_is_readable_by_its_user_alone(tmp_path: Path) -> None:
    tracker = make(None, database_url=f"sqlite:///{tmp_path}/x.db", spool_path=tmp_path / "spool")
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    (file,) = tmp_path.glob("spool/*/*.csv")
    assert file.stat().st_mode & 0o77 == 0
    assert tracker.get_usage_report().total_requests == 1
    assert all(path.stat().st_mode & 0o77 == 0 for path in tmp_path.glob("x.db*"))
    tracker.close()


def test_two_databases_share_a_spool_and_mix_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    trackers = [
        make(None, database_url=f"sqlite:///{tmp_path}/{name}.db", spool_path=tmp_path) for name in "ab"
    ]
    for tracker, model in zip(trackers, "ab"):
        tracker.log_usage("p", model, TOKENS, cost=Decimal(1))
        tracker._recorder.store.close()
    assert [list(tracker.get_usage_report().by_model) for tracker in trackers] == [["a"], ["b"]]
    for tracker in trackers:
        tracker.close()
