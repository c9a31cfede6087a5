"""FA1 and FA3 to FA11, X4, and reasoning: what other hosts put into an answer, read as what it is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Dict, List, Sequence, Tuple

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    FinishReason,
    InvalidResponseError,
    LLMOrchestrator,
    LLMResponse,
    OverloadedError,
    RateLimitError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    TextDelta,
    ToolCallDelta,
)
from tests.support.fixtures import Orchestrate
from tests.support.money import answer
from tests.support.raw_replies import (
    ITEM,
    choice,
    chunk,
    completion,
    ended,
    message,
    raw,
    raw_stream,
    response_json,
    shaped,
)
from tests.support.scripted_server import Dialect, Reset, ScriptedServer
from tests.support.ways import ask

Json = Dict[str, Any]

STREAMED = ("streamed", "async streamed")
chat = pytest.mark.parametrize("dialect", ["chat"], indirect=True)
responses = pytest.mark.parametrize("dialect", ["responses"], indirect=True)
anthropic = pytest.mark.parametrize("dialect", ["anthropic"], indirect=True)
gemini = pytest.mark.parametrize("dialect", ["gemini"], indirect=True)
streamed = pytest.mark.parametrize("way", STREAMED, indirect=True)


def events_of(orchestrator: LLMOrchestrator) -> Tuple[List[Any], LLMResponse]:
    """The events of a streamed answer, and the answer."""
    stream = orchestrator.send_streaming_request("Hi")
    events = list(stream.events())
    assert stream.response is not None
    return events, stream.response


# ---------------------------------------------------------------- FA1: a failure inside an answer

FAILED_CHOICES = {
    "an error object": (
        {"finish_reason": "error", "error": {"code": 502, "message": "Upstream."}},
        ServerError,
    ),
    "a limit": ({"finish_reason": "error", "error": {"code": 429, "message": "Slow down."}}, RateLimitError),
    "an error beside stop": ({"finish_reason": "stop", "error": {"message": "Broken."}}, ServerError),
    "a word": ({"finish_reason": "error"}, ServerError),
    "another word": ({"finish_reason": "network_error"}, ServerError),
    "no resources": ({"finish_reason": "insufficient_system_resource"}, OverloadedError),
}
failed = pytest.mark.parametrize("case", FAILED_CHOICES)


def failed_reply(way: str, case: str, *pieces: str) -> Any:
    fields = FAILED_CHOICES[case][0]
    whole = completion(
        choice(message(content="".join(pieces) or None), **{"finish": None, **renamed(fields)})
    )
    chunks = [chunk({"content": piece}) for piece in pieces]
    return raw(way, whole, [*chunks, chunk({"content": ""}, **{"finish": None, **renamed(fields)})])


def renamed(fields: Json) -> Json:
    return {"finish" if name == "finish_reason" else name: value for name, value in fields.items()}


@chat
@failed
def test_fa1_a_failure_in_a_choice_is_the_error_of_its_code_and_tried_again(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    case: str,
    waits: List[float],
) -> None:
    server.script(failed_reply(way, case), answer(dialect, way))

    response = ask(orchestrate(max_retries=1), way)

    assert response.content in ("Hello.", "Hello")
    assert [attempt.error for attempt in response.attempts] == [FAILED_CHOICES[case][1].__name__, None]


@chat
@failed
def test_fa1_another_model_answers_instead(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, case: str
) -> None:
    server.script(failed_reply(way, case), answer(dialect, way))

    response = ask(orchestrate(fallback_models=["second"]), way)

    assert [attempt.error for attempt in response.attempts] == [FAILED_CHOICES[case][1].__name__, None]
    assert server.requests[1].body["model"] == "second"


@chat
@failed
@streamed
def test_fa1_after_text_it_is_an_interruption(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, case: str
) -> None:
    server.script(failed_reply(way, case, "One", " two"))

    with pytest.raises(StreamInterruptedError) as caught:
        ask(orchestrate(max_retries=2), way)

    assert caught.value.partial_text == "One two"
    assert isinstance(caught.value.__cause__, FAILED_CHOICES[case][1])
    assert len(server.requests) == 1


@anthropic
def test_fa1_a_stop_reason_of_a_host_may_say_it_too(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    server.script(answer(dialect, way, finish="network_error"), answer(dialect, way))
    orchestrator = orchestrate(max_retries=1)
    if way in STREAMED:  # the text was there before the failure
        with pytest.raises(StreamInterruptedError):
            ask(orchestrator, way)
        return
    assert [attempt.error for attempt in ask(orchestrator, way).attempts] == ["ServerError", None]


@chat
@streamed
@pytest.mark.parametrize("late", [{"error": {"code": 400, "message": "Limit."}}, {}], ids=["event", "choice"])
def test_fa1_a_failure_after_the_end_does_not_unmake_the_answer_and_its_usage_counts(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, late: Json
) -> None:
    usage = {"prompt_tokens": 43, "completion_tokens": 10, "total_tokens": 53}
    last = {**chunk({"content": ""}, None if late else "error"), **late, "usage": usage}
    server.script(raw_stream([chunk({"content": "Hi"}), chunk({}, "length"), last], "[DONE]"))

    response = ask(orchestrate(), way)

    assert (response.content, response.finish_reason) == ("Hi", FinishReason.LENGTH)
    assert response.usage.prompt_tokens == 43


# ---------------------------------------------------------------- FA3: text that only the end of something holds

TEXT = {"type": "output_text", "text": "Hello.", "annotations": []}
PLACE = {"item_id": "m1", "output_index": 0, "content_index": 0}
WHOLE_ITEM = {**ITEM, "status": "completed", "content": [TEXT]}


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


# ---------------------------------------------------------------- FA5: a first event with content


@anthropic
@streamed
def test_fa5_content_of_the_first_event_is_handed_out_and_kept(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    blocks = [
        {"type": "thinking", "thinking": "So.", "signature": "s"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "t1", "name": "clock", "input": {"zone": "UTC"}},
    ]
    begun = {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": blocks,
        "stop_reason": "tool_use",
    }
    later: List[Json] = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "."}},
        {"type": "message_stop"},
    ]
    server.script(*[raw_stream([{"type": "message_start", "message": begun}, *later])] * 2)
    orchestrator = orchestrate()

    response = ask(orchestrator, way)
    events, _ = events_of(orchestrator)

    assert (response.content, response.reasoning) == ("Hello.", "So.")
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert [(call.id, call.arguments) for call in response.tool_calls] == [("t1", {"zone": "UTC"})]
    assert events == [
        ReasoningDelta("So."),
        TextDelta("Hello"),
        ToolCallDelta(0, "t1", "clock"),
        ToolCallDelta(0, arguments='{"zone": "UTC"}'),
        TextDelta("."),
    ]


@anthropic
@streamed
def test_fa5_a_block_that_is_sent_again_comes_once(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    block = {"type": "text", "text": "Hello"}
    begun = {"type": "message", "role": "assistant", "content": [block], "stop_reason": "end_turn"}
    again = {"type": "content_block_start", "index": 0, "content_block": block}
    more = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "."}}
    start = {"type": "message_start", "message": begun}
    server.script(raw_stream([start, again, more, {"type": "message_stop"}]))

    assert ask(orchestrate(), way).content == "Hello."


# ---------------------------------------------------------------- FA6: a block without a message


@chat
def test_fa6_a_blocked_choice_without_a_message_is_an_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    blocked = chunk(None, "content_filter")
    usage = {**chunk(), "choices": [], "usage": completion()["usage"]}
    server.script(raw(way, completion(choice(None, "content_filter")), [blocked, usage], "[DONE]"))

    response = ask(orchestrate(max_retries=2), way)

    assert (response.content, response.finish_reason) == ("", FinishReason.CONTENT_FILTER)
    assert (response.usage.prompt_tokens, len(server.requests)) == (12, 1)


@responses
def test_fa6_a_response_that_was_blocked_before_its_first_item_is_an_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    blocked = response_json(status="incomplete", incomplete_details={"reason": "content_filter"})
    del blocked["output"]
    server.script(raw(way, blocked, [{"type": "response.incomplete", "response": blocked}]))

    response = ask(orchestrate(max_retries=2), way)

    assert (response.finish_reason, len(server.requests)) == (FinishReason.CONTENT_FILTER, 1)


# ---------------------------------------------------------------- FA7: a finish reason that comes too early

EARLY_CHAT = [
    chunk({"reasoning_content": "So."}, "stop"),
    chunk({"content": "One"}),
    chunk({"content": " two"}),
]


def early_gemini(*finishes: Any) -> List[Json]:
    texts = ("One", " two", " three")
    return [
        {
            "candidates": [
                {"content": {"parts": [{"text": text}]}, **({"finishReason": finish} if finish else {})}
            ]
        }
        for text, finish in zip(texts, finishes)
    ]


EARLY = {"chat": EARLY_CHAT, "gemini": early_gemini("STOP", None)}
ENDS: Dict[str, Any] = {
    "a clean end": {},
    "a reset": {"fault": Reset()},
}


@pytest.mark.parametrize("dialect", EARLY, indirect=True)
@streamed
@pytest.mark.parametrize("end", [*ENDS, "an error event"])
def test_fa7_text_after_a_finish_reason_opens_the_answer_again(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, end: str
) -> None:
    error = [{"error": {"code": 503, "message": "Overloaded."}}] if end == "an error event" else []
    server.script(raw_stream([*EARLY[dialect.name], *error], **ENDS.get(end, {})))

    with pytest.raises(StreamInterruptedError) as caught:
        ask(orchestrate(max_retries=2), way)

    assert caught.value.partial_text == "One two"
    assert caught.value.partial_response is not None
    assert caught.value.partial_response.finish_reason is FinishReason.OTHER


@pytest.mark.parametrize("dialect", EARLY, indirect=True)
@streamed
@pytest.mark.parametrize("end", ENDS)
def test_fa7_the_last_finish_reason_counts(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, end: str
) -> None:
    late = {
        "chat": [*EARLY_CHAT, chunk({}, "length")],
        "gemini": early_gemini("STOP", "STOP", "MAX_TOKENS"),
    }[dialect.name]
    server.script(raw_stream(late, **ENDS[end]))

    response = ask(orchestrate(), way)

    assert response.finish_reason is FinishReason.LENGTH
    assert response.content.startswith("One two")


# ---------------------------------------------------------------- FA8: the model waits for the application

WAITING: Dict[str, Json] = {
    "mcp_approval_request": {"id": "mcpr_1", "name": "pay", "arguments": "{}", "server_label": "shop"},
    "computer_call": {"id": "cu_1", "call_id": "c1", "action": {"type": "screenshot"}, "status": "completed"},
    "shell_call": {"id": "sh_1", "call_id": "c1", "action": {"commands": ["ls"]}, "status": "completed"},
    "local_shell_call": {"id": "lsh_1", "call_id": "c1", "action": {"type": "exec", "command": ["ls"]}},
    "apply_patch_call": {"id": "apc_1", "call_id": "c1", "operation": {"type": "delete_file", "path": "x"}},
    "brand_new_call": {"id": "new_1", "call_id": "c1"},
}


@responses
@pytest.mark.parametrize("kind", WAITING)
@pytest.mark.parametrize("thinks", [False, True], ids=["", "after open reasoning"])
def test_fa8_what_waits_for_the_application_is_no_stop_and_goes_back_unchanged(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, kind: str, thinks: bool
) -> None:
    item = {"type": kind, **WAITING[kind]}
    output = [{"type": "reasoning", "id": "r", "summary": []}, item] if thinks else [item]
    server.script(raw(way, response_json(*output), [ended(*output)]), answer(dialect, way))
    orchestrator = orchestrate()

    response = ask(orchestrator, way)
    ask(
        orchestrator,
        way,
        [{"role": "user", "content": "Hi"}, response.message, {"role": "user", "content": "On"}],
    )

    assert (response.content, response.finish_reason) == ("", FinishReason.OTHER)
    assert kind in response.warnings[0]
    assert response.raw_response is not None and item in response.raw_response["output"]
    assert item in server.requests[1].body["input"]


@responses
def test_fa8_what_ran_at_the_provider_is_a_stop(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    output = [
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "shell_call", "id": "sh_1", "call_id": "c1", "status": "completed"},
        {"type": "shell_call_output", "id": "sho_1", "call_id": "c1", "output": []},
        WHOLE_ITEM,
    ]
    server.script(raw(way, response_json(*output), [ended(*output)]))

    response = ask(orchestrate(), way)

    assert (response.finish_reason, response.warnings) == (FinishReason.STOP, ())


# ---------------------------------------------------------------- FA9: several answers in one


@chat
def test_fa9_the_first_choice_is_the_answer_and_the_others_are_kept(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = completion(choice(message(content="Second"), index=1), choice(message(content="First")))
    chunks = [
        chunk({"content": "Sec"}, index=1),
        chunk({"content": "Fir"}),
        chunk({"content": "ond"}, "stop", index=1),
        chunk({"content": "st"}, "stop"),
    ]
    server.script(raw(way, whole, chunks, "[DONE]"))

    response = ask(orchestrate(), way, n=2)

    assert (response.content, response.alternatives) == ("First", ("Second",))
    assert "2 answers" in response.warnings[0]


def candidates(*texts: Any) -> Json:
    return {
        "candidates": [
            {"content": {"parts": [{"text": text}]}, "index": index, **({"finishReason": end} if end else {})}
            for index, text, end in texts
        ]
    }


@gemini
def test_fa9_the_first_candidate_goes_by_its_index(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = candidates((1, "Second", "STOP"), (0, "First", "STOP"))
    events = [
        candidates((0, "Fir", None)),
        candidates((1, "Sec", None)),
        candidates((1, "ond", "STOP"), (0, "st", "STOP")),
    ]
    server.script(raw(way, whole, events))

    response = ask(orchestrate(), way, generationConfig={"candidateCount": 2})

    assert (response.content, response.alternatives) == ("First", ("Second",))
    assert "2 answers" in response.warnings[0]


# ---------------------------------------------------------------- FA10: a call without a name

EMPTY_CALLS: Dict[str, Json] = {
    "function_call": {"function_call": {"name": "", "arguments": ""}},
    "tool_calls": {"tool_calls": [{"id": "", "type": "function", "function": {"name": "", "arguments": ""}}]},
    "null": {"tool_calls": [{"index": 0, "function": {"name": None, "arguments": None}}]},
}


@chat
@pytest.mark.parametrize("fields", EMPTY_CALLS)
def test_fa10_empty_fields_are_no_call(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, fields: str
) -> None:
    said = {"content": "4", **EMPTY_CALLS[fields]}
    server.script(raw(way, completion(choice(message(**said))), [chunk(said), chunk({}, "stop")], "[DONE]"))

    response = ask(orchestrate(), way)

    assert (response.content, response.finish_reason) == ("4", FinishReason.STOP)
    assert response.tool_calls == ()


@chat
def test_fa10_empty_fields_are_no_event_either(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    said = {"content": "4", **EMPTY_CALLS["function_call"]}
    server.script(raw_stream([chunk(said), chunk({}, "stop")], "[DONE]"))

    assert events_of(orchestrate())[0] == [TextDelta("4")]


@chat
def test_fa10_arguments_for_no_tool_are_no_empty_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    call = {"tool_calls": [{"id": "c1", "function": {"name": "", "arguments": '{"a": 1}'}}]}
    chunks = [chunk(call), chunk({}, "tool_calls")]
    server.script(raw(way, completion(choice(message(**call), "tool_calls")), chunks, "[DONE]"))

    with pytest.raises(InvalidResponseError, match="call without a name"):
        ask(orchestrate(), way)


# ---------------------------------------------------------------- FA11: words for a block

BLOCKS = {
    "gemini": ["ESCALATION", "MODEL_ARMOR", "PUP_LIMITED_DISABLED", "LANGUAGE", "VIDEO_SAFETY"],
    "chat": ["safety", "content_filtered", "sensitive", "PROHIBITED_CONTENT", "guardrail_intervened"],
    "anthropic": ["content_filtered", "guardrail_intervened"],
    "responses": ["content_filter"],
}


@pytest.mark.parametrize("number", range(5))
def test_fa11_a_word_for_a_block_is_a_block(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, number: int
) -> None:
    words = BLOCKS[dialect.name]
    server.script(answer(dialect, way, finish=words[number % len(words)]))

    assert ask(orchestrate(), way).finish_reason is FinishReason.CONTENT_FILTER


# ---------------------------------------------------------------- X4: an empty answer


def test_x4_an_empty_answer_with_a_plain_stop_is_an_answer_with_a_warning(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    empty: Sequence[str] = ()
    nothing = dialect.stream(empty) if way in STREAMED else dialect.whole("")
    server.script(nothing, answer(dialect, way))

    response = ask(orchestrate(max_retries=2), way)

    assert (response.content, response.finish_reason) == ("", FinishReason.STOP)
    assert response.warnings == ("The answer is empty: the model stopped without writing any text.",)
    assert (response.usage.prompt_tokens, len(server.requests)) == (12, 1)


def test_x4_a_call_a_refusal_and_a_cut_answer_are_not_called_empty(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("", finish="length"), dialect.whole(refusal="No."))
    orchestrator = orchestrate()

    assert [ask(orchestrator, "whole").warnings for _ in range(2)] == [(), ()]


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
