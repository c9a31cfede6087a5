"""Gemini and Claude on Vertex AI, with tokens of Google's own chain: a service account, played on loopback."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, List
from urllib.parse import parse_qs

import pytest

from llm_orchestrator import (
    AuthenticationError,
    ConfigurationError,
    FinishReason,
    InvalidRequestError,
    LLMOrchestrator,
    PermissionDeniedError,
    ProviderConnectionError,
)
from llm_orchestrator.providers.clouds.vertex import ClaudeOnVertex, GeminiOnVertex, VertexAdapter
from tests.sdk.clouds.conftest import Orchestrate
from tests.sdk.clouds.google_identity import service_account, signing_key
from tests.support.scripted_server import (
    DIALECTS,
    Dialect,
    Reply,
    Request,
    ScriptedServer,
    Usage,
    refusing_url,
)
from tests.support.scripted_server.replies import json_reply
from tests.support.ways import ask

PUBLISHERS = {"google": DIALECTS["gemini"], "anthropic": DIALECTS["anthropic"]}
TOKEN = "ya29.token-of-the-service-account"
PLACE = "/projects/my-project/locations/global/publishers"
PATHS = {
    ("google", False): f"/v1beta1{PLACE}/google/models/asked:generateContent",
    ("google", True): f"/v1beta1{PLACE}/google/models/asked:streamGenerateContent",
    ("anthropic", False): f"/v1{PLACE}/anthropic/models/asked:rawPredict",
    ("anthropic", True): f"/v1{PLACE}/anthropic/models/asked:streamRawPredict",
}


@pytest.fixture(autouse=True, scope="module")
def key_made() -> None:
    """Make the key once, outside the tests: that takes a while."""
    signing_key()


@pytest.fixture(params=list(PUBLISHERS))
def publisher(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, server: ScriptedServer, tmp_path: Path) -> None:
    """A service account where Google's chain looks first."""
    path = service_account(tmp_path, f"{server.url}/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))


def answer(dialect: Dialect, way: str, **keywords: Any) -> Reply:
    if "streamed" in way:
        return dialect.stream(["Hello, ", "world."], **keywords)
    return dialect.whole("Hello, world.", **keywords)


def serve(server: ScriptedServer, *replies: Reply) -> None:
    """Give out a token whenever one is asked for, and these replies in turn."""
    waiting = list(replies)

    def reply(request: Request) -> Reply:
        if request.path == "/token":
            return json_reply({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        return waiting.pop(0)

    server.default = reply


def calls_to(server: ScriptedServer) -> List[Request]:
    return [request for request in server.requests if request.path != "/token"]


def on_vertex(cloud: Orchestrate, server: ScriptedServer, publisher: str, **entry: Any) -> LLMOrchestrator:
    place = {"base_url": server.url, "project": "my-project", "publisher": publisher}
    return cloud("vertex", **{**place, **entry})


@pytest.mark.slow  # it makes a token and a client of either kind
def test_a_call_carries_a_token_and_is_answered(
    cloud: Orchestrate, server: ScriptedServer, publisher: str, way: str, account: None
) -> None:
    serve(server, *[answer(PUBLISHERS[publisher], way, usage=Usage(prompt=10, completion=4))] * 2)
    orchestrator = on_vertex(cloud, server, publisher)

    responses = [ask(orchestrator, way, "Hi", temperature=0.5, max_tokens=50) for _ in range(2)]

    assert [response.content for response in responses] == ["Hello, world."] * 2
    assert responses[0].finish_reason is FinishReason.STOP
    assert responses[0].tokens_used == {"prompt": 10, "completion": 4, "total": 14}
    grant = parse_qs(server.requests[0].content.decode())
    assert grant["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"] and grant["assertion"]
    for request in calls_to(server):
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.path == PATHS[publisher, "streamed" in way]
    if "async" not in way:
        assert len(server.requests) == 3, "the token is asked for once"


def test_claude_gets_the_same_version_on_every_generation(
    cloud: Orchestrate, server: ScriptedServer, way: str, account: None
) -> None:
    serve(server, answer(PUBLISHERS["anthropic"], way))
    ask(on_vertex(cloud, server, "anthropic"), way)

    (request,) = calls_to(server)
    assert request.body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in request.body and "anthropic-version" not in request.headers


def test_tokens_are_counted_where_each_publisher_counts(
    cloud: Orchestrate, server: ScriptedServer, publisher: str, account: None
) -> None:
    field, path = {
        "google": ("totalTokens", f"/v1beta1{PLACE}/google/models/asked:countTokens"),
        "anthropic": ("input_tokens", f"/v1{PLACE}/anthropic/models/count-tokens:rawPredict"),
    }[publisher]
    serve(server, json_reply({field: 7}))

    assert on_vertex(cloud, server, publisher).count_tokens("Hi", temperature=0.5) == 7

    (request,) = calls_to(server)
    assert request.path == path
    wanted = {"google": {"contents"}, "anthropic": {"anthropic_version", "messages", "model"}}[publisher]
    assert set(request.body) == wanted


def test_gemini_makes_vectors_and_claude_has_none(
    cloud: Orchestrate, server: ScriptedServer, publisher: str, account: None
) -> None:
    serve(server, json_reply({"embeddings": [{"values": [0.5]}], "usageMetadata": {"promptTokenCount": 1}}))
    orchestrator = on_vertex(cloud, server, publisher)
    if publisher == "anthropic":
        with pytest.raises(InvalidRequestError, match="cannot embed texts"):
            orchestrator.embed("Hi", model="asked")
        return

    assert orchestrator.embed("Hi", model="asked", dimensions=1).vectors == [[0.5]]

    (request,) = calls_to(server)
    assert request.path == f"/v1beta1{PLACE}/google/models/asked:batchEmbedContents"
    content = {"parts": [{"text": "Hi"}]}
    assert request.body == {
        "requests": [{"content": content, "embedContentConfig": {"outputDimensionality": 1}}]
    }


@pytest.mark.slow  # it makes two orchestrators
@pytest.mark.parametrize(
    ("publisher", "model", "price"),
    [("google", "gemini-2.5-flash", "0.0008"), ("anthropic", "claude-haiku-4-5", "0.002")],
)
def test_the_global_region_has_the_prices_of_the_vendor(
    cloud: Orchestrate,
    server: ScriptedServer,
    account: None,
    way: str,
    publisher: str,
    model: str,
    price: str,
) -> None:
    usage = Usage(prompt=1000, completion=200)
    serve(server, *[answer(PUBLISHERS[publisher], way, usage=usage, model=model)] * 2)

    everywhere = ask(on_vertex(cloud, server, publisher), way)
    there = ask(on_vertex(cloud, server, publisher, region="europe-west1"), way)

    assert everywhere.cost == Decimal(price)
    assert there.cost is None, "regions cost more, by a rate that the table does not know"
    assert "/locations/europe-west1/" in calls_to(server)[1].path


def test_a_key_takes_the_place_of_the_chain(
    cloud_by_key: Orchestrate, server: ScriptedServer, publisher: str, way: str
) -> None:
    server.script(answer(PUBLISHERS[publisher], way))
    project = {} if publisher == "google" else {"project": "my-project"}
    orchestrator = cloud_by_key(
        "vertex", base_url=server.url, publisher=publisher, api_key="the-key-given", **project
    )

    ask(orchestrator, way)

    (request,) = server.requests
    assert request.api_key == "the-key-given"
    assert ("projects" in request.path) is (publisher == "anthropic")


def test_without_credentials_it_says_what_to_do(
    cloud: Orchestrate,
    server: ScriptedServer,
    publisher: str,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))

    with pytest.raises(AuthenticationError, match="gcloud auth application-default login") as caught:
        ask(on_vertex(cloud, server, publisher, max_retries=2), way)

    assert server.requests == [] and caught.value.attempts == ()


def test_a_token_service_that_is_down_is_a_connection_error(
    cloud: Orchestrate,
    server: ScriptedServer,
    publisher: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
    with refusing_url() as url:
        path = service_account(tmp_path, f"{url}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        with pytest.raises(ProviderConnectionError, match="issues credentials"):
            on_vertex(cloud, server, publisher).send_request("Hi")

    assert calls_to(server) == []


def test_a_server_that_repeats_the_token(
    cloud: Orchestrate, server: ScriptedServer, publisher: str, way: str, account: None
) -> None:
    serve(server, json_reply({"error": {"code": 403, "message": f"You sent {TOKEN}"}}, 403))

    with pytest.raises(PermissionDeniedError, match="You sent") as caught:
        ask(on_vertex(cloud, server, publisher), way)

    assert TOKEN not in str(caught.value) + repr(vars(caught.value)) + str(caught.value.__cause__)


def test_gemini_is_listed_by_google(cloud: Orchestrate, server: ScriptedServer, account: None) -> None:
    names = ["gemini-chat-1", "imagen-1", "gemini-embedding-1", "veo-1", "text-1"]
    entries = [{"name": f"publishers/google/models/{name}", "versionId": "1"} for name in names]
    pages = [{"publisherModels": entries[:3], "nextPageToken": "next"}, {"publisherModels": entries[3:]}]
    serve(server, *map(json_reply, pages), json_reply(entries[0]), json_reply({"error": {"code": 404}}, 404))
    orchestrator = on_vertex(cloud, server, "google")

    orchestrator.refresh_models()

    assert orchestrator.get_available_models() == ["gemini-chat-1", "text-1"]
    assert orchestrator.validate_model("gemini-chat-1") is True
    assert orchestrator.validate_model("missing") is False
    first, second, third, _ = calls_to(server)
    assert {first.path, second.path} == {"/v1beta1/publishers/google/models"}
    assert second.query["pageToken"] == "next"
    assert third.path == "/v1beta1/publishers/google/models/gemini-chat-1"
    assert first.headers["authorization"] == f"Bearer {TOKEN}"


def test_claude_is_listed_by_the_configuration(cloud: Orchestrate, server: ScriptedServer) -> None:
    orchestrator = on_vertex(cloud, server, "anthropic", models=["claude-b", "claude-a"])
    orchestrator.refresh_models()

    assert orchestrator.get_available_models() == ["claude-a", "claude-b"]
    assert server.requests == []


@pytest.mark.parametrize(
    ("region", "host"),
    [
        (None, "https://aiplatform.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
        ("us-central1", "https://us-central1-aiplatform.googleapis.com"),
    ],
)
def test_the_address_follows_from_the_region(region: str, host: str) -> None:
    assert VertexAdapter("mine", project="p", region=region).host == host


def test_a_publisher_has_its_own_adapter(publisher: str) -> None:
    expected = {"google": GeminiOnVertex, "anthropic": ClaudeOnVertex}[publisher]
    assert type(VertexAdapter("mine", project="p", publisher=publisher)) is expected


def test_what_is_missing_or_wrong() -> None:
    with pytest.raises(ConfigurationError, match=r"providers.mine.project is missing"):
        VertexAdapter("mine")
    with pytest.raises(ConfigurationError, match=r"providers.mine.project is missing"):
        VertexAdapter("mine", publisher="anthropic", api_key="a-token")
    with pytest.raises(ConfigurationError, match="Use one of google, anthropic"):
        VertexAdapter("mine", publisher="mistral")


def test_without_the_extra_it_says_what_to_install(publisher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if publisher == "google":
        monkeypatch.setitem(sys.modules, "google.genai", None)
    else:
        monkeypatch.setitem(sys.modules, "google.auth.transport.requests", None)
    with pytest.raises(ConfigurationError, match=r'pip install "llm-orchestrator\[vertex\]"'):
        VertexAdapter("mine", project="p", publisher=publisher).send_request(_request())


def _request() -> Any:
    from llm_orchestrator.types import LLMRequest, Message

    return LLMRequest("m", (Message("user", "Hi"),))
