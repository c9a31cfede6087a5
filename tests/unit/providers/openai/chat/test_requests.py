"""Our requests as OpenAI's Chat JSON, histories included."""

from __future__ import annotations

from dataclasses import replace
from typing import List

import pytest

from llm_orchestrator.exceptions import (
    InvalidMessagesError,
)
from llm_orchestrator.types import Message, ToolCall
from tests.support.shapes.openai_chat_shapes import FILE, IMAGE, WIRE_CALLS, wire_call
from tests.support.shapes.openai_shapes import ANSWERED, ASKED, CHAT, TOOL, USER, Json, body_of, request


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
