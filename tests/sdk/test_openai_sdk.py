"""The OpenAI adapter through the real SDK: what travels, and what the environment may not change."""

from __future__ import annotations

import asyncio
from typing import Any, Dict

import pytest

from llm_orchestrator.exceptions import (
    ConfigurationError,
    ProviderConnectionError,
)
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.types import LLMRequest, LLMResponse, Message, TextDelta
from tests.support.scripted_server import DIALECTS, ScriptedServer, refusing_url

REQUEST = LLMRequest("model-1", (Message("user", "Hello"),))
KEY = "sk-scripted-key-0123456789"


@pytest.fixture(scope="module", autouse=True)
def _warm_sdk(vendor_sdks: None, scripted_server: ScriptedServer) -> None:
    """Make one call beforehand: what the SDK does once in a process belongs to no single test."""
    ask(adapter_at(scripted_server), stream=False, is_async=False)
    ask(adapter_at(scripted_server), stream=False, is_async=True)


def adapter_at(server: ScriptedServer, **settings: Any) -> OpenAIAdapter:
    return OpenAIAdapter(
        "openai", transport="sdk", base_url=f"{server.url}/v1", **{"api_key": KEY, **settings}
    )


async def ask_async(adapter: OpenAIAdapter, *, stream: bool) -> LLMResponse:
    try:
        if not stream:
            return await adapter.asend_request(REQUEST)
        opened = await adapter.asend_streaming_request(REQUEST)
        pieces = [piece async for piece in opened]
        assert all(isinstance(piece, TextDelta) for piece in pieces)
        return opened.response()
    finally:
        await adapter.aclose()


def ask(adapter: OpenAIAdapter, *, stream: bool, is_async: bool) -> LLMResponse:
    if is_async:
        return asyncio.run(ask_async(adapter, stream=stream))
    try:
        if not stream:
            return adapter.send_request(REQUEST)
        opened = adapter.send_streaming_request(REQUEST)
        list(opened)
        return opened.response()
    finally:
        adapter.close()


def test_a_dead_port_is_a_connection_error() -> None:
    with refusing_url() as url, pytest.raises(ProviderConnectionError, match="base_url"):
        ask(
            OpenAIAdapter("openai", transport="sdk", base_url=f"{url}/v1", api_key=KEY),
            stream=False,
            is_async=False,
        )


LEAKS: Dict[str, str] = {
    "OPENAI_API_KEY": "sk-of-the-environment",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_ORG_ID": "org-of-the-environment",
    "OPENAI_PROJECT_ID": "proj-of-the-environment",
    "OPENAI_CUSTOM_HEADERS": "X-Extra: of-the-environment\nauthorization: Bearer of-the-environment",
}


@pytest.mark.parametrize("is_async", [False, True])
def test_the_environment_changes_nothing(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    for name, value in LEAKS.items():
        monkeypatch.setenv(name, value)
    ask(adapter_at(server), stream=False, is_async=is_async)
    (request,) = server.requests
    assert request.api_key == KEY
    assert not [value for value in request.headers.values() if "of-the-environment" in value]


def test_a_compatible_server_needs_no_key(server: ScriptedServer) -> None:
    assert ask(adapter_at(server, api_key=None), stream=False, is_async=False).content
    assert server.requests[0].api_key is None


def test_openai_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    with pytest.raises(ConfigurationError, match="'openai' has no api_key"):
        OpenAIAdapter("openai", transport="sdk").send_request(REQUEST)


def test_models_are_listed_and_validated(server: ScriptedServer) -> None:
    dialect = DIALECTS["chat"]
    server.script(
        dialect.models(["model-1", "org/model:2"]),
        dialect.model("org/model:2"),
        dialect.failure("model_not_found"),
    )
    adapter = adapter_at(server)
    try:
        assert [model.name for model in adapter.get_available_models()] == ["model-1", "org/model:2"]
        assert adapter.validate_model("org/model:2") is True
        assert adapter.validate_model("model-0") is False
    finally:
        adapter.close()
    assert [request.path for request in server.requests] == [
        "/v1/models",
        "/v1/models/org/model:2",
        "/v1/models/model-0",
    ]
