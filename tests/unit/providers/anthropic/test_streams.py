"""Streamed messages: the pieces, and that they come to what a whole answer would have said."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

import pytest

from llm_orchestrator.exceptions import InvalidResponseError, ProviderError
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import (
    FinishReason,
    LLMResponse,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
)
from tests.support.shapes.anthropic_shapes import (
    ADAPTER,
    ODD,
    Json,
    delta,
    message,
    read,
    start,
    stream,
    text,
)

FULL_USAGE = {"input_tokens": 3, "cache_read_input_tokens": 7, "output_tokens": 9, "service_tier": "standard"}
STREAMS: Dict[str, Tuple[List[Json], Json]] = {
    "text": (
        stream(
            [start(0, text("")), delta(0, "text_delta", text="Hel"), delta(0, "text_delta", text="lo")],
            start_usage={"input_tokens": 10, "output_tokens": 1},
            delta_usage={"output_tokens": 4},
        ),
        message(text("Hello")),
    ),
    "counts are cumulative and null keeps what the start said": (
        stream(
            [start(0, text("")), delta(0, "text_delta", text="Hi")],
            start_usage={**FULL_USAGE, "input_tokens": 1, "output_tokens": 2},
            delta_usage={"input_tokens": 3, "output_tokens": 9, "cache_read_input_tokens": None},
        ),
        message(text("Hi"), usage=FULL_USAGE),
    ),
    "signed thinking before the text": (
        stream(
            [
                start(0, {"type": "thinking", "thinking": "", "signature": ""}),
                delta(0, "thinking_delta", thinking="Let me "),
                delta(0, "thinking_delta", thinking="see."),
                delta(0, "signature_delta", signature="+/8="),
            ],
            [start(1, text("")), delta(1, "text_delta", text="Yes")],
            start_usage=FULL_USAGE,
            delta_usage={"output_tokens": 9},
        ),
        message(
            {"type": "thinking", "thinking": "Let me see.", "signature": "+/8="},
            text("Yes"),
            usage=FULL_USAGE,
        ),
    ),
    "interleaved calls, one without arguments, beside the provider's own": (
        stream(
            [
                start(0, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
                delta(0, "input_json_delta", partial_json='{"query": "x"}'),
            ],
            [
                start(1, {"type": "tool_use", "id": "a", "name": "f", "input": {}}),
                start(2, {"type": "tool_use", "id": "b", "name": "g", "input": {}}),
                delta(1, "input_json_delta", partial_json=""),
                delta(1, "input_json_delta", partial_json='{"city"'),
                delta(2, "input_json_delta", partial_json=""),
                delta(1, "input_json_delta", partial_json=': "Köln"}'),
            ],
            start_usage=FULL_USAGE,
            delta_usage={"output_tokens": 9},
            stop_reason="tool_use",
        ),
        message(
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"city": "Köln"}},
            {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            stop_reason="tool_use",
            usage=FULL_USAGE,
        ),
    ),
    "citations": (
        stream(
            [
                start(0, text("", citations=[])),
                delta(0, "citations_delta", citation={"url": "u"}),
                delta(0, "text_delta", text="So"),
                delta(0, "citations_delta", citation={"url": "v"}),
            ],
            start_usage=FULL_USAGE,
            delta_usage={"output_tokens": 9},
        ),
        message(text("So", citations=[{"url": "u"}, {"url": "v"}]), usage=FULL_USAGE),
    ),
    "a compaction, unknown events and deltas": (
        stream(
            [
                start(0, {"type": "compaction", "content": None}),
                delta(0, "compaction_delta", content="Before: ..."),
                delta(0, "smell_delta", smell="rose"),
                {"type": "weather_report", "index": 0},
            ],
            start_usage=FULL_USAGE,
            delta_usage={"output_tokens": 9},
            stop_reason="compaction",
        ),
        message({"type": "compaction", "content": "Before: ..."}, stop_reason="compaction", usage=FULL_USAGE),
    ),
    "a refusal": (
        stream(
            start_usage=FULL_USAGE,
            delta_usage={"output_tokens": 9},
            stop_reason="refusal",
            stop_details={"type": "refusal", "category": "bio", "explanation": "No."},
        ),
        message(
            stop_reason="refusal",
            stop_details={"type": "refusal", "category": "bio", "explanation": "No."},
            usage=FULL_USAGE,
        ),
    ),
    "no usage at all": (
        stream([start(0, text("Hi"))], start_usage=None, delta_usage=None),
        message(text("Hi"), usage=None),
    ),
}


def play(events: List[Json]) -> Tuple[List[StreamEvent], StreamState]:
    state = StreamState()
    pieces = [piece for event in events for piece in ADAPTER.parse_event(event, state)]
    return pieces, state


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_comes_to_the_same_message_as_a_whole_answer(name: str) -> None:
    events, whole = STREAMS[name]
    pieces, state = play(events)
    assembled = ADAPTER.assemble_reply(state)
    assert assembled == whole
    assert read(dict(assembled)) == read(whole)
    assert (state.complete, state.done) == (True, True)
    response = read(whole)
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)) == response.content
    reasoning = "".join(piece.text for piece in pieces if isinstance(piece, ReasoningDelta))
    assert (reasoning or None) == response.reasoning


def test_pieces_of_tool_calls_are_counted_among_the_callers_own() -> None:
    pieces, _ = play(STREAMS["interleaved calls, one without arguments, beside the provider's own"][0])
    assert pieces == [
        ToolCallDelta(0, "a", "f"),
        ToolCallDelta(1, "b", "g"),
        ToolCallDelta(0, arguments='{"city"'),
        ToolCallDelta(0, arguments=': "Köln"}'),
    ]


def test_arguments_cut_by_the_token_limit_stay_as_text() -> None:
    events = stream(
        [
            start(0, {"type": "tool_use", "id": "a", "name": "f", "input": {}}),
            delta(0, "input_json_delta", partial_json='{"city": "K'),
        ],
        start_usage=FULL_USAGE,
        delta_usage=None,
        stop_reason="max_tokens",
    )
    response = read(dict(ADAPTER.assemble_reply(play(events)[1])))
    call = response.tool_calls[0]
    assert (call.arguments, call.raw_arguments) == (None, '{"city": "K')
    assert response.finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize("length", range(5))
def test_a_stream_that_breaks_off_is_readable_and_never_complete(length: int) -> None:
    events = STREAMS["text"][0][:length]
    pieces, state = play(events)
    response = read(dict(ADAPTER.assemble_reply(state)))
    assert state.complete is False
    assert response.finish_reason is FinishReason.OTHER
    assert response.content == "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert response.usage.prompt_tokens == (10 if events else None)


def test_a_stop_reason_alone_does_not_make_a_stream_complete() -> None:
    _, state = play(STREAMS["text"][0][:-1])
    assert state.complete is False


def test_a_second_delta_of_the_message_takes_nothing_back() -> None:
    events = STREAMS["text"][0]
    again = {"type": "message_delta", "delta": {"stop_reason": None}, "container": {"id": "c"}}
    assembled = ADAPTER.assemble_reply(play([*events[:-1], again, events[-1]])[1])
    assert assembled == {**STREAMS["text"][1], "container": {"id": "c"}}


def test_text_without_the_start_of_its_block_is_not_lost() -> None:
    pieces, state = play([delta(0, "text_delta", text="Hi")])
    assert pieces == [TextDelta("Hi")]
    assert read(dict(ADAPTER.assemble_reply(state))).content == "Hi"


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
@pytest.mark.parametrize("name", STREAMS)
def test_odd_values_in_events_never_break_the_stream(name: str, odd: Any) -> None:
    events = STREAMS[name][0]
    for position, event in enumerate(events):
        changed = [{**event, key: odd} for key in event]
        for name_of_part in ("delta", "content_block", "message"):
            part = event.get(name_of_part, {})
            changed += [{**event, name_of_part: {**part, key: odd}} for key in part]
        for broken in changed:
            _, state = play([*events[:position], broken, *events[position + 1 :]])
            try:
                assert isinstance(read(dict(ADAPTER.assemble_reply(state))), LLMResponse)
            except InvalidResponseError as error:  # an odd value where its only text should be
                assert "cannot be read" in str(error)


@pytest.mark.parametrize("event", [{"type": "error"}, {"error": {"message": "Overloaded"}}])
def test_an_error_event_is_an_error_whatever_it_lacks(event: Json) -> None:
    with pytest.raises(ProviderError):
        ADAPTER.parse_event(event, StreamState())
