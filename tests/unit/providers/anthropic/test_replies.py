"""From Anthropic's JSON to ours: whole messages, usage, failures, listings, and broken shapes."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest

from llm_orchestrator.exceptions import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    UnsupportedParameterError,
)
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import FinishReason, LLMResponse
from tests.support.shapes.anthropic_shapes import ADAPTER, ODD, Json, message, read, text


def test_text_blocks_are_joined_with_nothing_between() -> None:
    response = read(message(text("The sky"), text(" is", citations=[{"url": "u"}]), text(" blue.")))
    assert response.content == "The sky is blue."
    assert (response.model, response.provider) == ("served-20260101", "anthropic")
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.STOP, "end_turn")
    assert (response.reasoning, response.refusal, response.tool_calls) == (None, None, ())


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("pause_turn", FinishReason.OTHER),
        ("compaction", FinishReason.OTHER),
        ("something_new", FinishReason.OTHER),
        (None, FinishReason.OTHER),
    ],
)
def test_every_stop_reason_has_its_meaning(stop_reason: Optional[str], finish: FinishReason) -> None:
    response = read(message(text("Hi"), stop_reason=stop_reason))
    assert (response.finish_reason, response.raw_finish_reason) == (finish, stop_reason)


def test_the_callers_tool_calls_are_told_from_the_providers_own() -> None:
    response = read(
        message(
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "mcp_tool_use", "id": "m", "name": "f", "input": {}},
            {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Köln"}},
            {"type": "tool_use", "id": "b", "name": "now", "input": {}},
        )
    )
    assert [(call.id, call.name, call.arguments) for call in response.tool_calls] == [
        ("a", "weather", {"city": "Köln"}),
        ("b", "now", {}),
    ]
    assert response.tool_calls[0].raw_arguments == '{"city": "Köln"}'
    assert response.finish_reason is FinishReason.TOOL_CALLS  # derived from the calls, not from end_turn


@pytest.mark.parametrize(
    ("details", "refusal"),
    [
        ({"type": "refusal", "category": "cyber", "explanation": "Not this."}, "Not this."),
        ({"type": "refusal", "category": "cyber", "explanation": None}, "cyber"),
        (None, "refusal"),
    ],
)
def test_a_refusal_is_an_answer_that_says_why(details: Optional[Json], refusal: str) -> None:
    response = read(message(stop_reason="refusal", stop_details=details))
    assert (response.refusal, response.content) == (refusal, "")
    assert response.usage.total_tokens == 14


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 10, "output_tokens": 3}, (10, 3, 13, None, None, None, "reported")),
        (
            {
                "input_tokens": 10,
                "cache_creation_input_tokens": 100,
                "cache_read_input_tokens": 1000,
                "output_tokens": 3,
                "output_tokens_details": {"thinking_tokens": 2},
            },
            (1110, 3, 1113, 1000, 100, 2, "reported"),
        ),
        (
            {"input_tokens": 10, "cache_read_input_tokens": None, "output_tokens": 0},
            (10, 0, 10, None, None, None, "reported"),
        ),
        ({"output_tokens": 3}, (None, 3, None, None, None, None, "reported")),
        ({"input_tokens": -1, "output_tokens": True}, (None, None, None, None, None, None, "reported")),
        ({}, (None, None, None, None, None, None, "missing")),
        (None, (None, None, None, None, None, None, "missing")),
        ("many", (None, None, None, None, None, None, "missing")),
    ],
)
def test_the_prompt_counts_what_went_through_the_cache(usage: Any, expected: Any) -> None:
    told = read(message(text("Hi"), usage=usage)).usage
    assert (
        told.prompt_tokens,
        told.completion_tokens,
        told.total_tokens,
        told.cached_tokens,
        told.cache_write_tokens,
        told.reasoning_tokens,
        told.source,
    ) == expected
    assert told.raw == (usage if told.source == "reported" else None)


# -------------------------------------------------------------------- failures


def failure(kind: str, words: str, status: Optional[int] = 400, code: Optional[str] = None) -> ProviderError:
    details = {"details": {"error_code": code}} if code else {}
    body = {"type": "error", "error": {"type": kind, "message": words, **details}, "request_id": "req_1"}
    return error_of_failure(ADAPTER.parse_failure(body, status, {}))


@pytest.mark.parametrize(
    ("error", "expected", "code"),
    [
        (
            failure("authentication_error", "invalid x-api-key", 401),
            AuthenticationError,
            "authentication_error",
        ),
        (failure("rate_limit_error", "Slow down.", 429), RateLimitError, "rate_limit_error"),
        (
            failure("rate_limit_error", "Limit.", 429, "workspace_spend_limit_reached"),
            QuotaExceededError,
            "workspace_spend_limit_reached",
        ),
        (failure("overloaded_error", "Overloaded", None), OverloadedError, "overloaded_error"),
        (
            failure("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            ContextLengthError,
            "invalid_request_error",
        ),
        (failure("invalid_request_error", "messages: bad"), InvalidRequestError, "invalid_request_error"),
    ],
)
def test_failures_are_read_from_the_whole_envelope(error: Any, expected: Any, code: str) -> None:
    assert type(error) is expected
    assert error.code == code


@pytest.mark.parametrize(
    ("words", "parameter"),
    [
        ("`temperature` is deprecated for this model.", "temperature"),
        ("This model does not support the effort parameter.", "reasoning_effort"),
        ("adaptive thinking is not supported on this model", "reasoning_effort"),
        ("`top_k` is not supported when thinking is enabled", "top_k"),
    ],
)
def test_a_rejected_parameter_is_named(words: str, parameter: str) -> None:
    error = failure("invalid_request_error", words)
    assert isinstance(error, UnsupportedParameterError)
    assert error.parameter == parameter


def test_an_error_event_raises_the_typed_error_with_the_request_id() -> None:
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(OverloadedError) as caught:
        ADAPTER.parse_event(event, StreamState({"request-id": "req_9"}))
    assert caught.value.request_id == "req_9"


@pytest.mark.parametrize("body", [{"error": {"message": "no"}}, {"type": "error", "error": "no"}])
def test_an_error_with_status_200_is_no_answer(body: Json) -> None:
    with pytest.raises(ProviderError, match="no"):
        read(body)


# -------------------------------------------------------------------- the listing


def test_the_listing_tells_limits_dates_and_lifecycle() -> None:
    page = {
        "data": [
            {
                "type": "model",
                "id": "new-one",
                "display_name": "New One",
                "created_at": "2026-01-01T00:00:00Z",
                "lifecycle": "active",
                "max_input_tokens": 200000,
                "max_tokens": 64000,
                "capabilities": {"image_input": {"supported": True}},
            },
            {"id": "old-one", "lifecycle": "deprecated", "retires_at": "2027-01-01T00:00:00Z"},
            {"id": "gone", "lifecycle": "retired"},
            {"id": "bare", "max_tokens": None},
            {"id": "dated", "deprecated_at": "2026-05-01T00:00:00Z"},
            "noise",
            {"display_name": "nameless"},
        ],
        "has_more": True,
        "last_id": "bare",
    }
    models, cursor = ADAPTER.parse_models(page)
    assert cursor == "bare"
    new, old, gone, bare, dated = models
    assert (new.name, new.provider, new.display_name) == ("new-one", "anthropic", "New One")
    assert (new.context_window, new.max_output_tokens) == (200000, 64000)
    assert (new.created_at, new.deprecated) == ("2026-01-01T00:00:00Z", False)
    assert new.capabilities == {"image_input": {"supported": True}}
    assert (old.deprecated, old.retires_at, old.exclusion) == (True, "2027-01-01T00:00:00Z", None)
    assert (gone.deprecated, gone.exclusion) == (True, "the provider has retired it")
    assert (bare.max_output_tokens, bare.capabilities, bare.deprecated) == (None, None, False)
    assert dated.deprecated is True


def test_the_last_page_has_no_cursor_and_names_are_quoted() -> None:
    assert ADAPTER.parse_models({"data": [{"id": "a"}], "has_more": False, "last_id": "a"})[1] is None
    assert ADAPTER.list_request(None).path == "/v1/models?limit=1000"
    assert ADAPTER.list_request("a b&c").path == "/v1/models?limit=1000&after_id=a%20b%26c"
    assert ADAPTER.model_request("a/b").path == "/v1/models/a%2Fb"


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}])
def test_what_is_no_listing_is_refused(body: Json) -> None:
    with pytest.raises(InvalidResponseError):
        ADAPTER.parse_models(body)


# -------------------------------------------------------------------- broken shapes


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_odd_values_anywhere_give_an_answer_or_our_error(odd: Any) -> None:
    whole = message(text("Hi"), {"type": "tool_use", "id": "a", "name": "f", "input": {}})
    bodies = [{**whole, key: odd} for key in whole]
    for block in whole["content"]:
        bodies += [message({**block, key: odd}) for key in block]
    bodies += [message(odd), message(usage={"input_tokens": odd, "output_tokens_details": odd})]
    for body in bodies:
        try:
            assert isinstance(read(body), LLMResponse)
        except ProviderError as error:
            assert isinstance(error, InvalidResponseError)


def test_a_body_of_another_kind_is_refused() -> None:
    for body in ({}, {"choices": []}, {"content": "text"}):
        with pytest.raises(InvalidResponseError, match="not a message"):
            read(body)
