"""Requests that count tokens, made of the requests that would ask for an answer; and what is read of replies."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from llm_orchestrator.exceptions import InvalidRequestError, RateLimitError
from llm_orchestrator.providers.adapter import Adapter
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import LLMRequest
from tests.support.shapes import anthropic_shapes, gemini_shapes, openai_shapes

ANTHROPIC, GEMINI = anthropic_shapes.ADAPTER, gemini_shapes.ADAPTER
RESPONSES, CHAT = openai_shapes.RESPONSES, openai_shapes.CHAT
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
COMPATIBLE = OpenAIAdapter("host", base_url="http://127.0.0.1:9/v1", api="chat")


def counting(adapter: Any, **parameters: Any) -> WireRequest:
    """The question about a request."""
    request = anthropic_shapes.request(**parameters)
    whole, wire = adapter.prepare(request, stream=False)
    question = adapter.count_request(whole, wire)
    assert isinstance(question, WireRequest) and question.method == "POST"
    return question


def test_anthropic_counts_what_is_read_and_nothing_that_is_written() -> None:
    question = counting(
        ANTHROPIC, tools=(TOOL,), provider_options={"service_tier": "auto", "mcp_servers": []}
    )
    assert question.path == "/v1/messages/count_tokens"
    assert question.headers["anthropic-version"] == "2023-06-01"
    assert question.body == {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hi"}],
        "mcp_servers": [],
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
    }
    assert set(question.unsupported) == {"max_tokens", "service_tier"}


def test_responses_counts_what_is_read_and_stores_nothing() -> None:
    question = counting(RESPONSES, max_tokens=9, provider_options={"instructions": "Be brief."})
    assert question.path == "/responses/input_tokens"
    assert question.body == {
        "model": "some-model",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "instructions": "Be brief.",
    }
    assert set(question.unsupported) == {"max_output_tokens", "store"}


def test_gemini_counts_a_whole_request_that_names_its_model() -> None:
    question = counting(GEMINI, max_tokens=9, tools=(TOOL,))
    assert question.path == "models/some-model:countTokens"
    body: Dict[str, Any] = (question.body or {})["generateContentRequest"]
    assert body["model"] == "models/some-model"
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert body["tools"] and body["generationConfig"] == {"maxOutputTokens": 9}


def test_a_compatible_host_is_asked_with_the_whole_request() -> None:
    question = counting(COMPATIBLE, tools=(TOOL,))
    assert question.path == "/chat/completions/input_tokens"
    assert set(question.body or ()) == {"model", "messages", "tools"}


def test_chat_of_openai_has_no_counting_and_says_what_has() -> None:
    at_openai = OpenAIAdapter("openai", api_key="sk-test-0123456789", api="chat")
    with pytest.raises(InvalidRequestError, match="api: responses") as caught:
        counting(at_openai)
    assert caught.value.sent is False


def test_an_adapter_without_counting_says_so() -> None:
    request = LLMRequest("some-model", (anthropic_shapes.user(),))
    with pytest.raises(InvalidRequestError, match="cannot count tokens") as caught:
        Adapter.count_request(ANTHROPIC, request, WireRequest("/", {}))
    assert caught.value.sent is False
    assert Adapter.parse_count(ANTHROPIC, {"input_tokens": 7}) is None


@pytest.mark.parametrize(
    ("adapter", "field"),
    [
        (ANTHROPIC, "input_tokens"),
        (RESPONSES, "input_tokens"),
        (CHAT, "input_tokens"),
        (GEMINI, "totalTokens"),
    ],
)
def test_a_count_is_a_number_or_nothing(adapter: Any, field: str) -> None:
    assert [adapter.parse_count({field: number}) for number in (0, 7)] == [0, 7]
    for number in (None, True, -1, 10**400, "", "7", 1.5, [7], {}):
        assert adapter.parse_count({field: number}) is None
    assert adapter.parse_count({}) is None


def test_a_failure_in_the_body_is_its_error() -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}}
    with pytest.raises(RateLimitError):
        ANTHROPIC.parse_count(body)
