"""FB3 and FB6 to FB9: turns that hosts send in pieces, and histories and tools that applications build."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

import pytest

from llm_orchestrator import InvalidRequestError, LLMResponse
from tests.support.fixtures import Orchestrate
from tests.support.histories import assistant, image, user
from tests.support.marks import anthropic, chat, gemini
from tests.support.money import answer
from tests.support.scripted_server import Dialect, Reply, ScriptedServer
from tests.support.shapes.openai_chat_shapes import chunk
from tests.support.ways import ask

CLOCK = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}},
}


def streamed(dialect: Dialect, events: List[Any]) -> Reply:
    return dialect._stream_reply(events, "awkward")


# ------------------------------------------------------------------------------- FB3


@chat
def test_fb3_pieces_of_one_detail_are_one_detail(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    kind = {"type": "reasoning.text", "index": 0}
    pieces = [{**kind, "text": "First "}, {**kind, "text": "this."}, {**kind, "signature": "sig=="}]
    other = {"type": "reasoning.text", "index": 1, "text": "Then that."}
    unnumbered = [
        {"type": "reasoning.summary", "summary": "A"},
        {"type": "reasoning.summary", "summary": "B"},
    ]
    chunks = [chunk(reasoning_details=[piece]) for piece in [*pieces, other, *unnumbered]]
    server.script(streamed(dialect, [*chunks, chunk(content="Noon."), chunk("stop")]), dialect.whole())
    orchestrator = orchestrate()

    first = orchestrator.send_streaming_request("Hi").final_response()
    orchestrator.send_request([user(), first.message, user("Go on.")])

    whole = [{**kind, "text": "First this.", "signature": "sig=="}, other, *unnumbered]
    assert server.requests[1].body["messages"][1]["reasoning_details"] == whole


@chat
def test_fb3_what_every_chunk_repeats_is_no_text(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    labelled = [{"content": piece, "channel": "final", "token_id": n} for n, piece in enumerate(("No", "on"))]
    server.script(streamed(dialect, [*(chunk(**each) for each in labelled), chunk("stop")]), dialect.whole())
    orchestrator = orchestrate()

    first = orchestrator.send_streaming_request("Hi").final_response()
    orchestrator.send_request([user(), first.message, user("Go on.")])

    sent = server.requests[1].body["messages"][1]
    assert sent == {"role": "assistant", "content": "Noon", "channel": "final"}


# ------------------------------------------------------------------------------- FB6

MARK = {"type": "ephemeral"}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}


@anthropic
@pytest.mark.parametrize(
    "part", [image(), FILE, {"type": "file", "file": {"file_id": "f1"}}, {"type": "text", "text": "A"}]
)
def test_fb6_a_mark_beside_a_part_is_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, part: Any
) -> None:
    ask(orchestrate(), way, [user([{**part, "cache_control": MARK}, {"type": "text", "text": "B"}])])

    first, second = server.requests[0].body["messages"][0]["content"]
    assert first["cache_control"] == MARK
    assert set(first) <= {"type", "source", "title", "text", "cache_control"}
    assert second == {"type": "text", "text": "B"}


@pytest.mark.parametrize("dialect", ["responses", "anthropic"], indirect=True)
@pytest.mark.parametrize("inside", [False, True])
def test_fb6_a_mark_beside_a_tool_is_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, inside: bool
) -> None:
    marks = {"cache_control": MARK, "defer_loading": True}
    function = {**CLOCK["function"], **(marks if inside else {})}  # type: ignore[dict-item]
    orchestrate().send_request("Hi", tools=[{**CLOCK, "function": function, **({} if inside else marks)}])

    (tool,) = server.requests[0].body["tools"]
    assert {key: tool.get(key) for key in marks} == marks
    assert "function" not in tool


@gemini
def test_fb6_gemini_is_sent_its_own_marks_alone(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    video = {"type": "file", "file": {"file_data": "https://x/film.mp4"}, "videoMetadata": {"fps": 1}}
    orchestrate().send_request([user([{**video, "cache_control": MARK}])])

    (part,) = server.requests[0].body["contents"][0]["parts"]
    assert part == {
        "fileData": {"mimeType": "video/mp4", "fileUri": "https://x/film.mp4"},
        "videoMetadata": {"fps": 1},
    }


# ------------------------------------------------------------------------------- FB7


def test_fb7_a_history_may_begin_with_the_assistants_turn(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    ask(orchestrate(), way, [assistant("How may I help?"), user("Sing.")])

    asked = dialect.read_request(server.requests[0].body, server.requests[0].path)
    assert asked["messages"] == [("assistant", "How may I help?"), ("user", "Sing.")]


# ------------------------------------------------------------------------------- FB8

FIELDS = ("tool_choice", "parallel_tool_calls", "toolConfig")


@pytest.mark.parametrize(
    "asked",
    [
        {"tool_choice": "auto"},
        {"tool_choice": "required"},
        {"tool_choice": "none"},
        {"tool_choice": "clock"},
        {"parallel_tool_calls": False},
        {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []},
    ],
    ids=str,
)
def test_fb8_what_needs_tools_is_left_out_without_them(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, asked: Any
) -> None:
    response = ask(orchestrate(), way, **asked)

    assert not set(FIELDS) & set(server.requests[0].body)
    names = [name for name in asked if name != "tools"]
    assert sorted(response.warnings) == sorted(
        f"{name} was not sent: the call has no tools." for name in names
    )


def test_fb8_an_option_of_the_entry_is_left_out_in_silence(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    response = orchestrate(options={"parallel_tool_calls": False}).send_request("Hi")

    assert not set(FIELDS) & set(server.requests[0].body)
    assert response.warnings == ()


def test_fb8_a_choice_of_the_entry_is_left_out_in_silence(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))
    options = {"parallel_tool_calls": False, "tool_choice": "auto"}
    response: LLMResponse = ask(orchestrate(options=options), way)

    assert not set(FIELDS) & set(server.requests[0].body)
    assert response.warnings == ()


@pytest.mark.parametrize("dialect", ["chat", "responses", "anthropic"], indirect=True)
def test_fb8_tools_among_the_entrys_options_are_tools(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole())
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    response = orchestrate(options={"tools": tools}).send_request("Hi", tool_choice="auto")

    assert "tool_choice" in server.requests[0].body and response.warnings == ()


# ------------------------------------------------------------------------------- FB9

ZONE = {"type": "object", "properties": {"zone": {"type": "string"}}}
FORMS_OF_TOOLS: List[Dict[str, Any]] = [
    {"name": "clock", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}},
    {"name": "clock", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}},
    {
        "type": "function",
        "name": "clock",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
    },
    {"name": "clock", "inputSchema": {"type": "object", "properties": {"zone": {"type": "string"}}}},
    *(
        {"type": "function", "function": {"name": "clock", key: ZONE}}
        for key in ("input_schema", "inputSchema")
    ),
    {"toolSpec": {"name": "clock", "description": "Tell.", "inputSchema": {"json": ZONE}}},
    {"functionDeclarations": [{"name": "clock", "parameters": ZONE}]},
    {"function_declarations": [{"name": "clock", "parametersJsonSchema": ZONE}]},
    {
        "functionDeclarations": [
            {"name": "clock", "parameters": {"type": "OBJECT", "properties": {"zone": {"type": "STRING"}}}}
        ]
    },
]


@pytest.mark.parametrize("tool", FORMS_OF_TOOLS, ids=str)
def test_fb9_a_tool_in_another_form_reaches_every_provider(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, tool: Any
) -> None:
    ask(orchestrate(), way, tools=[tool], tool_choice="clock")

    wishes = dialect.read_wishes(server.requests[0].body)
    assert wishes.tools["clock"]["properties"] == {"zone": {"type": "string"}}


def test_fb9_functions_with_what_only_gemini_knows_go_to_gemini_alone(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.whole()
    tool = {"functionDeclarations": [{"name": "clock", "behavior": "NON_BLOCKING"}]}
    if dialect.name == "gemini":
        orchestrate().send_request("Hi", tools=[tool])
        assert server.requests[0].body["tools"] == [tool]
        return
    with pytest.raises(InvalidRequestError, match="of Gemini alone. Write .*function"):
        orchestrate().send_request("Hi", tools=[tool])
    assert server.requests == []


#: A tool that the provider runs, the choice of it, and how both are sent.
HOSTED: Mapping[str, Tuple[Any, Any, Any]] = {
    "chat": (
        {"type": "custom", "custom": {"name": "sql"}},
        "sql",
        {"type": "custom", "custom": {"name": "sql"}},
    ),
    "responses": ({"type": "web_search"}, "web_search", {"type": "web_search"}),
    "anthropic": (
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "tool", "name": "web_search"},
        {"type": "tool", "name": "web_search"},
    ),
    "gemini": (
        {"googleSearch": {}},
        {"functionCallingConfig": {"mode": "VALIDATED"}},
        {"functionCallingConfig": {"mode": "VALIDATED"}},
    ),
}


def test_fb9_hosted_tools_and_their_choice_pass(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    tool, choice, sent = HOSTED[dialect.name]
    server.script(answer(dialect, way))

    response: LLMResponse = ask(orchestrate(), way, tools=[tool], tool_choice=choice)

    body = server.requests[0].body
    assert body["tools"] == [tool]
    assert body["toolConfig" if dialect.name == "gemini" else "tool_choice"] == sent
    assert response.warnings == ()
