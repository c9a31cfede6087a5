"""Which transport an entry gets, and what the headers of entry and call do to each other."""

from __future__ import annotations

import logging
import ssl
import sys
import threading
from typing import Any, Dict

import pytest

from llm_orchestrator import ConfigurationError
from llm_orchestrator.providers import sdk
from llm_orchestrator.providers.gemini_legacy.adapter import GeminiLegacyAdapter
from llm_orchestrator.providers.http.core import settings as settings_module
from llm_orchestrator.providers.http.core.settings import HttpSettings, tls_settings
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import KEY, Dialect, ScriptedServer
from tests.support.ways import ask


def adapter(**settings: Any) -> OpenAIAdapter:
    return OpenAIAdapter("mine", **{"base_url": "http://host.example/v1", **settings})


@pytest.mark.parametrize("key", [{}, {"api_key": KEY}], ids=["no key", "key"])
def test_auto_is_direct(key: Dict[str, str]) -> None:
    assert adapter(**key).is_direct
    assert not adapter(transport="sdk", **key).is_direct


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
def test_a_socks_proxy_of_the_environment_takes_the_sdk(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "socks5://127.0.0.1:9")
    assert not adapter().is_direct
    monkeypatch.setenv("NO_PROXY", "host.example")
    assert adapter().is_direct
    monkeypatch.delenv("NO_PROXY")
    assert adapter(http={"proxy": ""}).is_direct


def test_a_socks_proxy_of_the_entry_says_what_to_do(orchestrate: Orchestrate, dialect: Dialect) -> None:
    with pytest.raises(ConfigurationError, match="socks proxy.*environment"):
        orchestrate(http={"proxy": "socks5://127.0.0.1:9"}).send_request("Hi")


def test_without_the_parser_auto_takes_the_sdk_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sdk, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        assert not adapter().is_direct
    assert "httptools is not installed" in caplog.text

    with pytest.raises(ConfigurationError, match="pip install httptools"):
        adapter(transport="direct").validate_model("m")


def test_the_old_sdk_of_gemini_refuses_direct() -> None:
    with pytest.raises(ConfigurationError, match="transport: direct"):
        GeminiLegacyAdapter("old", api_key=KEY, transport="direct")


def test_a_header_of_entry_or_call_replaces_ours(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.whole("Hello.") if "streamed" not in way else dialect.stream(["Hello."])
    headers = {"User-Agent": "entry", "Authorization": "Bearer of-the-entry", "X-Trace": "entry"}
    orchestrator = orchestrate(transport="direct", headers=headers)

    ask(orchestrator, way, extra_headers={"x-trace": "call", "ACCEPT": "text/plain"})
    ask(orchestrator, way)

    first, second = server.requests
    assert (first.headers["x-trace"], second.headers["x-trace"]) == ("call", "entry")
    assert (first.headers["accept"], second.headers["accept"]) == ("text/plain", "application/json")
    for request in (first, second):
        assert request.headers["user-agent"] == "entry"
        assert request.headers["authorization"] == "Bearer of-the-entry"


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_a_sync_call_starts_no_thread(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.default = dialect.whole("Hello.") if way == "whole" else dialect.stream(["Hello."])
    orchestrator = orchestrate(transport="direct", timeout=5, total_timeout=9)
    me, start, started = threading.current_thread(), threading.Thread.start, []

    def note(thread: threading.Thread) -> None:
        if threading.current_thread() is me:  # the server starts its own
            started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", note)
    for _ in range(2):
        assert ask(orchestrator, way).content == "Hello."
    assert started == []


def test_a_machine_without_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    empty = ssl.DefaultVerifyPaths(None, None, "", "", "", "")
    monkeypatch.setattr(settings_module.ssl, "get_default_verify_paths", lambda: empty)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: None)

    assert tls_settings(HttpSettings()).context.cert_store_stats()["x509_ca"] > 50, "those of certifi"

    monkeypatch.setitem(sys.modules, "certifi", None)
    with pytest.raises(ConfigurationError, match="no certificates to trust.*http.ca_bundle"):
        tls_settings(HttpSettings())
