"""N7: a fault of this machine is one error that names it: no retry, no fallback, no row, no cost."""

from __future__ import annotations

import os
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from llm_orchestrator import (
    AllFallbacksFailedError,
    BudgetExceededError,
    ConfigurationError,
    LLMOrchestrator,
    ProviderConnectionError,
    ProviderTimeoutError,
)
from llm_orchestrator.providers.http import deadlines
from tests.support.money import price
from tests.support.programs import run_program
from tests.support.scripted_server import (
    BEFORE_HEAD,
    DIALECTS,
    Dialect,
    ScriptedServer,
    Stall,
    refusing_url,
)
from tests.support.ways import ask

#: Anthropic's SDK for Python 3.9 stumbles in the finalizer of a client that could not be made.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*HttpxClientWrapper:pytest.PytestUnraisableExceptionWarning"
)

PASSWORD = "secret-word-of-the-proxy"
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXY_VARIABLES, *map(str.lower, PROXY_VARIABLES)):
        monkeypatch.delenv(name, raising=False)


class Attempted:
    """Makes a call that may retry, fall back and spend, and checks that it did not."""

    def __init__(self, dialect: Dialect, way: str, ledger: Path) -> None:
        self._dialect = dialect
        self._way = way
        self._ledger = ledger
        self.waited: List[float] = []

    def orchestrator(self, url: str, **settings: Any) -> LLMOrchestrator:
        entry = {"max_retries": 3, "fallback_models": ["another"], **settings}
        config = self._dialect.config(url, **entry)
        money = {**price(self._dialect), "budget": {"session": "0.000001"}, "log_path": str(self._ledger)}
        return LLMOrchestrator({**config, "cost_tracking": money})

    def fails(self, words: str, url: str, **settings: Any) -> None:
        """A configuration may be refused when it is loaded, or with each call, always for the same reason."""
        for _ in range(2):
            with (
                pytest.raises(ConfigurationError, match=words) as caught,
                self.orchestrator(url, **settings) as made,
            ):
                ask(made, self._way)
            assert not isinstance(caught.value, BudgetExceededError)
            assert caught.value.attempts == () and PASSWORD not in repr(caught.value)
            assert str(caught.value).count(". ") >= 1 and str(caught.value).endswith(".")
        assert self.waited == [] and not self._ledger.exists()


@pytest.fixture
def call(dialect: Dialect, way: str, tmp_path: Path, waits: List[float]) -> Attempted:
    attempted = Attempted(dialect, way, tmp_path / "costs.csv")
    attempted.waited = waits
    return attempted


# ---------------------------------------------------------------- proxies

PROXIES = [
    "http://",
    f"http://user:{PASSWORD}@p:port",
    "http://p:99999",
    "ftp://p:1",
    "http://[::1",
    "http://ex ample",
]


@pytest.mark.parametrize("proxy", PROXIES)
def test_n7_a_proxy_of_the_environment_that_cannot_be_one(
    call: Attempted, server: ScriptedServer, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    call.fails("ALL_PROXY", server.url, transport="direct")
    assert server.requests == []


@pytest.mark.parametrize("proxy", PROXIES)
def test_n7_a_proxy_of_the_entry_that_cannot_be_one(
    call: Attempted, server: ScriptedServer, proxy: str
) -> None:
    call.fails(r"http\.proxy", server.url, transport="direct", http={"proxy": proxy})
    assert server.requests == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", f"ftp://user:{PASSWORD}@p:1", "http://p:port"])
def test_n7_a_proxy_that_the_sdk_cannot_use(
    call: Attempted, server: ScriptedServer, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setitem(sys.modules, "socksio", None)
    call.fails("ALL_PROXY", server.url, transport="sdk")
    assert server.requests == []


# ---------------------------------------------------------------- certificates


def missing(path: Path) -> None:
    pass


def rubbish(path: Path) -> None:
    path.write_text("nothing of the sort", encoding="utf-8")


def unreadable(path: Path) -> None:
    path.write_text("-----BEGIN CERTIFICATE-----", encoding="utf-8")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")


BROKEN_FILES: List[Callable[[Path], None]] = [missing, rubbish, unreadable]


@pytest.mark.parametrize("transport", ["direct", "sdk"])
@pytest.mark.parametrize("make", BROKEN_FILES)
def test_n7_certificates_of_the_environment_that_cannot_be_read(
    call: Attempted,
    tmp_path: Path,
    make: Callable[[Path], None],
    transport: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(tmp_path / "certificates.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificates.pem"))
    call.fails("SSL_CERT_FILE", "https://127.0.0.1:1", transport=transport)


@pytest.mark.parametrize("make", BROKEN_FILES)
@pytest.mark.parametrize("name", ["ca_bundle", "client_cert"])
def test_n7_certificates_of_the_entry_that_cannot_be_read(
    call: Attempted, tmp_path: Path, make: Callable[[Path], None], name: str
) -> None:
    make(tmp_path / "file.pem")
    http = {name: str(tmp_path / "file.pem")}
    call.fails(name, "https://127.0.0.1:1", transport="direct", http=http)


# ---------------------------------------------------------------- hosts


@pytest.mark.parametrize(
    "host", ["", "a" * 64, ".".join(["a" * 60] * 5), "a..b", "a b", "\u2063", "xn--\ud800", "[::1", "a%00b"]
)
def test_n7_hosts_that_cannot_exist(call: Attempted, host: str) -> None:
    call.fails("base_url", f"http://{host}", transport="direct")


# ---------------------------------------------------------------- threads and files


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server has its thread for the connection first; from then on there is none."""
    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if "scripted-server" in threading.current_thread().name or "_serve" in repr(thread._target):  # type: ignore[attr-defined]
            start(thread)
        else:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(deadlines._Watchdog, "_instance", None)
    monkeypatch.setattr(threading.Thread, "start", fail)
    yield


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("transport", ["direct", "sdk"])
def test_n7_a_sync_call_needs_no_thread(
    call: Attempted, server: ScriptedServer, way: str, transport: str
) -> None:
    """FD2: the watchdog of the SDK's transport is a thread; without it the paid answer arrives all the same."""
    with call.orchestrator(server.url, transport=transport) as orchestrator:
        assert ask(orchestrator, way).content == "Hello from the scripted server."


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("way", ["async whole", "async streamed"])
@pytest.mark.parametrize("transport", ["direct", "sdk"])
def test_n7_an_async_call_that_gets_no_thread(
    call: Attempted, server: ScriptedServer, way: str, transport: str
) -> None:
    call.fails("No thread can be started: can't start new thread", server.url, transport=transport)
    assert server.requests == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of descriptors")
@pytest.mark.parametrize("how", ["sync", "async"])
def test_n7_a_process_without_a_file_descriptor(server: ScriptedServer, dialect: Dialect, how: str) -> None:
    ended = run_program("tests.support.programs.no_files", dialect.name, server.url, how)

    assert (ended.returncode, ended.stderr) == (0, "")
    hello, error, *others = ended.stdout.splitlines()
    assert "Too many open files" in error and error.endswith(" ()")
    assert [hello, *others] == ["Hello from the scripted server."] * 2 + ["1"]


# ---------------------------------------------------------------- the budget


def test_fd1_a_budget_is_not_spent_by_what_was_never_sent(call: Attempted) -> None:
    with refusing_url() as url, call.orchestrator(url) as orchestrator:
        with pytest.raises(AllFallbacksFailedError) as caught:
            ask(orchestrator, call._way)
        assert isinstance(caught.value.__cause__, ProviderConnectionError)
        assert len(caught.value.attempts) == 8, "both models, each with its retries"
        assert orchestrator.get_session_cost() == Decimal(0)


def test_fd1_a_spent_budget_does_not_hide_why(call: Attempted, server: ScriptedServer) -> None:
    """A time-out may be billed, so that its estimate ends the budget; the time-out is the cause."""
    server.default = DIALECTS["chat"].whole().but(fault=Stall(BEFORE_HEAD))
    with call.orchestrator(server.url, timeout=0.2) as orchestrator:
        with pytest.raises(BudgetExceededError, match="Nothing more was sent") as caught:
            ask(orchestrator, call._way)
    assert isinstance(caught.value.__cause__, ProviderTimeoutError)
    assert [attempt.error for attempt in caught.value.attempts] == ["ProviderTimeoutError"]
    assert len(server.requests) == 1


# ---------------------------------------------------------------- siblings


def test_n7_a_key_log_that_cannot_be_written_is_named(
    call: Attempted, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDKs' HTTP libraries open it with the client."""
    if call._dialect.name == "gemini":
        pytest.skip("its certificates are loaded once for all clients")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "no folder" / "keys"))
    call.fails("SSLKEYLOGFILE", server.url, transport="sdk")


@pytest.mark.parametrize("name", ["ca_bundle", "client_cert"])
def test_n7_certificates_are_looked_at_where_there_is_no_tls(
    call: Attempted, server: ScriptedServer, tmp_path: Path, name: str
) -> None:
    call.fails(name, server.url, transport="direct", http={name: str(tmp_path / "missing.pem")})
    assert server.requests == []


def test_n7_a_socks_proxy_without_its_package_says_what_to_install(
    call: Attempted, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "socksio", None)
    call.fails(r"needs the package socksio\. Run: pip install socksio.*ALL_PROXY\.$", server.url)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of descriptors")
@pytest.mark.parametrize("how", ["first sync", "first async", "first stream"])
def test_n7_a_first_call_without_a_file_descriptor(server: ScriptedServer, how: str) -> None:
    """The first call imports what only calls need, and files are needed for that."""
    ended = run_program("tests.support.programs.no_files", "chat", server.url, how)

    assert (ended.returncode, ended.stderr) == (0, "")
    error, *others = ended.stdout.splitlines()
    assert "Too many open files" in error and error.endswith(" ()")
    assert others == ["Hello from the scripted server.", "1"]
