"""Gemini's streams: pieces as they come, and in the end what the whole answer would have been."""

from __future__ import annotations

import time
from typing import Any, Dict, List

import pytest

from llm_orchestrator.exceptions import OverloadedError
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import FinishReason, LLMResponse, ReasoningDelta, TextDelta, ToolCallDelta
from tests.support.shapes.gemini_shapes import (
    ADAPTER,
    SIGNATURE,
    USAGE,
    call,
    read,
    read_stream,
    reply,
    text,
    whole,
)

Json = Dict[str, Any]
ROME = call(args={"city": "Rome"}, thoughtSignature=SIGNATURE)
BERN = call(args={"city": "Bern"}, function={"id": "f2"})

#: A stream's parts, event by event, and the parts of the same answer whole.
STREAMS: Dict[str, Any] = {
    "text": ([[text("Hel")], [text("lo")], [text("")]], [text("Hello")]),
    "nothing": ([[]], []),
    "thoughts": (
        [[text("H", thought=True)], [text("m", thought=True), text("A")], [text("B")]],
        [text("Hm", thought=True), text("AB")],
    ),
    "calls": ([[text("See")], [ROME], [BERN]], [text("See"), ROME, BERN]),
    "signature at the end": (
        [[text("Hel")], [text("lo")], [text("", thoughtSignature=SIGNATURE)]],
        [text("Hello"), text("", thoughtSignature=SIGNATURE)],
    ),
    "signature in the middle": (
        [[text("A", thoughtSignature=SIGNATURE)], [text("B")], [text("C")]],
        [text("A", thoughtSignature=SIGNATURE), text("BC")],
    ),
    "code": (
        [[text("Run")], [{"executableCode": {"code": "1"}}], [{"codeExecutionResult": {}}, text("1")]],
        [text("Run"), {"executableCode": {"code": "1"}}, {"codeExecutionResult": {}}, text("1")],
    ),
}


def events_of(parts_of_events: List[List[Json]], **last: Any) -> List[Json]:
    *first, end = parts_of_events
    return [reply(*parts, finish=None) for parts in first] + [reply(*end, **last)]


@pytest.mark.parametrize("finish", ["STOP", "MAX_TOKENS", "SAFETY"])
@pytest.mark.parametrize("name", STREAMS)
def test_streamed_equals_whole(name: str, finish: str) -> None:
    parts_of_events, parts = STREAMS[name]
    pieces, state = read_stream(events_of(parts_of_events, finish=finish))
    answer = whole(state)
    assert state.complete and not state.done
    assert answer == read(reply(*parts, finish=finish))
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)) == answer.content
    assert "".join(p.text for p in pieces if isinstance(p, ReasoningDelta)) == (answer.reasoning or "")
    assert [piece for piece in pieces if isinstance(piece, ToolCallDelta)] == [
        ToolCallDelta(index, made.id, made.name, made.raw_arguments)
        for index, made in enumerate(answer.tool_calls)
    ]
    assert all(piece.text for piece in pieces if isinstance(piece, (TextDelta, ReasoningDelta)))


def test_ids_of_calls_are_unique_when_the_answer_has_no_id_either() -> None:
    pieces, state = read_stream([reply(call(), call(), responseId=None)])
    assert [piece.id for piece in pieces if isinstance(piece, ToolCallDelta)] == [None, None]
    first, second = whole(state).tool_calls
    assert first.id and second.id and first.id != second.id


def test_the_last_usage_object_counts_whole() -> None:
    usages: List[Any] = [
        {"promptTokenCount": 10, "cachedContentTokenCount": 9, "totalTokenCount": 30},
        {"promptTokenCount": 10, "candidatesTokenCount": 2, "totalTokenCount": 12},
        None,
    ]
    _, state = read_stream([reply(text("x"), usageMetadata=usage) for usage in usages])
    usage = whole(state).usage
    assert (usage.total_tokens, usage.completion_tokens, usage.cached_tokens) == (12, 2, None)
    assert usage.raw == usages[1]


def test_usage_after_the_finish_reason_counts() -> None:
    _, state = read_stream([reply(text("x"), usageMetadata=None), {"usageMetadata": USAGE}])
    assert whole(state).usage.total_tokens == 14


def test_a_blocked_prompt_completes_the_stream() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}
    pieces, state = read_stream([blocked])
    assert (pieces, state.complete) == ([], True)
    assert whole(state) == read(blocked)


def test_what_the_provider_found_is_kept() -> None:
    events = events_of([[text("A")], [text("B")]])
    events[0]["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a"]}
    events[1]["candidates"][0]["groundingMetadata"] = {"searchEntryPoint": {"renderedContent": "x"}}
    _, state = read_stream(events)
    document = ADAPTER.assemble_reply(state)
    assert document["candidates"][0]["groundingMetadata"] == {
        "webSearchQueries": ["a"],
        "searchEntryPoint": {"renderedContent": "x"},
    }


def test_a_stream_that_broke_off_is_not_complete_and_keeps_what_is_known() -> None:
    pieces, state = read_stream([reply(text("Hel"), finish=None)])
    answer = whole(state)
    assert not state.complete
    assert (answer.content, answer.finish_reason) == ("Hel", FinishReason.OTHER)
    assert answer.usage.total_tokens == 14
    assert pieces == [TextDelta("Hel")]


def test_a_stream_without_a_word() -> None:
    assert ADAPTER.assemble_reply(StreamState({})) == {}


def test_an_error_in_the_stream_is_typed() -> None:
    state = StreamState({"retry-after": "7"})
    ADAPTER.parse_event(reply(text("Hel"), finish=None), state)
    with pytest.raises(OverloadedError, match="busy") as caught:
        ADAPTER.parse_event({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, state)
    assert (caught.value.status_code, caught.value.retry_after) == (503, 7)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"candidates": None},
        {"candidates": []},
        {"candidates": [None]},
        {"candidates": [{"content": None, "finishReason": None}]},
        {"candidates": [{"content": {"parts": [None, 3, {"text": None}, {"functionCall": "x"}]}}]},
        {"promptFeedback": "x", "usageMetadata": None, "modelVersion": None},
        {"somethingNew": {"a": 1}},
    ],
)
def test_malformed_events_carry_nothing(event: Json) -> None:
    pieces, state = read_stream([event, reply(text("Hello"))])
    answer = whole(state)
    assert pieces == [TextDelta("Hello")]
    assert (answer.content, answer.tool_calls, answer.finish_reason) == ("Hello", (), FinishReason.STOP)
    assert (answer.model, answer.usage) == ("served-001", read(reply()).usage)


@pytest.mark.slow
def test_a_long_stream_takes_linear_time() -> None:
    def seconds(count: int) -> float:
        event = reply(text("word "), finish=None)
        started = time.process_time()
        _, state = read_stream(event for _ in range(count))
        answer: LLMResponse = whole(state)
        assert len(answer.content) == 5 * count
        return time.process_time() - started

    short = min(seconds(1_000) for _ in range(3))
    assert min(seconds(8_000) for _ in range(2)) < short * 8 * 2.5
