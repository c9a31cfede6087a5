"""Promises L1 and L3: a ledger that many machines share loses no row and doubles none, and reports as a file does."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

from llm_orchestrator import CostTracker, LLMOrchestrator, TokenUsage
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.types import CostDetails
from llm_orchestrator.usage import recorder
from llm_orchestrator.usage.database import carrier, ledger, spool
from llm_orchestrator.usage.database.spool import Spool
from tests.support.configs import ROOT
from tests.support.costs import TOKENS, make
from tests.support.databases import PostgreSQL
from tests.support.forks import needs_fork, start_child, succeeded

DATABASES = ("sqlite", "postgresql")
databases = pytest.mark.parametrize("ledger_kind", DATABASES)


def start_writer(place: Dict[str, Any], out: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.support.programs.ledger_writer", place["database_url"]]
    with open(out / f"{name}.calls", "wb") as file:
        return subprocess.Popen(
            [*command, str(place["spool_path"]), name, *arguments],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.PIPE,
        )


def logged(out: Path) -> List[str]:
    """The calls that writers said they had logged, without a line that a killed one did not finish."""
    return [
        line.strip()
        for path in out.glob("*.calls")
        for line in path.read_text().splitlines(keepends=True)
        if line.endswith("\n")
    ]


def wait_until(holds: Any) -> None:
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up, "it never came to it"
        time.sleep(0.02)


def calls_in(tracker: CostTracker) -> List[str]:
    return [row["call_id"] for row in tracker.to_dicts()]


# L1: no row lost, none doubled


@pytest.mark.slow
@databases
def test_l1_eight_processes_lose_and_double_nothing(place: Dict[str, Any], tmp_path: Path) -> None:
    writers = [start_writer(place, tmp_path, f"w{number}", "3000") for number in range(8)]
    assert [writer.communicate()[1] for writer in writers] == [b""] * 8
    assert [writer.returncode for writer in writers] == [0] * 8

    tracker = make(None, **place)
    report = tracker.get_usage_report()
    assert (report.total_requests, report.total_cost, report.waiting_rows) == (24_000, 2400, 0)
    found = calls_in(tracker)
    assert len(set(found)) == len(found) == 24_000
    tracker.close()
    assert list(tmp_path.glob("spool/*/*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("ledger_kind", ["postgresql"])
def test_l1_killed_writers_and_a_server_that_stops_hard_cost_no_row(
    place: Dict[str, Any], tmp_path: Path, postgres: PostgreSQL
) -> None:
    writers = [start_writer(place, tmp_path, f"w{number}", "400", "0.005") for number in range(4)]
    wait_until(lambda: len(logged(tmp_path)) > 300)
    writers[0].kill()
    postgres.stop_hard()
    try:
        before = len(logged(tmp_path))
        wait_until(lambda: len(logged(tmp_path)) > before + 300)  # nobody waits for the server
        writers[1].kill()
    finally:
        postgres.start()
    for writer in writers:
        writer.communicate()

    tracker = make(None, **place)
    found = calls_in(tracker)
    assert set(logged(tmp_path)) <= set(found)
    assert len(found) == len(set(found)) <= len(logged(tmp_path)) + 2  # a killed one may not have said it
    assert {f"w{number}-399" for number in (2, 3)} <= set(found)
    tracker.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long for a server that is away."""
    monkeypatch.setattr(ledger, "PATIENCE", 0.3)


@pytest.mark.usefixtures("quick")
def test_l1_a_server_that_is_away_is_a_warning_and_the_rows_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = "postgresql://someone:secret@127.0.0.1:1/ledger"
    tracker = make(None, database_url=nobody, spool_path=tmp_path)
    for number in range(20):
        tracker.log_usage("p", "m", TOKENS, cost=Decimal(1), call_id=str(number))
    tracker.close()

    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "postgresql://127.0.0.1:1/ledger takes no rows" in warnings[0]
    assert "20 rows on the way" in warnings[1]
    assert "secret" not in caplog.text
    (file,) = tmp_path.glob("*/*.csv")
    assert len(file.read_text().splitlines()) == 21

    caplog.clear()
    reading = make(None, database_url=nobody, spool_path=tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be read") as told:
        reading.get_usage_report()
    assert "secret" not in str(told.value)
    reading.close()
    recorder._flush_all()  # as the end of the program does
    assert len([text for text in caplog.messages if "20 rows on the way" in text]) == 1
    assert reading._recorder.store.ledger._carrier._was_waited_for  # type: ignore[union-attr]


@pytest.mark.parametrize("ledger_kind", ["postgresql"])
def test_who_waited_in_vain_waits_briefly_until_rows_are_carried_over_again(
    place: Dict[str, Any], postgres: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: List[float] = []
    real = threading.Condition.wait_for

    def noted(condition: Any, holds: Any, timeout: Any = None) -> bool:
        waits.append(timeout)
        return real(condition, holds, timeout)

    monkeypatch.setattr(ledger, "PATIENCE", 2.0)
    tracker = make(None, **place)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    monkeypatch.setattr(threading.Condition, "wait_for", noted)
    postgres.stop_hard()
    try:
        for _ in range(2):
            with pytest.raises(ConfigurationError):
                tracker.get_usage_report()
    finally:
        postgres.start()
    assert waits == [2.0, carrier._BRIEFLY]
    wait_until(lambda: tracker.get_usage_report().waiting_rows == 0)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    assert tracker.get_usage_report().total_requests == 2
    assert waits[-1] == 2.0
    tracker.close()


@databases
def test_what_a_dead_process_left_is_carried_over_by_the_next_report(
    place: Dict[str, Any], tmp_path: Path
) -> None:
    tracker = make(None, **place)
    dead = Spool(tracker._recorder.store.ledger.spool.folder)  # type: ignore[union-attr]
    for _ in range(3):
        dead.append(tracker.log_usage("p", "left", TOKENS, cost=Decimal(1)))
    assert tracker.get_usage_report().total_requests == 3  # its process lives, and will carry them over
    dead.close()
    assert tracker.get_usage_report().total_requests == 6
    tracker.close()
    assert list(tmp_path.glob("spool/*/*")) == []


@databases
def test_rows_that_were_carried_over_but_not_forgotten_are_not_doubled(place: Dict[str, Any]) -> None:
    tracker = make(None, **place)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    (file,) = place["spool_path"].glob("*/*.csv")
    kept = file.read_bytes()
    assert tracker.get_usage_report().total_requests == 1
    for name in ("a.csv", "b.csv"):  # as if their process had died before it could remove them
        file.with_name(name).write_bytes(kept)
    assert tracker.get_usage_report().total_requests == 1
    tracker.close()
    assert list(place["spool_path"].glob("*/*")) == []


def test_a_new_file_that_another_process_takes_for_an_old_one_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = [], spool.lock

    def slow(descriptor: int, timeout: float) -> bool:
        made.append(descriptor)
        return len(made) > 2 and real(descriptor, timeout)

    monkeypatch.setattr(spool, "lock", slow)
    waiting = Spool(tmp_path)
    waiting.append(make(None).log_usage("p", "m", TOKENS, cost=Decimal(1)))
    assert len(made) == 3
    (file,) = tmp_path.glob("*.csv")
    assert len(file.read_text().splitlines()) == 2
    waiting.close()


@databases
def test_a_spool_that_somebody_removed_loses_nothing_that_can_still_be_read(place: Dict[str, Any]) -> None:
    tracker = make(None, **place)
    tracker.log_usage("p", "before", TOKENS, cost=Decimal(1))
    shutil.rmtree(place["spool_path"])
    tracker.log_usage("p", "meanwhile", TOKENS, cost=Decimal(1))
    assert set(tracker.get_usage_report().by_model) == {"before", "meanwhile"}
    tracker.log_usage("p", "after", TOKENS, cost=Decimal(1))
    assert tracker.get_usage_report().total_requests == 3
    tracker.close()


@databases
def test_half_a_line_was_never_a_row_and_a_later_version_is_left_to_itself(place: Dict[str, Any]) -> None:
    tracker = make(None, **place)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    (file,) = place["spool_path"].glob("*/*.csv")
    header, row = file.read_bytes().splitlines(keepends=True)
    tracker.get_usage_report()
    other = row.replace(row[:36], b"01a22727-48f9-7bad-b8e2-e29cd1ef4105")
    file.with_name("half.csv").write_bytes(header + other[:-10])
    later = file.with_name("later.csv")
    later.write_bytes(b"new_column," + header + b"x," + other)

    report = tracker.get_usage_report()
    assert (report.total_requests, report.waiting_rows) == (1, 1)
    assert later.exists()
    later.unlink()
    tracker.close()


@databases
def test_a_row_that_no_database_takes_is_kept_for_a_person_and_stops_no_other(
    place: Dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    tracker = make(None, **place)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    (file,) = place["spool_path"].glob("*/*.csv")
    header, row = file.read_bytes().splitlines(keepends=True)
    file.with_name("broken.csv").write_bytes(header + b"no id," + row[37:] + row)
    assert tracker.get_usage_report().total_requests == 1
    (refused,) = place["spool_path"].glob("*/*.refused")
    assert refused.read_bytes() == header + b"no id," + row[37:]
    assert str(refused) in caplog.text
    tracker.close()


@pytest.mark.skipif(sys.platform == "win32", reason="this system limits no file sizes")
@databases
def test_a_full_disk_at_the_spool_is_logged_and_never_raised(
    place: Dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    tracker = make(None, **place)
    carrying = tracker._recorder.store.ledger._carrier  # type: ignore[union-attr]
    tracker.log_usage("p", "before", TOKENS, cost=Decimal(1))
    tracker.get_usage_report()
    carrying.notify = lambda: None
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    (file,) = place["spool_path"].glob("*/*.csv")
    with pytest.warns(RuntimeWarning, match="costs in the ledger are too low"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 40, unlimited[1]))
        try:
            assert tracker.log_usage("p", "lost", TOKENS, cost=Decimal(2)).cost == 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    del carrying.notify
    tracker.log_usage("p", "after", TOKENS, cost=Decimal(8))
    assert "'model': 'lost'" in caplog.text
    assert tracker.get_session_cost() == 11
    assert set(tracker.get_usage_report().by_model) == {"before", "after"}
    tracker.close()
    assert list(place["spool_path"].glob("*/*")) == []


@needs_fork
@databases
def test_parent_and_child_both_work_after_a_fork(place: Dict[str, Any]) -> None:
    tracker = make(None, **place)
    tracker.log_usage("p", "before", TOKENS, cost=Decimal(1))
    tracker.get_usage_report()  # connections are open
    tracker.log_usage("p", "waits", TOKENS, cost=Decimal(1))

    def work() -> None:
        carrying.notify = lambda: None  # it ends before its thread could carry anything
        tracker.log_usage("p", "child", TOKENS, cost=Decimal(1))
        assert {path.name.split("-")[1] for path in files()} == {str(os.getpid()), str(os.getppid())}

    files = partial(place["spool_path"].glob, "*/*.csv")
    carrying = tracker._recorder.store.ledger._carrier  # type: ignore[union-attr]
    child = start_child(work)
    tracker.log_usage("p", "parent", TOKENS, cost=Decimal(1))
    assert succeeded(child)
    assert {name: sums.requests for name, sums in tracker.get_usage_report().by_model.items()} == {
        "before": 1,
        "waits": 1,
        "parent": 1,
        "child": 1,
    }
    tracker.close()


@databases
def test_the_thread_ends_when_nothing_comes_and_begins_again(
    place: Dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier, "_IDLE", 0.01)
    tracker = make(None, **place)
    carrying = tracker._recorder.store.ledger._carrier  # type: ignore[union-attr]
    for number in range(3):
        tracker.log_usage("p", f"m{number}", TOKENS, cost=Decimal(1))
        wait_until(lambda: carrying._thread is None)
    assert tracker.get_usage_report().total_requests == 3
    tracker.close()


def test_a_tracker_that_logs_nothing_starts_no_thread_and_asks_no_server(tmp_path: Path) -> None:
    tracker = make(None, database_url="postgresql://127.0.0.1:1/x", spool_path=tmp_path)
    tracker.close()
    assert tracker._recorder.store.ledger._carrier._thread is None  # type: ignore[union-attr]
    assert list(tmp_path.glob("*/*")) == []


@databases
def test_eight_threads_share_a_tracker(place: Dict[str, Any]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    tracker = make(None, **place)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: tracker.log_usage("p", "m", TOKENS, cost=Decimal(1)), range(400)))
    assert tracker.get_usage_report().total_requests == 400
    tracker.close()


@databases
def test_an_orchestrator_keeps_its_costs_in_the_database(place: Dict[str, Any]) -> None:
    config = {
        "active_provider": "fake",
        "active_model": "m",
        "providers": {},
        "cost_tracking": {
            "database_url": place["database_url"],
            "spool_path": str(place["spool_path"]),
            "price_overrides": [{"provider": "fake", "model": "m", "rates": {"in": "1", "out": "2"}}],
        },
    }

    async def ask() -> None:
        async with LLMOrchestrator(config, providers={"fake": FakeProvider("Hello.")}) as orchestrator:
            await orchestrator.asend_request("Hi", tags={"customer": "acme"})

    asyncio.run(ask())
    with LLMOrchestrator(config, providers={"fake": FakeProvider("Hello.")}) as orchestrator:
        assert "secret" not in repr(orchestrator.config)
        cost = orchestrator.send_request("Hi").cost
        report = orchestrator.cost_tracker.get_usage_report()
    assert cost and report.total_cost == 2 * cost
    assert report.by_tag["customer=acme"].cost == cost


# L3: the same report, whatever keeps the rows

#: The value of a tag with characters that a line of a file or a column of PostgreSQL does not hold.
ODD = "a\u2028b\x7f\0\ud800=</script>"


def log_calls(tracker: CostTracker, seed: int = 3, count: int = 120) -> None:
    """Calls of every sort: retried, fallen back, estimated, unpriced, untagged, with text of any kind."""
    chance = random.Random(seed)
    start = datetime(2026, 3, 28, 21, tzinfo=timezone.utc)
    tags: List[Dict[str, Any]] = [{}, {"customer": "acme"}, {"team": "döcs", "b": 'x"\\'}, {"customer": ""}]
    tags += [{"z": "1", "a": "2"}, {"n": 1.5}, {"customer": ODD}]
    for number in range(count):
        moment = start + timedelta(minutes=37 * number, microseconds=number)
        call: Dict[str, Any] = {"session_id": chance.choice(["s", "=t", "u\n"]), "tags": chance.choice(tags)}
        attempts = chance.choice([1, 1, 1, 2, 3])
        for attempt in range(1, attempts + 1):
            usage = chance.choice([TOKENS, None, TokenUsage(10, 5, 15, source="estimated")])
            cost = chance.choice([None, Decimal("0.10"), Decimal("1E-7"), Decimal("-0.5")])
            details = chance.choice([None, CostDetails(status="partial", total=Decimal("0.25"))])
            fields: Dict[str, Any] = {"cost": cost} if details is None else {"cost_details": details}
            tracker.log_usage(
                chance.choice(["openai", "gemini"]),
                chance.choice(["priced", "other", "é" * 40]),
                usage,
                call_id=f"call-{number}",
                attempt=attempt,
                final=attempt == attempts,
                latency=chance.choice([None, 0.8, 12.0625]),
                timestamp=moment + timedelta(seconds=attempt),
                started_at=moment,
                **call,
                **fields,
            )


@pytest.fixture(params=["Europe/Berlin", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone with a day of 23 hours among those of the calls, and one between the hours."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change the local time zone")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


SELECTIONS: List[Dict[str, Any]] = [
    {},
    {"provider": "gemini"},
    {"model": "other", "start_date": datetime(2026, 3, 29, 1, 30, tzinfo=timezone.utc)},
    {"tags": {"customer": "acme"}},
    {"tags": {"customer": ""}},
    {"tags": {"customer": ODD}},
    {"start_date": datetime(2026, 3, 29).date(), "end_date": datetime(2026, 3, 29).date()},
]


@pytest.mark.usefixtures("zone")
@databases
def test_l3_the_same_calls_give_the_same_reports_exports_and_page(
    place: Dict[str, Any], tmp_path: Path
) -> None:
    database, file = make(None, **place), make(tmp_path / "costs.csv")
    for tracker in (file, database):
        log_calls(tracker)
    for only in SELECTIONS:
        ours, theirs = (tracker.get_usage_report(**only) for tracker in (database, file))
        for kind in ("provider", "model", "session", "tag", "day", "month", "tag:customer"):
            assert list(ours.grouped(kind).items()) == list(theirs.grouped(kind).items())
        for kinds in (["provider", "model"], ["tag:customer", "day"], ["month", "tag", "provider"]):
            assert list(ours.grouped(kinds).items()) == list(theirs.grouped(kinds).items())
        assert str(ours) == str(theirs)
        assert without_time(ours.to_html()) == without_time(theirs.to_html())
        assert database.export_to_csv(tmp_path / "a.csv", **only) == file.export_to_csv(
            tmp_path / "b.csv", **only
        )
        assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert database.to_dicts() == file.to_dicts()
    assert [database.recompute(row) for row in database.to_dicts()] == [
        file.recompute(row) for row in file.to_dicts()
    ]
    database.close()
    file.close()


def without_time(page: str) -> str:
    """A page without the minute it was made in."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "", page)


@databases
def test_l3_what_a_column_cannot_hold_is_exported_all_the_same(place: Dict[str, Any], tmp_path: Path) -> None:
    database, file = make(None, **place), make(tmp_path / "costs.csv")
    for tracker in (file, database):
        tracker.log_usage(
            "p\ud800",
            "m" * 3000,
            TOKENS,
            "".join(map(chr, range(40, 12_000))),
            cost=Decimal("1E-30"),
            request_id="é\0" * 5000,
            tags={"nul\0\ud800": "\0\n", "a": "b"},
            timestamp=datetime(2026, 3, 1, tzinfo=timezone.utc),
            call_id="c",
        )
        assert tracker.get_usage_report().total_cost == Decimal("1E-30")
    assert database.export_to_csv(tmp_path / "a.csv") == file.export_to_csv(tmp_path / "b.csv") == 1
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    database.close()
    file.close()


def test_a_spool_that_is_dropped_leaves_no_file_open(tmp_path: Path) -> None:
    dropped = Spool(tmp_path)
    dropped.append(make(None).log_usage("p", "m", TOKENS, cost=Decimal(1)))
    descriptors = dropped._file, dropped._reading
    assert all(os.fstat(descriptor or -1) for descriptor in descriptors)
    del dropped
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor or -1)
    assert len(list(tmp_path.glob("*.csv"))) == 1  # its row waits for who adopts it
