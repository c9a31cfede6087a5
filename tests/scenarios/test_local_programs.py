"""FD11 to FD18: records, forks, frozen programs and arguments that would do nothing."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
import zipfile
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, AsyncIterator, Iterator, List
from unittest.mock import AsyncMock, MagicMock

import pytest

import llm_orchestrator
from llm_orchestrator import CallEvent, CostTracker, LLMOrchestrator
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.tracing import trace_calls
from llm_orchestrator.usage import recent, recorder
from tests.support.costs import TOKENS

CONFIG = {"active_provider": "fake", "active_model": "m"}


def orchestrator_with(**arguments: Any) -> LLMOrchestrator:
    return LLMOrchestrator(CONFIG, providers={"fake": FakeProvider(["Hi."] * 3)}, **arguments)


# Hooks (FD16)


async def coroutine(event: CallEvent) -> None: ...


def generator(event: CallEvent) -> Iterator[None]:
    yield


async def async_generator(event: CallEvent) -> AsyncIterator[None]:
    yield


def two(event: CallEvent, other: int) -> None: ...


class Async:
    async def __call__(self, event: CallEvent) -> None: ...


class Recorder:
    def __init__(self, event: Any = None) -> None:
        self.events: List[CallEvent] = []

    def __call__(self, event: CallEvent) -> None:
        self.events.append(event)


IDLE = [
    (None, "cannot be called"),
    ("print", "cannot be called"),
    (coroutine, "Write it with a plain `def`"),
    (functools.partial(functools.partial(coroutine)), "plain `def`"),
    (Async(), "plain `def`"),
    (Async().__call__, "plain `def`"),
    *(
        [(AsyncMock(), "plain `def`")] if sys.version_info >= (3, 12) else ()
    ),  # earlier ones look like any mock
    (generator, "plain `def`"),
    (async_generator, "plain `def`"),
    (trace_calls, "Call it first"),
    (two, "does not take one argument"),
    (lambda: None, "does not take one argument"),
    (Recorder, "is a class"),
]


@pytest.mark.parametrize(
    ("hook", "problem"), IDLE, ids=lambda value: value if isinstance(value, str) else type(value).__name__
)
def test_fd16_a_hook_that_would_record_nothing_is_refused(hook: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=r"hooks\[1\] is ") as refusal:
        orchestrator_with(hooks=[print, hook])
    assert problem in str(refusal.value)


@pytest.mark.parametrize("hooks", [print, "print", Recorder(), 5])
def test_fd16_hooks_are_a_list(hooks: Any) -> None:
    with pytest.raises(TypeError, match="Pass a list of functions"):
        orchestrator_with(hooks=hooks)


@pytest.mark.parametrize(
    "hook",
    [Recorder(), MagicMock(), functools.partial(two, other=1), lambda *_: None, Recorder().__call__, print],
    ids=lambda value: type(value).__name__,
)
def test_fd16_every_other_hook_is_taken(hook: Any) -> None:
    orchestrator_with(hooks=(hook,)).send_request("Hi")


# Costs (FD17, FD18)


@pytest.mark.parametrize("cost", ["0", "0.25"])
def test_fd17_a_row_gives_the_cost_that_is_stored(tmp_path: Path, cost: str) -> None:
    tracker = CostTracker(log_path=tmp_path / "costs.csv")
    record = tracker.log_usage("p", "m", TOKENS, cost=Decimal(cost))
    refused = tracker.log_usage("p", "m", None, status="error", status_code=429)
    assert [tracker.recompute(row) for row in tracker.to_dicts()] == [Decimal(cost), Decimal(0)]
    assert [tracker.recompute(row) for row in (record, refused)] == [Decimal(cost), Decimal(0)]


def test_fd17_a_cost_that_is_unknown_stays_unknown(tmp_path: Path) -> None:
    tracker = CostTracker(log_path=tmp_path / "costs.csv")
    tracker.log_usage("p", "m", TOKENS)
    assert tracker.recompute(tracker.to_dicts()[0]) is None


def test_fd18_a_tracker_takes_its_arguments_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        CostTracker("x.csv")  # type: ignore[misc]  # that is the mistake


def test_fd18_a_report_says_that_there_is_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = CostTracker(log_path=tmp_path / "other.csv")
    for read in (tracker.get_usage_report, tracker.to_dicts):
        caplog.clear()
        read()
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "There is no ledger" in caplog.text and "other.csv" in caplog.text
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    caplog.clear()
    assert tracker.get_usage_report().total_requests == 1 and not caplog.records


# Zip archives and frozen programs (FD14)

PRICED = """
import sys
from llm_orchestrator import CostTracker, LLMOrchestrator, price_usage
import llm_orchestrator
tracker = CostTracker(log_path=None)
details = price_usage("openai", "gpt-4o", {"prompt_tokens": 10, "completion_tokens": 5}, api="chat")
from llm_orchestrator.models.names import exclusion_by_kind
print(llm_orchestrator.__file__, details.status, exclusion_by_kind("text-embedding-3-small", "openai") is not None)
"""


def zipped(folder: Path, *left_out: str) -> Path:
    """The library as a zip archive, without some files."""
    package = Path(llm_orchestrator.__file__).parent
    archive = folder / "library.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for file in sorted(package.rglob("*")):
            if file.is_file() and file.name not in left_out and "__pycache__" not in file.parts:
                target.write(file, file.relative_to(package.parent))
    return archive


def run(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(path)},
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
def test_fd14_the_library_works_from_a_zip_archive(tmp_path: Path) -> None:
    done = run(PRICED, zipped(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "library.zip" in done.stdout and done.stdout.split()[1:] == ["priced", "True"]


@pytest.mark.slow
def test_fd14_a_table_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    done = run(PRICED, zipped(tmp_path, "prices.json"))
    assert "ConfigurationError: The price table of llm_orchestrator, prices.json" in done.stderr
    given = PRICED.replace("CostTracker(log_path=None)", "CostTracker(enabled=False)")
    assert (
        "ConfigurationError: The price table of llm_orchestrator cannot be read"
        in run(given, tmp_path / "library.zip").stderr
    )


@pytest.mark.slow
def test_fd14_a_program_frozen_by_pyinstaller_has_its_prices(tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller", reason="PyInstaller is not installed; this builds a frozen program")
    program = tmp_path / "program.py"
    program.write_text(PRICED)
    hooks = Path(llm_orchestrator.__file__).parent / "utils" / "pyinstaller"
    build = [
        sys.executable,
        "-m",
        "PyInstaller",
        "--onefile",
        f"--additional-hooks-dir={hooks}",
        str(program),
    ]
    root = Path(llm_orchestrator.__file__).parent.parent
    subprocess.run([*build, f"--paths={root}"], cwd=tmp_path, check=True, capture_output=True, timeout=280)
    done = subprocess.run([tmp_path / "dist" / "program"], capture_output=True, text=True, check=False)
    assert done.stdout.split()[1:] == ["priced", "True"], done.stderr


def test_fd14_the_hook_of_pyinstaller_is_found_by_its_entry_point() -> None:
    from llm_orchestrator.utils.pyinstaller import get_hook_dirs

    assert all((Path(folder) / "hook-llm_orchestrator.py").exists() for folder in get_hook_dirs())
    settings = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert (
        '[project.entry-points.pyinstaller40]\nhook-dirs = "llm_orchestrator.utils.pyinstaller:get_hook_dirs"'
        in settings
    )


# Records that are kept for ever (FD11)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> CostTracker:
    """A tracker without a file, which keeps three records and four sessions."""
    monkeypatch.setattr(recent, "MOST_RECORDS", 3)
    monkeypatch.setattr(recent, "MOST_SESSIONS", 4)
    monkeypatch.setattr(recorder, "MOST_SESSIONS", 4)
    return CostTracker(log_path=None)


def record(tracker: CostTracker, number: int, **more: Any) -> None:
    day = datetime(2026, 11, 1 + number, 12, tzinfo=timezone.utc)
    fields = {"call_id": f"call {number}", "session_id": "s", "timestamp": day, "cost": Decimal(1), **more}
    tracker.log_usage("p", "m", TOKENS, **fields)


def test_fd11_sums_are_of_all_calls_and_rows_of_the_last(
    few: CostTracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10):
        record(few, number, tags={"n": str(number % 2)})
    report = few.get_usage_report()
    assert (report.total_requests, report.total_cost) == (10, 10)
    assert (report.by_tag["n=0"].requests, len(report.by_day), report.by_model["m"].cost) == (5, 10, 10)
    assert few.get_usage_report().total_requests == 10, "a report changes nothing"
    assert few.get_session_cost("s") == 10 and not caplog.records
    assert few.get_usage_report(datetime(2026, 11, 9, tzinfo=timezone.utc)).total_requests == 2
    assert not caplog.records, "everything of those days is there"

    assert few.export_to_csv(tmp_path / "out.csv") == 3 and len(few.to_dicts()) == 3
    assert "only the last 3 records" in caplog.text and "7 earlier ones" in caplog.text


def test_fd11_a_report_of_days_says_what_it_lacks(few: CostTracker, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(10):
        record(few, number)
    assert few.get_usage_report(datetime(2026, 11, 5, tzinfo=timezone.utc)).total_requests == 3
    assert "7 earlier ones" in caplog.text


def test_fd11_a_call_whose_attempts_are_kept_in_part_counts_once(few: CostTracker) -> None:
    for attempt in range(1, 6):
        record(few, attempt, call_id="one call", attempt=attempt, final=attempt == 5)
    for _ in range(2):
        report = few.get_usage_report()
        assert (report.total_requests, report.total_cost, report.by_session["s"].requests) == (1, 5, 1)


@pytest.mark.parametrize("where", ["memory", "a file"])
def test_fd11_sessions_do_not_pile_up_and_none_is_said_to_have_cost_nothing(
    few: CostTracker, tmp_path: Path, where: str
) -> None:
    tracker = few if where == "memory" else CostTracker(log_path=tmp_path / "costs.csv")
    for number in range(12):
        record(tracker, number, session_id=f"session {number}")
    record(tracker, 0, session_id="session 1")
    assert len(tracker._recorder._session_costs) == 4
    assert tracker.get_session_cost("session 11") == 1
    assert tracker.get_session_cost("session 1") == 2, "it was forgotten, and went on"
    assert tracker.get_session_cost("nobody's") == 0
    assert tracker.get_usage_report().total_cost == 13
    if where == "memory":
        assert len(tracker.get_usage_report().by_session) <= 4 + 1 + 3
