"""A database that is away holds up one call at most, and is asked again by a thread until it is back."""

from __future__ import annotations

import gc
import socket
import threading
import time
import weakref
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, List

import pytest

from llm_orchestrator import BudgetExceededError
from tests.support.budgets import CENT, spender, sums
from tests.support.databases import PostgreSQL
from tests.support.ways import WAYS, ask

pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

from llm_orchestrator.usage.database import ledger, reserving
from llm_orchestrator.usage.database.outage import Outage


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserving, "PATIENCE", 0.1)
    monkeypatch.setattr(ledger, "PATIENCE", 0.1)


def wait_until(holds: Callable[[], Any]) -> None:
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up, "it never came to it"
        time.sleep(0.02)


@pytest.mark.parametrize("on_unreachable", ["allow", "refuse"])
@pytest.mark.parametrize("way", WAYS)
def test_after_the_first_no_call_waits_for_a_server_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, on_unreachable: str
) -> None:
    monkeypatch.setattr(reserving, "TIMEOUT", 0.3)
    monkeypatch.setattr(reserving, "PAUSE", 0.01)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql+psycopg://u@127.0.0.1:{silent.getsockname()[1]}/d"
        budget = {"day": 1, "on_unreachable": on_unreachable}
        with closing(spender(url, tmp_path / "spool", budget)) as orchestrator:
            keeper: Any = orchestrator.cost_tracker._recorder.budget
            were_known: List[bool] = []
            asking = keeper.ask

            def noted(*arguments: Any) -> Any:
                asked = asking(*arguments)
                were_known.append(asked.done())
                return asked

            monkeypatch.setattr(keeper, "ask", noted)
            for _ in range(5):
                if on_unreachable == "allow":
                    assert ask(orchestrator, way, max_tokens=1).cost == CENT
                else:
                    with pytest.raises(BudgetExceededError, match="cannot be checked"):
                        ask(orchestrator, way, max_tokens=1)
            assert were_known == [False, True, True, True, True]
    keeper._note_away("what was under way when it was closed has failed")
    assert not keeper._outage.reason  # and it is not asked any more


def test_a_server_that_is_back_is_found_without_a_call_and_what_was_spent_is_counted(
    postgres: PostgreSQL, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserving, "TIMEOUT", 60.0)
    monkeypatch.setattr(reserving, "PAUSE", 0.05)
    with closing(spender(postgres_url, tmp_path / "spool", {"day": 1})) as orchestrator:
        outage = orchestrator.cost_tracker._recorder.budget._outage  # type: ignore[union-attr]
        orchestrator.send_request("Hi", max_tokens=1)
        assert sums(orchestrator) == (CENT, 0)
        postgres.execute("CHECKPOINT")  # a server that crashes may forget the last half second of the sums
        postgres.stop_hard()
        try:
            for _ in range(3):
                orchestrator.send_request("Hi", max_tokens=1)
            assert outage.reason
        finally:
            postgres.start()
        wait_until(lambda: not outage.reason)
        assert sums(orchestrator) == (4 * CENT, 0)
        assert outage._over.is_set()


class Asker:
    """Whatever asks a database."""

    def __init__(self) -> None:
        self.asked = 0
        self.outage = Outage(self.ask, lambda: 0.01)

    def ask(self) -> None:
        self.asked += 1


def test_an_outage_begins_and_ends_once_and_keeps_nothing_alive() -> None:
    askers = [Asker()]
    outage = askers[0].outage
    assert [outage.begin("away"), outage.begin("still")] == [True, False]
    assert outage.reason == "still"
    wait_until(lambda: askers[0].asked > 1)
    assert [outage.end(), outage.end()] == [True, False]
    assert outage.begin("again")
    gone = weakref.ref(askers.pop())
    wait_until(lambda: gc.collect() is not None and gone() is None)


def test_where_no_thread_can_be_started_the_next_call_asks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    asker = Asker()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert asker.outage.begin("away")
    assert asker.outage.reason == ""
