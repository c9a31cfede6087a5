"""FB1 and FB2: tool calls that hosts send in ways of their own, and the results that must find them."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Tuple

import pytest

from llm_orchestrator import InvalidMessagesError, LLMOrchestrator, ToolCallDelta
from tests.support.fixtures import Orchestrate
from tests.support.histories import user
from tests.support.marks import chat, gemini
from tests.support.opaque import DOCUMENTS, EVENTS
from tests.support.scripted_server import DIALECTS, MODEL, Dialect, Reply, ScriptedServer
from tests.support.scripted_server.replies import json_reply
from tests.support.shapes.openai_chat_shapes import chunk
from tests.support.ways import ask

CLOCK = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}},
}


def streamed(dialect: Dialect, events: List[Any]) -> Reply:
    return dialect._stream_reply(events, "awkward")


def answered(dialect: Dialect, way: str, turn: Any) -> Reply:
    """A turn without anything that would be kept, whole or as the events of a stream."""
    if "streamed" in way:
        return streamed(dialect, list(EVENTS[dialect.name](turn)))
    return json_reply(DOCUMENTS[dialect.name](turn))


def calls_turn(dialect: Dialect, *calls: Tuple[str, Any]) -> Any:
    """A turn of tool calls, each an id and the arguments in the form that the dialect sends them."""
    if dialect.name == "chat":
        functions = [{"name": "clock", "arguments": arguments} for _, arguments in calls]
        ids = [identifier for identifier, _ in calls]
        pairs = zip(ids, functions)
        return {
            "content": None,
            "tool_calls": [{"id": i, "type": "function", "function": f} for i, f in pairs],
        }
    if dialect.name == "responses":
        return [
            {
                "type": "function_call",
                "id": f"fc_{n}",
                "call_id": call[0],
                "name": "clock",
                "arguments": call[1],
            }
            for n, call in enumerate(calls)
        ]
    if dialect.name == "anthropic":
        return [{"type": "tool_use", "id": call[0], "name": "clock", "input": call[1]} for call in calls]
    return [{"functionCall": {"id": call[0], "name": "clock", "args": call[1]}} for call in calls]


# ------------------------------------------------------------------------------- FB1

#: Arguments as some host sends them, and what they are; None where they are there and cannot be read.
FORMS: Mapping[str, Tuple[Any, Any]] = {
    "an object": ({"zone": "UTC"}, {"zone": "UTC"}),
    "a text": ('{"zone": "UTC"}', {"zone": "UTC"}),
    "a list": (["UTC"], None),
    "a number": (5, None),
    "half a text": ('{"zone": "U', None),
    "nothing": (None, {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_fb1_arguments_are_read_in_every_form(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, form: str
) -> None:
    sent, read = FORMS[form]
    server.script(json_reply(document_of_calls(dialect, ("c1", sent))))

    (call,) = orchestrate().send_request("Hi", tools=[CLOCK]).tool_calls

    assert call.arguments == read
    if read is None:
        assert call.raw_arguments.strip('"').replace("\\", "") in (str(sent), '["UTC"]')


def document_of_calls(dialect: Dialect, *calls: Tuple[str, Any]) -> Any:
    return DOCUMENTS[dialect.name](calls_turn(dialect, *calls))


ITEM = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "clock"}
DONE = {"type": "response.function_call_arguments.done", "output_index": 0, "item_id": "fc_1"}
ADDED = {"type": "response.output_item.added", "output_index": 0, "item": {**ITEM, "arguments": ""}}
WHOLE = {"type": "response.output_item.done", "output_index": 0, "item": {**ITEM, "arguments": '{"a": 1}'}}


def completed(*output: Any) -> Any:
    response = {"status": "completed", "model": MODEL, "output": list(output)}
    return {"type": "response.completed", "response": response}


#: The events of Responses in which a host sends ``{"a": 1}``, and Gemini's, Anthropic's and Chat's.
PIECES: Mapping[str, Tuple[str, List[Any]]] = {
    "all at once in the done event": (
        "responses",
        [ADDED, {**DONE, "arguments": '{"a": 1}'}, completed({**ITEM, "arguments": ""})],
    ),
    "an object in the done event": ("responses", [ADDED, {**DONE, "arguments": {"a": 1}}, completed()]),
    "only in the item": ("responses", [ADDED, WHOLE, completed()]),
    "only in the last event": ("responses", [completed({**ITEM, "arguments": {"a": 1}})]),
    "partial arguments": (
        "gemini",
        [
            {"functionCall": {"name": "clock", "willContinue": True}, "thoughtSignature": "sig=="},
            {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "numberValue": 1}], "willContinue": True}},
            {"functionCall": {}},
        ],
    ),
    "an object where the block starts": (
        "anthropic",
        [{"type": "tool_use", "id": "c1", "name": "clock", "input": {"a": 1}}],
    ),
    "an object in one piece": ("chat", [{"name": "clock", "arguments": {"a": 1}}]),
    "parameters": ("chat", [{"name": "clock", "parameters": {"a": 1}}]),
    "parameters beside an empty text": (
        "chat",
        [{"name": "clock", "arguments": "", "parameters": '{"a": 1}'}],
    ),
}


def events_of(dialect: str, pieces: List[Any]) -> List[Any]:
    if dialect == "responses":
        return pieces
    if dialect == "chat":
        calls = [{"index": 0, "id": "c1", "function": pieces[0]}]
        return [chunk(tool_calls=calls), chunk("tool_calls"), "[DONE]"]
    return list(EVENTS[dialect](pieces))


def block_events(*events: Any, stop: Any) -> List[Any]:
    """A streamed message of Anthropic's whose one call has what the events and the block's end bring."""
    begun, start, *_, delta, end = EVENTS["anthropic"](
        [{"type": "tool_use", "id": "c1", "name": "clock", "input": {}}]
    )
    return [begun, start, *events, {"type": "content_block_stop", "index": 0, **stop}, delta, end]


def partial_json(value: Any) -> Any:
    delta = {"type": "input_json_delta", "partial_json": value}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


BLOCK = {"type": "tool_use", "id": "c1", "name": "clock"}


@pytest.mark.parametrize(
    ("events", "stop", "arguments", "raw"),
    [
        ([partial_json({"a": 1})], {}, {"a": 1}, '{"a": 1}'),
        ([partial_json([1])], {}, None, "[1]"),
        ([], {"content_block": {**BLOCK, "input": {"a": 1}}}, {"a": 1}, '{"a": 1}'),
        ([], {"content_block": {**BLOCK, "input": [1]}}, None, "[1]"),
        ([partial_json('{"a": 1}')], {"content_block": {**BLOCK, "input": {}}}, {"a": 1}, '{"a": 1}'),
    ],
)
def test_fb1_a_block_has_its_arguments_in_any_form_and_event(
    server: ScriptedServer, orchestrator_of: Any, events: Any, stop: Any, arguments: Any, raw: str
) -> None:
    server.script(streamed(DIALECTS["anthropic"], block_events(*events, stop=stop)))
    stream = orchestrator_of("anthropic").send_streaming_request("Hi", tools=[CLOCK])
    told = "".join(event.arguments for event in stream.events() if isinstance(event, ToolCallDelta))
    (call,) = stream.response.tool_calls
    assert call.arguments == arguments
    assert (call.raw_arguments, told) == (raw, raw)


def test_fb1_arguments_called_parameters_go_back_as_arguments(
    server: ScriptedServer, orchestrator_of: Any
) -> None:
    chat = DIALECTS["chat"]
    function = {"name": "clock", "parameters": {"a": 1}}
    entry = {"id": "c1", "type": "function", "function": function, "extra_content": {"signature": "s"}}
    turn = {"content": None, "tool_calls": [entry]}
    server.script(json_reply(DOCUMENTS["chat"](turn)), chat.whole())
    orchestrator = orchestrator_of("chat")
    response = orchestrator.send_request("Hi", tools=[CLOCK])
    (call,) = response.tool_calls
    orchestrator.send_request([user("Hi"), response.message, call.result("noon")], tools=[CLOCK])
    (sent,) = server.requests[1].body["messages"][1]["tool_calls"]
    assert sent["function"] == {"name": "clock", "arguments": '{"a": 1}'}
    assert sent["extra_content"] == {"signature": "s"}


@pytest.mark.parametrize("name", PIECES)
def test_fb1_arguments_are_read_from_every_event(
    server: ScriptedServer, orchestrator_of: Any, name: str
) -> None:
    dialect, pieces = PIECES[name]
    server.script(streamed(DIALECTS[dialect], events_of(dialect, pieces)))

    stream = orchestrator_of(dialect).send_streaming_request("Hi", tools=[CLOCK])
    events = [event for event in stream.events() if isinstance(event, ToolCallDelta)]

    (call,) = stream.response.tool_calls
    assert call.arguments == {"a": 1}
    assert [event.name for event in events if event.name] == ["clock"]
    assert "".join(event.arguments for event in events).replace(" ", "") == '{"a":1}'


@pytest.fixture
def orchestrator_of(server: ScriptedServer) -> Any:
    made: Dict[str, Any] = {}

    def make(name: str) -> Any:
        made[name] = LLMOrchestrator(DIALECTS[name].config(server.url, max_retries=0))
        return made[name]

    yield make
    for orchestrator in made.values():
        orchestrator.close()


@gemini
def test_fb1_partial_arguments_build_an_object_by_their_paths(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    places = [
        {"jsonPath": "$.city", "stringValue": "New "},
        {"jsonPath": "$.city", "stringValue": "York"},
        {"jsonPath": "$.days[0]['from']", "numberValue": 1.5},
        {"jsonPath": "$.days[0].warm", "boolValue": True},
        {"jsonPath": '$.days[1]["from"]', "nullValue": None},
    ]
    begun = {"functionCall": {"name": "clock", "willContinue": True}, "thoughtSignature": "sig=="}
    further = [{"functionCall": {"partialArgs": [place], "willContinue": True}} for place in places]
    other = {"functionCall": {"name": "clock", "args": {"b": 2}}}
    server.script(answered(dialect, way, [begun, *further, {"functionCall": {}}, other]), dialect.whole())
    orchestrator = orchestrate()

    first = ask(orchestrator, way, tools=[CLOCK])
    arguments = {"city": "New York", "days": [{"from": 1.5, "warm": True}, {"from": None}]}
    assert [call.arguments for call in first.tool_calls] == [arguments, {"b": 2}]

    results = [call.result("noon") for call in first.tool_calls]
    orchestrator.send_request([user(), first.message, *results], tools=[CLOCK])
    sent = server.requests[1].body["contents"][1]["parts"]
    assert sent == [
        {"functionCall": {"name": "clock", "args": arguments}, "thoughtSignature": "sig=="},
        other,
    ]


@pytest.mark.parametrize("path", ["city", "$", "$[0]", "$.a[7]", "$.a..b", 5, None])
@gemini
def test_fb1_a_partial_argument_without_a_place_makes_them_unreadable(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, path: Any
) -> None:
    partial = [{"jsonPath": path, "stringValue": "x"}]
    server.script(answered(dialect, "whole", [{"functionCall": {"name": "clock", "partialArgs": partial}}]))

    (call,) = orchestrate().send_request("Hi", tools=[CLOCK]).tool_calls

    assert call.arguments is None and '"x"' in call.raw_arguments


#: Pieces of two calls, ``{"a": 1}`` and ``{"b": 2}``, as hosts tell them apart.
INTERLEAVED: Mapping[str, List[Any]] = {
    "by id, without an index": [
        {"id": "x", "function": {"name": "clock", "arguments": ""}},
        {"id": "y", "function": {"name": "clock", "arguments": ""}},
        {"id": "x", "function": {"arguments": '{"a": '}},
        {"id": "y", "function": {"arguments": '{"b": '}},
        {"id": "x", "function": {"arguments": "1}"}},
        {"id": "y", "function": {"arguments": "2}"}},
    ],
    "by id, with one index for all": [
        {"index": 0, "id": "x", "function": {"name": "clock", "arguments": '{"a": '}},
        {"index": 0, "id": "y", "function": {"name": "clock", "arguments": '{"b": '}},
        {"index": 0, "id": "x", "function": {"arguments": "1}"}},
        {"index": 0, "id": "y", "function": {"arguments": "2}"}},
    ],
    "one id and one index, each whole": [
        {"index": 0, "id": "x", "function": {"name": "clock", "arguments": '{"a": 1}'}},
        {"index": 0, "id": "x", "function": {"name": "clock", "arguments": '{"b": 2}'}},
    ],
    "the name again with every piece": [
        {"index": 0, "id": "x", "function": {"name": "clock", "arguments": '{"a": '}},
        {"index": 0, "id": "x", "function": {"name": "clock", "arguments": "1}"}},
        {"index": 1, "id": "x", "function": {"name": "clock", "arguments": '{"b": '}},
        {"index": 1, "id": "x", "function": {"name": "clock", "arguments": "2}"}},
    ],
}


@chat
@pytest.mark.parametrize("name", INTERLEAVED)
def test_fb1_pieces_belong_together_by_index_else_by_id(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, name: str
) -> None:
    chunks = [chunk(tool_calls=[piece]) for piece in INTERLEAVED[name]]
    server.script(streamed(dialect, [*chunks, chunk("tool_calls"), "[DONE]"]))

    response = orchestrate().send_streaming_request("Hi", tools=[CLOCK]).final_response()

    assert [call.arguments for call in response.tool_calls] == [{"a": 1}, {"b": 2}]
    assert len({call.id for call in response.tool_calls}) == 2


#: The name ``get_weather`` as hosts send it, and what of it each piece adds.
NAMES: Mapping[str, List[str]] = {
    "in pieces": ["get_", "weather"],
    "longer each time": ["get", "get_wea", "get_weather"],
    "whole each time": ["get_weather", "get_weather"],
}


@chat
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("has_id", [True, False])
def test_fb1_a_name_that_comes_in_pieces_is_one_name(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, name: str, has_id: bool
) -> None:
    head = {"index": 0, **({"id": "c1"} if has_id else {})}
    pieces: List[Any] = [{**head, "function": {"name": piece}} for piece in NAMES[name]]
    pieces += [{"index": 0, "function": {"arguments": part}} for part in ('{"a": ', "1}")]
    server.script(
        streamed(dialect, [*(chunk(tool_calls=[p]) for p in pieces), chunk("tool_calls"), "[DONE]"])
    )

    stream = orchestrate().send_streaming_request("Hi", tools=[CLOCK])
    told = [event.name or "" for event in stream.events() if isinstance(event, ToolCallDelta)]

    (call,) = stream.final_response().tool_calls
    assert (call.name, call.arguments, "".join(told)) == ("get_weather", {"a": 1}, "get_weather")


def argument_events(dialect: str, pieces: List[str]) -> List[Any]:
    """One streamed call whose arguments come in pieces."""
    if dialect == "chat":
        first = chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "clock", "arguments": ""}}])
        more = [chunk(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in pieces]
        return [first, *more, chunk("tool_calls"), "[DONE]"]
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    block = {"type": "tool_use", "id": "c1", "name": "clock", "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize("dialect", ["chat", "anthropic"], indirect=True)
@pytest.mark.parametrize("way", ["streamed", "async streamed"])
@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"a": "x\\ud83d\\ude00\\u00fc\\\\"}', {"a": "x\U0001f600\u00fc\\"}),
        ('{"a": "\\ud83d"}', {"a": "\ufffd"}),
        ('{"a": "x\\u12', None),
        ('{"a": "x\\', None),
        ('{"a": "x\\u12"}', None),
    ],
)
def test_fb5_escapes_in_streamed_arguments_may_be_cut_anywhere(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, text: str, arguments: Any
) -> None:
    """Half of an escape makes the arguments unreadable, with their text; the next turn can be sent.

    Except to Anthropic, which takes objects only: what nobody can read is refused before it is sent.
    """
    server.script(streamed(dialect, argument_events(dialect.name, list(text))), dialect.whole("Fine."))
    orchestrator = orchestrate()

    first = ask(orchestrator, way, tools=[CLOCK])
    (call,) = first.tool_calls
    assert call.arguments == arguments and first.message is not None
    assert arguments is not None or call.raw_arguments == text

    history = [user(), first.message, call.result("noon")]
    if arguments is None and dialect.name == "anthropic":
        with pytest.raises(InvalidMessagesError):
            ask(orchestrator, "whole", history, tools=[CLOCK])
        return
    assert ask(orchestrator, "whole", history, tools=[CLOCK]).content == "Fine."


# ------------------------------------------------------------------------------- FB2


@pytest.mark.parametrize("ids", [("c1", "c1", "c1"), ("", "", ""), ("c1", "", "c1")], ids=repr)
def test_fb2_calls_get_ids_of_their_own_and_results_find_them(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, ids: Tuple[str, ...]
) -> None:
    written = (
        (lambda number: {"n": number}) if dialect.name in ("anthropic", "gemini") else '{{"n": {}}}'.format
    )
    turn = calls_turn(dialect, *((identifier, written(number)) for number, identifier in enumerate(ids)))
    server.script(answered(dialect, way, turn), dialect.whole())
    orchestrator = orchestrate()

    first = ask(orchestrator, way, tools=[CLOCK])
    calls = first.tool_calls
    assert [call.arguments for call in calls] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert len({call.id for call in calls}) == 3 and all(call.id for call in calls)
    assert first.message is not None and first.message.tool_calls == calls

    results = [call.result(f"result {call.arguments and call.arguments['n']}") for call in reversed(calls)]
    orchestrator.send_request([user(), first.message, *results], tools=[CLOCK])

    sent = server.requests[1].body
    pairs = PAIRED[dialect.name](sent)
    assert sorted(pairs) == [(n, f"result {n}") for n in range(3)]


def test_fb2_no_two_turns_use_one_id(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    """Hosts that count from one in every answer; providers refuse a history with one id twice."""
    written = (
        (lambda number: {"n": number}) if dialect.name in ("anthropic", "gemini") else '{{"n": {}}}'.format
    )
    turns = [calls_turn(dialect, ("c1", written(number))) for number in range(3)]
    server.script(*(answered(dialect, way, turn) for turn in turns), dialect.whole())
    orchestrator = orchestrate()

    history = [user()]
    for number in range(3):
        response = ask(orchestrator, way, history, tools=[CLOCK])
        assert response.message is not None
        history += [response.message, response.tool_calls[0].result(f"result {number}")]
    orchestrator.send_request(history, tools=[CLOCK])

    sent = server.requests[3].body
    ids = re.findall(r'"(?:id|call_id|tool_call_id|tool_use_id)": "(c1\w*)"', json.dumps(sent))
    assert ids == ["c1", "c1", "c1_2", "c1_2", "c1_3", "c1_3"], "each call, and behind it its result"


def _paired_chat(body: Any) -> List[Any]:
    called = {call["id"]: call["function"]["arguments"] for call in body["messages"][1]["tool_calls"]}
    return [(number(called[message["tool_call_id"]]), message["content"]) for message in body["messages"][2:]]


def _paired_responses(body: Any) -> List[Any]:
    called = {item["call_id"]: item["arguments"] for item in body["input"] if item["type"] == "function_call"}
    results = [item for item in body["input"] if item["type"] == "function_call_output"]
    return [(number(called[result["call_id"]]), result["output"]) for result in results]


def _paired_anthropic(body: Any) -> List[Any]:
    called = {block["id"]: block["input"]["n"] for block in body["messages"][1]["content"]}
    results = body["messages"][2]["content"]
    return [(called[result["tool_use_id"]], result["content"]) for result in results]


def _paired_gemini(body: Any) -> List[Any]:
    called = [part["functionCall"]["args"]["n"] for part in body["contents"][1]["parts"]]
    results = [part["functionResponse"]["response"]["result"] for part in body["contents"][2]["parts"]]
    return list(zip(called, results))


def number(arguments: str) -> int:
    return int("".join(filter(str.isdigit, arguments)))


PAIRED = {
    "chat": _paired_chat,
    "responses": _paired_responses,
    "anthropic": _paired_anthropic,
    "gemini": _paired_gemini,
}


def test_fb2_a_streamed_call_has_the_id_of_the_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    arguments: Any = {} if dialect.name in ("anthropic", "gemini") else "{}"
    turn = calls_turn(dialect, ("c1", arguments), ("c1", arguments))
    server.script(answered(dialect, "streamed", turn))

    stream = orchestrate().send_streaming_request("Hi", tools=[CLOCK])
    ids = [event.id for event in stream.events() if isinstance(event, ToolCallDelta) and event.id]

    assert stream.response is not None
    assert ids == [call.id for call in stream.response.tool_calls] == ["c1", "c1_2"]
