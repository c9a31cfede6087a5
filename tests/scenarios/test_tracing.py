"""Spans of calls on every provider: what they say, and that a key which a server repeats is not in them."""

from __future__ import annotations

import json

import pytest

from llm_orchestrator import LLMOrchestrator, ProviderError
from tests.support.recorder import Recorder, attributes_of
from tests.support.scripted_server import KEY, MODEL, Dialect, ScriptedServer, Usage, echo_key
from tests.support.ways import ask
from tests.test_providers import answer

pytest.importorskip("opentelemetry")

SECRET = "nobody's business"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_a_call_on_every_provider(
    server: ScriptedServer, dialect: Dialect, way: str, recorder: Recorder
) -> None:
    server.script(
        answer(
            dialect,
            way,
            text="Hello, world.",
            usage=Usage(prompt=120, completion=30, cached=100),
            model="served-1",
            finish="length",
        )
    )
    config = dialect.config(server.url, max_retries=0)
    with LLMOrchestrator(config, hooks=[recorder.hook()]) as orchestrator:
        response = ask(
            orchestrator, way, SECRET, model=MODEL, temperature=0.5, max_tokens=50, tags={"team": "blue"}
        )

    raw = response.raw_response or {}
    span = recorder.call()
    said = attributes_of(span)
    assert (span.name, span.kind.name, span.status.status_code.name) == (f"chat {MODEL}", "CLIENT", "UNSET")
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": {"gemini": "gcp.gemini"}.get(dialect.provider, dialect.provider),
        "gen_ai.request.model": MODEL,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.response.id": raw["responseId" if dialect.provider == "gemini" else "id"],
        "gen_ai.response.model": "served-1",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "llm_orchestrator.tag.team": "blue",
    }
    assert {name: said.get(name) for name in expected} == expected
    assert said.get("gen_ai.request.stream") is ("streamed" in way or None)
    assert ("gen_ai.response.time_to_first_chunk" in said) is ("streamed" in way)
    (attempt,) = recorder.attempts()
    assert attributes_of(attempt)["http.response.status_code"] == 200
    assert KEY not in recorder.shown() and SECRET not in recorder.shown()


def test_a_key_in_the_id_of_an_answer_and_an_answer_without_one(
    server: ScriptedServer, dialect: Dialect, recorder: Recorder
) -> None:
    bodies = [json.loads(dialect.whole("Hi.").body) for _ in range(2)]
    for body, told in zip(bodies, (KEY, {"no": "text"})):
        body.update(id=told, responseId=told)
    server.script(*[dialect.whole("Hi.").but(body=json.dumps(body).encode()) for body in bodies])
    with LLMOrchestrator(dialect.config(server.url), hooks=[recorder.hook()]) as orchestrator:
        for _ in bodies:
            ask(orchestrator, "whole")

    ids = [attributes_of(span).get("gen_ai.response.id") for span in recorder.calls]
    assert ids == ["[redacted]", None]


def test_a_server_that_repeats_the_key(
    server: ScriptedServer, dialect: Dialect, way: str, recorder: Recorder
) -> None:
    server.default = echo_key(dialect)
    config = dialect.config(server.url, max_retries=0)
    with LLMOrchestrator(config, hooks=[recorder.hook(content=True)]) as orchestrator:
        with pytest.raises(ProviderError):
            ask(orchestrator, way)

    assert recorder.call() and KEY not in recorder.shown()
