"""The ledger file: what may stand in its place or inside it, and many threads and processes writing it."""

from __future__ import annotations

import csv
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Iterator, List

import pytest

from llm_orchestrator.cost_tracker import CostTracker, UsageRecord
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage import ledger_csv
from llm_orchestrator.usage.ledger import Ledger
from tests.support.costs import EIGHT, TOKENS, fill, make, read
from tests.support.forks import needs_fork, start_child, succeeded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "costs.csv"


@pytest.fixture
def tracker(path: Path) -> Iterator[CostTracker]:
    tracker = make(path)
    yield tracker
    tracker.close()


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


# What stands in its way


def test_nothing_is_created_before_the_first_row(tracker: CostTracker, path: Path) -> None:
    assert tracker.get_usage_report().total_requests == 0
    assert tracker.get_usage_report().by_model == {}
    assert not path.exists()


def test_a_place_that_cannot_hold_a_ledger_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere.costs\.csv does not exist\. Create it"):
        CostTracker(log_path=tmp_path / "nowhere" / "costs.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="does not exist"):
        CostTracker(log_path=tmp_path / "file" / "costs.csv")
    with pytest.raises(ConfigurationError, match="cannot be written: Is a directory"):
        CostTracker(log_path=tmp_path)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("existing", [False, True])
def test_a_path_without_permission_is_refused_at_once(
    path: Path, existing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if existing:
        path.write_text(EIGHT + "\n")
    # Patched instead of taken from the folder, because root may write everywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConfigurationError, match=r"costs\.csv cannot be written: Permission denied"):
        CostTracker(log_path=path)


@pytest.mark.parametrize(
    "content", ["name,age\nx,1\n", "\x00\xff binary", EIGHT.replace("cost,", "") + "\n", '"timestamp', "\n"]
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"costs\.csv is not a ledger"):
        CostTracker(log_path=path)
    assert path.read_text() == content


def test_a_relative_path_stays_where_it_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    tracker = make(Path("./costs.csv"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    tracker.log_usage("p", "m", TOKENS)
    tracker.close()
    assert len(read(tmp_path / "costs.csv")) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is a POSIX one")
def test_p6_a_full_disk_is_logged_and_never_raised(
    tracker: CostTracker, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    tracker.log_usage("p", "before", TOKENS, cost=Decimal(1))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 40, unlimited[1]))
    try:
        record = tracker.log_usage("p", "lost", TOKENS, cost=Decimal(2))
        tracker.log_usage("p", "lost", TOKENS, cost=Decimal(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    tracker.log_usage("p", "after", TOKENS, cost=Decimal(8))

    assert record.cost == 2
    assert tracker.get_session_cost() == 15
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert str(path) in errors[0]
    assert "'model': 'lost'" in errors[0]
    assert set(tracker.get_usage_report().by_model) == {"before", "after"}


def test_a_file_deleted_meanwhile_is_begun_anew(tracker: CostTracker, path: Path) -> None:
    fill(tracker)
    path.unlink()
    tracker.log_usage("p", "new", TOKENS)
    assert [row["model"] for row in read(path)] == ["new"]


def test_a_foreign_file_that_took_the_place_is_left_alone(
    tracker: CostTracker, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tracker)
    path.unlink()
    path.write_text("a,b\n")
    tracker.log_usage("p", "m", TOKENS)
    assert path.read_text() == "a,b\n"
    assert "is not a ledger" in caplog.text
    with pytest.raises(ConfigurationError, match="is not a ledger"):
        tracker.get_usage_report()


def test_a_folder_that_took_the_place_loses_no_answer_and_is_named(
    tracker: CostTracker, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.log_usage("p", "m", TOKENS)
    path.unlink()
    path.mkdir()
    assert tracker.log_usage("p", "m", TOKENS, cost=Decimal(1)).cost == 1
    assert "could not be written" in caplog.text
    for read_back in (tracker.get_usage_report, lambda: tracker.export_to_csv(tmp_path / "out.csv")):
        with pytest.raises(ConfigurationError, match=r"costs\.csv cannot be read: Is a directory"):
            read_back()


def test_a_row_that_cannot_be_made_is_logged_and_does_not_stop_the_next(
    tracker: CostTracker, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker._recorder.store.add(
        UsageRecord(datetime.now(), "p", "odd", 1, 1, 2, None, "s", "c", cost_details="no details")
    )
    tracker.log_usage("p", "m", TOKENS)
    assert [row["model"] for row in read(path)] == ["m"]
    assert "could not be written" in caplog.text and "odd" in caplog.text


def test_files_that_only_look_like_parts_of_the_ledger_are_not_read(
    tracker: CostTracker, path: Path, tmp_path: Path
) -> None:
    fill(tracker)
    for name in (
        "costs.0.csv",
        "costs.007.csv",
        "costs.-1.csv",
        "costs.\u0663.csv",
        "costs.old.csv",
        "costs..csv",
    ):
        (tmp_path / name).write_bytes(path.read_bytes())
    assert tracker.get_usage_report().total_requests == 5


# Broken, old and hostile content


def test_p6_a_file_cut_at_any_byte_still_reads_and_takes_the_next_row_whole(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    writer = make(path)
    for model in ("first", "second"):
        writer.log_usage("p", model, TOKENS, cost=Decimal(1), tags={"a": "b"}, error_type='"quoted"')
    writer.close()
    content = path.read_bytes()
    header, first, _ = content.split(b"\n", 2)
    now = datetime.now(timezone.utc)
    following = UsageRecord(now, "p", "next", None, None, None, None, "s", "call")
    for size in [*range(0, len(header), 90), *range(len(header), len(content), 17), len(content) - 1]:
        path.write_bytes(content[:size])
        ledger = Ledger(path)
        list(ledger.rows())
        ledger.append(following)
        ledger.close()
        complete = (size > len(header) + len(first)) + (size >= len(content) - 1)
        expected = [*["first", "second"][:complete], "next"]
        assert [row["model"] for row in ledger.rows()] == expected, f"cut at byte {size}"


def test_broken_lines_are_skipped_with_one_warning(
    tracker: CostTracker, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tracker)
    good = path.read_text().splitlines()[-1]
    broken = [
        "",
        "rubbish",
        good.replace("2026-01-05", "someday"),
        good.replace("T00:00:00", "T00:00:99"),
        good.replace(",10,5,15,", ",10,five,15,"),
        good.replace(",10,5,15,,", ",10,5,15,NaN,"),
        good.replace(",10,5,15,,", ",10,5,15,$1,"),
        good + ",more",
        good[:-1],
        good[:20] + ',"never closed',
        "\x00\x00\x00",
    ]
    assert good not in broken
    with open(path, "ab") as file:
        file.write("\n".join(broken).encode() + b"\n\xff\xfe\n")
    tracker.log_usage("p", "after", TOKENS)

    assert tracker.get_usage_report().total_requests == 6
    said = [record.getMessage() for record in caplog.records if "Skipped" in record.getMessage()]
    assert said == [f"Skipped 12 broken or half-written line(s) of the ledger {path}."]


def test_a_header_written_twice_is_no_row_and_no_complaint(
    tracker: CostTracker, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.log_usage("p", "priced", TOKENS)
    with open(path, "rb+") as file:
        header = file.readline()
        file.seek(0, os.SEEK_END)
        file.write(header)
    assert tracker.get_usage_report().total_requests == 1
    assert not caplog.records


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("byte_order_mark", ["", "\ufeff"])
def test_an_older_file_is_read_and_continued_in_its_own_columns(
    path: Path, line_end: str, byte_order_mark: str
) -> None:
    columns = [*reversed(EIGHT.split(",")), "note", "attempt"]
    old = ["old", "0.5", "15", "5", "10", "m", "p", "2026-01-01T00:00:00Z", "mine", "1"]
    half = [*old[:-1], '"1']
    lines = line_end.join(",".join(cells) for cells in (columns, old, half))
    path.write_bytes((byte_order_mark + lines).encode())

    tracker = make(path)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal("0.25"))
    tracker.close()
    report = tracker.get_usage_report()
    assert (report.total_cost, report.total_requests, report.total_tokens) == (Decimal("0.75"), 2, 30)
    assert set(report.by_session) == {"old", "s"}
    last = path.read_text(encoding="utf-8-sig").splitlines()[-1].split(",")
    assert last[:3] == ["s", "0.25", "15"]
    assert last[-2:] == ["", "1"]
    assert len(last) == len(columns)


@pytest.fixture
def unlogged() -> Iterator[None]:
    """Nothing is logged: half a character in the captured log could not travel between pytest's processes."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1"]
AWKWARD = ["a\nb", "a\u2028b", 'say "hi"', "\udcff", "\x00"]


@pytest.mark.parametrize("text", FORMULAS + AWKWARD, ids=ascii)
def test_text_from_outside_is_one_harmless_cell(
    tracker: CostTracker, path: Path, text: str, unlogged: None
) -> None:
    tracker.log_usage(text, text, TOKENS, text, cost=Decimal(1), request_id=text, tags={text: text})
    tracker.log_usage("p", "m", TOKENS)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3
    hostile, plain = read(path)
    assert plain["session_id"] == "s"
    assert not [cell for cell in hostile.values() if cell[:1] in tuple("=+-@\t\r")]


@pytest.mark.parametrize(
    "text", ["=1+1", "-1", "'=1", "'quoted'", "O'Neill", 'say "hi", ok', "日本"], ids=ascii
)
def test_a_report_shows_text_as_it_was_logged(tracker: CostTracker, text: str) -> None:
    tracker.log_usage("p", text, TOKENS)
    assert list(tracker.get_usage_report().by_model) == [text]


# Many writers


def test_threads_share_a_tracker(tracker: CostTracker, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def add_slowly(first: Decimal, second: Decimal) -> Decimal:
        time.sleep(0.0002)  # lets another thread in, right where a sum could be lost
        return first + second

    def work(number: int) -> None:
        for _ in range(10):
            tracker.log_usage("p", f"m{number}", TOKENS, cost=Decimal("0.1"))

    monkeypatch.setattr("llm_orchestrator.usage.recorder.add_money", add_slowly)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    report = tracker.get_usage_report()
    assert len(read(path)) == report.total_requests == 160
    assert report.total_cost == tracker.get_session_cost() == 16
    assert {entry.requests for entry in report.by_model.values()} == {10}


@needs_fork
def test_both_processes_work_after_a_fork_while_a_record_is_written(tracker: CostTracker, path: Path) -> None:
    tracker.log_usage("p", "before", TOKENS)
    tracker.log_usage_later(provider="p", model="handed over", tokens=TOKENS)
    with tracker._recorder._lock:  # as another thread would hold it in the middle of a record
        assert succeeded(start_child(lambda: tracker.log_usage("p", "child", TOKENS)))
    tracker.log_usage("p", "parent", TOKENS)
    assert [row["model"] for row in read(path)] == ["before", "child", "handed over", "parent"]


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no file locks")
def test_a_lock_held_by_a_stopped_process_delays_a_row_only_briefly(tracker: CostTracker, path: Path) -> None:
    import fcntl

    tracker.log_usage("p", "first", TOKENS)
    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        started = time.monotonic()
        tracker.log_usage("p", "second", TOKENS)
        waited = time.monotonic() - started
    assert waited < 1
    assert [row["model"] for row in read(path)] == ["first", "second"]


def test_rotation_keeps_every_row_readable_in_order(path: Path, tmp_path: Path) -> None:
    tracker = make(path, rotate_mb=0.0015)
    for number in range(100):
        tracker.log_usage("p", f"m{number}", TOKENS, cost=Decimal(1))
    assert (tmp_path / "costs.10.csv").exists()
    assert [row["model"] for row in tracker.to_dicts()] == [f"m{number}" for number in range(100)]
    assert tracker.export_to_csv(tmp_path / "all.csv") == 100
    tracker.close()


def test_a_rotation_while_a_report_begins_shows_no_row_twice(
    tracker: CostTracker, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_folder = os.listdir

    def rotate_first(folder: Path) -> List[str]:
        os.rename(path, tmp_path / "costs.1.csv")
        return list_folder(folder)

    fill(tracker)
    monkeypatch.setattr(os, "listdir", rotate_first)
    assert tracker.get_usage_report().total_requests == 5


def test_a_ledger_that_cannot_rotate_grows_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "rename", refuse)
    tracker = make(path, rotate_mb=0.0001)
    for _ in range(3):
        tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    assert len(read(path)) == 3
    assert caplog.text.count("cannot be rotated") == 1
    tracker.close()


def test_fsync_waits_for_the_disk_when_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: List[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for fsync in (False, True):
        tracker = make(path, fsync=fsync)
        tracker.log_usage("p", "m", TOKENS)
        tracker.close()
        assert len(synced) == fsync


def test_a_tracker_can_be_read_while_a_thread_writes(tracker: CostTracker) -> None:
    def write() -> None:
        for _ in range(100):
            tracker.log_usage("p", "m", TOKENS, cost=Decimal(1), tags={"a": "b"})

    writer = threading.Thread(target=write)
    writer.start()
    counts = [tracker.get_usage_report().total_requests for _ in range(10)]
    writer.join()
    assert counts == sorted(counts)
    assert tracker.get_usage_report().total_cost == tracker.get_session_cost() == 100


# Cells of any length


def test_a_cell_that_the_csv_module_refuses_is_read(
    tracker: CostTracker, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1), tags={"text": '"a", ' * 60_000})
    assert tracker.get_usage_report().total_requests == 1
    (row,) = tracker.to_dicts()
    assert row["tags"] == {"text": '"a", ' * 60_000}
    path.write_bytes(path.read_bytes().replace(b"v2", b'"v2'))
    assert tracker.to_dicts() == [] and "Skipped 1 broken" in caplog.text


@pytest.mark.parametrize("line", ["", ",", 'a,"b,c",d', '"",x', '"a""b","",', 'a,"""",', "x,y"])
def test_a_line_is_split_as_the_csv_module_splits_it(line: str) -> None:
    assert ledger_csv._split(line) == (next(csv.reader([line], strict=True), [""]) or [""])


@pytest.mark.parametrize("line", ['"a', 'a,"b"c', 'a"b'])
def test_a_quote_that_stands_where_none_may_is_an_error(line: str) -> None:
    with pytest.raises(csv.Error):
        ledger_csv._split(line)
