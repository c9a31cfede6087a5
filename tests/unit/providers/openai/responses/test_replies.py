"""OpenAI's whole Responses replies as our values, and the items that go back with a turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, List, Optional

import pytest

from llm_orchestrator.exceptions import (
    InvalidRequestError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)
from llm_orchestrator.types import FinishReason, Message, TokenUsage
from tests.support.shapes.openai_responses_shapes import (
    CALL_ITEMS,
    CUSTOM,
    SEARCH,
    USAGE,
    answer,
    message_item,
    refused,
    said,
    thought,
)
from tests.support.shapes.openai_shapes import ANSWERED, CALLS, RESPONSES, USER, Json, body_of, read, saved


def test_a_whole_reply() -> None:
    response = read(answer(said("Hello")))
    assert (response.content, response.model, response.provider) == ("Hello", "served-1", "openai")
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.STOP, "completed")
    assert response.usage == TokenUsage(12, 5, 17, 8, 2, 3, raw=USAGE)
    assert (response.tool_calls, response.reasoning, response.refusal) == ((), None, None)
    assert response.message == Message("assistant", "Hello", provider="openai")


@pytest.mark.parametrize(
    ("status", "reason", "finish", "raw"),
    [
        ("completed", None, FinishReason.STOP, "completed"),
        ("incomplete", "max_output_tokens", FinishReason.LENGTH, "max_output_tokens"),
        ("incomplete", "content_filter", FinishReason.CONTENT_FILTER, "content_filter"),
        ("incomplete", "max_messages", FinishReason.OTHER, "max_messages"),
        ("incomplete", None, FinishReason.OTHER, "incomplete"),
        ("queued", None, FinishReason.OTHER, "queued"),
        ("something_new", None, FinishReason.OTHER, "something_new"),
    ],
)
def test_m4_every_status_has_its_meaning(
    status: str, reason: Optional[str], finish: FinishReason, raw: str
) -> None:
    details = {"reason": reason} if reason else None
    response = read(answer(said("x"), status=status, incomplete_details=details))
    assert (response.finish_reason, response.raw_finish_reason) == (finish, raw)


def test_calls_carry_the_call_id_and_what_openai_ran_itself_is_none() -> None:
    response = read(answer(SEARCH, *CALL_ITEMS))
    assert response.tool_calls == CALLS
    assert response.finish_reason is FinishReason.TOOL_CALLS


def test_reasoning_is_summaries_and_clear_text() -> None:
    clear = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "C"}], "summary": []}
    assert read(answer(thought("A"), thought("B"), clear, said("x"))).reasoning == "A\n\nB\n\nC"


def test_m4_a_refusal_is_an_answer_and_goes_back_as_one() -> None:
    response = read(answer(refused("I won't.")))
    assert (response.content, response.refusal) == ("", "I won't.")
    assert response.finish_reason is FinishReason.CONTENT_FILTER
    assert body_of(RESPONSES, USER, saved(response.message), USER)["input"][1] == refused("I won't.")


TWO = (said('{"a": 0}', 1, phase="commentary"), said('{"a": 1}', 2, phase="final_answer"))


def test_two_messages_are_one_text_but_not_one_json() -> None:
    assert read(answer(said("One. "), said("Two.", 2))).content == "One. Two."
    json_format = {"format": {"type": "json_schema", "name": "s", "schema": {}}}
    assert read(answer(*TWO, text=json_format)).content == '{"a": 1}'
    assert read(answer(*reversed(TWO), text=json_format)).content == '{"a": 1}'


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("server_error", ServerError),
        ("rate_limit_exceeded", RateLimitError),
        ("invalid_prompt", InvalidRequestError),
        ("invalid_image_format", InvalidRequestError),
        ("brand_new", ServerError),
    ],
)
def test_m4_a_failed_response_is_the_error_of_its_code(code: str, error: Any) -> None:
    failed = {**answer(status="failed"), "error": {"code": code, "message": "Why."}}
    with pytest.raises(error, match="Why") as caught:
        read(failed)
    assert (caught.value.code, caught.value.status_code) == (code, None)


def test_a_failed_response_that_says_not_why_is_an_error_all_the_same() -> None:
    with pytest.raises(ServerError):
        read(answer(status="failed"))


def test_a_reply_without_output_is_invalid() -> None:
    with pytest.raises(InvalidResponseError):
        read({"object": "response", "status": "completed"})


def test_usage_that_does_not_come_is_missing() -> None:
    assert read(answer(said("x"), usage=None)).usage == TokenUsage(source="missing")


@pytest.mark.parametrize(
    "output",
    [
        pytest.param([thought("Hm."), said("Yo")], id="reasoning and text"),
        pytest.param([thought(""), CALL_ITEMS[0], thought("B", number=2), CALL_ITEMS[1]], id="interleaved"),
        pytest.param([said("Wait.", phase="commentary"), *CALL_ITEMS], id="phase"),
        pytest.param([said("A"), said("B", 2)], id="two messages"),
        pytest.param([SEARCH, said("Found.")], id="tool that ran at OpenAI"),
        pytest.param([CALL_ITEMS[0], said("After"), CALL_ITEMS[1]], id="text behind a call"),
    ],
)
def test_m6_items_go_back_as_they_came(output: List[Json]) -> None:
    response = read(answer(*output))
    results = [Message("tool", "1", tool_call_id=call.id) for call in response.tool_calls]
    sent = body_of(RESPONSES, USER, saved(response.message), *results)["input"]
    assert sent[1 : 1 + len(output)] == output


def test_a_custom_tool_gets_its_own_kind_of_result() -> None:
    response = read(answer(CUSTOM))
    assert (response.tool_calls[0].raw_arguments, response.tool_calls[0].arguments) == ("x = 1", None)
    sent = body_of(RESPONSES, USER, saved(response.message), Message("tool", "1", tool_call_id="c"))["input"]
    assert sent[1:] == [CUSTOM, {"type": "custom_tool_call_output", "call_id": "c", "output": "1"}]


def test_two_messages_of_json_go_back_although_only_one_is_the_content() -> None:
    json_format = {"format": {"type": "json_object"}}
    turn = read(answer(*TWO, text=json_format)).message
    assert body_of(RESPONSES, USER, saved(turn), USER)["input"][1:3] == list(TWO)


def test_plain_turns_keep_no_state() -> None:
    response = read(answer(said("Wait."), *CALL_ITEMS))
    assert response.message == Message("assistant", "Wait.", tool_calls=CALLS, provider="openai")


def test_reasoning_that_is_not_encrypted_cannot_go_back_nor_can_ids_that_lead_to_it() -> None:
    output = [thought("Hm.", encrypted=None), SEARCH, said("Wait.", phase="commentary"), CALL_ITEMS[0]]
    turn = read(answer(*output)).message
    sent = body_of(RESPONSES, USER, saved(turn), ANSWERED[0])["input"]
    assert [item["type"] for item in sent[1:]] == ["message", "function_call", "function_call_output"]
    assert sent[1]["phase"] == "commentary"
    assert not any("id" in item for item in sent)


def test_reasoning_that_led_to_nothing_does_not_go_back() -> None:
    turn = read(answer(thought("Hm."), status="incomplete")).message
    assert turn is not None and turn.provider_state is None


def test_an_edited_turn_is_rebuilt() -> None:
    turn = read(answer(thought("Hm."), said("Yo"))).message
    assert turn is not None
    sent = body_of(RESPONSES, USER, replace(turn, content="Ho"), USER)["input"]
    assert sent[1] == message_item("assistant", "Ho")
