"""FD3 to FD9 and FE5: files that are locked, linked, no files at all, or hold what nobody wrote into them."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import (
    ConfigurationError,
    CostTracker,
    InvalidMessagesError,
    InvalidResponseError,
    LLMOrchestrator,
    file_part,
    image_part,
)
from llm_orchestrator.config.manager import ConfigManager
from llm_orchestrator.conversation import Conversation
from llm_orchestrator.models.registry import ModelRegistry
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.usage.columns import COLUMNS
from llm_orchestrator.utils import file_lock
from llm_orchestrator.utils.atomic_file import atomic_file
from tests.support.costs import TOKENS
from tests.support.fixtures import Orchestrate
from tests.support.ledgers import row, write
from tests.support.listings import Listed, names
from tests.support.scripted_server import Dialect, ScriptedServer

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither such locks nor modes")
HEADER = ",".join(COLUMNS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "costs.csv"


def rows_of(path: Path) -> List[str]:
    return path.read_text().splitlines()[1:]


# Listings that are none (FD3)


@pytest.mark.parametrize(
    "body",
    [{"error": {"message": "no"}}, {}, {"data": None, "models": None}, {"data": ["a"], "models": ["a"]}],
    ids=["an error", "nothing", "null", "strings"],
)
def test_fd3_what_is_not_a_listing_leaves_the_list_as_it_is(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Path, body: Dict[str, Any]
) -> None:
    orchestrator = orchestrate()
    orchestrator.registry = ModelRegistry(orchestrator._providers, tmp_path / "models.json")
    server.script(dialect.models(["model-1"]), dialect.whole().but(body=json.dumps(body).encode()))
    orchestrator.refresh_models()
    with pytest.raises(InvalidResponseError):
        orchestrator.refresh_models()
    assert orchestrator.get_available_models() == ["model-1"]


def test_fd3_an_empty_list_keeps_the_old_one_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Listed("gpt-9")
    registry = ModelRegistry({"one": provider}, tmp_path / "models.json")
    registry.refresh_models()
    provider.offer()
    registry.refresh_models()
    assert names(registry) == ["gpt-9"] and not registry.is_model_deprecated("one", "gpt-9")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


# Locks (FD4, FD5, FD6)


def no_locks_here(*_: Any) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@posix_only
def test_fd4_a_file_system_without_locks_is_said_and_every_row_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    CostTracker(log_path=path).log_usage("p", "m", TOKENS)
    monkeypatch.setattr(file_lock.fcntl, "flock", no_locks_here)
    tracker = CostTracker(log_path=path)
    said = [record for record in caplog.records if "without locks" in record.getMessage()]
    assert [record.levelname for record in said] == ["WARNING"], "when it is opened"
    assert "without locks (No locks available)" in caplog.text
    for _ in range(2):
        tracker.log_usage("p", "m", TOKENS)
    assert tracker.get_usage_report().total_requests == 3
    assert caplog.text.count("without locks") == 1


@posix_only
def test_fd4_a_lost_row_is_a_python_warning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = CostTracker(log_path=path)
    monkeypatch.setattr(os, "write", lambda *_: 0)
    with pytest.warns(RuntimeWarning, match="costs in the ledger are too low"):
        tracker.log_usage("p", "m", TOKENS)


class _Locked:
    """Another process, which holds a file's lock."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "a")  # noqa: SIM115
        file_lock.fcntl.flock(self._file, file_lock.fcntl.LOCK_EX)

    def release(self) -> None:
        self._file.close()


@posix_only
@pytest.mark.parametrize("begun", ["", HEADER[:20]], ids=["empty", "a half header"])
def test_fd5_a_header_is_never_written_without_the_lock(
    path: Path, begun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(begun)
    other, tracker = _Locked(path), CostTracker(log_path=path)
    tracker.log_usage("p", "m", TOKENS)
    assert path.read_text() == begun
    other.release()
    tracker.log_usage("p", "m", TOKENS)
    assert path.read_text().count("timestamp") == 1 and len(rows_of(path)) == 2


@posix_only
def test_fd5_a_half_row_is_not_mended_without_the_lock(path: Path) -> None:
    tracker = CostTracker(log_path=path)
    tracker.log_usage("p", "m", TOKENS)
    with open(path, "a") as file:
        file.write("2026-")
    other = _Locked(path)
    tracker.log_usage("p", "m", TOKENS)
    assert path.read_text().endswith("\n2026-")
    other.release()
    tracker.close()
    assert len(rows_of(path)) == 3


@posix_only
def test_fd5_whole_rows_do_not_wait_for_a_lock_that_is_never_given_back(path: Path) -> None:
    tracker = CostTracker(log_path=path)
    tracker.log_usage("p", "m", TOKENS)
    other = _Locked(path)
    tracker.log_usage("p", "m", TOKENS)
    assert len(rows_of(path)) == 2
    other.release()


def test_fd5_a_new_ledger_has_its_header_from_its_first_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: List[bytes] = []
    link = os.link

    def linked(part: Any, name: Any) -> None:
        link(part, name)
        seen.append(path.read_bytes())
        with pytest.raises(FileExistsError):  # somebody else was faster
            link(part, name)

    monkeypatch.setattr(os, "link", linked)
    CostTracker(log_path=path).log_usage("p", "m", TOKENS)
    assert seen == [f"{HEADER}\n".encode()]
    assert sorted(os.listdir(path.parent)) == [path.name] and len(rows_of(path)) == 1


@pytest.mark.parametrize("fault", [OSError(errno.EPERM, "no links here"), NotImplementedError("nor here")])
def test_fd5_without_links_the_header_comes_with_the_first_row(
    path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise fault

    monkeypatch.setattr(os, "link", fail)
    tracker = CostTracker(log_path=path)
    tracker.log_usage("p", "m", TOKENS)
    tracker.log_usage("p", "m", TOKENS)
    assert path.read_text().startswith(f"{HEADER}\n") and len(rows_of(path)) == 2
    assert sorted(os.listdir(path.parent)) == [path.name]


@posix_only
def test_fd4_rows_that_stay_locked_out_until_the_end_are_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("")
    other, tracker = _Locked(path), CostTracker(log_path=path)
    tracker.log_usage("p", "m", TOKENS)
    with pytest.warns(RuntimeWarning, match="too low"):
        tracker._recorder.store.report_lost()
    assert "another process keeps it locked" in caplog.text
    other.release()


# Windows, by a stand-in for msvcrt (issue item 6)


class _Windows:
    """``msvcrt`` as far as locks go: one lock for each file, held by a descriptor."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        self.held: Dict[Any, int] = {}
        self.calls = 0

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        self.calls += 1
        status = os.fstat(descriptor)
        place = (status.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR), count)
        if mode == self.LK_UNLCK:
            assert self.held.pop(place) == descriptor
        elif self.held.setdefault(place, descriptor) != descriptor:
            raise PermissionError(errno.EACCES, "Permission denied")


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> _Windows:
    stand_in = _Windows()
    monkeypatch.setattr(file_lock, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", stand_in)  # type: ignore[arg-type]  # a stand-in
    return stand_in


def test_on_windows_the_ledger_has_a_lock(path: Path, windows: _Windows) -> None:
    tracker = CostTracker(log_path=path)
    for _ in range(3):
        tracker.log_usage("p", "m", TOKENS)
    assert len(rows_of(path)) == 3 and windows.calls >= 6 and not windows.held
    descriptor = os.open(path, os.O_RDWR)
    assert file_lock.lock(descriptor, 0)
    path_of_empty = path.with_name("empty.csv")
    path_of_empty.write_text("")
    assert not windows.held.get(path_of_empty)
    tracker.log_usage("p", "m", TOKENS)
    assert len(rows_of(path)) == 4, "a whole row is written without the lock"
    file_lock.unlock(descriptor)
    os.close(descriptor)


def test_on_windows_a_header_waits_for_the_lock(path: Path, windows: _Windows) -> None:
    path.write_text("")
    descriptor = os.open(path, os.O_RDWR)
    assert file_lock.lock(descriptor, 0)
    tracker = CostTracker(log_path=path)
    tracker.log_usage("p", "m", TOKENS)
    assert path.read_text() == ""
    file_lock.unlock(descriptor)
    os.close(descriptor)
    tracker.close()
    assert len(rows_of(path)) == 1


def test_on_windows_the_model_cache_has_a_lock(tmp_path: Path, windows: _Windows) -> None:
    ModelRegistry({"one": Listed("gpt-9")}, tmp_path / "models.json").refresh_models()
    assert windows.calls == 1


# Paths (FD7)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


CONFIG = """
active_provider: fake
active_model: m
cost_tracking: {log_path: ~/costs.csv}
model_registry: {cache_path: ~/models.json}
"""


@pytest.mark.parametrize("given", ["argument", "variable"])
def test_fd7_the_home_folder_is_found_in_every_path(
    home: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (home / "config.yaml").write_text(CONFIG)
    monkeypatch.setenv("LLM_ORCHESTRATOR_CONFIG", "~/config.yaml")
    source = "~/config.yaml" if given == "argument" else None
    provider = FakeProvider(["Hi."], models=["m"])
    with LLMOrchestrator(source, providers={"fake": provider}) as orchestrator:
        orchestrator.send_request("Hi")
        orchestrator.refresh_models()
    assert {"costs.csv", "models.json"} < set(os.listdir(home))
    (home / "a.txt").write_text("text")
    assert file_part("~/a.txt")["file"]["filename"] == "a.txt"


def test_fd7_a_program_may_change_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = CostTracker(log_path="costs.csv")
    registry = ModelRegistry({"one": Listed("gpt-9")}, "models.json")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir("other")
    tracker.log_usage("p", "m", TOKENS)
    registry.refresh_models()
    assert os.listdir() == []
    assert {"costs.csv", "models.json"} < set(os.listdir(tmp_path))


@posix_only
def test_fd7_a_start_folder_that_is_gone_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigurationError, match="The folder of the ledger costs.csv does not exist"):
        CostTracker(log_path="costs.csv")
    with pytest.raises(ConfigurationError, match="does not exist"):
        ConfigManager.load("config.yaml")
    registry = ModelRegistry({"one": Listed("gpt-9")}, "models.json")
    registry.refresh_models()
    assert names(registry) == ["gpt-9"] and "was not written" in caplog.text
    CostTracker(log_path=tmp_path / "costs.csv").log_usage("p", "m", TOKENS)
    monkeypatch.chdir(tmp_path)


@posix_only
def test_fd7_rotation_renames_the_file_and_not_the_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "costs.csv"
    link.symlink_to(tmp_path / "there" / "real.csv")
    tracker = CostTracker(log_path=link, rotate_mb=0.000001)
    for _ in range(3):
        tracker.log_usage("p", "m", TOKENS)
    assert link.is_symlink() and sorted(os.listdir(tmp_path)) == ["costs.csv", "there"]
    assert len(os.listdir(tmp_path / "there")) == 3
    assert tracker.get_usage_report().total_requests == 3
    assert CostTracker(log_path=tmp_path / "there" / "real.csv").get_usage_report().total_requests == 3


@posix_only
def test_fd7_a_link_to_a_file_that_is_replaced_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    link.symlink_to(real)
    registry = ModelRegistry({"one": Listed("gpt-9")}, link)
    registry.refresh_models()
    assert link.is_symlink() and json.loads(real.read_text())["schema"] == 2


@posix_only
def test_fd7_what_we_make_is_for_its_owner_and_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = tmp_path / "costs.csv", tmp_path / "models.json"
        for _ in range(2):
            CostTracker(log_path=made[0]).log_usage("p", "m", TOKENS)
            ModelRegistry({"one": Listed("gpt-9")}, made[1]).refresh_models()
            modes = [stat.S_IMODE(file.stat().st_mode) for file in made]
            assert modes in ([0o600] * 2, [0o640] * 2)
            for file in made:
                file.chmod(0o640)
        assert modes == [0o640] * 2
    finally:
        os.umask(before)


@posix_only
def test_fd7_a_temporary_file_has_a_name_that_nobody_guesses(tmp_path: Path) -> None:
    seen = set()
    for _ in range(2):
        with atomic_file(tmp_path / "a") as file:
            file.write(b"x")
            seen.update(os.listdir(tmp_path))
    assert len(seen - {"a"}) == 2
    assert not any(str(os.getpid()) == part for name in seen for part in name.split("."))


# Devices and pipes (FD8)

pipes_only = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


@pipes_only
@pytest.mark.parametrize("device", ["/dev/zero", "fifo"])
@pytest.mark.parametrize("part", [file_part, image_part])
def test_fd8_only_files_are_attached(tmp_path: Path, device: str, part: Any) -> None:
    if device == "fifo":
        device = str(tmp_path / device)
        os.mkfifo(device)
    with pytest.raises(InvalidMessagesError, match="not a regular file"):
        part(device)
    with pytest.raises(InvalidMessagesError, match="cannot be read: Is a directory"):
        part(tmp_path)


@pipes_only
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "fifo"])
def test_fd8_a_ledger_is_a_file(tmp_path: Path, device: str) -> None:
    if device == "fifo":
        device = str(tmp_path / device)
        os.mkfifo(device)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        CostTracker(log_path=device)


@pipes_only
@pytest.mark.parametrize("which", ["models.json", "models.json.lock"])
def test_fd8_a_cache_that_is_a_pipe_costs_a_warning(
    tmp_path: Path, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / which)
    registry = ModelRegistry({"one": Listed("gpt-9")}, tmp_path / "models.json")
    assert names(registry) == []
    registry.refresh_models()
    assert names(registry) == ["gpt-9"]
    assert stat.S_ISFIFO(os.stat(tmp_path / which).st_mode), "it is not ours to replace"
    assert caplog.records or which.endswith("lock")


@pipes_only
def test_fd8_a_configuration_may_come_from_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "providers: {local: {base_url: 'http://localhost'}}\nactive_provider: local\nactive_model: m\n"
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    assert ConfigManager.load(pipe).active_model == "m"
    writer.join()


# Numbers without bounds (FD9)

BAD_CELLS = [
    {"cost": "1e999999999"},
    {"cost": "-1e999999999"},
    {"cost": "0e999999999"},
    {"cost": "1e-999999999"},
    {"cost": "9" * 40},
    {"estimated_cost": "1e999999999", "cost": "1"},
    {"total_tokens": "9" * 5000},
    {"total_tokens": str(10**15)},
    {"prompt_tokens": "-1"},
    {"timestamp": "9999-12-31T23:59:59.999999+00:00"},
    {"timestamp": "0001-01-01T00:00:00+00:00"},
]


@pytest.mark.parametrize("cells", BAD_CELLS, ids=" ".join)
def test_fd9_a_row_with_a_number_that_cannot_be_is_a_broken_row(
    path: Path, caplog: pytest.LogCaptureFixture, cells: Dict[str, str]
) -> None:
    write(path, iter([row(cost="0.5", total_tokens=2), row(**{"cost": "1", **cells})]))
    tracker = CostTracker(log_path=path, day_budget=Decimal(1000))
    report = tracker.get_usage_report()
    assert (report.total_requests, report.total_cost, report.total_tokens) == (1, Decimal("0.5"), 2)
    assert str(report) and report.to_dicts()
    assert "Skipped 1 broken" in caplog.text
    tracker.check_budget("s")
    assert tracker.get_usage_report(date(2026, 1, 1), date.max).total_requests == 1
    assert len(tracker.to_dicts(date.min)) == 1


@pytest.mark.parametrize(
    "cells", [{"latency": "1e308"}, {"cached_tokens": "9" * 5000}, {"counts": "in=1e9999 out=" + "9" * 5000}]
)
def test_fd9_a_page_of_costs_stands_any_cell(path: Path, cells: Dict[str, str]) -> None:
    write(path, iter([row(cost="0.5", prompt_tokens=9, **cells)]))
    assert "0.50" in CostTracker(log_path=path).get_usage_report().to_html()


@pytest.mark.parametrize("count", [10**15, 10**4299, -1], ids=["10^15", "4,300 digits", "negative"])
def test_fd9_a_count_that_cannot_be_is_unknown(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, path: Path, count: int
) -> None:
    names = {
        "openai_chat": "prompt_tokens",
        "openai_responses": "input_tokens",
        "anthropic": "input_tokens",
        "gemini": "promptTokenCount",
    }
    server.default = dialect.whole()
    document = json.loads(server.default.body)
    usage = next(value for name, value in document.items() if name in ("usage", "usageMetadata"))
    key = next(name for name in names.values() if name in usage)
    usage[key] = count
    server.default = server.default.but(body=json.dumps(document).encode())
    orchestrator = orchestrate()
    tracker = CostTracker(log_path=path, session_budget=Decimal(1))
    orchestrator._shared.tracker = tracker
    first = orchestrator.send_request("Hi")
    assert first.usage.prompt_tokens is None and "in" in repr(first.cost_details)
    assert str(tracker.get_usage_report()) and tracker.to_dicts()
    orchestrator.send_request("Hi")
    assert tracker.get_usage_report().total_requests == 2, "the budget is still open"


@pytest.mark.parametrize(
    "changes",
    [
        {"cost": "1e999999999"},
        {"cost": "-5"},
        {"unpriced_requests": 10**400},
        {"unpriced_requests": -1},
        {"usage": 10**400},
    ],
    ids=["cost", "below 0", "many", "negative", "tokens"],
)
def test_fd9_a_saved_conversation_with_such_a_number_is_refused_before_a_call(
    changes: Dict[str, Any],
) -> None:
    config = {"active_provider": "fake", "active_model": "m"}
    orchestrator = LLMOrchestrator(config, providers={"fake": FakeProvider(["Hi."])})
    saved = json.loads(orchestrator.start_conversation().to_json())
    if "usage" in changes:
        changes = {"usage": {**saved["usage"], "prompt_tokens": changes["usage"]}}
    with pytest.raises(InvalidMessagesError, match="not a saved conversation"):
        Conversation.from_json(json.dumps({**saved, **changes}), orchestrator)


def test_fd9_what_the_application_records_is_bounded_too(path: Path) -> None:
    tracker = CostTracker(log_path=path)
    for tokens in ({"prompt": 10**400}, {"prompt": 10**12}):
        with pytest.raises(ValueError, match="not a number of prompt tokens"):
            tracker.log_usage("p", "m", tokens)
    with pytest.raises(ValueError, match="not an amount of money"):
        tracker.log_usage("p", "m", TOKENS, cost=Decimal("1e999999999"))


# Nesting in files (FE5)


@pytest.mark.parametrize("column", ["tags", "usage_raw", "price_facts"])
@pytest.mark.parametrize("depth", [250, 3000, 20_000])
def test_fe5_a_deep_cell_breaks_nothing(path: Path, column: str, depth: int) -> None:
    write(path, iter([row(cost="0.5", **{column: '{"a":' * depth + "1" + "}" * depth})]))
    tracker = CostTracker(log_path=path)
    assert tracker.get_usage_report().total_cost == Decimal("0.5")
    assert isinstance(tracker.to_dicts()[0][column], str), "as it stands there"
    assert tracker.export_to_jsonl(path.with_name("out.jsonl")) == 1
    assert tracker.recompute(tracker.to_dicts()[0]) is None


def test_fe5_a_deep_conversation_is_refused() -> None:
    config = {"active_provider": "fake", "active_model": "m"}
    orchestrator = LLMOrchestrator(config, providers={"fake": FakeProvider(["Hi."])})
    for depth in (250, 100_000):
        with pytest.raises(InvalidMessagesError, match="not a saved conversation"):
            Conversation.from_json('{"a":' * depth + "1" + "}" * depth, orchestrator)
