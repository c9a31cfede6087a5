"""The same call through both transports: what is sent, what comes back, what the ledger says."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from llm_orchestrator import ContextLengthError, ProviderError, StreamInterruptedError
from tests.connections.servers import Peer, RawServer
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import KEY, Dialect, ScriptedServer
from tests.support.ways import ask

TRANSPORTS = ("direct", "sdk")
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALLS: Dict[str, Dict[str, Any]] = {
    "plain": {},
    "parameters": {"temperature": 0.5, "max_tokens": 20, "extra_headers": {"x-trace": "1"}},
    "tools": {"tools": [TOOL], "tool_choice": "auto"},
    "provider options": {"metadata": {"a": "b"}},
}
#: Each vendor's header for the key; the SDKs' generations differ, so that only the secret is compared there.
CREDENTIALS = {
    "chat": "authorization",
    "responses": "authorization",
    "anthropic": "x-api-key",
    "gemini": "x-goog-api-key",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_both_transports_send_the_same(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, call: Dict[str, Any]
) -> None:
    server.default = dialect.whole("Hello.") if "streamed" not in way else dialect.stream(["Hel", "lo."])
    for transport in TRANSPORTS:
        assert ask(orchestrate(transport=transport), way, "Hi", **call).content == "Hello."

    direct, sdk = server.requests
    assert (direct.method, direct.path, direct.query, direct.body) == (
        sdk.method,
        sdk.path,
        sdk.query,
        sdk.body,
    )
    assert KEY in direct.headers[CREDENTIALS[dialect.name]]
    assert KEY in str(sdk.headers)
    for header in ("anthropic-version", "x-trace"):
        assert direct.headers.get(header) == sdk.headers.get(header)


def test_direct_sends_nothing_that_nobody_asked_for(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.whole("Hello.")
    orchestrate(transport="direct").send_request("Hi")

    (request,) = server.requests
    expected = {"host", "accept", "accept-encoding", "content-length", "content-type", "user-agent"}
    own = {CREDENTIALS[dialect.name], "anthropic-version"}
    assert expected <= set(map(str.lower, request.headers)) <= expected | own


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 529])
def test_a_bad_status_is_the_same_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, status: int
) -> None:
    server.default = dialect.error(status)
    errors: List[ProviderError] = []
    for transport in TRANSPORTS:
        with pytest.raises(ProviderError) as caught:
            ask(orchestrate(transport=transport), way)
        errors.append(caught.value)

    direct, sdk = errors
    assert type(direct) is type(sdk) and str(direct) == str(sdk)
    assert (direct.status_code, direct.code, len(direct.attempts)) == (
        sdk.status_code,
        sdk.code,
        len(sdk.attempts),
    )


def test_a_stream_that_ends_too_early_is_interrupted(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.stream(["One", " two"], complete=False)
    for transport in TRANSPORTS:
        with pytest.raises(StreamInterruptedError) as caught:
            list(orchestrate(transport=transport).send_streaming_request("Hi"))
        assert caught.value.partial_text == "One two"


def test_models_are_listed_without_an_sdk(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate(transport="direct")
    server.default = dialect.error(404)
    assert orchestrator.validate_model("no-such-model") is False


@pytest.mark.slow
def test_fe10_an_early_refusal_is_the_same_in_all_ways(
    orchestrate: Orchestrate, dialect: Dialect, way: str
) -> None:
    """A proxy refuses 12 MB after a few bytes, and reads no more: one error, one request."""
    refusal = dialect.error(413).content()

    def script(peer: Peer) -> None:
        peer.sock.recv(10_000)
        head = b"HTTP/1.1 413 Too Large\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        peer.send(head % len(refusal) + refusal)
        peer.wait_until_left()

    server = RawServer(script)
    try:
        with pytest.raises(ProviderError) as caught:
            ask(orchestrate(server.url, transport="direct", max_retries=2), way, "x" * 12_000_000)
    finally:
        server.close()
    assert (type(caught.value), caught.value.status_code) == (ContextLengthError, 413)
    assert len(server.peers) == len(caught.value.attempts) == 1
