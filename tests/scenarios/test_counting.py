"""FC14: tokens of a request are counted by its provider, for nothing, or an error says why they are not."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, List

import pytest

from llm_orchestrator import (
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    InvalidMessagesError,
    InvalidRequestError,
    InvalidResponseError,
    LLMOrchestrator,
    OrchestratorError,
    ProviderError,
    RateLimitError,
)
from llm_orchestrator.cost_tracker import CostTracker
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic, chat, responses
from tests.support.scripted_server import MODEL, Dialect, Reply, ScriptedServer
from tests.support.scripted_server.replies import broken_json, empty, html, json_reply
from tests.support.ways import run_async

PATHS = {
    "chat": "/v1/chat/completions/input_tokens",
    "responses": "/v1/responses/input_tokens",
    "anthropic": "/v1/messages/count_tokens",
    "gemini": f"/v1beta/models/{MODEL}:countTokens",
}
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]

each_way = pytest.mark.parametrize("way", ["sync", "async"])
each_transport = pytest.mark.parametrize("transport", ["direct", "sdk"])


def weather(city: str) -> str:
    """Tells the weather."""
    return city


def count(orchestrator: LLMOrchestrator, way: str, messages: Any = "Hi", **arguments: Any) -> int:
    if way == "sync":
        return orchestrator.count_tokens(messages, **arguments)
    return run_async(orchestrator, lambda: orchestrator.acount_tokens(messages, **arguments))


def field_of(dialect: Dialect) -> str:
    return "totalTokens" if dialect.provider == "gemini" else "input_tokens"


def told(dialect: Dialect, number: Any) -> Reply:
    return json_reply({field_of(dialect): number})


# ------------------------------------------------------------------------------- what is asked, and what comes of it


@each_way
@each_transport
def test_fc14_the_provider_is_asked_for_the_whole_input(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    server.default = told(dialect, 7)
    orchestrator = orchestrate(transport=transport)
    sampling = {"temperature": 0.5, "top_p": 0.9, "stop": ["x"]}

    number = count(
        orchestrator, way, MESSAGES, tools=[weather], max_tokens=9, extra_headers={"x-team": "a"}, **sampling
    )

    assert number == 7 and type(number) is int
    (request,) = server.requests
    assert request.path.partition("?")[0] == PATHS[dialect.name]
    assert request.headers["x-team"] == "a"
    text = json.dumps(request.body)
    assert all(words in text for words in ("Be brief.", '"Hi"', "weather"))
    assert not any(name in text for name in ("temperature", "top_p", "topP", "stop"))


@each_way
def test_fc14_a_count_is_free(
    server: ScriptedServer, dialect: Dialect, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spent(*_: Any) -> None:
        raise BudgetExceededError("Spent.")

    monkeypatch.setattr(CostTracker, "check_budget", spent)
    server.default = told(dialect, 7)
    config = dialect.config(server.url)
    path = tmp_path / "usage.csv"
    costs = {"log_path": str(path), "strict_pricing": True}
    events: List[Any] = []
    with LLMOrchestrator({**config, "cost_tracking": costs}, hooks=[events.append]) as orchestrator:
        assert count(orchestrator, way) == 7
        server.default = dialect.error(401)
        with pytest.raises(AuthenticationError):
            count(orchestrator, way)
        assert orchestrator.cost_tracker.get_usage_report().total_requests == 0
    assert events == []
    assert not path.exists(), "no row"


def test_fc14_nothing_is_counted_of_messages_that_cannot_be_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    with pytest.raises(InvalidMessagesError):
        orchestrate().count_tokens([{"role": "nobody", "content": "Hi"}])
    assert server.requests == []


def test_fc14_nothing_is_counted_after_the_end(orchestrate: Orchestrate, dialect: Dialect) -> None:
    orchestrator = orchestrate()
    orchestrator.close()
    with pytest.raises(OrchestratorError, match="closed"):
        orchestrator.count_tokens("Hi")


# ------------------------------------------------------------------------------- failures


@each_way
@each_transport
def test_fc14_a_failure_is_retried_logged_and_listed(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    transport: str,
    waits: List[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    orchestrator = orchestrate(transport=transport, max_retries=1, fallback_models=["other"])
    limited = dialect.failure("rate_limit")

    server.script(limited, told(dialect, 8))
    with caplog.at_level(logging.WARNING):
        assert count(orchestrator, way) == 8
    assert "retry, attempt 2, after RateLimitError (status 429" in caplog.text

    server.script(limited, limited)
    with pytest.raises(RateLimitError) as caught:
        count(orchestrator, way)
    listed = [(attempt.model, attempt.error, attempt.status_code) for attempt in caught.value.attempts]
    assert listed == [(MODEL, "RateLimitError", 429)] * 2, "no fallback: another model counts differently"
    assert len(waits) == 2


@each_way
@each_transport
def test_fc14_a_wrong_key_is_the_error_of_a_call(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    server.default = dialect.error(401)
    with pytest.raises(AuthenticationError) as caught:
        count(orchestrate(transport=transport, max_retries=2), way)
    assert len(server.requests) == len(caught.value.attempts) == 1


@pytest.mark.parametrize("number", [None, True, -1, 10**400, "", "9", 1.5, [], {}])
@each_way
def test_fc14_what_is_no_number_of_tokens_is_an_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, number: Any
) -> None:
    server.default = told(dialect, number)
    with pytest.raises(InvalidResponseError) as caught:
        count(orchestrate(), way)
    assert (caught.value.provider, caught.value.model) == (dialect.provider, MODEL)


@pytest.mark.parametrize(
    "reply", [json_reply({}), json_reply([]), json_reply(None), json_reply(7), broken_json(), empty(), html()]
)
@each_way
@each_transport
def test_fc14_what_is_no_count_is_an_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str, reply: Reply
) -> None:
    server.default = reply
    with pytest.raises(ProviderError) as caught:
        count(orchestrate(transport=transport), way)
    assert len(caught.value.attempts) == 1


@each_way
def test_fc14_a_failure_inside_a_good_reply_is_its_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.failure("rate_limit").but(status=200)
    with pytest.raises(RateLimitError):
        count(orchestrate(), way)


# ------------------------------------------------------------------------------- hosts that cannot count


@pytest.mark.parametrize("reply", [json_reply({"detail": "Not Found"}, 404), html(404), empty(405)])
@each_way
@each_transport
def test_fc14_a_host_without_the_path_cannot_count_or_has_a_wrong_address(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str, reply: Reply
) -> None:
    server.default = reply
    orchestrator = orchestrate(transport=transport, max_retries=2)
    with pytest.raises(InvalidRequestError, match="cannot count tokens") as caught:
        count(orchestrator, way)
    with pytest.raises(ConfigurationError) as of_call:
        orchestrator.send_request("Hi")

    said = str(of_call.value).partition("answered")[2]
    assert said.rstrip(".") in str(caught.value), "what a call says of a wrong address"
    assert PATHS[dialect.name].rpartition("/")[2] in str(caught.value)
    assert caught.value.status_code == reply.status and len(caught.value.attempts) == 1


def test_fc14_a_model_that_is_not_there_is_not_taken_for_a_host_that_cannot_count(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.failure("model_not_found")
    with pytest.raises(ProviderError) as caught:
        orchestrate().count_tokens("Hi")
    assert type(caught.value).__name__ == "ModelNotFoundError"


@responses
def test_fc14_a_template_is_not_counted_in_part(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    with pytest.raises(InvalidRequestError, match="templates of `prompt`"):
        orchestrate().count_tokens("Hi", prompt={"id": "pmpt_1"})
    assert server.requests == []


@anthropic
def test_fc14_options_that_are_not_counted_are_logged(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    server.default = told(dialect, 7)
    with caplog.at_level(logging.INFO):
        orchestrate().count_tokens("Hi", service_tier="auto", mcp_servers=[], top_k=3)
    assert f"anthropic/{MODEL}: counted without service_tier" in caplog.messages
    assert "mcp_servers" in server.requests[0].body and "service_tier" not in server.requests[0].body


# ------------------------------------------------------------------------------- what a model rejects


@chat
@each_way
def test_fc14_what_is_rejected_in_counting_is_remembered_for_counting_alone(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate()
    refusal = dialect.error(400, message="`reasoning_effort` is not supported by this model.")
    server.script(refusal, told(dialect, 7), told(dialect, 7), dialect.whole("Hi"))

    for _ in range(2):
        assert count(orchestrator, way, reasoning_effort="low") == 7
    orchestrator.send_request("Hi", reasoning_effort="low")

    sent = ["reasoning_effort" in request.body for request in server.requests]
    assert sent == [True, False, False, True]


@chat
@each_way
def test_fc14_what_is_rejected_in_a_call_is_left_out_in_counting(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate()
    refusal = dialect.error(400, message="`reasoning_effort` is not supported by this model.")
    server.script(refusal, dialect.whole("Hi"), told(dialect, 7))

    orchestrator.send_request("Hi", reasoning_effort="low")
    assert count(orchestrator, way, reasoning_effort="low") == 7

    assert ["reasoning_effort" in request.body for request in server.requests] == [True, False, False]
