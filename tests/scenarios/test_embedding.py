"""FC15: texts become vectors, in order, each batch paid once and recorded; what is no vector is an error."""

from __future__ import annotations

import csv
import logging
import math
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import (
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    EmbeddingRequest,
    EmbeddingResponse,
    InvalidRequestError,
    InvalidResponseError,
    LLMOrchestrator,
    OrchestratorError,
    ProviderError,
    RateLimitError,
    UsageRecord,
)
from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.testing.fake_vectors import fake_vector
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic, chat, gemini
from tests.support.scripted_server import MODEL, Dialect, Reply, ScriptedServer
from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.embeddings import embedding_reply, texts_of, vectors_reply
from tests.support.scripted_server.replies import broken_json, empty, html, json_reply
from tests.support.ways import run_async

PATHS = {
    "chat": "/v1/embeddings",
    "responses": "/v1/embeddings",
    "gemini": f"/v1beta/models/{MODEL}:batchEmbedContents",
}
TEXTS = ["a cat", "two dogs run", "Zürich"]

with_embeddings = pytest.mark.parametrize("dialect", list(PATHS), indirect=True)
each_way = pytest.mark.parametrize("way", ["sync", "async"])
each_transport = pytest.mark.parametrize("transport", ["direct", "sdk"])


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> List[UsageRecord]:
    """The records that trackers were given."""
    given: List[UsageRecord] = []
    monkeypatch.setattr(CostTracker, "add", lambda tracker, record: given.append(record))
    return given


def embed(orchestrator: LLMOrchestrator, way: str, texts: Any = TEXTS, **arguments: Any) -> EmbeddingResponse:
    arguments = {"model": MODEL, **arguments}
    if way == "sync":
        return orchestrator.embed(texts, **arguments)
    return run_async(orchestrator, lambda: orchestrator.aembed(texts, **arguments))


def expected(texts: List[str], length: int = 8) -> List[List[float]]:
    return [fake_vector(text, length) for text in texts]


def with_vectors(*vectors: Any) -> Any:
    """A reply with these instead of vectors."""

    def reply(request: Request) -> Reply:
        return vectors_reply(request, vectors, 5)

    return reply


def vectors(request: Request) -> Reply:
    reply = embedding_reply(request)
    assert reply is not None
    return reply


def rows(path: Path) -> List[Dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ------------------------------------------------------------------------------- what is asked, and what comes of it


@with_embeddings
@each_way
@each_transport
def test_fc15_each_text_has_its_vector(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    response = embed(orchestrate(transport=transport), way, extra_headers={"x-team": "a"})

    assert response.vectors == expected(TEXTS)
    assert (response.provider, response.model, response.requested_model) == (dialect.provider, MODEL, MODEL)
    usage = response.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (6, 0, 6)
    assert [attempt.error for attempt in response.attempts] == [None]
    (request,) = server.requests
    assert request.path.partition("?")[0] == PATHS[dialect.name]
    assert request.headers["x-team"] == "a"
    assert texts_of(request) == TEXTS


@with_embeddings
@each_way
def test_fc15_a_length_is_asked_for_and_options_are_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate(options={"temperature": 0.5, "seed": 3})

    response = embed(orchestrator, way, "one text", dimensions=3, taskType="CLUSTERING")

    assert response.vectors == expected(["one text"], 3)
    (request,) = server.requests
    own = request.body["requests"][0] if dialect.name == "gemini" else request.body
    assert own["taskType"] == "CLUSTERING"
    assert not {"temperature", "seed"} & {*request.body, *own}, "options of the entry are those of answers"


@with_embeddings
@each_way
@each_transport
def test_fc15_texts_go_in_batches_and_come_back_in_order(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    texts = [f"text number {number}" for number in range(7)]

    response = embed(orchestrate(transport=transport), way, texts, batch_size=3)

    assert [texts_of(request) for request in server.requests] == [texts[:3], texts[3:6], texts[6:]]
    assert response.vectors == expected(texts)
    assert response.usage.prompt_tokens == 21
    assert len(response.attempts) == 3


@gemini
def test_fc15_the_providers_limit_holds_where_the_call_names_none(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    embed(orchestrate(), "sync", ["text"] * 201)
    assert [len(texts_of(request)) for request in server.requests] == [100, 100, 1]


@chat
def test_fc15_no_batch_has_more_bytes_than_the_provider_takes_tokens(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    texts = ["é" * 60_000, "a" * 180_000, "b", "c" * 400_000]
    assert OpenAIAdapter.embedding_tokens == 300_000
    embed(orchestrate(), "sync", texts)
    assert [texts_of(request) for request in server.requests] == [texts[:2], texts[2:3], texts[3:]]


@with_embeddings
@each_way
def test_fc15_the_entrys_model_is_asked_where_a_call_names_none(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate(embedding_model="for-vectors")
    assert embed(orchestrator, way, model=None).requested_model == "for-vectors"
    assert embed(orchestrator, way).requested_model == MODEL

    with pytest.raises(ConfigurationError, match=r"embedding_model is missing"):
        embed(orchestrate(), way, model=None)
    assert len(server.requests) == 2


# ------------------------------------------------------------------------------- what it costs


@with_embeddings
@each_way
def test_fc15_each_batch_has_its_row_and_the_call_is_one(
    server: ScriptedServer, dialect: Dialect, way: str, tmp_path: Path
) -> None:
    path, events = tmp_path / "costs.csv", []  # type: ignore[var-annotated]
    config = dialect.config(server.url)
    price = {"provider": dialect.provider, "model": MODEL, "rates": {"in": "3"}}
    costs = {"log_path": str(path), "strict_pricing": True, "price_overrides": [price]}
    with LLMOrchestrator({**config, "cost_tracking": costs}, hooks=[events.append]) as orchestrator:
        response = embed(orchestrator, way, batch_size=2, tags={"page": "a"})
        report = orchestrator.cost_tracker.get_usage_report()
        recomputed = [orchestrator.cost_tracker.recompute(row) for row in rows(path)]

    assert report.total_requests == 1
    assert response.cost == report.total_cost == Decimal("0.000018")
    assert response.cost_details is not None and response.cost_details.counts["in"] == 6
    written = rows(path)
    assert [(row["prompt_tokens"], row["completion_tokens"]) for row in written] == [("5", "0"), ("1", "0")]
    assert [(row["attempt"], row["final"], row["api"]) for row in written] == [
        ("1", "false", "embeddings"),
        ("2", "true", "embeddings"),
    ]
    assert {row["call_id"] for row in written} == {written[0]["call_id"]}
    assert all(row["price_status"] == "priced" and row["tags"] == '{"page": "a"}' for row in written)
    assert recomputed == [Decimal(row["cost"]) for row in written]
    assert [(event.kind, len(event.request.messages)) for event in events] == [
        ("attempt", 2),
        ("attempt", 1),
        ("call", 3),
    ]
    assert all(isinstance(event.request, EmbeddingRequest) for event in events)
    assert all("embedding" not in str(event.response.raw_response) for event in events), "no vectors"


@gemini
def test_fc15_tokens_that_are_not_reported_are_estimated_for_one_batch(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, records: List[UsageRecord]
) -> None:
    server.default = lambda request: vectors_reply(request, expected(texts_of(request)))
    response = embed(orchestrate(), "sync", ["a" * 40, "b" * 80], batch_size=1)

    assert response.usage.source == "missing"
    assert [dict(record.estimated_counts) for record in records] == [
        {"in": 10, "out": 0},
        {"in": 20, "out": 0},
    ]


@with_embeddings
@each_way
def test_fc15_a_spent_budget_ends_the_call_between_two_batches(
    server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    price = {"provider": dialect.provider, "model": MODEL, "rates": {"in": "1000000"}}
    costs = {"log_path": None, "price_overrides": [price], "budget": {"session": 2}}
    with LLMOrchestrator({**dialect.config(server.url), "cost_tracking": costs}) as orchestrator:
        with pytest.raises(BudgetExceededError) as caught:
            embed(orchestrator, way, batch_size=1)
        assert orchestrator.get_session_cost() == 2
    assert len(server.requests) == len(caught.value.attempts) == 1


# ------------------------------------------------------------------------------- failures


@with_embeddings
@each_way
@each_transport
def test_fc15_a_batch_is_retried_and_no_other_model_is_asked(
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

    server.script(vectors, limited, vectors)
    with caplog.at_level(logging.WARNING):
        response = embed(orchestrator, way, batch_size=2)
    assert response.vectors == expected(TEXTS)
    assert [attempt.error for attempt in response.attempts] == [None, "RateLimitError", None]
    assert "retry, attempt 3, after RateLimitError (status 429" in caplog.text
    assert [texts_of(request) for request in server.requests] == [TEXTS[:2], TEXTS[2:], TEXTS[2:]]

    server.script(vectors, limited, limited)
    with pytest.raises(RateLimitError) as caught:
        embed(orchestrator, way, batch_size=2)
    assert [attempt.model for attempt in caught.value.attempts] == [MODEL] * 3
    assert len(waits) == 2


@with_embeddings
@each_way
@each_transport
def test_fc15_a_wrong_key_is_the_error_of_a_call(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    server.default = dialect.error(401)
    with pytest.raises(AuthenticationError) as caught:
        embed(orchestrate(transport=transport, max_retries=2), way)
    assert len(server.requests) == len(caught.value.attempts) == 1


GOOD = [0.1, 0.2]


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [GOOD],
        [GOOD] * 3,
        [GOOD, [0.1, 0.2, 0.3]],
        [GOOD, []],
        [GOOD, None],
        [GOOD, "AACAPw=="],
        [GOOD, {"0": 1.0}],
        [GOOD, [0.1, None]],
        [GOOD, [0.1, "0.2"]],
        [GOOD, [0.1, True]],
        [GOOD, [0.1, [0.2]]],
        [GOOD, [0.1, math.nan]],
        [GOOD, [0.1, math.inf]],
        [GOOD, [0.1, 10**400]],
    ],
    ids=lambda wrong: repr(wrong)[:40],
)
@with_embeddings
@each_way
def test_fc15_what_is_no_vector_is_an_error_and_was_paid_for(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    wrong: List[Any],
    records: List[UsageRecord],
) -> None:
    server.default = with_vectors(*wrong)
    with pytest.raises(InvalidResponseError, match="does not hold the vectors") as caught:
        embed(orchestrate(), way, TEXTS[:2])
    assert (caught.value.provider, caught.value.model) == (dialect.provider, MODEL)
    (record,) = records
    assert (record.status, record.prompt_tokens) == ("error", 5)


@with_embeddings
@each_way
def test_fc15_all_batches_have_vectors_of_one_length(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(with_vectors(GOOD, GOOD), with_vectors([0.1]))
    with pytest.raises(InvalidResponseError, match="different lengths, such as 1 and 2"):
        embed(orchestrate(), way, batch_size=2)


@with_embeddings
@each_way
def test_fc15_another_length_than_was_asked_for_is_an_error_that_no_retry_can_mend(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    server.default = with_vectors(GOOD)
    with pytest.raises(InvalidResponseError, match="vectors of 2 numbers, and 3 were asked for"):
        embed(orchestrate(max_retries=2), way, "text", dimensions=3)
    assert len(server.requests) == 1


@chat
@pytest.mark.parametrize("places", [(0, 0), (1, 2), (0, None)])
def test_fc15_entries_that_are_not_numbered_one_by_one_are_an_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, places: Any
) -> None:
    server.default = json_reply({"data": [{"index": place, "embedding": GOOD} for place in places]})
    with pytest.raises(InvalidResponseError, match="not numbered"):
        embed(orchestrate(), "sync", TEXTS[:2])


@chat
def test_fc15_entries_without_numbers_are_in_order(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = json_reply({"data": [{"embedding": [1]}, {"embedding": [2.5]}]})
    response = embed(orchestrate(), "sync", TEXTS[:2])
    assert response.vectors == [[1.0], [2.5]]
    assert type(response.vectors[0][0]) is float


@pytest.mark.parametrize(
    "reply", [json_reply({}), json_reply([]), json_reply(7), broken_json(), empty(), html()]
)
@with_embeddings
@each_way
@each_transport
def test_fc15_what_is_no_reply_is_an_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str, reply: Reply
) -> None:
    server.default = reply
    with pytest.raises(ProviderError) as caught:
        embed(orchestrate(transport=transport), way)
    assert len(caught.value.attempts) == 1


@with_embeddings
@each_way
def test_fc15_a_failure_inside_a_good_reply_is_its_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.failure("rate_limit").but(status=200)
    with pytest.raises(RateLimitError):
        embed(orchestrate(), way)


# ------------------------------------------------------------------------------- what is refused beforehand


@with_embeddings
@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ([], "texts is empty"),
        ("", r"texts\[0\] is empty"),
        (["a", ""], r"texts\[1\] is empty"),
        (["a", 7], r"texts\[1\] is a int"),
        (["a", "b\ud800"], r"texts\[1\] holds half a character"),
        (b"a", "texts is a bytes"),
        (None, "texts is a NoneType"),
        ({"a": 1}, "texts is a dict"),
    ],
)
def test_fc15_what_has_no_vector_is_refused(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, texts: Any, says: str
) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        embed(orchestrate(), "sync", texts)
    assert server.requests == []


@with_embeddings
@pytest.mark.parametrize(
    "arguments",
    [
        {"dimensions": 0},
        {"dimensions": 1.5},
        {"batch_size": 0},
        {"model": " "},
        {"max_retries": -1},
        {"input": ["b"]},
        {"requests": []},
        {"encoding_format": "base64"},
        {"api_key": "k"},
        {"extra_headers": {"x\n": "a"}},
    ],
    ids=repr,
)
def test_fc15_wrong_arguments_are_refused(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, arguments: Dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError):
        embed(orchestrate(), "sync", **arguments)
    assert server.requests == []


@anthropic
@each_way
@each_transport
def test_fc15_a_provider_without_embeddings_says_so(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    with pytest.raises(InvalidRequestError, match="cannot embed texts: its API has no embedding models"):
        embed(orchestrate(transport=transport), way)
    assert server.requests == []


@chat
@each_way
@pytest.mark.parametrize("reply", [json_reply({"detail": "Not Found"}, 404), html(404)])
def test_fc15_a_host_without_the_path_names_the_address(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, reply: Reply
) -> None:
    server.default = reply
    with pytest.raises(ConfigurationError, match=r"/v1/embeddings answered with status 404"):
        embed(orchestrate(), way)


@chat
@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (501, "This server does not support embeddings. Start it with `--embeddings`", "InvalidRequestError"),
        (
            500,
            "input (5001 tokens) is too large to process. increase the physical batch size (current: 512)",
            "ContextLengthError",
        ),
    ],
)
def test_fc15_what_servers_of_llama_cpp_say_is_not_retried(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, status: int, message: str, error: str
) -> None:
    kind = "not_supported_error" if status == 501 else "server_error"
    server.default = json_reply({"error": {"code": status, "message": message, "type": kind}}, status)
    with pytest.raises(ProviderError) as caught:
        embed(orchestrate(max_retries=2), "sync")
    assert type(caught.value).__name__ == error and len(server.requests) == 1


def test_fc15_nothing_is_embedded_after_the_end(orchestrate: Orchestrate, dialect: Dialect) -> None:
    orchestrator = orchestrate()
    orchestrator.close()
    with pytest.raises(OrchestratorError, match="closed"):
        orchestrator.embed("text", model=MODEL)


@each_way
@each_transport
def test_fc15_models_for_vectors_are_listed_when_asked_for(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    transport: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    orchestrator = orchestrate(transport=transport)
    assert orchestrator.get_available_models(kind="embedding") == []
    if dialect.provider == "gemini":
        methods = {"chat-1": ["generateContent"], "vectors-1": ["embedContent"]}
        listed = [
            {"name": f"models/{name}", "supportedGenerationMethods": can} for name, can in methods.items()
        ]
        server.script(json_reply({"models": listed}))
    else:
        server.script(dialect.models(["chat-1", "text-embedding-1"]))
    if way == "sync":
        orchestrator.refresh_models()
    else:
        run_async(orchestrator, orchestrator.arefresh_models)

    expected = {"gemini": ["vectors-1"], "anthropic": []}.get(dialect.provider, ["text-embedding-1"])
    assert orchestrator.get_available_models(kind="embedding") == expected
    assert not set(expected).intersection(orchestrator.get_available_models())
    with pytest.raises(InvalidRequestError, match="Did you mean 'embedding'?"):
        orchestrator.get_available_models(kind="embeddings")
