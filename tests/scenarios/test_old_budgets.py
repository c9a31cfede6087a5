"""Budgets that are over are forgotten, so that their table does not grow for ever, and no other budget is."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Iterator, Set
from uuid import UUID

import pytest

from llm_orchestrator import BudgetExceededError, LLMOrchestrator
from tests.support.budgets import CENT, spender, sums
from tests.support.databases import PostgreSQL

sa = pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

from llm_orchestrator.usage.database import open_database, upkeep  # noqa: E402 (it needs SQLAlchemy)
from llm_orchestrator.usage.database.engine import make_engine  # noqa: E402
from llm_orchestrator.usage.database.forgetting import forget_budgets  # noqa: E402
from llm_orchestrator.usage.database.schema import BUDGETS, HOLDS  # noqa: E402
from llm_orchestrator.usage.database.setup import prepare  # noqa: E402

#: Days for which each budget was not used, by the period that names it.
UNUSED = {"gone for good": 91, "away": 89, "2026-05-01": 33, "2026-05": 33, "this month": 31, "held": 400}
#: Those that are over by then.
OVER = {"gone for good", "2026-05-01", "2026-05"}
KINDS = {"2026-05-01": "day tag:customer=acme", "2026-05": "month", "this month": "month"}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def orchestrator(url: str, tmp_path: Path) -> Iterator[LLMOrchestrator]:
    with spender(url, tmp_path / "spool", {"session": "0.02"}) as made:
        made.send_request("Hi", max_tokens=1)
        yield made


@pytest.fixture
def engine(url: str, orchestrator: LLMOrchestrator) -> Iterator[Any]:
    """A database with budgets that were not used for some time."""
    orchestrator.budget_status()  # by then the tables are there
    made = make_engine(url)
    now = datetime.now(timezone.utc)
    with made.begin() as connection:
        for period, days in UNUSED.items():
            key = {"scope": KINDS.get(period, "session"), "period": period}
            used_at = now - timedelta(days=days)
            connection.execute(BUDGETS.insert().values(**key, spent=1, held=0, used_at=used_at))
            expires_at = now + timedelta(hours=1 if period == "held" else -1)
            hold = sa.insert(HOLDS).values(id=UUID(int=days), **key, amount=1)
            connection.execute(hold.values(expires_at=expires_at))
    yield made
    made.dispose()


def known(engine: Any) -> Set[str]:
    """The periods of all budgets, and of what is held."""
    with engine.connect() as connection:
        budgets: Set[str] = set(connection.execute(sa.select(BUDGETS.c.period)).scalars())
        holds: Set[str] = set(connection.execute(sa.select(HOLDS.c.period)).scalars())
    assert holds <= budgets
    return budgets - {"session"}


def tidied(orchestrator: LLMOrchestrator, engine: Any) -> Set[str]:
    """What is left after the thread that carries rows over has tidied up, as it does once an hour."""
    carrier = orchestrator.cost_tracker._recorder.store.ledger._carrier  # type: ignore[union-attr]
    carrier._tidied_at = due = time.monotonic() - 4000
    done = threading.Event()
    real = carrier._tidy_up

    def tidy_up() -> None:
        real()
        done.set()

    carrier._tidy_up = tidy_up
    orchestrator.cost_tracker.log_usage("p", "m", None)
    assert done.wait(60), "it never tidied up"
    assert carrier._tidied_at > due
    return known(engine)


def test_the_thread_that_carries_rows_over_forgets_budgets_that_are_over(
    orchestrator: LLMOrchestrator, engine: Any
) -> None:
    assert known(engine) == set(UNUSED)
    assert tidied(orchestrator, engine) == set(UNUSED) - OVER
    orchestrator.send_request("Hi", max_tokens=1)
    with pytest.raises(BudgetExceededError):  # its own budget is remembered
        orchestrator.send_request("Hi", max_tokens=1)


def test_prune_forgets_what_was_not_used_since_and_no_window_that_goes_on(
    url: str, orchestrator: LLMOrchestrator, engine: Any, tmp_path: Path
) -> None:
    with closing(open_database(url, tmp_path / "spool")) as ledger:
        now = datetime.now(timezone.utc)
        assert upkeep.prune(ledger, now - timedelta(days=60)).budgets == 2
        assert known(engine) == set(UNUSED) - {"gone for good", "away"}
        assert upkeep.prune(ledger, now - timedelta(hours=1)).budgets == 2
        assert known(engine) == {"this month", "held"}
        assert sums(orchestrator, "session") == (CENT, 0)


def test_a_session_that_is_refused_is_not_forgotten(
    orchestrator: LLMOrchestrator, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its budget is used up, and it asks again before it is over: it never gets another one."""
    orchestrator.send_request("Hi", max_tokens=1)
    assert sums(orchestrator, "session") == (2 * CENT, 0)
    long_ago = datetime.now(timezone.utc) - timedelta(days=89)
    own = BUDGETS.c.period == "session"
    with engine.begin() as connection:
        connection.execute(sa.update(BUDGETS).where(own).values(used_at=long_ago))
    with pytest.raises(BudgetExceededError):
        orchestrator.send_request("Hi", max_tokens=1)
    with engine.connect() as connection:
        (used_at,) = connection.execute(sa.select(BUDGETS.c.used_at).where(own)).one()
    assert used_at > long_ago + timedelta(days=88)


def test_a_budget_that_is_used_meanwhile_stays(postgres_url: str, tmp_path: Path) -> None:
    with closing(spender(postgres_url, tmp_path / "spool", {"session": 1})) as orchestrator:
        orchestrator.send_request("Hi", max_tokens=1)
        orchestrator.budget_status()
        engine = make_engine(postgres_url)
        with engine.begin() as connection:
            connection.execute(sa.update(BUDGETS).values(used_at=sa.text("now() - interval '400 days'")))
        with engine.begin() as call:
            call.execute(sa.update(BUDGETS).values(used_at=sa.func.now(), spent=BUDGETS.c.spent + 1))
            with engine.begin() as connection:
                connection.execute(sa.text("SET lock_timeout = '10s'"))
                assert forget_budgets(connection) == 0  # and waits for nobody
        with engine.begin() as connection:
            assert forget_budgets(connection) == 0
        engine.dispose()


def test_a_role_that_may_remove_nothing_carries_rows_over_all_the_same(
    postgres: PostgreSQL, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = postgres.new_database().rpartition("/")[2]
    owner = make_engine(postgres.url(name))
    prepare(owner)
    postgres.execute("DROP ROLE IF EXISTS keeper", "CREATE ROLE keeper LOGIN")
    postgres.execute(
        "GRANT SELECT ON llm_alembic_version TO keeper",
        "GRANT SELECT, INSERT ON llm_usage TO keeper",
        "GRANT SELECT, INSERT, UPDATE ON llm_budget TO keeper",
        "GRANT SELECT, INSERT, DELETE ON llm_hold TO keeper",
        database=name,
    )
    with closing(spender(postgres.url(name, "keeper"), tmp_path / "spool", {"session": 1})) as orchestrator:
        assert tidied(orchestrator, owner) == set()
        assert orchestrator.cost_tracker.get_usage_report().total_requests == 1
        assert "takes no rows" not in caplog.text
    owner.dispose()
