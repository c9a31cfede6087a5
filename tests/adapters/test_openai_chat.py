"""OpenAI Chat, both ways: our requests as its JSON, its whole and streamed JSON as our values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, List, Optional

import pytest

from llm_orchestrator.exceptions import (
    ContextLengthError,
    InvalidMessagesError,
    InvalidResponseError,
    OverloadedError,
    ProviderError,
    RateLimitError,
)
from llm_orchestrator.types import (
    FinishReason,
    Message,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
)
from tests.adapters.openai_shapes import (
    ANSWERED,
    ASKED,
    CALLS,
    CHAT,
    TOOL,
    USER,
    Json,
    body_of,
    play,
    read,
    read_stream,
    request,
    saved,
    variants,
)

USAGE: Json = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
IMAGE: Json = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
FILE: Json = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}


def completion(finish: Any = "stop", usage: Any = USAGE, **message: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served-1",
        "choices": [choice],
        "usage": usage,
    }


def chunk(finish: Optional[str] = None, **delta: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "served-1"}
    return {**head, "choices": [choice]}


USAGE_CHUNK: Json = {**chunk(), "choices": [], "usage": USAGE}


def wire_call(identifier: Optional[str], name: str, arguments: Any, **more: Any) -> Json:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


# ------------------------------------------------------------------------------------------------ requests


def test_a_plain_request_sends_nothing_that_was_not_asked_for() -> None:
    assert body_of(CHAT) == {"model": "model-1", "messages": [{"role": "user", "content": "Hi"}]}


def test_every_parameter_has_its_field() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    body = body_of(
        CHAT,
        temperature=0.0,
        top_p=0.5,
        max_tokens=9,
        stop=("a", "b"),
        seed=0,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        tools=(TOOL, {"type": "native"}),
        tool_choice={"type": "function", "function": {"name": "weather"}},
        parallel_tool_calls=False,
        response_format=schema,
        reasoning_effort="low",
    )
    assert body == {
        "model": "model-1",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.0,
        "top_p": 0.5,
        "max_completion_tokens": 9,
        "stop": ["a", "b"],
        "seed": 0,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "tools": [TOOL, {"type": "native"}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": schema,
        "reasoning_effort": "low",
    }


def test_a_stream_asks_for_its_usage() -> None:
    wire = CHAT.build_request(request(), stream=True)
    assert wire.body is not None
    assert (wire.body["stream"], wire.body["stream_options"]) == (True, {"include_usage": True})


def test_top_k_has_no_field() -> None:
    wire = CHAT.build_request(request(top_k=5), stream=False)
    assert wire.unsupported == ("top_k",)
    assert wire.body is not None and "top_k" not in wire.body


WIRE_CALLS = [wire_call("call_1", "weather", '{"city": "Bern"}'), wire_call("call_2", "time", "{}")]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(
            [Message("system", "A"), Message("system", "B"), USER],
            [
                {"role": "system", "content": "A"},
                {"role": "system", "content": "B"},
                {"role": "user", "content": "Hi"},
            ],
            id="several system messages",
        ),
        pytest.param([Message("system", "A")], [{"role": "system", "content": "A"}], id="system only"),
        pytest.param(
            [USER, Message("system", "A")],
            [{"role": "user", "content": "Hi"}, {"role": "system", "content": "A"}],
            id="system later",
        ),
        pytest.param([USER, USER], [{"role": "user", "content": "Hi"}] * 2, id="two user turns"),
        pytest.param([Message("user", "")], [{"role": "user", "content": ""}], id="empty text"),
        pytest.param([Message("user", [])], [{"role": "user", "content": ""}], id="no parts"),
        pytest.param(
            [USER, Message("assistant", "Yo")],
            [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}],
            id="assistant last",
        ),
        pytest.param(
            [Message("assistant", None), USER],
            [{"role": "assistant", "content": ""}, {"role": "user", "content": "Hi"}],
            id="empty assistant",
        ),
        pytest.param(
            [Message("user", "Hi", name="ann")],
            [{"role": "user", "content": "Hi", "name": "ann"}],
            id="named user",
        ),
        pytest.param(
            [Message("user", [{"type": "text", "text": "See"}, IMAGE, FILE])],
            [{"role": "user", "content": [{"type": "text", "text": "See"}, IMAGE, FILE]}],
            id="image and file",
        ),
        pytest.param(
            [Message("user", [{"type": "image_url", "image_url": "https://x/y.png"}])],
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
                }
            ],
            id="image as plain URL",
        ),
        pytest.param(
            [USER, ASKED, *ANSWERED],
            [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": None, "tool_calls": WIRE_CALLS},
                {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
            ],
            id="parallel tool results",
        ),
        pytest.param(
            [
                replace(ASKED, content="Let me see.", tool_calls=(ToolCall("c", "f", {"a": 1}),)),
                Message("tool", [{"type": "text", "text": "1"}], tool_call_id="c"),
            ],
            [
                {
                    "role": "assistant",
                    "content": "Let me see.",
                    "tool_calls": [wire_call("c", "f", '{"a": 1}')],
                },
                {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "1"}]},
            ],
            id="text and a call made by hand",
        ),
    ],
)
def test_m3_histories(history: List[Message], expected: List[Json]) -> None:
    assert body_of(CHAT, *history)["messages"] == expected


@pytest.mark.parametrize(
    ("history", "index"),
    [
        pytest.param([USER, Message("tool", "x", tool_call_id="nobody's")], 1, id="orphan result"),
        pytest.param([USER, ASKED], 1, id="unanswered calls"),
        pytest.param([USER, ASKED, ANSWERED[0], USER], 1, id="half answered"),
        pytest.param([ASKED, *ANSWERED, USER, ANSWERED[0]], 4, id="answered late"),
        pytest.param([USER, Message("user", [{"text": "no type"}])], 1, id="part without type"),
        pytest.param([Message("user", [{"type": "image_url", "image_url": {}}])], 0, id="image without URL"),
        pytest.param(
            [Message("user", [{"type": "file", "file": {"file_data": "https://x/y.pdf"}}])],
            0,
            id="file by URL",
        ),
    ],
)
def test_m3_what_would_be_rejected_is_named_by_its_index(history: List[Message], index: int) -> None:
    with pytest.raises(InvalidMessagesError, match=rf"messages\[{index}\]") as caught:
        body_of(CHAT, *history)
    assert caught.value.index == index


# ------------------------------------------------------------------------------------------------- replies


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


# ------------------------------------------------------------------------------------------- opaque state

SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln+/=="}}}


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


# ------------------------------------------------------------------------------------------------- streams


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


# ----------------------------------------------------------------------------------------- broken shapes

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
