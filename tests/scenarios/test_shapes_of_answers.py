"""FA3 and FA4: text and reasoning are read in every shape, and wherever in a stream they stand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Dict, List

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    FinishReason,
    InvalidResponseError,
    LLMResponse,
    ReasoningDelta,
    TextDelta,
)
from tests.support.fixtures import Orchestrate
from tests.support.marks import chat, responses, streamed
from tests.support.money import answer
from tests.support.raw_replies import (
    ITEM,
    TEXT,
    WHOLE_ITEM,
    choice,
    chunk,
    completion,
    ended,
    events_of,
    message,
    raw,
    raw_stream,
    response_json,
    shaped,
)
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.ways import ask, run_async

Json = Dict[str, Any]


# ---------------------------------------------------------------- FA3: text that only the end of something holds

PLACE = {"item_id": "m1", "output_index": 0, "content_index": 0}


BEGUN = [
    {"type": "response.created", "response": response_json(status="in_progress")},
    {"type": "response.output_item.added", "output_index": 0, "item": {**ITEM, "content": []}},
]
TEXT_DONE = {"type": "response.output_text.done", **PLACE, "text": "Hello."}
PART_DONE = {"type": "response.content_part.done", **PLACE, "part": TEXT}
ITEM_DONE = {"type": "response.output_item.done", "output_index": 0, "item": WHOLE_ITEM}
DELTAS = [{"type": "response.output_text.delta", **PLACE, "delta": piece} for piece in ("Hel", "lo.")]
NAMELESS_DELTAS = [{"type": "response.output_text.delta", "item_id": "m1", "delta": "Hello."}]

LATE_TEXTS: Dict[str, List[Json]] = {
    "text done": [*BEGUN, TEXT_DONE, ended(WHOLE_ITEM)],
    "text done alone": [TEXT_DONE, ended()],
    "part done alone": [PART_DONE, ended()],
    "item done alone": [ITEM_DONE, ended()],
    "item done": [*BEGUN, ITEM_DONE, ended(WHOLE_ITEM)],
    "completed": [*BEGUN, ended(WHOLE_ITEM)],
    "completed alone": [ended(WHOLE_ITEM)],
    "all of them": [*BEGUN, *DELTAS, TEXT_DONE, PART_DONE, ITEM_DONE, ended(WHOLE_ITEM)],
    "half a text before": [*BEGUN, DELTAS[0], TEXT_DONE, PART_DONE, ITEM_DONE, ended(WHOLE_ITEM)],
    "half a text, then the end": [*BEGUN, DELTAS[0], ended(WHOLE_ITEM)],
    "another name of the item": [*NAMELESS_DELTAS, ITEM_DONE, ended(WHOLE_ITEM)],
    "an end without the text": [*BEGUN, *DELTAS, ended({**ITEM, "content": []})],
    "a done item without the text": [
        *BEGUN,
        *DELTAS,
        {**ITEM_DONE, "item": {**ITEM, "content": []}},
        ended(),
    ],
}


@responses
@streamed
@pytest.mark.parametrize("case", LATE_TEXTS)
def test_fa3_the_text_comes_once_wherever_it_stands(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, case: str
) -> None:
    server.script(raw_stream(LATE_TEXTS[case]))

    response = ask(orchestrate(), way)  # which checks that the pieces are the content

    assert (response.content, response.finish_reason) == ("Hello.", FinishReason.STOP)
    assert response.warnings == ()


DIFFERENT: Dict[str, Any] = {
    "another text": ([*BEGUN, {**DELTAS[0], "delta": "Bye"}, ended(WHOLE_ITEM)], "Hello."),
    "more than the text": ([*BEGUN, *DELTAS, {**DELTAS[0], "delta": " Bye."}, ended(WHOLE_ITEM)], "Hello."),
    "another text when it is done": ([{**DELTAS[0], "delta": "Bye"}, TEXT_DONE, ended()], "Hello."),
    "another item when it is done": ([{**DELTAS[0], "delta": "Bye"}, ITEM_DONE, ended()], "Hello."),
}


@responses
@streamed
@pytest.mark.parametrize("case", DIFFERENT)
def test_fa3_an_answer_that_differs_from_its_stream_counts_and_says_so(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, case: str
) -> None:
    events, content = DIFFERENT[case]
    server.script(raw_stream(events))
    orchestrator = orchestrate()

    async def final() -> LLMResponse:
        return await orchestrator.asend_streaming_request("Hi").final_response()

    if way == "streamed":
        response = orchestrator.send_streaming_request("Hi").final_response()
    else:
        response = run_async(orchestrator, final)

    assert (response.content, response.message.text) == (content, content)
    assert [warning for warning in response.warnings if "differs" in warning]


@responses
def test_fa3_a_comment_before_a_structured_answer_is_no_difference(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    items = [
        {**ITEM, "id": f"m{n}", "content": [{**TEXT, "text": text}]}
        for n, text in enumerate(["Let me see.", '{"title": "x"}'])
    ]
    done = [
        {"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(items)
    ]
    schema = {"text": {"format": {"type": "json_schema"}}}
    server.script(raw_stream([*done, ended(*items, **schema)]))

    response = orchestrate().send_streaming_request("Hi", response_format=Book).final_response()

    assert (response.parsed, response.warnings) == (Book(title="x"), ())


@responses
def test_fa3_reasoning_refusals_and_calls_of_the_last_event_come_too(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    thought = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "So."}]}
    call = {"type": "function_call", "id": "f", "call_id": "c1", "name": "clock", "arguments": "{}"}
    refusal = {"type": "response.refusal.done", **PLACE, "refusal": "No."}
    server.script(raw_stream([ended(thought, call)]), raw_stream([refusal, ended()]))
    orchestrator = orchestrate()

    events, response = events_of(orchestrator)
    assert events[:2] == [ReasoningDelta("So."), replace(events[1], id="c1", name="clock")]
    assert "".join(event.arguments for event in events[1:]) == "{}"
    assert [call.name for call in response.tool_calls] == ["clock"]

    _, refused = events_of(orchestrator)
    assert (refused.refusal, refused.finish_reason) == ("No.", FinishReason.CONTENT_FILTER)


# ---------------------------------------------------------------- FA4: shapes that can be read, and others


class Book(BaseModel):
    """A structured answer."""

    title: str


OBJECT = {"title": "x", "type": "book"}
#: A content, and its text.
SHAPES: Dict[str, Any] = {
    "object": (OBJECT, json.dumps(OBJECT)),
    "strings": (["Hello", "."], "Hello."),
    "output_text": ([{"type": "output_text", "text": "Hello."}], "Hello."),
    "text": ([{"type": "text", "text": "Hello."}], "Hello."),
    "a part alone": ({"type": "text", "text": "Hello."}, "Hello."),
    "a string": ("Hello.", "Hello."),
    "a text with notes": ([{"type": "text", "text": {"value": "Hello.", "annotations": []}}], "Hello."),
    "an object in a part": ([{"type": "text", "text": OBJECT}], json.dumps(OBJECT)),
    "objects in a list": ([{"title": "x"}], '[{"title": "x"}]'),
}
UNREADABLE: Dict[str, Any] = {
    "a number": 42,
    "a switch": True,
    "numbers": [1, 2],
    "a number as text": [{"type": "text", "text": 42}],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_fa4_what_can_be_read_is_the_text(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, shape: str
) -> None:
    content, text = SHAPES[shape]
    if dialect.name == "anthropic" and shape == "output_text":
        content = [{"type": "text", "text": "Hello."}]
    if dialect.name == "gemini" and shape.startswith("object"):
        content = [{"text": content}]
    if dialect.name == "anthropic" and shape == "objects in a list":
        content = [{"type": "text", "text": content}]
    server.script(shaped(dialect, way, content))

    response = ask(orchestrate(), way)

    assert (response.content, response.finish_reason) == (text, FinishReason.STOP)


@pytest.mark.parametrize("shape", UNREADABLE)
def test_fa4_what_cannot_be_read_is_no_empty_answer_and_is_tried_again(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    shape: str,
    waits: List[float],
) -> None:
    server.script(shaped(dialect, way, UNREADABLE[shape]), answer(dialect, way))

    response = ask(orchestrate(max_retries=1), way)

    assert [attempt.error for attempt in response.attempts] == ["InvalidResponseError", None]


@chat
def test_fa4_a_part_of_a_kind_that_nobody_knows_is_not_nothing(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(shaped(dialect, way, [{"type": "hologram", "data": "..."}]))

    with pytest.raises(InvalidResponseError, match="hologram"):
        ask(orchestrate(), way)


@chat
@streamed
@pytest.mark.parametrize("field", ["message", "text"])
def test_fa4_a_chunk_may_hold_a_message_or_a_text_in_place_of_a_delta(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, field: str
) -> None:
    said = {"message": message(content="Hello."), "text": "Hello."}[field]
    server.script(raw_stream([chunk(**{field: said}), chunk({}, "stop")], "[DONE]"))

    assert ask(orchestrate(), way).content == "Hello."


@chat
@streamed
def test_fa4_a_message_after_its_pieces_comes_once(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = message(content="Hello.")
    server.script(raw_stream([chunk({"content": "Hello."}), chunk(None, "stop", message=whole)]))

    assert ask(orchestrate(), way).content == "Hello."


@chat
def test_fa4_a_structured_answer_that_came_as_an_object_is_parsed(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(shaped(dialect, way, {"title": "x"}))

    assert ask(orchestrate(), way, response_format=Book).parsed == Book(title="x")


@chat
def test_fa4_parts_within_parts_without_end_are_our_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    content: Any = "Hello."
    for _ in range(50):
        content = [{"type": "text", "text": content}]
    server.script(shaped(dialect, way, content))

    with pytest.raises(InvalidResponseError, match="cannot be read"):
        ask(orchestrate(), way)


@responses
def test_fa4_an_output_may_be_a_string(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = {**response_json(), "output": "Hello."}
    server.script(raw(way, whole, [{"type": "response.completed", "response": whole}]))

    assert ask(orchestrate(), way).content == "Hello."


# ---------------------------------------------------------------- reasoning of compatible hosts

THINKING_PART = {"type": "thinking", "thinking": [{"type": "text", "text": "So. Then."}]}
REASONING: Dict[str, Any] = {
    "reasoning_content": ({"reasoning_content": "So. Then."}, "reasoning_content"),
    "reasoning": ({"reasoning": "So. Then."}, "reasoning"),
    "reasoning_details": (
        {"reasoning_details": [{"type": "reasoning.text", "text": "So. Then.", "index": 0}]},
        "reasoning_details",
    ),
    "summaries": (
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "So. Then."}]},
        "reasoning_details",
    ),
    "both": (
        {"reasoning": "So. Then.", "reasoning_details": [{"type": "reasoning.text", "text": "So. Then."}]},
        "reasoning",
    ),
    "thinking parts": ({"content": [THINKING_PART]}, "content"),
    "thinking as a string": ({"content": [{"type": "thinking", "thinking": "So. Then."}]}, "content"),
    "reasoning parts": ({"content": [{"type": "reasoning", "text": "So. Then."}]}, "content"),
}


@chat
@pytest.mark.parametrize("place", REASONING)
def test_fa4_reasoning_of_compatible_hosts_is_read_wherever_it_stands(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, place: str
) -> None:
    said = REASONING[place][0]
    parts = [*said.get("content", []), {"type": "text", "text": "Hello."}]
    whole = completion(choice(message(**{**said, "content": parts if "content" in said else "Hello."})))
    chunks = [chunk(said), chunk({"content": "Hel"}), chunk({"content": [{"type": "text", "text": "lo."}]})]
    server.script(raw(way, whole, [*chunks, chunk({}, "stop")], "[DONE]"))

    response = ask(orchestrate(), way)

    assert (response.content, response.reasoning) == ("Hello.", "So. Then.")


@chat
@pytest.mark.parametrize("place", REASONING)
def test_fa4_reasoning_comes_as_events(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, place: str
) -> None:
    chunks = [chunk(REASONING[place][0]), chunk({"content": "Hello."}), chunk({}, "stop")]
    server.script(raw_stream(chunks, "[DONE]"))

    assert events_of(orchestrate())[0] == [ReasoningDelta("So. Then."), TextDelta("Hello.")]


@chat
def test_fa4_details_beside_an_empty_field_are_for_the_model_alone(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    said = {"reasoning": None, "reasoning_details": [{"type": "reasoning.summary", "summary": "So."}]}
    whole = completion(choice(message(content="Hello.", **said)))
    server.script(raw(way, whole, [chunk({"content": "Hello.", **said}), chunk({}, "stop")], "[DONE]"))

    assert ask(orchestrate(), way).reasoning is None
