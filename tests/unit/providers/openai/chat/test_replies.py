"""OpenAI's whole Chat replies as our values, and the state that goes back with a turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import pytest

from llm_orchestrator.exceptions import (
    InvalidResponseError,
    RateLimitError,
)
from llm_orchestrator.types import FinishReason, Message, TokenUsage
from tests.support.shapes.openai_chat_shapes import SIGNED, USAGE, WIRE_CALLS, completion, wire_call
from tests.support.shapes.openai_shapes import CALLS, CHAT, USER, Json, body_of, read, saved


def test_a_whole_reply() -> None:
    response = read(completion(content="Hello", refusal=None))
    assert (response.content, response.model, response.provider) == ("Hello", "served-1", "openai")
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.STOP, "stop")
    assert response.usage == TokenUsage(12, 5, 17, 8, 2, 3, raw=USAGE)
    assert (response.tool_calls, response.reasoning, response.refusal) == ((), None, None)
    assert response.message == Message("assistant", "Hello", provider="openai")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("eos", FinishReason.OTHER),
        (None, FinishReason.OTHER),
    ],
)
def test_m4_every_finish_reason_has_its_meaning(reason: Optional[str], finish: FinishReason) -> None:
    response = read(completion(reason, content="x"))
    assert (response.finish_reason, response.raw_finish_reason) == (finish, reason)


def test_a_forced_tool_choice_finishes_with_stop_and_is_a_tool_call() -> None:
    response = read(completion("stop", content=None, tool_calls=WIRE_CALLS))
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert response.tool_calls == CALLS
    assert response.message == Message("assistant", None, tool_calls=CALLS, provider="openai")


@pytest.mark.parametrize(
    ("written", "arguments"),
    [("", {}), ("{}", {}), ('{"a": ', None), ("[1]", None), ({"a": 1}, {"a": 1}), (None, {})],
)
def test_arguments_as_models_write_them(written: Any, arguments: Any) -> None:
    (call,) = read(completion(tool_calls=[wire_call("c", "f", written)])).tool_calls
    assert call.arguments == arguments


def test_calls_without_ids_get_ids_of_their_own() -> None:
    calls = read(completion(tool_calls=[wire_call(None, "f", "{}"), wire_call("", "g", "{}")])).tool_calls
    assert len({call.id for call in calls}) == 2
    assert all(call.id.startswith("call_") for call in calls)


def test_the_old_function_call_is_a_tool_call() -> None:
    response = read(completion("function_call", content=None, function_call={"name": "f", "arguments": "{}"}))
    assert [(call.name, call.arguments) for call in response.tool_calls] == [("f", {})]
    assert response.tool_calls[0].id


def test_m4_a_refusal_is_an_answer_and_goes_back_as_one() -> None:
    response = read(completion(content=None, refusal="I won't."))
    assert (response.content, response.refusal) == ("", "I won't.")
    assert response.finish_reason is FinishReason.CONTENT_FILTER
    sent = body_of(CHAT, USER, saved(response.message), USER)["messages"][1]
    assert sent == {"role": "assistant", "content": None, "refusal": "I won't."}


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_of_compatible_servers(key: str) -> None:
    response = read(completion(content="42", **{key: "Because."}))
    assert response.reasoning == "Because."
    assert response.message == Message("assistant", "42", provider="openai")


def test_content_in_parts_is_joined() -> None:
    parts = [
        {"type": "thinking", "thinking": []},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert read(completion(content=parts)).content == "ab"


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, "many"])
def test_usage_that_does_not_come_is_missing(usage: Any) -> None:
    assert read(completion(content="x", usage=usage)).usage == TokenUsage(source="missing")


def test_usage_in_part() -> None:
    usage = read(completion(content="x", usage={"prompt_tokens": 3, "completion_tokens": 4})).usage
    assert (usage.total_tokens, usage.cached_tokens, usage.reasoning_tokens) == (7, None, None)


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{}]}, {"choices": [{"index": 1}]}])
def test_a_reply_without_an_answer_is_invalid(body: Json) -> None:
    with pytest.raises(InvalidResponseError):
        read(body)


def test_an_error_with_status_200_is_an_error() -> None:
    with pytest.raises(RateLimitError, match="slow") as caught:
        read({"error": {"code": 429, "message": "slow"}, "choices": []})
    assert (caught.value.status_code, caught.value.code) == (429, "429")


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(
            {"content": None, "tool_calls": [wire_call("c", "f", "{}", **SIGNED)]}, id="signed call"
        ),
        pytest.param(
            {"content": None, "reasoning_content": "Hm.", "tool_calls": [wire_call("c", "f", "{}")]},
            id="reasoning in a tool loop",
        ),
        pytest.param(
            {
                "content": None,
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x = 1"}}],
            },
            id="custom tool",
        ),
    ],
)
def test_m6_state_goes_back_as_it_came(message: Json) -> None:
    turn = read(completion("tool_calls", **message)).message
    sent = body_of(CHAT, USER, saved(turn), Message("tool", "1", tool_call_id="c"))["messages"][1]
    assert sent == {"role": "assistant", **message}


def test_m6_reasoning_details_go_back_with_a_text() -> None:
    details = [{"type": "reasoning.encrypted", "data": "ZW5j"}]
    turn = read(completion(content="Hi", reasoning_details=details)).message
    assert body_of(CHAT, USER, saved(turn), USER)["messages"][1]["reasoning_details"] == details


def test_an_edited_turn_is_rebuilt() -> None:
    turn = read(completion(content="Hi", reasoning_details=[{"data": "x"}])).message
    assert turn is not None
    sent = body_of(CHAT, USER, replace(turn, content="Ho"), USER)["messages"][1]
    assert sent == {"role": "assistant", "content": "Ho"}
