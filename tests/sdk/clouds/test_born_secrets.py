"""FE3: tokens and signatures that are born during a call show nowhere: not in answers, errors, rows or logs."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import CallEvent, LLMOrchestrator
from llm_orchestrator.exceptions import ProviderError
from llm_orchestrator.providers.http.redaction import REDACTED
from tests.sdk.clouds.aws import event_stream, signature_of
from tests.sdk.clouds.google_identity import service_account
from tests.support.scripted_server import DIALECTS, Reply, Request, ScriptedServer
from tests.support.scripted_server.replies import json_reply
from tests.support.ways import ask

pytestmark = pytest.mark.slow

TOKEN = "token-1f3870be274f6c49b3e31a0c6728957f"
SESSION = "IQoJb3JpZ2luX2VjEXAMPLE//////////session-token-of-a-role=="
WORDS = {"anthropic": "end_turn", "gemini": "STOP", "chat": "stop"}


def repeating(dialect: str, word: str, way: str) -> Reply:
    """An answer with a word of the server's own where the reason of its end belongs."""
    wire = DIALECTS[dialect]
    reply = wire.stream(["Hi"]) if "streamed" in way else wire.whole("Hi")
    old, new = f'"{WORDS[dialect]}"'.encode(), f'"{word}"'.encode()
    if reply.chunks is None:
        return reply.but(body=reply.body.replace(old, new))
    pieces: Any = reply.chunks(None) if callable(reply.chunks) else reply.chunks
    return reply.but(chunks=[b"".join(pieces).replace(old, new)])


class Cloud:
    """A cloud: its entry, the dialect it speaks, and the secret that its requests carry."""

    def __init__(self, dialect: str, entry: Dict[str, Any], header: str) -> None:
        self.dialect, self.entry, self.header = dialect, entry, header


CLOUDS = {
    "azure": Cloud("chat", {"adapter": "azure"}, "authorization"),
    "vertex": Cloud("gemini", {"adapter": "vertex", "project": "p"}, "authorization"),
    "claude on vertex": Cloud(
        "anthropic", {"adapter": "vertex", "project": "p", "publisher": "anthropic"}, "authorization"
    ),
    "bedrock": Cloud("anthropic", {"adapter": "bedrock", "region": "us-east-1"}, "x-amz-security-token"),
}


@pytest.fixture(params=list(CLOUDS))
def place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, server: ScriptedServer, tmp_path: Path
) -> Cloud:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "the-header")
    monkeypatch.setenv(
        "GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{server.url}/token"))
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION)
    for name, module in list(sys.modules.items()):  # the SDK remembers the credentials of other tests
        if name.startswith("anthropic.lib"):
            getattr(vars(module).get("_get_session"), "cache_clear", lambda: None)()
    return CLOUDS[request.param]


@pytest.fixture
def seen(server: ScriptedServer, place: Cloud, way: str) -> List[str]:
    """The secrets that were sent; the server repeats each, first in an answer, then in an error."""
    sent: List[str] = []

    def reply(request: Request) -> Reply:
        if request.path.partition("?")[0] == "/token":
            return json_reply(
                {"access_token": TOKEN, "expires_on": "4102444800", "expires_in": 3600, "resource": "r"}
            )
        secret = request.headers[place.header].removeprefix("Bearer ")
        sent.append(secret)
        if len(sent) == 2:
            return json_reply({"error": {"message": f"You sent {secret}"}, "message": secret}, 403)
        answer = repeating(place.dialect, secret, way)
        is_binary = place.entry["adapter"] == "bedrock" and "streamed" in way
        return event_stream(answer) if is_binary else answer

    server.default = reply
    return sent


def test_fe3_a_token_that_is_born_during_a_call_shows_nowhere(
    server: ScriptedServer,
    place: Cloud,
    way: str,
    seen: List[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    events: List[CallEvent] = []
    config = {
        "active_provider": "mine",
        "active_model": "m",
        "providers": {"mine": {"base_url": server.url, "max_retries": 0, **place.entry}},
        "cost_tracking": {"log_path": str(tmp_path / "costs.csv")},
    }
    with LLMOrchestrator(config, hooks=[events.append]) as orchestrator:
        ask(orchestrator, way)
        with pytest.raises(ProviderError) as caught:
            ask(orchestrator, way)

    assert len(seen) == 2
    ledger = (tmp_path / "costs.csv").read_text()
    assert REDACTED in ledger and REDACTED in str(caught.value)
    logged = "\n".join(record.getMessage() + repr(record.args) for record in caplog.records)
    shown = ledger + repr(events) + str(caught.value) + repr(vars(caught.value)) + logged
    for secret in {*seen, TOKEN, SESSION}:
        assert secret not in shown


@pytest.mark.parametrize("place", ["bedrock"], indirect=True)
def test_fe3_what_botocore_writes_while_it_signs_holds_no_token(
    server: ScriptedServer, place: Cloud, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signatures: List[str] = []

    def reply(request: Request) -> Reply:
        signatures.append(signature_of(request)["Signature"])
        return json_reply({"message": "no"}, 403)

    server.default = reply
    config = {
        "active_provider": "mine",
        "active_model": "m",
        "providers": {"mine": {"base_url": server.url, "max_retries": 0, **place.entry}},
    }
    with LLMOrchestrator(config) as orchestrator, pytest.raises(ProviderError):
        ask(orchestrator, way)
    signed = [record.getMessage() for record in caplog.records if record.name == "botocore.auth"]
    assert any("CanonicalRequest" in text for text in signed), "it does write"
    assert not [text for text in signed if SESSION in text or signatures[0] in text]
