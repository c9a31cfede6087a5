"""M3 to M6: histories, refusals, parallel calls, and state that must come back byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Dict, Iterator, List, Mapping

import pytest

from llm_orchestrator import (
    FinishReason,
    InvalidMessagesError,
    InvalidResponseError,
    LLMOrchestrator,
    LLMResponse,
    ReasoningDelta,
    ToolCallDelta,
)
from tests.support.fixtures import Orchestrate
from tests.support.histories import HISTORIES, RULES, Case
from tests.support.marks import gemini
from tests.support.money import answer
from tests.support.scripted_server import SIGNATURE, Call, Dialect, ScriptedServer, Usage
from tests.support.scripted_server.replies import json_reply
from tests.support.ways import ask

CLOCK = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}},
}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}

# ------------------------------------------------------------------------------- M3


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a history or a body that a person or a model wrote."""
    if isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in ("content", "text", "output", "result") and isinstance(inner, str):
                yield from [inner] if inner.strip() else []
            else:
                yield from texts_of(inner)


def said(dialect: Dialect, body: Any) -> List[str]:
    if dialect.name == "anthropic":
        system = body.get("system", [])
        return (
            [system, *texts_of(body["messages"])]
            if isinstance(system, str)
            else [*texts_of(system), *texts_of(body["messages"])]
        )
    if dialect.name == "gemini":
        return [*texts_of(body.get("systemInstruction", {})), *texts_of(body["contents"])]
    return list(texts_of(body.get("messages", body.get("input"))))


@pytest.mark.parametrize("case", list(HISTORIES.values()), ids=list(HISTORIES))
def test_m3_a_history_is_sent_in_a_valid_form_or_refused(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, case: Case
) -> None:
    orchestrator = orchestrate()
    if dialect.name in case.refused:
        with pytest.raises(InvalidMessagesError) as caught:
            orchestrator.send_request(case.messages)
        assert caught.value.index == case.refused[dialect.name]
        assert f"messages[{caught.value.index}]" in str(caught.value)
        assert server.requests == [], "nothing was sent"
        return

    orchestrator.send_request(case.messages)

    (request,) = server.requests
    RULES[dialect.name](request.body)
    # Nothing is invented and nothing lost: the same texts, though some may stand in another place.
    assert sorted(said(dialect, request.body)) == sorted(texts_of(case.messages))


def test_m3_there_are_histories_enough() -> None:
    assert len(HISTORIES) >= 12


@pytest.mark.parametrize("name", ["a call without a result", "a result of another call"])
def test_m3_all_ways_refuse_the_same(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, name: str
) -> None:
    case = HISTORIES[name]

    with pytest.raises(InvalidMessagesError) as caught:
        ask(orchestrate(), way, case.messages)

    assert (caught.value.index, server.requests) == (case.refused[dialect.name], [])


@pytest.mark.parametrize("dialect", ["anthropic", "gemini"], indirect=True)
def test_m3_a_system_message_that_had_to_move_is_said(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    response = ask(orchestrate(), way, HISTORIES["a system message in the middle"].messages)

    (warning,) = response.warnings
    assert warning.startswith("messages[3] was ")


# ------------------------------------------------------------------------------- M4


@pytest.mark.parametrize("finish", ["content_filter", "refusal in words"])
def test_m4_a_refusal_is_an_answer_that_is_paid_for(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, finish: str
) -> None:
    words = {"refusal": "I cannot help."} if finish == "refusal in words" else {"finish": finish}
    server.script(answer(dialect, way, **words))

    response = ask(orchestrate(fallback_models=["never"]), way)

    assert response.finish_reason is FinishReason.CONTENT_FILTER
    assert response.usage.prompt_tokens == 12
    assert response.raw_finish_reason
    if words.get("refusal") and dialect.name != "gemini":
        assert response.refusal == "I cannot help."
    assert len(response.attempts) == 1


@pytest.mark.parametrize("dialect", ["chat", "anthropic", "gemini"], indirect=True)
def test_m4_an_unknown_reason_is_other_and_kept(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way, finish="BRAND_NEW"))

    response = ask(orchestrate(), way)

    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.OTHER, "BRAND_NEW")


@gemini
@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_m4_a_call_that_gemini_could_not_make_is_an_answer_with_an_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, finish: str
) -> None:
    server.script(answer(dialect, way, finish=finish))

    assert ask(orchestrate(), way, tools=[CLOCK]).finish_reason is FinishReason.ERROR


@gemini
def test_m4_no_candidate_and_no_reason_is_no_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, waits: List[float]
) -> None:
    server.default = json_reply(
        {"candidates": [], "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}
    )

    with pytest.raises(InvalidResponseError):
        orchestrate(max_retries=5).send_request("Hi")

    assert len(server.requests) == 2


# ------------------------------------------------------------------------------- M5

CALLS = [Call("clock", {"zone": "Zürich"}), Call("weather", {}), Call("clock", {"zone": 'a "b" \\'})]


@pytest.mark.parametrize("ids", [(None, None, None), ("a1", "b2", "c3")], ids=["without ids", "with ids"])
def test_m5_parallel_calls_come_all_in_order_and_valid(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, ids: Any
) -> None:
    calls = [Call(call.name, call.arguments, id=name) for call, name in zip(CALLS, ids)]
    server.script(answer(dialect, way, tool_calls=calls, **no_text(way)))

    response = ask(orchestrate(), way, tools=[CLOCK, WEATHER], parallel_tool_calls=True)

    found = response.tool_calls
    assert [(call.name, call.arguments) for call in found] == [(call.name, call.arguments) for call in CALLS]
    assert [json.loads(call.raw_arguments or "{}") for call in found] == [call.arguments for call in CALLS]
    assert len({call.id for call in found}) == 3
    if ids[0]:
        assert tuple(call.id for call in found) == ids
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert response.message is not None and response.message.tool_calls == found


def no_text(way: str) -> Dict[str, Any]:
    return {"pieces": ()} if "streamed" in way else {"text": ""}


def test_m5_streamed_pieces_of_calls_are_the_calls(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.stream((), tool_calls=CALLS))

    stream = orchestrate().send_streaming_request("Hi", tools=[CLOCK, WEATHER])
    pieces = [event for event in stream.events() if isinstance(event, ToolCallDelta)]

    assert stream.response is not None
    for number, call in enumerate(stream.response.tool_calls):
        own = [piece for piece in pieces if piece.index == number]
        assert [piece.name for piece in own if piece.name] == [call.name]
        assert [piece.id for piece in own if piece.id] == [call.id]
        assert json.loads("".join(piece.arguments for piece in own) or "{}") == call.arguments


def test_m5_results_find_their_calls_in_the_next_turn(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate()
    server.script(answer(dialect, way, tool_calls=CALLS, **no_text(way)), answer(dialect, way))
    history: List[Any] = [{"role": "user", "content": "Hi"}]
    first = ask(orchestrator, way, list(history), tools=[CLOCK, WEATHER])
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {number}"}
        for number, call in enumerate(first.tool_calls)
    ]

    ask(orchestrator, way, [*history, first.message, *reversed(results)], tools=[CLOCK, WEATHER])

    body = server.requests[1].body
    RULES[dialect.name](body)
    sent = dialect.read_request(body, server.requests[1].path)["messages"]
    assert sorted(text for role, text in sent if role == "tool") == ["result 0", "result 1", "result 2"]
    if dialect.name == "gemini":  # it has no ids: the order is what tells them apart
        assert [text for role, text in sent if role == "tool"] == ["result 0", "result 1", "result 2"]


# ------------------------------------------------------------------------------- M6

#: The same answer everywhere: thoughts, and calls or words behind them.
THOUGHTS = "First the clock, then the weather."


def assistant_turn(dialect: Dialect, body: Mapping[str, Any]) -> List[Any]:
    """The parts in which the assistant's turn goes back."""
    if dialect.name == "anthropic":
        return list(body["messages"][1]["content"])
    if dialect.name == "gemini":
        return list(body["contents"][1]["parts"])
    if dialect.name == "responses":
        return [item for item in body["input"] if item.get("role") != "user" and "output" not in item]
    return [body["messages"][1]]


def opaque(dialect: Dialect, parts: List[Any]) -> List[Any]:
    """Where the opaque state stands among the parts, and what it is."""
    names = {"anthropic": "signature", "gemini": "thoughtSignature", "responses": "encrypted_content"}
    name = names.get(dialect.name, "reasoning_content")
    return [(number, part[name]) for number, part in enumerate(parts) if name in part]


def raw_turn(dialect: Dialect, response: LLMResponse) -> List[Any]:
    """The parts in which the provider sent its turn."""
    raw: Any = response.raw_response
    if dialect.name == "anthropic":
        return list(raw["content"])
    if dialect.name == "gemini":
        return list(raw["candidates"][0]["content"]["parts"])
    return list(raw["output"]) if dialect.name == "responses" else [raw["choices"][0]["message"]]


def conversation(orchestrator: LLMOrchestrator, way: str, first: LLMResponse, **arguments: Any) -> None:
    """Go on after an answer, with results for its calls or with words."""
    turns = [{"role": "tool", "tool_call_id": call.id, "content": "noon"} for call in first.tool_calls] or [
        {"role": "user", "content": "Go on."}
    ]
    ask(orchestrator, way, [{"role": "user", "content": "Hi"}, first.message, *turns], **arguments)


@pytest.mark.parametrize("calls", [CALLS, []], ids=["before calls", "before words"])
def test_m6_opaque_state_goes_back_byte_for_byte_in_its_place(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, calls: List[Call]
) -> None:
    if dialect.name == "chat" and not calls:
        pytest.skip("Chat takes visible reasoning back only in the middle of a tool loop")
    orchestrator = orchestrate()
    words = no_text(way) if calls else {}
    server.script(answer(dialect, way, tool_calls=calls, reasoning=THOUGHTS, **words), answer(dialect, way))
    tools = {"tools": [CLOCK, WEATHER]} if calls else {}

    first = ask(orchestrator, way, reasoning_effort="high", **tools)
    conversation(orchestrator, way, first, reasoning_effort="high", **tools)

    sent = assistant_turn(dialect, server.requests[1].body)
    received = raw_turn(dialect, first)
    assert opaque(dialect, sent) == opaque(dialect, received) != []
    assert first.reasoning == THOUGHTS
    if dialect.signature:
        assert SIGNATURE in json.dumps(sent)
        assert len(sent) == len(received), "nothing was added, nothing left out"
    RULES[dialect.name](server.requests[1].body)


@pytest.mark.parametrize("dialect", ["responses", "anthropic", "gemini"], indirect=True)
def test_m6_an_edited_turn_is_sent_as_it_now_reads(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate()
    server.script(dialect.whole("Paris", reasoning=THOUGHTS), dialect.whole())
    first = orchestrator.send_request("Hi", reasoning_effort="high")
    assert first.message is not None
    edited = replace(first.message, content="Rome")

    orchestrator.send_request(
        [{"role": "user", "content": "Hi"}, edited, {"role": "user", "content": "Go on."}]
    )

    sent = dialect.read_request(server.requests[1].body, server.requests[1].path)
    assert sent["messages"][1] == ("assistant", "Rome")


def test_m6_reasoning_comes_as_text_events_and_tokens(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    usage = Usage(prompt=10, completion=9, reasoning=4)
    server.script(dialect.stream(["Noon."], reasoning=THOUGHTS, usage=usage))

    stream = orchestrate().send_streaming_request("Hi", reasoning_effort="low")
    thoughts = [event.text for event in stream.events() if isinstance(event, ReasoningDelta)]

    assert stream.response is not None
    assert "".join(thoughts) == stream.response.reasoning == THOUGHTS
    assert stream.response.content == "Noon."
    assert (stream.response.usage.reasoning_tokens, stream.response.usage.completion_tokens) == (4, 9)
