"""OpenAI's Responses streams as our values: streamed equals whole, errors, broken shapes."""

from __future__ import annotations

from typing import Any, List

import pytest

from llm_orchestrator.exceptions import (
    OverloadedError,
    ProviderError,
    RateLimitError,
    ServerError,
)
from llm_orchestrator.types import FinishReason, ReasoningDelta, TextDelta, ToolCallDelta
from tests.support.shapes.openai_responses_shapes import (
    CALL_ITEMS,
    CUSTOM,
    SEARCH,
    added,
    answer,
    begun,
    call_events,
    done,
    ended,
    of_item,
    refused,
    said,
    text_events,
    thought,
)
from tests.support.shapes.openai_shapes import RESPONSES, Json, play, read, read_stream, variants


@pytest.mark.parametrize(
    ("events", "whole", "pieces"),
    [
        pytest.param(
            text_events(0, said("Hello"), "Hel", "lo"),
            answer(said("Hello")),
            [TextDelta("Hel"), TextDelta("lo")],
            id="text",
        ),
        pytest.param(
            [
                {"type": "keepalive"},
                {"type": "response.queued"},
                *text_events(0, said("Hi"), "Hi"),
                {"type": "new"},
            ],
            answer(said("Hi"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            [TextDelta("Hi")],
            id="unknown events, cut by length",
        ),
        pytest.param(
            [
                *(of_item("reasoning_summary_text.delta", 0, summary_index=0, delta=text) for text in "AB"),
                of_item("reasoning_summary_text.delta", 0, summary_index=1, delta="C"),
                of_item("reasoning_text.delta", 1, content_index=0, delta="D"),
                *text_events(2, said("42"), "42"),
            ],
            answer(
                {"type": "reasoning", "summary": [{"text": "AB"}, {"text": "C"}]},
                {"type": "reasoning", "content": [{"text": "D"}]},
                said("42"),
            ),
            [
                ReasoningDelta("A"),
                ReasoningDelta("B"),
                ReasoningDelta("\n\nC"),
                ReasoningDelta("\n\nD"),
                TextDelta("42"),
            ],
            id="reasoning",
        ),
        pytest.param(
            [of_item("refusal.delta", 0, delta="No."), done(0, refused("No."))],
            answer(refused("No.")),
            [],
            id="refusal",
        ),
        pytest.param(
            [
                added(1, {**CALL_ITEMS[0], "arguments": ""}),
                added(2, {**CALL_ITEMS[1], "arguments": ""}),
                of_item("function_call_arguments.delta", 1, delta='{"city": '),
                of_item("function_call_arguments.delta", 2, delta="{}"),
                of_item("function_call_arguments.delta", 1, delta='"Bern"}'),
                done(1, CALL_ITEMS[0]),
                done(2, CALL_ITEMS[1]),
            ],
            answer(SEARCH, *CALL_ITEMS),
            [
                ToolCallDelta(0, "call_1", "weather"),
                ToolCallDelta(1, "call_2", "time"),
                ToolCallDelta(0, arguments='{"city": '),
                ToolCallDelta(1, arguments="{}"),
                ToolCallDelta(0, arguments='"Bern"}'),
            ],
            id="interleaved calls",
        ),
        pytest.param(
            [done(0, CALL_ITEMS[0])],
            answer(CALL_ITEMS[0]),
            [ToolCallDelta(0, "call_1", "weather"), ToolCallDelta(0, arguments='{"city": "Bern"}')],
            id="call without fragments",
        ),
        pytest.param(
            [
                added(0, {**CUSTOM, "input": ""}),
                of_item("custom_tool_call_input.delta", 0, delta="x = 1"),
                done(0, CUSTOM),
            ],
            answer(CUSTOM),
            [ToolCallDelta(0, "c", "f"), ToolCallDelta(0, arguments="x = 1")],
            id="custom tool",
        ),
    ],
)
def test_streamed_equals_whole(events: List[Json], whole: Json, pieces: List[Any]) -> None:
    streamed, response = read_stream([begun(), *events, ended(whole), {"type": "error", "message": "late"}])
    assert streamed == pieces
    assert response == read(whole)


def test_a_terminal_event_without_output_is_filled_up_from_the_items() -> None:
    events = [*text_events(0, said("Hi"), "Hi"), *call_events(1, CALL_ITEMS[0], "{}")]
    _, response = read_stream([begun(), *events, ended(answer())])
    assert response == read(answer(said("Hi"), CALL_ITEMS[0]))


def test_servers_that_name_items_by_id_alone() -> None:
    events = [begun(), *text_events(0, said("Hi"), "H", "i"), ended(answer(said("Hi")))]
    events = [{key: value for key, value in event.items() if key != "output_index"} for event in events]
    pieces, response = read_stream(events)
    assert (pieces, response.content) == ([TextDelta("H"), TextDelta("i")], "Hi")


def test_an_incomplete_stream_keeps_what_came() -> None:
    _, state = play(
        [
            begun(),
            *text_events(0, said("Done."), "Done."),
            *text_events(1, said("x", 2), "Hal", "f")[:-1],
            *call_events(2, CALL_ITEMS[0], '{"ci')[:-1],
        ]
    )
    response = read(RESPONSES.assemble_reply(state))
    assert not state.complete
    assert (response.content, response.finish_reason) == ("Done.Half", FinishReason.OTHER)
    assert [(call.id, call.raw_arguments) for call in response.tool_calls] == [("call_1", '{"ci')]
    assert response.usage.source == "missing"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (
            {"type": "error", "code": "server_is_overloaded", "message": "busy", "param": None},
            OverloadedError,
        ),
        ({"type": "error", "error": {"code": "rate_limit_exceeded", "message": "slow"}}, RateLimitError),
        ({"type": "response.failed", "response": {"error": {"code": "server_error"}}}, ServerError),
        ({"type": "response.failed"}, ServerError),
    ],
)
def test_an_error_in_the_stream_is_typed(event: Json, error: Any) -> None:
    with pytest.raises(error) as caught:
        play([begun(), event])
    assert type(caught.value) is error


@pytest.mark.slow
def test_odd_values_in_a_reply_raise_nothing_but_our_errors() -> None:
    whole = answer(
        thought("A"), said("x", phase="final_answer"), CALL_ITEMS[0], incomplete_details={"reason": "x"}
    )
    for body in variants(whole):
        try:
            response = read(body)
        except ProviderError:
            continue
        assert isinstance(response.content, str) and isinstance(response.model, str)


@pytest.mark.slow
def test_odd_values_in_a_stream_raise_nothing_but_our_errors() -> None:
    events = [
        *text_events(0, said("Hi"), "Hi"),
        *call_events(1, CALL_ITEMS[0], "{}"),
        of_item("reasoning_text.delta", 2, content_index=0, delta="D"),
    ]
    for event in events:
        for odd in variants(event):
            try:
                _, state = play([begun(), odd, *events])
                read(RESPONSES.assemble_reply(state))
            except ProviderError:
                continue
