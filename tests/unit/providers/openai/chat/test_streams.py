"""OpenAI's Chat streams as our values: streamed equals whole, errors, broken shapes."""

from __future__ import annotations

from typing import Any, List

import pytest

from llm_orchestrator.exceptions import (
    ContextLengthError,
    OverloadedError,
    ProviderError,
    RateLimitError,
)
from llm_orchestrator.types import FinishReason, ReasoningDelta, TextDelta, ToolCallDelta
from tests.support.shapes.openai_chat_shapes import (
    SIGNED,
    USAGE,
    USAGE_CHUNK,
    WIRE_CALLS,
    chunk,
    completion,
    wire_call,
)
from tests.support.shapes.openai_shapes import CHAT, Json, play, read, read_stream, variants


@pytest.mark.parametrize(
    ("events", "whole", "pieces"),
    [
        pytest.param(
            [chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), chunk("stop")],
            completion(content="Hello"),
            [TextDelta("Hel"), TextDelta("lo")],
            id="text",
        ),
        pytest.param(
            [chunk(role="assistant", content="A"), chunk(role="assistant", content="B"), chunk("length")],
            completion("length", content="AB"),
            [TextDelta("A"), TextDelta("B")],
            id="role repeated, cut by length",
        ),
        pytest.param(
            [chunk(reasoning_content="Hm"), chunk(reasoning_content="."), chunk("stop", content="42")],
            completion(content="42", reasoning_content="Hm."),
            [ReasoningDelta("Hm"), ReasoningDelta("."), TextDelta("42")],
            id="reasoning",
        ),
        pytest.param(
            [chunk(reasoning="Hm", reasoning_content="Hm"), chunk("stop", content="42")],
            completion(content="42", reasoning_content="Hm", reasoning="Hm"),
            [ReasoningDelta("Hm"), TextDelta("42")],
            id="reasoning told twice",
        ),
        pytest.param(
            [chunk(refusal="I "), chunk(refusal="won't."), chunk("stop")],
            completion(content=None, refusal="I won't."),
            [],
            id="refusal",
        ),
        pytest.param(
            [
                chunk(tool_calls=[{"index": 0, **wire_call("call_1", "weather", "")}]),
                chunk(tool_calls=[{"index": 1, **wire_call("call_2", "time", "")}]),
                chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"city": '}}]),
                chunk(tool_calls=[{"index": 1, "function": {"arguments": "{}"}}]),
                chunk(tool_calls=[{"index": 0, "function": {"arguments": '"Bern"}'}}]),
                chunk("tool_calls"),
            ],
            completion("tool_calls", content=None, tool_calls=WIRE_CALLS),
            [
                ToolCallDelta(0, "call_1", "weather", ""),
                ToolCallDelta(1, "call_2", "time", ""),
                ToolCallDelta(0, arguments='{"city": '),
                ToolCallDelta(1, arguments="{}"),
                ToolCallDelta(0, arguments='"Bern"}'),
            ],
            id="interleaved calls",
        ),
        pytest.param(
            [
                chunk(tool_calls=[{"index": 0, **wire_call("call_1", "weather", '{"city": "Bern"}')}]),
                chunk("stop", tool_calls=[{"index": 0, **wire_call("call_2", "time", "{}")}]),
            ],
            completion("stop", content=None, tool_calls=WIRE_CALLS),
            [
                ToolCallDelta(0, "call_1", "weather", '{"city": "Bern"}'),
                ToolCallDelta(1, "call_2", "time", "{}"),
            ],
            id="all calls with the same index",
        ),
        pytest.param(
            [chunk(tool_calls=[wire_call("c", "f", "{}", **SIGNED)]), chunk("tool_calls")],
            completion("tool_calls", content=None, tool_calls=[wire_call("c", "f", "{}", **SIGNED)]),
            [ToolCallDelta(0, "c", "f", "{}")],
            id="signed call without index",
        ),
        pytest.param(
            [
                chunk(tool_calls=[{"index": 0, "id": "c", "type": "custom", "custom": {"name": "f"}}]),
                chunk("tool_calls", tool_calls=[{"index": 0, "custom": {"input": "x = 1"}}]),
            ],
            completion(
                "tool_calls",
                content=None,
                tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x = 1"}}],
            ),
            [ToolCallDelta(0, "c", "f", ""), ToolCallDelta(0, arguments="x = 1")],
            id="custom tool",
        ),
        pytest.param(
            [
                chunk(reasoning_details=[{"data": "a"}]),
                chunk("stop", content="x", reasoning_details=[{"d": 1}]),
            ],
            completion(content="x", reasoning_details=[{"data": "a"}, {"d": 1}]),
            [TextDelta("x")],
            id="lists are put together",
        ),
    ],
)
def test_streamed_equals_whole(events: List[Json], whole: Json, pieces: List[Any]) -> None:
    streamed, response = read_stream([*events, USAGE_CHUNK])
    assert streamed == pieces
    assert response == read(whole)
    assert response.usage.source == "reported"


def test_the_old_function_call_in_a_stream() -> None:
    pieces, response = read_stream(
        [
            chunk(function_call={"name": "f", "arguments": ""}),
            chunk(function_call={"arguments": '{"a": 1}'}),
            chunk("function_call"),
        ]
    )
    assert pieces == [ToolCallDelta(0, None, "f", ""), ToolCallDelta(0, arguments='{"a": 1}')]
    assert [(call.name, call.arguments) for call in response.tool_calls] == [("f", {"a": 1})]
    assert response.usage.source == "missing"


def test_calls_without_ids_and_indexes_in_a_stream() -> None:
    pieces = [{"function": {"name": "f", "arguments": "{"}}, {"function": {"arguments": "}"}}]
    _, response = read_stream([chunk("tool_calls", tool_calls=[*pieces, {"function": {"name": "g"}}])])
    assert [(call.name, call.raw_arguments) for call in response.tool_calls] == [("f", "{}"), ("g", "")]


def test_a_role_in_every_chunk_is_one_role() -> None:
    _, state = play([chunk(role="assistant", content="A"), chunk("stop", role="assistant", content="B")])
    message = CHAT.assemble_reply(state)["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "AB"}


def test_the_usage_comes_after_the_finish_reason() -> None:
    _, state = play([chunk(content="x"), chunk("stop")])
    assert (state.complete, state.done) == (True, False)


def test_the_last_of_several_usages_counts_and_late_fields_are_kept() -> None:
    _, state = play(
        [
            {**chunk(content="x"), "usage": {"prompt_tokens": 9, "completion_tokens": 1}},
            chunk("stop"),
            {**USAGE_CHUNK, "service_tier": "flex"},
        ]
    )
    reply = CHAT.assemble_reply(state)
    assert reply["service_tier"] == "flex"
    assert reply["usage"] == USAGE


def test_logprobs_are_collected() -> None:
    first, second = chunk(content="a"), chunk("stop", content="b")
    first["choices"][0]["logprobs"] = {"content": [{"token": "a"}], "refusal": None}
    second["choices"][0]["logprobs"] = {"content": [{"token": "b"}]}
    _, state = play([first, second])
    logprobs = CHAT.assemble_reply(state)["choices"][0]["logprobs"]
    assert logprobs["content"] == [{"token": "a"}, {"token": "b"}]


def test_other_choices_are_left_out() -> None:
    other = chunk("stop", content="no")
    other["choices"][0]["index"] = 1
    pieces, state = play([chunk(content="yes"), other])
    assert (pieces, state.complete) == ([TextDelta("yes")], False)


def test_an_incomplete_stream_keeps_what_came() -> None:
    _, state = play([chunk(content="Hel")])
    response = read(CHAT.assemble_reply(state))
    assert (response.content, response.finish_reason) == ("Hel", FinishReason.OTHER)
    assert response.usage.source == "missing"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": {"code": "server_is_overloaded", "message": "busy"}}, OverloadedError),
        (
            {"error": {"code": 429, "message": "slow"}, "choices": [{"finish_reason": "error"}]},
            RateLimitError,
        ),
        (
            {"object": "error", "message": "maximum context length", "type": "BadRequestError", "code": 400},
            ContextLengthError,
        ),
    ],
)
def test_an_error_in_the_stream_is_typed(event: Json, error: Any) -> None:
    with pytest.raises(error):
        play([chunk(content="x"), event])


FULL_MESSAGE: Json = {"content": "x", "refusal": "n", "reasoning_content": "r", "tool_calls": WIRE_CALLS[:1]}


@pytest.mark.slow
def test_odd_values_in_a_reply_raise_nothing_but_our_errors() -> None:
    for body in variants(completion(**FULL_MESSAGE)):
        try:
            response = read(body)
        except ProviderError:
            continue
        assert isinstance(response.content, str) and isinstance(response.model, str)


@pytest.mark.slow
def test_odd_values_in_a_stream_raise_nothing_but_our_errors() -> None:
    call = {"index": 0, **WIRE_CALLS[0]}
    last = {**chunk("stop", **{**FULL_MESSAGE, "tool_calls": [call]}), "usage": USAGE}
    for event in variants(last):
        try:
            pieces, state = play([chunk(content="x"), event])
            read(CHAT.assemble_reply(state))
        except ProviderError:
            continue
        assert all(piece.text for piece in pieces if isinstance(piece, TextDelta))
