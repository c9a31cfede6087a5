"""Every provider in all four ways, the real SDKs against the scripted server: one scenario, sixteen runs.

At the end are the tests on the real providers, marked ``integration``: for a fraction of a cent, run with
``make integration``, skipped without keys. Their model is the cheapest one that the provider lists and the
price table knows, so that no model name stands here.
"""

from __future__ import annotations

import gzip
import os
from decimal import Decimal
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import pytest

from llm_orchestrator import (
    AllFallbacksFailedError,
    AuthenticationError,
    ConfigurationError,
    ContextLengthError,
    FinishReason,
    InvalidRequestError,
    InvalidResponseError,
    LLMOrchestrator,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from llm_orchestrator.pricing import price_usage
from llm_orchestrator.providers.gemini import transport
from tests.conftest import KEYS
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import KEY, MODEL, Call, Dialect, ScriptedServer, Usage
from tests.support.scripted_server.places import refusing_url
from tests.support.scripted_server.replies import Reply, broken_json, empty, html, redirect
from tests.support.ways import ask


def answer(dialect: Dialect, way: str, **keywords: Any) -> Reply:
    """The same answer, whole or as a stream, as the way of calling asks for."""
    if "streamed" not in way:
        return dialect.whole(**keywords)
    text = keywords.pop("text", "Hello.")
    middle = len(text) // 2
    return dialect.stream([piece for piece in (text[:middle], text[middle:]) if piece], **keywords)


def test_text_usage_and_identity(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    reply = answer(
        dialect,
        way,
        text="Grüße, 世界 🌍!",
        usage=Usage(prompt=120, completion=30, cached=100),
        model="served-1",
    )
    server.script(reply)

    response = ask(orchestrate(), way, "Say hello", max_tokens=50)

    assert response.content == "Grüße, 世界 🌍!"
    assert (response.model, response.requested_model, response.provider) == (
        "served-1",
        MODEL,
        dialect.provider,
    )
    assert response.tokens_used == {"prompt": 120, "completion": 30, "total": 150}
    assert (response.usage.cached_tokens, response.usage.source) == (100, "reported")
    assert response.finish_reason is FinishReason.STOP
    assert response.request_id
    assert response.cost is None, "nobody knows the price of the scripted model"
    assert [attempt.error for attempt in response.attempts] == [None]
    assert response.message is not None and response.message.text == response.content
    assert isinstance(response.raw_response, dict)


def test_a_compressed_reply(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    reply = answer(dialect, way, text="Grüße!")
    packed = gzip.compress(reply.content())
    server.script(reply.but(headers={**reply.headers, "content-encoding": "gzip"}, body=packed, chunks=None))

    assert ask(orchestrate(), way).content == "Grüße!"


def test_what_is_sent(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str) -> None:
    server.script(answer(dialect, way))
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": [{"type": "text", "text": "Three"}]},
    ]

    ask(orchestrate(), way, messages, temperature=0.2, max_tokens=77, top_p=0.9)

    (request,) = server.requests
    sent = dialect.read_request(request.body, request.path)
    assert sent["model"] == MODEL
    assert "Be brief." in sent["system"] and sent["system"].index("Be brief.") < sent["system"].index(
        "Be kind."
    )
    assert sent["messages"] == [("user", "One"), ("assistant", "Two"), ("user", "Three")]
    assert (sent["temperature"], sent["max_tokens"], sent["top_p"]) == (0.2, 77, 0.9)
    assert sent["stream"] is ("streamed" in way)


def test_nothing_is_sent_that_was_not_asked_for(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))

    ask(orchestrate(), way, "Hi")

    (request,) = server.requests
    sent = dialect.read_request(request.body, request.path)
    expected_tokens = 16000 if dialect.name == "anthropic" else None  # the one limit a provider requires
    assert sent["max_tokens"] == expected_tokens
    assert [sent[name] for name in ("temperature", "top_p", "top_k", "seed", "stop")] == [None] * 5


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
    ],
)
def test_finish_reasons(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    finish: str,
    expected: FinishReason,
) -> None:
    server.script(answer(dialect, way, finish=finish))

    response = ask(orchestrate(), way)

    assert response.finish_reason is expected
    assert response.raw_finish_reason


def test_tool_calls(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str) -> None:
    calls = [Call("clock", {"zone": "Europe/Zürich"}), Call("weather", {}), Call("clock", {"zone": "UTC"})]
    server.script(answer(dialect, way, text="", tool_calls=calls, finish="tool_calls"))
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {}}} for name in ("clock", "weather")
    ]

    response = ask(orchestrate(), way, tools=tools)

    assert response.finish_reason is FinishReason.TOOL_CALLS
    found = [(call.name, call.arguments) for call in response.tool_calls]
    assert found == [("clock", {"zone": "Europe/Zürich"}), ("weather", {}), ("clock", {"zone": "UTC"})]
    assert len({call.id for call in response.tool_calls}) == 3


def test_refusal_is_an_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way, text="", refusal="I cannot help with that."))

    response = ask(orchestrate(), way)

    assert response.finish_reason is FinishReason.CONTENT_FILTER
    assert response.refusal
    assert response.usage.prompt_tokens is not None


def test_usage_that_does_not_come_is_missing(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way, usage=None))

    response = ask(orchestrate(), way)

    assert response.usage.source == "missing"
    assert response.tokens_used == {"prompt": None, "completion": None, "total": None}
    assert response.cost is None


FAILURES = [
    (401, "bad_key", AuthenticationError, 1),
    (403, "permission", PermissionDeniedError, 1),
    (404, "model_not_found", ModelNotFoundError, 1),
    (429, "rate_limit", RateLimitError, 3),
    (429, "quota", QuotaExceededError, 1),
    (400, "context_length", ContextLengthError, 1),
    (500, "server", ServerError, 3),
    (503, "overloaded", OverloadedError, 3),
]


@pytest.mark.parametrize(("kind", "expected", "requests"), [case[1:] for case in FAILURES])
def test_failures_are_typed_and_retried_as_they_deserve(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    kind: str,
    expected: type,
    requests: int,
    waits: List[float],
) -> None:
    if kind not in dialect.failures:
        pytest.skip(f"{dialect.name} has no {kind} failure of its own")
    server.default = dialect.failure(kind)

    with pytest.raises(ProviderError) as caught:
        ask(orchestrate(max_retries=2), way)

    error = caught.value
    assert type(error) is expected
    assert (error.provider, error.model) == (dialect.provider, MODEL)
    assert error.status_code == dialect.failures[kind][0]
    assert len(error.attempts) == len(server.requests) == requests
    assert error.__cause__ is not None, "the SDK's error is the cause"


def test_fallback_answers_when_the_first_model_fails(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    server.script(
        dialect.failure("server"), dialect.failure("server"), answer(dialect, way, text="From the second.")
    )

    response = ask(orchestrate(max_retries=1, fallback_models=["second", "third"]), way)

    assert response.content == "From the second."
    assert [(attempt.model, attempt.error) for attempt in response.attempts] == [
        (MODEL, "ServerError"),
        (MODEL, "ServerError"),
        ("second", None),
    ]


def test_all_fallbacks_failed(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    server.script(dialect.failure("rate_limit", retry_after=7), dialect.failure("model_not_found"))
    server.default = dialect.failure("overloaded", retry_after=3)

    with pytest.raises(AllFallbacksFailedError) as caught:
        ask(orchestrate(fallback_models=["second", "third"]), way)

    error = caught.value
    assert [attempt.error for attempt in error.attempts] == [
        "RateLimitError",
        "ModelNotFoundError",
        "OverloadedError",
    ]
    assert isinstance(error.__cause__, RateLimitError)
    assert (error.status_code, error.retry_after) == (429, 3)


@pytest.mark.parametrize(
    "reply",
    [html(), empty(), broken_json()],
    ids=["an HTML page with status 200", "an empty 200", "broken JSON"],
)
def test_unreadable_answers_are_never_answers(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    reply: Reply,
    waits: List[float],
) -> None:
    server.default = reply

    with pytest.raises(InvalidResponseError):
        ask(orchestrate(max_retries=5), way)

    assert len(server.requests) == 2, "an invalid response is retried once"


def test_nobody_listens(orchestrate: Orchestrate, dialect: Dialect, way: str, waits: List[float]) -> None:
    with refusing_url() as url, pytest.raises(ProviderConnectionError) as caught:
        ask(orchestrate(url=url, max_retries=1), way)

    assert len(caught.value.attempts) == 2


def test_redirects_are_not_followed(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(redirect(server.url + "/elsewhere"))

    with pytest.raises(InvalidResponseError):
        ask(orchestrate(), way)

    assert len(server.requests) == 1


def test_provider_options_and_headers_reach_the_wire(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))
    orchestrator = orchestrate(options={"entry_option": {"a": 1, "b": 1}}, headers={"x-entry": "1"})

    ask(orchestrator, way, entry_option={"b": 2}, another=[3], extra_headers={"x-call": "2"})

    (request,) = server.requests
    assert request.body["entry_option"] == {"a": 1, "b": 2}
    assert request.body["another"] == [3]
    assert (request.headers["x-entry"], request.headers["x-call"]) == ("1", "2")


def test_a_keyword_that_looks_like_a_slip_is_sent_with_a_warning(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    response = ask(orchestrate(), way, max_token=5, service_tier="flex")

    assert server.requests[0].body["max_token"] == 5
    assert [warning for warning in response.warnings if "Did you mean" in warning] == [
        "max_token is not a parameter of the library and was sent to the provider as it is. "
        "Did you mean max_tokens?"
    ]


@pytest.mark.parametrize("name", ["model", "messages", "stream", "input", "contents"])
def test_options_cannot_replace_what_the_library_sets(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, name: str
) -> None:
    with pytest.raises(ConfigurationError, match=name):
        orchestrate(options={name: "mine"})
    if name not in ("model", "messages"):  # in a call these are arguments
        with pytest.raises(InvalidRequestError, match=name):
            orchestrate().send_request("Hi", **{name: "mine"})

    assert server.requests == []


def test_listing_and_validation(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, tmp_path: Any
) -> None:
    config = dialect.config(server.url, headers={"x-team": "blue"})
    config["model_registry"] = {"cache_path": str(tmp_path / "models.json")}
    with LLMOrchestrator(config) as orchestrator:
        assert orchestrator.get_available_models() == []
        server.script(
            dialect.models(["chat-one", "chat-two"]),
            dialect.model("chat-one"),
            dialect.failure("model_not_found"),
        )

        orchestrator.refresh_models()

        assert orchestrator.get_available_models() == ["chat-one", "chat-two"]
        assert orchestrator.validate_model("chat-one") is True
        assert orchestrator.validate_model("missing") is False
        assert [request.headers["x-team"] for request in server.requests] == ["blue"] * 3


def test_the_key_travels_in_a_header(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))

    ask(orchestrate(), way)

    (request,) = server.requests
    assert any(KEY in value for value in request.headers.values())
    assert KEY not in request.path + str(request.query)


# ---------------------------------------------------------------- real providers

#: A call of this size, in the words of each provider, decides which model is the cheapest.
SIZES = {
    "openai": {"prompt_tokens": 1000, "completion_tokens": 1000},
    "anthropic": {"input_tokens": 1000, "output_tokens": 1000},
    "gemini": {"promptTokenCount": 1000, "candidatesTokenCount": 1000},
}


@pytest.fixture(params=list(KEYS))
def provider(request: pytest.FixtureRequest) -> str:
    """Each provider whose key is set."""
    name = str(request.param)
    if not os.environ.get(KEYS[name]):
        pytest.skip(f"no key in {KEYS[name]}")
    return name


@pytest.fixture
def real(provider: str, tmp_path: Path) -> Iterator[LLMOrchestrator]:
    """An orchestrator on the provider's cheapest listed model."""
    transport._certificates.cache_clear()  # another test has left none
    config = {
        "active_provider": provider,
        "active_model": "to-be-chosen",
        "providers": {provider: {"api_key": os.environ[KEYS[provider]]}},
        "model_registry": {"cache_path": str(tmp_path / "models.json")},
        "cost_tracking": {"log_path": str(tmp_path / "costs.csv")},
    }
    with LLMOrchestrator(config) as made:
        made.refresh_models(provider)
        yield made.for_provider(provider, cheapest(provider, made))


def cheapest(provider: str, orchestrator: LLMOrchestrator) -> str:
    """The cheapest model that is listed and has a price."""
    priced = [priced_at(provider, model) for model in orchestrator.get_available_models(provider)]
    return min(found for found in priced if found[0] is not None)[1]


def priced_at(provider: str, model: str) -> Tuple[Decimal, str]:
    """What a call of a fixed size costs on a model; a fortune where nobody knows."""
    total = price_usage(provider, model, SIZES[provider]).total
    return (Decimal("Infinity") if total is None else total, model)


@pytest.mark.integration
def test_a_real_answer(real: LLMOrchestrator, way: str) -> None:
    response = ask(real, way, "Reply with the single word: ready", max_tokens=500)

    assert "ready" in response.content.lower()
    assert response.finish_reason is FinishReason.STOP
    assert response.usage.source == "reported"
    assert response.cost is not None and response.cost > 0
    assert response.request_id


@pytest.mark.integration
def test_a_model_that_does_not_exist(real: LLMOrchestrator) -> None:
    with pytest.raises(ModelNotFoundError):
        real.send_request("Hi", model="no-such-model-anywhere", fallback=False)
    assert real.validate_model("no-such-model-anywhere") is False
