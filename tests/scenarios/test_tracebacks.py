"""K1, and what a user sees of an error: the library's own at the end, its cause above it, and no key."""

from __future__ import annotations

import traceback
from typing import Any, Callable, Dict, List, Tuple

import pytest

from llm_orchestrator import LLMOrchestrator
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import (
    KEY,
    Close,
    Dialect,
    Reply,
    ScriptedServer,
    echo_key,
    html,
    refusing_url,
)
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.ways import ask

DIRECT_CAUSE = "The above exception was the direct cause of the following exception:"


def traceback_of(orchestrator: LLMOrchestrator, way: str) -> Tuple[str, BaseException]:
    try:
        ask(orchestrator, way)
    except Exception as error:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__)), error
    raise AssertionError("nothing went wrong")


def check(text: str, error: BaseException, cause: str) -> None:
    """Of what is printed, the last is our error, above it stands what caused it, and nowhere a key."""
    above, _, end = text.rpartition(DIRECT_CAUSE)
    assert end.rstrip().endswith(f"\nllm_orchestrator.exceptions.{type(error).__name__}: {error}")
    assert f"{cause}: " in above
    assert KEY not in text


def cut(dialect: Dialect, way: str) -> Reply:
    if "streamed" in way:
        return dialect.stream(["One"], complete=False).but(fault=Close())
    return dialect.whole().but(length_error=5)


#: What the transport raises, above our error; connections of our own have no exceptions of another library's.
CUT, REFUSED = (
    ("RemoteProtocolError", "ConnectError") if TRANSPORT == "sdk" else ("", "ConnectionRefusedError")
)
#: A fault, and the kind of error that a user then finds above ours.
FAULTS: Dict[str, Tuple[Callable[[Dialect, str], Any], str]] = {
    "a refusal that repeats the key": (lambda dialect, way: echo_key(dialect), "Error"),
    "a connection that is cut": (cut, CUT),
    "an HTML page": (lambda dialect, way: html(), "JSONDecodeError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_k1_a_traceback_ends_with_our_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, fault: str
) -> None:
    reply, cause = FAULTS[fault]
    server.default = reply(dialect, way)

    text, error = traceback_of(orchestrate(), way)

    if not cause or (fault == "an HTML page" and "streamed" in way):
        assert text.rstrip().endswith(f"{type(error).__name__}: {error}") and KEY not in text
    else:
        check(text, error, cause)


def test_k1_a_traceback_shows_why_nobody_answers(orchestrate: Orchestrate, way: str) -> None:
    with refusing_url() as url:
        check(*traceback_of(orchestrate(url), way), REFUSED)


def test_k1_a_traceback_of_many_attempts_shows_the_first_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    server.script(dialect.failure("overloaded"), dialect.failure("server"), dialect.failure("server"))

    text, error = traceback_of(orchestrate(fallback_models=["second", "third"]), way)

    check(text, error, "llm_orchestrator.exceptions.OverloadedError")
    assert text.count(DIRECT_CAUSE) >= 2, "what the vendor's SDK said stands above all"
