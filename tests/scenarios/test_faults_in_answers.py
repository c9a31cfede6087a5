"""FA1, FA5 to FA11 and X4: failures, blocks, early ends, calls and several answers inside one answer."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Sequence

import pytest

from llm_orchestrator import (
    FinishReason,
    InvalidResponseError,
    OverloadedError,
    RateLimitError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    TextDelta,
    ToolCallDelta,
)
from tests.support.fixtures import Orchestrate
from tests.support.marks import STREAMED, anthropic, chat, gemini, responses, streamed
from tests.support.money import answer
from tests.support.raw_replies import (
    CHUNK,
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
from tests.support.scripted_server import Dialect, Reset, ScriptedServer
from tests.support.ways import ask

Json = Dict[str, Any]


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
    "a word for a server that gave up": ({"finish_reason": "generation_timeout"}, ServerError),
    "a word for a failure": ({"finish_reason": "failed"}, ServerError),
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


@pytest.mark.parametrize("dialect", EARLY, indirect=True)
@streamed
@pytest.mark.parametrize("end", ENDS)
def test_fa7_a_reason_on_every_event_ends_nothing_early(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, end: str
) -> None:
    every = {
        "chat": [chunk({"content": text}, "stop") for text in ("One", " two", " three")],
        "gemini": early_gemini("STOP", "STOP", "STOP"),
    }[dialect.name]
    server.script(raw_stream(every, **ENDS[end]))

    response = ask(orchestrate(), way)

    assert (response.content, response.finish_reason) == ("One two three", FinishReason.STOP)


@gemini
@streamed
@pytest.mark.parametrize("end", ENDS)
def test_fa7_an_unspecified_reason_is_none(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, end: str
) -> None:
    server.script(raw_stream(early_gemini(*["FINISH_REASON_UNSPECIFIED"] * 2), **ENDS[end]))

    with pytest.raises(StreamInterruptedError):
        ask(orchestrate(max_retries=0), way)


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


def without_index(body: Json, name: str) -> Json:
    return {**body, name: [{key: entry[key] for key in entry if key != "index"} for entry in body[name]]}


@chat
def test_fa9_choices_without_an_index_are_told_apart_by_their_place(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = completion(choice(message(content="First")), choice(message(content="Second")))
    both = [(("Fir", None), ("Sec", None)), (("st", "stop"), ("ond", "stop"))]
    chunks = [
        {**CHUNK, "choices": [choice(None, end, delta={"content": text}) for text, end in pieces]}
        for pieces in both
    ]
    replies = [without_index(body, "choices") for body in (whole, *chunks)]
    server.script(raw(way, replies[0], replies[1:], "[DONE]"))

    response = ask(orchestrate(), way)

    assert (response.content, response.alternatives) == ("First", ("Second",))
    assert "2 answers" in response.warnings[0]


@gemini
def test_fa9_candidates_without_an_index_are_told_apart_by_their_place(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = candidates((0, "First", "STOP"), (0, "Second", "STOP"))
    events = [
        candidates((0, "Fir", None), (0, "Sec", None)),
        candidates((0, "st", "STOP"), (0, "ond", "STOP")),
    ]
    replies = [without_index(body, "candidates") for body in (whole, *events)]
    server.script(raw(way, replies[0], replies[1:]))

    response = ask(orchestrate(), way)

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


@chat
def test_x4_an_answer_that_stopped_for_a_call_and_holds_none_says_so(
    orchestrate: Orchestrate, server: ScriptedServer, way: str
) -> None:
    said, finish = {"content": "", "tool_calls": []}, "tool_calls"
    chunks = [chunk(said), chunk({}, finish)]
    server.script(raw(way, completion(choice(message(**said), finish)), chunks, "[DONE]"))

    response = ask(orchestrate(), way)

    assert (response.finish_reason, response.tool_calls) == (FinishReason.TOOL_CALLS, ())
    assert "no call that can be read" in " ".join(response.warnings)


def test_x4_a_call_a_refusal_and_a_cut_answer_are_not_called_empty(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("", finish="length"), dialect.whole(refusal="No."))
    orchestrator = orchestrate()

    assert [ask(orchestrator, "whole").warnings for _ in range(2)] == [(), ()]


UNKNOWN: Dict[str, Json] = {
    "anthropic": {"type": "hologram", "data": "..."},
    "gemini": {"hologram": {"data": "..."}},
    "responses": {"type": "hologram", "id": "h1", "data": "..."},
}


@pytest.mark.parametrize("dialect", UNKNOWN, indirect=True)
def test_x4_an_answer_of_an_unknown_kind_is_one_that_says_so_and_goes_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    block = UNKNOWN[dialect.name]
    is_responses = dialect.name == "responses"
    reply = raw(way, response_json(block), [ended(block)]) if is_responses else shaped(dialect, way, [block])
    server.script(reply, answer(dialect, way))
    orchestrator = orchestrate(max_retries=2)

    response = ask(orchestrator, way)
    question = {"role": "user", "content": "Hi"}
    ask(orchestrator, way, [question, response.message, question])

    assert (response.content, response.finish_reason) == ("", FinishReason.STOP)
    assert response.warnings == ("The answer holds no text, only hologram: see raw_response.",)
    assert '"hologram"' in json.dumps(server.requests[1].body)
