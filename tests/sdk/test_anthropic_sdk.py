"""The Anthropic adapter through its real SDK, against the scripted server."""

from __future__ import annotations

import asyncio
from typing import Any, Iterator, List

import pytest

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers.anthropic_adapter import AnthropicAdapter
from llm_orchestrator.types import LLMRequest, LLMResponse, Message
from tests.support.scripted_server import DIALECTS, ScriptedServer

KEY = "sk-test-0123456789abcdef"
ANTHROPIC = DIALECTS["anthropic"]
#: What the environment must not change.
ENVIRONMENT = {
    "ANTHROPIC_API_KEY": "sk-other",
    "ANTHROPIC_AUTH_TOKEN": "other-token",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    "ANTHROPIC_CUSTOM_HEADERS": "x-leaked: yes\nauthorization: Bearer other",
}

pytest.importorskip("anthropic")


@pytest.fixture(scope="module", autouse=True)
def _warm_sdk(vendor_sdks: None, scripted_server: ScriptedServer) -> None:
    """What the SDK does once, at its first call, belongs to no single test."""
    for way in ("whole", "async"):
        adapter = AnthropicAdapter("claude", transport="sdk", api_key=KEY, base_url=scripted_server.url)
        ask(adapter, way)
        adapter.close()


@pytest.fixture
def adapter(server: ScriptedServer) -> Iterator[AnthropicAdapter]:
    made = AnthropicAdapter("claude", transport="sdk", api_key=KEY, base_url=server.url)
    yield made
    made.close()


def request(**parameters: Any) -> LLMRequest:
    return LLMRequest("scripted-1", (Message("user", "Hi"),), **parameters)


def ask(adapter: AnthropicAdapter, way: str) -> LLMResponse:
    """The same call in one of the four ways."""
    if way == "whole":
        return adapter.send_request(request())
    if way == "streamed":
        stream = adapter.send_streaming_request(request())
        list(stream)
        return stream.response()
    return asyncio.run(ask_async(adapter, way))


async def ask_async(adapter: AnthropicAdapter, way: str) -> LLMResponse:
    try:
        if way == "async":
            return await adapter.asend_request(request())
        stream = await adapter.asend_streaming_request(request())
        async for _ in stream:
            pass
        return stream.response()
    finally:
        await adapter.aclose()


WAYS = ("whole", "streamed", "async", "async streamed")


@pytest.mark.parametrize("way", WAYS)
def test_the_environment_changes_nothing(
    server: ScriptedServer, adapter: AnthropicAdapter, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    ask(adapter, way)
    sent = server.requests[0]
    assert sent.api_key == KEY
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert "x-leaked" not in sent.headers
    assert not any("other" in value for value in sent.headers.values())


def test_without_base_url_the_vendors_own_address_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    client = AnthropicAdapter("claude", transport="sdk", api_key=KEY)._clients.for_threads()
    assert str(client.base_url).rstrip("/") == "https://api.anthropic.com"
    client.close()


def test_headers_of_entry_and_call_are_sent_and_the_version_can_be_overridden(server: ScriptedServer) -> None:
    adapter = AnthropicAdapter(
        "claude", api_key=KEY, base_url=server.url, api_version="2026-10-21", headers={"x-team": "blue"}
    )
    adapter.send_request(request(extra_headers={"x-call": "1"}))
    adapter.send_request(request(extra_headers={"anthropic-version": "2030-01-01"}))
    first, second = (sent.headers for sent in server.requests)
    assert (first["anthropic-version"], first["x-team"], first["x-call"]) == ("2026-10-21", "blue", "1")
    assert second["anthropic-version"] == "2030-01-01"
    adapter.close()


def test_a_large_answer_may_be_asked_for_without_streaming(
    server: ScriptedServer, adapter: AnthropicAdapter
) -> None:
    adapter.send_request(request(max_tokens=128000, temperature=0.2))
    assert server.requests[0].body["max_tokens"] == 128000
    assert server.requests[0].body["temperature"] == 0.2


def test_a_server_without_keys_needs_none(server: ScriptedServer) -> None:
    adapter = AnthropicAdapter("claude", transport="sdk", base_url=server.url)
    assert adapter.send_request(request()).content
    adapter.close()


@pytest.mark.parametrize("way", WAYS)
def test_no_key_is_said_at_first_use(way: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'claude' has no api_key.*ANTHROPIC_API_KEY"):
        ask(AnthropicAdapter("claude", transport="sdk"), way)


def test_models_are_listed_page_by_page_and_asked_for_by_name(
    server: ScriptedServer, adapter: AnthropicAdapter
) -> None:
    server.script(
        ANTHROPIC.models(["one", "two"], more=True),
        ANTHROPIC.models(["three"]),
        ANTHROPIC.model("one"),
        ANTHROPIC.failure("model_not_found"),
    )
    assert names(adapter) == ["one", "two", "three"]
    assert [adapter.validate_model(name) for name in ("one", "no/such")] == [True, False]
    queries = [sent.query for sent in server.requests[:2]]
    assert queries == [{"limit": "1000"}, {"limit": "1000", "after_id": "two"}]
    assert [sent.path for sent in server.requests[2:]] == ["/v1/models/one", "/v1/models/no/such"]
    assert all(sent.headers["anthropic-version"] == "2023-06-01" for sent in server.requests)


def names(adapter: AnthropicAdapter) -> List[str]:
    return [model.name for model in adapter.get_available_models()]
