"""OpenAI on Azure: deployments, keys, and tokens of Azure's own chain (a managed identity on loopback)."""

from __future__ import annotations

import sys
from typing import Any, List

import pytest

from llm_orchestrator import AuthenticationError, ConfigurationError, PermissionDeniedError
from llm_orchestrator.providers.clouds.azure import AzureAdapter
from tests.sdk.clouds.conftest import Orchestrate
from tests.support.scripted_server import DIALECTS, Reply, Request, ScriptedServer, Usage
from tests.support.scripted_server.replies import json_reply
from tests.support.ways import ask

CHAT = DIALECTS["chat"]
TOKEN = "token-of-the-managed-identity"
KEY = "azure-key-0123456789"


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch, server: ScriptedServer) -> None:
    """A managed identity, as an App Service offers it."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "the-header")


def answer(way: str, **keywords: Any) -> Reply:
    if "streamed" in way:
        return CHAT.stream(["Hello, ", "world."], **keywords)
    return CHAT.whole("Hello, world.", **keywords)


def serve(server: ScriptedServer, *replies: Reply) -> None:
    """Give out a token whenever one is asked for, and these replies in turn."""
    waiting = list(replies)

    def reply(request: Request) -> Reply:
        if request.path == "/msi/token":
            return json_reply({"access_token": TOKEN, "expires_on": "4102444800", "resource": "r"})
        return waiting.pop(0)

    server.default = reply


def calls_to(server: ScriptedServer) -> List[Request]:
    return [request for request in server.requests if request.path != "/msi/token"]


def test_a_deployment_answers_with_a_key(cloud_by_key: Orchestrate, server: ScriptedServer, way: str) -> None:
    usage = Usage(prompt=1000, completion=200)
    server.script(answer(way, model="gpt-4.1-mini-2025-04-14", usage=usage))
    orchestrator = cloud_by_key("azure", "my-deployment", base_url=server.url, api_key=KEY)

    response = ask(orchestrator, way, max_tokens=50)

    assert (response.content, response.model) == ("Hello, world.", "gpt-4.1-mini-2025-04-14")
    (request,) = server.requests
    assert request.path == "/openai/deployments/my-deployment/chat/completions"
    assert request.query == {"api-version": "2024-10-21"}
    assert request.headers["api-key"] == KEY
    assert request.body["max_completion_tokens"] == 50
    assert response.cost is not None and response.cost > 0, "the served model has OpenAI's price"


def test_responses_at_a_newer_version(cloud_by_key: Orchestrate, server: ScriptedServer, way: str) -> None:
    dialect = DIALECTS["responses"]
    server.script(dialect.stream() if "streamed" in way else dialect.whole())
    entry = {"api": "responses", "api_version": "2025-04-01-preview"}

    response = ask(cloud_by_key("azure", "my-deployment", base_url=server.url, api_key=KEY, **entry), way)

    assert response.content == "Hello."
    (request,) = server.requests
    assert (request.path, request.query) == ("/openai/responses", {"api-version": "2025-04-01-preview"})
    assert request.body["model"] == "my-deployment"


def test_a_deployment_makes_vectors(cloud_by_key: Orchestrate, server: ScriptedServer) -> None:
    orchestrator = cloud_by_key("azure", "my-deployment", base_url=server.url, api_key=KEY)
    response = orchestrator.embed(["a", "b"], model="for-vectors", dimensions=3)
    assert [len(vector) for vector in response.vectors] == [3, 3]
    (request,) = server.requests
    assert request.path == "/openai/deployments/for-vectors/embeddings"
    assert request.query == {"api-version": "2024-10-21"} and request.headers["api-key"] == KEY


def test_a_token_of_the_chain(cloud: Orchestrate, server: ScriptedServer, way: str, identity: None) -> None:
    serve(server, answer(way), answer(way))
    orchestrator = cloud("azure", base_url=server.url)

    for _ in range(2):
        ask(orchestrator, way)

    asked = [request for request in server.requests if request.path == "/msi/token"]
    assert asked[0].query["resource"] == "https://cognitiveservices.azure.com"
    assert asked[0].headers["x-identity-header"] == "the-header"
    for request in calls_to(server):
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert "api-key" not in request.headers
    if "async" not in way:
        assert len(asked) == 1, "the token is kept"


def test_the_environment_changes_nothing(
    cloud_by_key: Orchestrate, server: ScriptedServer, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "a token of the environment")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://elsewhere.example")
    monkeypatch.setenv("OPENAI_API_VERSION", "1999-01-01")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "api-key: another\nx-spy: 1")
    server.script(answer(way))

    ask(cloud_by_key("azure", base_url=server.url, api_key=KEY), way)

    (request,) = server.requests
    assert (request.headers["api-key"], request.query["api-version"]) == (KEY, "2024-10-21")
    assert "of the environment" not in str(request.headers) and "x-spy" not in request.headers


def test_without_credentials_it_says_what_to_do(
    cloud: Orchestrate, server: ScriptedServer, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")

    with pytest.raises(AuthenticationError, match="az login, or set api_key") as caught:
        ask(cloud("azure", base_url=server.url, max_retries=2), way)

    assert server.requests == [] and caught.value.attempts == ()


def test_a_server_that_repeats_the_token(
    cloud: Orchestrate, server: ScriptedServer, way: str, identity: None
) -> None:
    serve(server, json_reply({"error": {"code": "403", "message": f"You sent {TOKEN}"}}, 403))

    with pytest.raises(PermissionDeniedError, match="You sent") as caught:
        ask(cloud("azure", base_url=server.url), way)

    assert TOKEN not in str(caught.value) + repr(vars(caught.value)) + str(caught.value.__cause__)


def test_deployments_are_listed_by_the_configuration(
    cloud_by_key: Orchestrate, server: ScriptedServer
) -> None:
    orchestrator = cloud_by_key("azure", base_url=server.url, api_key=KEY, models=["my-gpt", "my-image"])
    orchestrator.refresh_models()

    assert orchestrator.get_available_models() == ["my-gpt", "my-image"]
    with pytest.raises(ConfigurationError, match="Call the model to find out"):
        orchestrator.validate_model("my-gpt")
    assert server.requests == []


def test_the_embedding_model_is_listed_for_vectors_alone(
    cloud_by_key: Orchestrate, server: ScriptedServer
) -> None:
    names = {"models": ["my-gpt", "my-vectors"], "embedding_model": "my-vectors"}
    orchestrator = cloud_by_key("azure", base_url=server.url, api_key=KEY, **names)
    orchestrator.refresh_models()

    assert orchestrator.get_available_models() == ["my-gpt"]
    assert orchestrator.get_available_models(kind="embedding") == ["my-vectors"]
    assert "names it as its embedding_model" in orchestrator.registry.explain("mine", "my-vectors")


def test_an_endpoint_is_needed() -> None:
    with pytest.raises(ConfigurationError, match=r"providers.mine.base_url is missing"):
        AzureAdapter("mine", api_key=KEY)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(ConfigurationError, match=r'pip install "llm-orchestrator\[azure\]"'):
        AzureAdapter("mine", base_url="https://resource.example").client_arguments()
