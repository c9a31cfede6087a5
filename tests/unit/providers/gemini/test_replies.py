"""Gemini's whole answers and failures in our words."""

from __future__ import annotations

from typing import Any, Dict, Optional, Type

import pytest

from llm_orchestrator.exceptions import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    UnsupportedParameterError,
)
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.types import FinishReason
from tests.support.shapes.gemini_shapes import ADAPTER, call, read, reply, text

Json = Dict[str, Any]


def test_an_answer() -> None:
    answer = read(reply(text("Hm. ", thought=True), text("Hello"), text(" there")))
    assert (answer.content, answer.reasoning, answer.refusal) == ("Hello there", "Hm. ", None)
    assert (answer.model, answer.provider, answer.request_id) == ("served-001", "gemini", "answer-1")
    assert (answer.finish_reason, answer.raw_finish_reason) == (FinishReason.STOP, "STOP")
    assert answer.message is not None
    assert (answer.message.role, answer.message.content) == ("assistant", "Hello there")
    assert answer.message.provider == "gemini"


def test_calls_are_the_callers_and_what_gemini_ran_is_not() -> None:
    answer = read(
        reply(
            {"executableCode": {"code": "1"}},
            {"toolCall": {"id": "t"}},
            call("weather", {"city": "Zürich"}),
            call("weather", function={"id": "given"}),
            call("odd", ["no object"]),
        )
    )
    first, second, third = answer.tool_calls
    assert (first.name, first.arguments) == ("weather", {"city": "Zürich"})
    assert first.raw_arguments == '{"city": "Zürich"}'
    assert (second.id, second.arguments, second.raw_arguments) == ("given", {}, "{}")
    assert (third.arguments, third.raw_arguments) == (None, '["no object"]')
    assert len({first.id, second.id, third.id}) == 3
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert answer.message is not None and answer.message.content is None


def test_ids_are_made_up_and_differ_from_answer_to_answer() -> None:
    ids = [read(reply(call(), call(), responseId=name)).tool_calls for name in ("one", "two", None, None)]
    assert len({made.id for calls in ids for made in calls}) == 8


@pytest.mark.parametrize(
    "raw, calls, expected",
    [
        ("STOP", False, FinishReason.STOP),
        ("STOP", True, FinishReason.TOOL_CALLS),
        ("MAX_TOKENS", False, FinishReason.LENGTH),
        ("MAX_TOKENS", True, FinishReason.LENGTH),
        ("SAFETY", False, FinishReason.CONTENT_FILTER),
        ("RECITATION", False, FinishReason.CONTENT_FILTER),
        ("BLOCKLIST", False, FinishReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", False, FinishReason.CONTENT_FILTER),
        ("SPII", False, FinishReason.CONTENT_FILTER),
        ("IMAGE_SAFETY", False, FinishReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", False, FinishReason.ERROR),
        ("UNEXPECTED_TOOL_CALL", True, FinishReason.ERROR),
        ("LANGUAGE", False, FinishReason.CONTENT_FILTER),
        ("ESCALATION", False, FinishReason.CONTENT_FILTER),
        ("PUP_LIMITED_DISABLED", False, FinishReason.CONTENT_FILTER),
        ("VIDEO_SAFETY", False, FinishReason.CONTENT_FILTER),
        ("FINISH_REASON_UNSPECIFIED", False, FinishReason.OTHER),
        ("A_NEW_ONE", True, FinishReason.OTHER),
        (None, False, FinishReason.OTHER),
    ],
)
def test_finish_reasons(raw: Optional[str], calls: bool, expected: FinishReason) -> None:
    answer = read(reply(text("x"), *([call()] if calls else []), finish=raw))
    assert (answer.finish_reason, answer.raw_finish_reason) == (expected, raw)
    assert (answer.refusal is not None) == (expected is FinishReason.CONTENT_FILTER)


def test_a_filtered_answer_says_why() -> None:
    document = reply(text("Well"), finish="SAFETY")
    assert read(document).refusal == "SAFETY"
    document["candidates"][0]["finishMessage"] = "Blocked for safety."
    answer = read(document)
    assert (answer.refusal, answer.content) == ("Blocked for safety.", "Well")


def test_a_blocked_prompt_is_an_answer_with_its_usage() -> None:
    document: Json = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
        "modelVersion": "served-001",
    }
    answer = read(document)
    assert answer.finish_reason is FinishReason.CONTENT_FILTER
    assert (answer.refusal, answer.raw_finish_reason) == ("PROHIBITED_CONTENT", "PROHIBITED_CONTENT")
    assert answer.tokens_used == {"prompt": 9, "completion": 0, "total": 9}
    document["promptFeedback"]["blockReasonMessage"] = "Not allowed."
    assert read(document).refusal == "Not allowed."


def test_an_empty_candidate_is_an_empty_answer() -> None:
    answer = read({"candidates": [{"finishReason": "STOP"}]})
    assert (answer.content, answer.finish_reason, answer.model) == ("", FinishReason.STOP, "")
    assert answer.usage.source == "missing"


# prompt, completion, total, cached, reasoning
@pytest.mark.parametrize(
    "usage, expected",
    [
        (
            {
                "promptTokenCount": 10,
                "toolUsePromptTokenCount": 5,
                "cachedContentTokenCount": 8,
                "candidatesTokenCount": 3,
                "thoughtsTokenCount": 7,
                "totalTokenCount": 25,
            },
            (15, 10, 25, 8, 7),
        ),
        ({"promptTokenCount": 10, "thoughtsTokenCount": 7, "totalTokenCount": 17}, (10, 7, 17, None, 7)),
        ({"promptTokenCount": 10, "totalTokenCount": 10}, (10, 0, 10, None, None)),
        # the total tells of what is not there
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 115},
            (10, 105, 115, None, 100),
        ),
        ({"candidatesTokenCount": 5, "totalTokenCount": 50}, (45, 5, 50, None, None)),
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 9},
            (10, 5, 9, None, None),
        ),
        ({"promptTokenCount": 10}, (10, None, None, None, None)),
        ({"promptTokenCount": 1.5, "totalTokenCount": None}, (None, None, None, None, None)),
    ],
)
def test_usage(usage: Json, expected: Any) -> None:
    read_usage = read(reply(usageMetadata=usage)).usage
    assert expected == (
        read_usage.prompt_tokens,
        read_usage.completion_tokens,
        read_usage.total_tokens,
        read_usage.cached_tokens,
        read_usage.reasoning_tokens,
    )
    assert read_usage.raw == usage
    assert (read_usage.source, read_usage.cache_write_tokens) == ("reported", None)


@pytest.mark.parametrize("usage", [None, {}, [], "x"])
def test_usage_that_was_not_told_is_missing(usage: Any) -> None:
    assert read(reply(usageMetadata=usage)).usage.source == "missing"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"candidates": []},
        {"candidates": None},
        {"candidates": {}},
        {"candidates": [None]},
        {"promptFeedback": None},
        {"promptFeedback": {"blockReason": None}},
    ],
)
def test_no_answer_can_be_made_of_nothing(document: Json) -> None:
    with pytest.raises(InvalidResponseError, match="no answer"):
        read(document)


@pytest.mark.parametrize(
    "candidate",
    [
        {"content": None},
        {"content": []},
        {"content": {"parts": None}},
        {"content": {"parts": {}}},
        {"content": {"parts": [None, {}, {"text": None}]}},
        {"content": {"parts": [{"functionCall": None}, {"functionCall": "x"}]}},
        {"finishReason": 3},
    ],
)
def test_malformed_shapes_are_read_as_far_as_they_go(candidate: Json) -> None:
    answer = read({"candidates": [candidate], "modelVersion": 3, "responseId": [], "promptFeedback": []})
    assert (answer.content, answer.tool_calls, answer.finish_reason) == ("", (), FinishReason.OTHER)


def test_fa10_a_call_without_a_name_is_no_call() -> None:
    assert read(reply({"functionCall": {"args": {}}})).tool_calls == ()
    with pytest.raises(InvalidResponseError, match="call without a name"):
        read(reply({"functionCall": {"args": {"a": 1}}}))


# ---------------------------------------------------------------- failures


def error_of(status: Optional[int], error: Any) -> ProviderError:
    return error_of_failure(ADAPTER.parse_failure({"error": error}, status, {}))


def described(code: int, status: str, message: str = "No.", **detail: Any) -> Json:
    return {"code": code, "status": status, "message": message, "details": [detail]}


@pytest.mark.parametrize(
    "status, error, expected, code",
    [
        (
            400,
            described(400, "INVALID_ARGUMENT", reason="API_KEY_INVALID"),
            AuthenticationError,
            "API_KEY_INVALID",
        ),
        (400, described(400, "INVALID_ARGUMENT"), InvalidRequestError, "INVALID_ARGUMENT"),
        (404, described(404, "NOT_FOUND"), ModelNotFoundError, "NOT_FOUND"),
        (429, described(429, "RESOURCE_EXHAUSTED"), RateLimitError, "RESOURCE_EXHAUSTED"),
        (503, described(503, "UNAVAILABLE"), OverloadedError, "UNAVAILABLE"),
        (
            400,
            described(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum (8)."),
            ContextLengthError,
            "INVALID_ARGUMENT",
        ),
        (None, described(503, "UNAVAILABLE"), OverloadedError, "UNAVAILABLE"),
        (None, {"code": 429, "message": "slow"}, RateLimitError, None),
        (400, "just words", InvalidRequestError, None),
        (400, None, InvalidRequestError, None),
        (400, {"message": 3, "details": "x", "status": []}, InvalidRequestError, None),
        (400, {"details": [None, {"reason": 3}, {"fieldViolations": [None]}]}, InvalidRequestError, None),
    ],
)
def test_failures(
    status: Optional[int], error: Any, expected: Type[ProviderError], code: Optional[str]
) -> None:
    failure = error_of(status, error)
    assert (type(failure), failure.code) == (expected, code)


def test_a_failure_in_a_whole_answer_is_raised() -> None:
    with pytest.raises(RateLimitError, match="slow") as caught:
        read({"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}})
    assert caught.value.status_code == 429


@pytest.mark.parametrize(
    "delay, expected", [("38s", 38.0), ("0.5s", 0.5), ("soon", None), (None, None), ({}, None)]
)
def test_how_long_to_wait(delay: Any, expected: Optional[float]) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    assert error_of(429, described(429, "RESOURCE_EXHAUSTED", **detail)).retry_after == expected


@pytest.mark.parametrize(
    "field, message, expected",
    [
        ("generation_config.temperature", "temperature is not supported by this model.", "temperature"),
        ("generationConfig.topK", "not supported by this model.", "top_k"),
        ("generation_config.thinking_config.thinking_level", "is not supported.", "reasoning_effort"),
        (None, "Thinking level is not supported for this model.", "reasoning_effort"),
        (None, "Budget 0 is invalid. This model only works in thinking mode.", "reasoning_effort"),
    ],
)
def test_a_parameter_that_the_model_does_not_take(field: Optional[str], message: str, expected: str) -> None:
    violations = {"fieldViolations": [{"field": field, "description": message}]} if field else {}
    failure = error_of(400, described(400, "INVALID_ARGUMENT", message, **violations))
    assert isinstance(failure, UnsupportedParameterError)
    assert failure.parameter == expected


@pytest.mark.parametrize(
    "field, message",
    [
        ("contents[0].parts", "This kind of part is not supported."),
        ("generation_config.temperature", "Invalid value 9, it must be in [0, 2]."),
        (None, "Invalid thinking level."),
    ],
)
def test_a_wrong_value_is_no_unsupported_parameter(field: Optional[str], message: str) -> None:
    violations = {"fieldViolations": [{"field": field}]} if field else {}
    assert (
        type(error_of(400, described(400, "INVALID_ARGUMENT", message, **violations))) is InvalidRequestError
    )
