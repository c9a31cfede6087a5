"""Bad input: each case gives one error of ours that says what is wrong and what to do, and leaves nothing.

The providers are real SDKs before the scripted server, so "nothing was sent" means that no request arrived.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from llm_orchestrator import (
    AuthenticationError,
    ConfigurationError,
    InvalidMessagesError,
    InvalidRequestError,
    LLMOrchestrator,
    ModelNotFoundError,
    OrchestratorError,
    ProviderConnectionError,
)
from tests.support.scripted_server import Dialect, ScriptedServer, refusing_url
from tests.support.ways import ask

LEDGER = "costs.csv"
GOOD = {"role": "user", "content": "Hi"}

GOOD_FILE = """
active_provider: openai
active_model: m
providers:
  openai: {api_key: k}
  gemini: {api_key: "${NO_SUCH_VARIABLE}"}
cost_tracking: {log_path: costs.csv}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, where a file that should not be there shows."""
    monkeypatch.chdir(tmp_path)
    for name in ("LLM_ORCHESTRATOR_CONFIG", "NO_SUCH_VARIABLE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def check(error: OrchestratorError, wrong: str, remedy: str) -> None:
    """One sentence on what is wrong, one on what to do, in this order."""
    text = str(error)
    problem, action = re.search(wrong, text), re.search(remedy, text)
    assert problem, f"{text!r} does not say {wrong!r}"
    assert action, f"{text!r} does not say {remedy!r}"
    assert problem.start() < action.start()
    assert ". " in text[problem.start() : action.start()], f"{text!r} is one sentence"
    assert text.rstrip().endswith((".", "?")), f"{text!r} breaks off"


# ---------------------------------------------------------------- the configuration

CONFIGURATIONS = {
    "missing file": (None, "the file does not exist", "Write one by `llm-orchestrator init`"),
    "bad YAML": ("active_provider: [openai\n", "YAML|line", "Close|Check|Correct|Fix|Put|Write"),
    "unknown key": (
        GOOD_FILE.replace("log_path", "log_pth"),
        "log_pth: unknown key",
        "Did you mean 'log_path'",
    ),
    "unknown provider": (
        GOOD_FILE.replace("active_provider: openai", "active_provider: opnai"),
        "active_provider: .*opnai",
        "Did you mean 'openai'",
    ),
    "unknown adapter": (
        GOOD_FILE.replace("{api_key: k}", "{api_key: k, adapter: opnai}"),
        "no adapter named 'opnai'",
        "Did you mean 'openai'",
    ),
    "unset variable": (
        GOOD_FILE.replace("api_key: k", 'api_key: "${NO_SUCH_VARIABLE}"'),
        "providers.openai.api_key: .*NO_SUCH_VARIABLE",
        "Set it",
    ),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_configuration_that_cannot_be_used(case: str, folder: Path) -> None:
    text, wrong, remedy = CONFIGURATIONS[case]
    if text is not None:
        (folder / "config.yaml").write_text(text)
    before = os.listdir(folder)
    with pytest.raises(ConfigurationError) as caught:
        LLMOrchestrator("config.yaml")
    check(caught.value, wrong, remedy)
    assert "config.yaml" in str(caught.value) or case == "unknown adapter"
    assert os.listdir(folder) == before


def test_the_configuration_of_the_table_is_good_but_for_its_fault(folder: Path) -> None:
    (folder / "config.yaml").write_text(GOOD_FILE)
    orchestrator = LLMOrchestrator("config.yaml")
    for unusable, wrong in (("gemini", "NO_SUCH_VARIABLE"), ("gemni", "There is no provider named 'gemni'")):
        with pytest.raises(ConfigurationError) as caught:
            orchestrator.for_provider(unusable)
        check(caught.value, wrong, "Set it|Did you mean 'gemini'")
    assert os.listdir(folder) == ["config.yaml"]


# ---------------------------------------------------------------- calls that are never sent

CALLS: Dict[str, Any] = {
    "no messages": ([], {}, InvalidMessagesError, "messages is empty", "Pass at least one message"),
    "messages of the wrong kind": (
        5,
        {},
        InvalidMessagesError,
        "messages is a int",
        "Pass a string or a list",
    ),
    "unknown role": (
        [GOOD, {"role": "wizard", "content": "Hi"}],
        {},
        InvalidMessagesError,
        r"messages\[1\] has the role 'wizard'",
        "Use system, user, assistant or tool",
    ),
    "no content": (
        [{"role": "user"}],
        {},
        InvalidMessagesError,
        r"messages\[0\] has no content",
        "Pass a string",
    ),
    "a bad parameter": (
        "Hi",
        {"temperature": "hot"},
        InvalidRequestError,
        "temperature is 'hot'",
        "Use a number",
    ),
    "no time": ("Hi", {"timeout": 0}, InvalidRequestError, "timeout is 0", "greater than 0"),
    "a tool that is none": ("Hi", {"tools": [5]}, InvalidRequestError, "A tool is a int", "Pass a function"),
    "a reserved option": (
        "Hi",
        {"stream": True},
        InvalidRequestError,
        "'stream' would replace",
        "Use the call",
    ),
    "a fine-tuned model": (
        "Hi",
        {"model": "ft:m"},
        InvalidRequestError,
        "is a fine-tuned model",
        "Name its base",
    ),
}


def orchestrator_on(url: str, dialect: Dialect, **settings: Any) -> LLMOrchestrator:
    config = dialect.config(url, **{"max_retries": 0, **settings})
    return LLMOrchestrator({**config, "cost_tracking": {"log_path": LEDGER}})


def refused(expected: Any, orchestrator: LLMOrchestrator, way: str, *messages: Any, **arguments: Any) -> Any:
    """The error that a call is answered with; the orchestrator is closed afterwards."""
    with orchestrator, pytest.raises(expected) as caught:
        ask(orchestrator, way, *messages, **arguments)
    return caught.value


@pytest.mark.parametrize("case", CALLS)
def test_a_call_that_cannot_be_sent(
    case: str, server: ScriptedServer, dialect: Dialect, way: str, folder: Path
) -> None:
    messages, arguments, expected, wrong, remedy = CALLS[case]
    error = refused(expected, orchestrator_on(server.url, dialect), way, messages, **arguments)
    check(error, wrong, remedy)
    assert error.attempts == ()
    assert (server.requests, os.listdir(folder)) == ([], [])


PACKAGES = {"openai": "openai", "anthropic": "anthropic", "gemini": "google.genai"}


def test_a_missing_extra(
    server: ScriptedServer, dialect: Dialect, way: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[dialect.provider], None)
    if dialect.provider == "gemini":
        import google

        monkeypatch.delattr(google, "genai", raising=False)
    error = refused(ConfigurationError, orchestrator_on(server.url, dialect, transport="sdk"), way)
    check(error, "is not installed|needs", rf'pip install "llm-orchestrator\[{dialect.provider}\]"')
    assert (server.requests, os.listdir(folder)) == ([], [])


def local(path: Optional[str]) -> LLMOrchestrator:
    entry = {} if path is None else {"model_path": path}
    return LLMOrchestrator(
        {
            "active_provider": "local",
            "active_model": "m",
            "providers": {"local": entry},
            "cost_tracking": {"log_path": LEDGER},
        }
    )


LOCAL = {
    "no model path": (None, "model_path is missing", "Set it to the GGUF file"),
    "no model file": ("none.gguf", "The model file '.*none.gguf' does not exist", "Set model_path"),
    "no extra": ("model.gguf", "is not installed", r'pip install "llm-orchestrator\[local\]"'),
}
if sys.version_info < (3, 10):
    LOCAL["no extra"] = ("model.gguf", "needs Python 3.10 or later", "Use a newer Python")


@pytest.mark.parametrize("case", LOCAL)
def test_a_local_model_that_cannot_start(
    case: str, way: str, folder: Path, monkeypatch: pytest.MonkeyPatch, vendor_sdks: None
) -> None:
    path, wrong, remedy = LOCAL[case]
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    Path("model.gguf").write_bytes(b"GGUF")
    error = refused(ConfigurationError, local(path), way)
    check(error, wrong, remedy)
    assert os.listdir(folder) == ["model.gguf"]


# ---------------------------------------------------------------- calls that fail, and are recorded as failed


def rows(folder: Path) -> List[str]:
    return (folder / LEDGER).read_text().splitlines()[1:]


def test_a_dead_port(dialect: Dialect, way: str, folder: Path, vendor_sdks: None) -> None:
    with refusing_url() as url:
        error = refused(ProviderConnectionError, orchestrator_on(url, dialect), way)
    check(error, "No connection to the provider", "Check the network")
    assert [attempt.error for attempt in error.attempts] == ["ProviderConnectionError"]
    assert len(rows(folder)) == 1


REFUSALS = {
    "wrong key": ("bad_key", AuthenticationError, "Check the api_key"),
    "unknown model": ("model_not_found", ModelNotFoundError, "Check its name; refresh_models lists"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_the_provider_refuses(
    case: str, server: ScriptedServer, dialect: Dialect, way: str, folder: Path
) -> None:
    kind, expected, remedy = REFUSALS[case]
    server.default = dialect.failure(kind)
    words = dialect.failures[kind][2].rstrip(".")
    error = refused(expected, orchestrator_on(server.url, dialect, max_retries=2), way)
    check(error, re.escape(words), remedy)
    assert len(server.requests) == len(error.attempts) == len(rows(folder)) == 1
