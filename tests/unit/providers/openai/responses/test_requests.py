"""Our requests as OpenAI's Responses JSON, histories included."""

from __future__ import annotations

from dataclasses import replace
from typing import List

import pytest

from llm_orchestrator.exceptions import (
    InvalidMessagesError,
    UnsupportedParameterError,
)
from llm_orchestrator.types import Message, ToolCall
from tests.support.shapes.openai_responses_shapes import HI, SCHEMA, answer, message_item, said, thought
from tests.support.shapes.openai_shapes import (
    ANSWERED,
    ASKED,
    RESPONSES,
    TOOL,
    USER,
    Json,
    body_of,
    read,
    request,
    saved,
)


def test_a_plain_request_stores_nothing() -> None:
    assert body_of(RESPONSES) == {"model": "model-1", "input": [HI], "store": False}


def test_every_parameter_has_its_field() -> None:
    native = {"type": "web_search"}
    wire = RESPONSES.build_request(
        request(
            temperature=0.0,
            top_p=0.5,
            max_tokens=9,
            tools=(TOOL, native),
            tool_choice={"type": "function", "function": {"name": "weather"}},
            parallel_tool_calls=False,
            response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}},
            reasoning_effort="low",
        ),
        stream=True,
    )
    assert wire.body == {
        "model": "model-1",
        "input": [HI],
        "store": False,
        "temperature": 0.0,
        "top_p": 0.5,
        "max_output_tokens": 9,
        "tools": [{"type": "function", **TOOL["function"], "strict": False}, native],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA}},
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
        "stream": True,
    }
    assert (wire.api, wire.path, wire.unsupported, wire.warnings) == ("responses", "/responses", (), ())


def test_json_mode_and_plain_choices() -> None:
    body = body_of(RESPONSES, response_format={"type": "json_object"}, tool_choice="required")
    assert (body["text"], body["tool_choice"]) == ({"format": {"type": "json_object"}}, "required")


def test_a_tool_without_parameters_takes_none() -> None:
    (tool,) = body_of(RESPONSES, tools=({"type": "function", "function": {"name": "f", "strict": True}},))[
        "tools"
    ]
    assert tool == {
        "type": "function",
        "name": "f",
        "parameters": {"type": "object", "properties": {}},
        "strict": True,
    }


def test_what_responses_has_no_field_for() -> None:
    wire = RESPONSES.build_request(
        request(seed=0, stop=("x",), frequency_penalty=0.0, presence_penalty=0.0, top_k=1), stream=False
    )
    assert set(wire.unsupported) == {"seed", "stop", "frequency_penalty", "presence_penalty", "top_k"}
    assert wire.body == {"model": "model-1", "input": [HI], "store": False}


def test_stop_cannot_be_left_out() -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        RESPONSES.prepare(request(stop=("x",)), stream=False)
    assert caught.value.parameter == "stop"


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [
        ({}, False),
        ({"reasoning_effort": "low"}, True),
        ({"provider_options": {"reasoning": {"summary": "auto"}}}, True),
    ],
)
def test_encrypted_reasoning_is_asked_for_only_where_the_model_is_known_to_reason(
    parameters: Json, asked: bool
) -> None:
    assert ("include" in body_of(RESPONSES, **parameters)) is asked


def test_encrypted_reasoning_is_asked_for_when_the_history_has_some() -> None:
    turn = read(answer(thought("Hm."), said("Yo"))).message
    assert body_of(RESPONSES, USER, saved(turn), USER)["include"] == ["reasoning.encrypted_content"]


CALL_INPUTS = [
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Bern"}'},
    {"type": "function_call", "call_id": "call_2", "name": "time", "arguments": "{}"},
]
OUTPUTS = [
    {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    {"type": "function_call_output", "call_id": "call_2", "output": "noon"},
]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(
            [Message("system", "A"), Message("system", "B"), USER],
            [message_item("system", "A"), message_item("system", "B"), HI],
            id="several system messages",
        ),
        pytest.param([Message("system", "A")], [message_item("system", "A")], id="system only"),
        pytest.param([USER, Message("system", "A")], [HI, message_item("system", "A")], id="system later"),
        pytest.param([USER, USER], [HI, HI], id="two user turns"),
        pytest.param([Message("user", "")], [message_item("user", "")], id="empty text"),
        pytest.param([Message("user", [])], [message_item("user", "")], id="no parts"),
        pytest.param(
            [USER, Message("assistant", "Yo")], [HI, message_item("assistant", "Yo")], id="assistant last"
        ),
        pytest.param(
            [Message("assistant", None), USER], [message_item("assistant", ""), HI], id="empty assistant"
        ),
        pytest.param(
            [
                Message("assistant", [{"type": "text", "text": "Yo"}, {"type": "refusal", "refusal": "No"}]),
                USER,
            ],
            [
                message_item(
                    "assistant",
                    [{"type": "output_text", "text": "Yo"}, {"type": "refusal", "refusal": "No"}],
                ),
                HI,
            ],
            id="assistant in parts",
        ),
        pytest.param([USER, ASKED, *ANSWERED], [HI, *CALL_INPUTS, *OUTPUTS], id="parallel tool results"),
        pytest.param(
            [USER, ASKED, ANSWERED[0], USER, ANSWERED[1]],
            [HI, *CALL_INPUTS, OUTPUTS[0], HI, OUTPUTS[1]],
            id="result after another turn",
        ),
        pytest.param(
            [
                replace(ASKED, content="Let me see.", tool_calls=(ToolCall("c", "f", {"a": 1}),)),
                Message("tool", [{"type": "text", "text": "1"}], tool_call_id="c"),
            ],
            [
                message_item("assistant", "Let me see."),
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'},
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_text", "text": "1"}],
                },
            ],
            id="text and a call made by hand",
        ),
    ],
)
def test_m3_histories(history: List[Message], expected: List[Json]) -> None:
    assert body_of(RESPONSES, *history)["input"] == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "See"}, {"type": "input_text", "text": "See"}),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
        ),
        (
            {"type": "image_url", "image_url": "https://x/y.png"},
            {"type": "input_image", "image_url": "https://x/y.png"},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://x/a.pdf"}},
            {"type": "input_file", "file_url": "https://x/a.pdf"},
        ),
        ({"type": "input_image", "file_id": "file-1"}, {"type": "input_image", "file_id": "file-1"}),
    ],
)
def test_parts(part: Json, expected: Json) -> None:
    (item,) = body_of(RESPONSES, Message("user", [part]))["input"]
    assert item["content"] == [expected]


@pytest.mark.parametrize(
    ("history", "index"),
    [
        pytest.param([USER, Message("tool", "x", tool_call_id="nobody's")], 1, id="orphan result"),
        pytest.param([USER, ASKED, ANSWERED[0], USER], 1, id="unanswered call"),
        pytest.param([Message("user", [{"type": "input_audio", "input_audio": {}}])], 0, id="audio"),
        pytest.param([USER, Message("assistant", [{"type": "image_url"}]), USER], 1, id="image of assistant"),
        pytest.param([Message("user", [{"type": "image_url", "image_url": {}}])], 0, id="image without URL"),
    ],
)
def test_m3_what_would_be_rejected_is_named_by_its_index(history: List[Message], index: int) -> None:
    with pytest.raises(InvalidMessagesError, match=rf"messages\[{index}\]") as caught:
        body_of(RESPONSES, *history)
    assert caught.value.index == index


def test_names_of_messages_are_left_out_with_a_warning() -> None:
    wire = RESPONSES.build_request(request(Message("user", "Hi", name="ann")), stream=False)
    assert wire.body is not None and wire.body["input"] == [HI]
    assert "Names" in wire.warnings[0]
