"""FE3, FE4 and FE9: what a server writes into an answer shows no secret in ledger, hooks and reprs."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from llm_orchestrator import CallEvent, LLMOrchestrator, LLMRequest, Message
from llm_orchestrator.exceptions import OrchestratorError, ProviderError
from llm_orchestrator.providers.http.redaction import MOST_BORN, REDACTED, Redactor, secret_headers
from llm_orchestrator.providers.wire import WireRequest
from tests.support.scripted_server import KEY, Dialect, Reply, ScriptedServer, refusing_url
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.ways import ask

#: Where an answer says why it ended.
REASON = re.compile(rb'("(?:finish_reason|stop_reason|finishReason)": ?)"[A-Za-z_]+"')
#: Objects that hold what was used.
USAGE = re.compile(rb'("(?:usage|usageMetadata)": ?\{)')
PASSWORD = "pw-5f4dcc3b5aa765d61d8327deb882cf99"


def with_secret(reply: Reply, secret: str) -> Reply:
    """A reply with a secret in its finish reason, tier and usage."""
    text = secret.encode()

    def changed(data: bytes) -> bytes:
        data = REASON.sub(rb'\1"' + text + b'"', data)
        extra = b'"service_tier":"%s","serviceTier":"%s","odd":{"%s":["%s"]},' % ((text,) * 4)
        return USAGE.sub(rb"\1" + extra, data)

    if reply.chunks is None:
        return reply.but(body=changed(reply.body))
    pieces = reply.chunks(None) if callable(reply.chunks) else reply.chunks
    return reply.but(
        chunks=[changed(b"".join(piece if isinstance(piece, bytes) else piece.encode() for piece in pieces))]
    )


@pytest.fixture
def events() -> List[CallEvent]:
    return []


@pytest.fixture
def watched(
    server: ScriptedServer, dialect: Dialect, tmp_path: Path, events: List[CallEvent]
) -> Callable[[], LLMOrchestrator]:
    def make() -> LLMOrchestrator:
        config = dialect.config(server.url, max_retries=0, headers={"x-password": PASSWORD})
        config["cost_tracking"] = {"log_path": str(tmp_path / "costs.csv")}
        return LLMOrchestrator(config, hooks=[events.append])

    return make


def all_of(value: Any, depth: int = 0) -> str:
    """Every text in a value, in fields that its repr hides too."""
    if hasattr(value, "__dict__") and depth < 30:
        return all_of(vars(value), depth + 1)
    if isinstance(value, dict):
        return " ".join(all_of(part, depth + 1) for item in value.items() for part in item)
    if isinstance(value, (list, tuple)):
        return " ".join(all_of(part, depth + 1) for part in value)
    return str(value)


@pytest.mark.parametrize("secret", [KEY, PASSWORD], ids=["the key", "a header"])
def test_fe4_a_key_in_any_cell_reaches_neither_ledger_nor_hooks(
    watched: Callable[[], LLMOrchestrator],
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    tmp_path: Path,
    events: List[CallEvent],
    secret: str,
) -> None:
    reply = dialect.stream(["Hi"]) if "streamed" in way else dialect.whole("Hi")
    server.default = with_secret(reply, secret)
    with watched() as orchestrator:
        ask(orchestrator, way)
        rows = orchestrator.cost_tracker.to_dicts()
    ledger = (tmp_path / "costs.csv").read_text()
    assert server.requests and REDACTED in ledger and len(events) == 2
    assert secret.lower() not in (ledger + all_of(rows)).lower(), "tiers are compared in lower case"
    assert secret not in all_of([event.response for event in events])
    assert rows[0]["provider"] == dialect.provider and rows[0]["requested_model"]


def test_fe4_an_ordinary_word_as_key_leaves_our_own_names(
    server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    config = dialect.config(server.url, api_key=dialect.provider)
    server.default = dialect.whole("Hi")
    with LLMOrchestrator(config) as orchestrator:
        orchestrator.send_request("Hi", tags={"for": dialect.provider})
        row = orchestrator.cost_tracker.to_dicts()[0]
    assert (row["provider"], row["tags"]) == (dialect.provider, {"for": dialect.provider})


def test_fe4_values_without_a_secret_are_the_very_same() -> None:
    redactor, value = Redactor([KEY]), {"a": ["b", {"c": 1}], "d": LLMRequest("m", ())}
    assert redactor.clean(value) is value


def test_fe3_secrets_of_a_call_are_remembered_but_not_for_ever() -> None:
    redactor = Redactor([KEY])
    child = redactor.including(["other-secret"])
    tokens = [f"{number:03}-born-during-the-call" for number in range(3 * MOST_BORN)]
    for token in tokens:
        redactor.learn([token, None, "short"])
    assert child.redact(f"{tokens[-1]} {KEY} other-secret") == " ".join([REDACTED] * 3)
    assert redactor.redact(tokens[0]) == tokens[0]
    assert len(redactor._born) == MOST_BORN


# Reprs (FE9)

NAMES = ("X-Password", "x-jwt", "session-id", "x-signature", "X-Credential", "passphrase", "authorization")


@pytest.mark.parametrize("name", NAMES)
def test_fe9_a_header_with_such_a_name_is_secret(name: str) -> None:
    assert secret_headers({name: PASSWORD}) == [PASSWORD]


def test_fe9_no_repr_shows_the_values_of_headers() -> None:
    request = LLMRequest("m", (Message("user", "Hi"),), extra_headers={"x-anything": PASSWORD})
    for value in (request, WireRequest("/", headers={"x-anything": PASSWORD})):
        assert PASSWORD not in repr(value)


@pytest.mark.skipif(TRANSPORT == "sdk", reason="the SDKs keep the key in variables of their own")
def test_fe9_a_traceback_with_local_variables_shows_no_header(dialect: Dialect, way: str) -> None:
    with refusing_url() as url:
        config = dialect.config(url, max_retries=0, headers={"x-anything": PASSWORD})
        with LLMOrchestrator(config) as orchestrator, pytest.raises(ProviderError) as caught:
            ask(orchestrator, way)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    ours = shown.split("in ask")[-1]
    assert "wire = " in ours and KEY not in ours and PASSWORD not in ours


def shown_of_the_library(error: BaseException) -> str:
    """The frames of the library in a traceback with local variables; an application's own are its own."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in trace.stack if "/llm_orchestrator/" in frame.filename]
    assert frames
    return "".join(traceback.StackSummary.from_list(frames).format()) + "".join(
        f"{frame.name}: {frame.locals}" for frame in frames
    )


@pytest.mark.skipif(TRANSPORT == "sdk", reason="the SDKs keep the headers in variables of their own")
@pytest.mark.parametrize("wrong", [{}, {"temperature": "hot"}], ids=["refused", "wrong"])
def test_fe9_a_traceback_shows_no_header_of_a_call(dialect: Dialect, way: str, wrong: Dict[str, Any]) -> None:
    headers = {"x-anything": PASSWORD}
    with refusing_url() as url, LLMOrchestrator(dialect.config(url, max_retries=0)) as orchestrator:
        with pytest.raises(OrchestratorError) as caught:
            ask(orchestrator, way, extra_headers=headers, **wrong)
        assert PASSWORD not in shown_of_the_library(caught.value)

        with pytest.raises(OrchestratorError) as caught:
            orchestrator.start_conversation(extra_headers=headers, **wrong).send("Hi", extra_headers=headers)
        assert PASSWORD not in shown_of_the_library(caught.value)
