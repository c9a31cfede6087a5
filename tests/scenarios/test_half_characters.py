"""FB5: halves of characters, which JSON can escape and nobody can send, are joined or replaced."""

from __future__ import annotations

import json
from typing import Any, List, Tuple

import pytest

from llm_orchestrator import TextDelta
from tests.support.fixtures import Orchestrate
from tests.support.histories import user
from tests.support.opaque import DOCUMENTS, EVENTS
from tests.support.scripted_server import Dialect, Reply, ScriptedServer
from tests.support.shapes.openai_chat_shapes import chunk
from tests.support.ways import ask

CLOCK = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}},
}
HALF = "\ud83d"
OTHER_HALF = "\ude00"


def text_turn(dialect: Dialect, text: str) -> Any:
    if dialect.name == "chat":
        return {"content": text}
    if dialect.name == "responses":
        part = {"type": "output_text", "text": text, "annotations": []}
        return [{"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}]
    return [{"type": "text", "text": text}] if dialect.name == "anthropic" else [{"text": text}]


def whole(output: Any) -> Any:
    return {"type": "response.completed", "response": DOCUMENTS["responses"](output)}


def pieces_of(dialect: Dialect, *texts: str) -> List[Any]:
    """The events of a stream of texts, in ASCII."""
    if dialect.name == "chat":
        return [*(chunk(content=text) for text in texts), chunk("stop"), "[DONE]"]
    if dialect.name == "responses":
        kind = {"type": "response.output_text.delta", "output_index": 0}
        return [*({**kind, "delta": text} for text in texts), whole(text_turn(dialect, "".join(texts)))]
    if dialect.name == "gemini":
        return list(EVENTS["gemini"]([{"text": text} for text in texts]))
    first, *_ = EVENTS["anthropic"]([])
    begun = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    events = [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    stop = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    return [first, begun, *events, stop, {"type": "message_stop"}]


def ascii_stream(events: List[Any]) -> Reply:
    data = [event if isinstance(event, str) else json.dumps(event) for event in events]
    content = "".join(f"data: {each}\n\n" for each in data).encode()
    return Reply(headers={"content-type": "text/event-stream"}, chunks=(content,))


def ascii_document(document: Any) -> Reply:
    return Reply(headers={"content-type": "application/json"}, body=json.dumps(document).encode())


def halved(dialect: Dialect, way: str, *texts: str) -> Reply:
    if "streamed" in way:
        return ascii_stream(pieces_of(dialect, *texts))
    return ascii_document(DOCUMENTS[dialect.name](text_turn(dialect, "".join(texts))))


def test_fb5_a_character_cut_in_two_is_whole(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(halved(dialect, way, "Hi " + HALF, OTHER_HALF, "!"))

    response = ask(orchestrate(), way)

    assert response.content == "Hi \U0001f600!"
    assert response.warnings == ()


@pytest.mark.parametrize(
    "texts", [("Hi " + HALF, "!"), ("Hi ", OTHER_HALF + "!"), ("Hi !" + HALF,)], ids=ascii
)
def test_fb5_half_a_character_is_replaced_and_said(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, texts: Tuple[str, ...]
) -> None:
    server.script(halved(dialect, way, *texts), dialect.whole())
    orchestrator = orchestrate()

    response = ask(orchestrator, way)

    assert response.content.replace("\ufffd", "") == "Hi !" and response.content.count("\ufffd") == 1
    assert [warning for warning in response.warnings if "half of a character" in warning]
    orchestrator.send_request([user(), response.message, user("Go on.")])
    assert "\ufffd" in json.dumps(server.requests[1].body, ensure_ascii=False)


def call_turn(dialect: Dialect, arguments: Any) -> Any:
    if dialect.name == "chat":
        function = {"name": "clock", "arguments": arguments}
        return {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]}
    if dialect.name == "responses":
        return [{"type": "function_call", "call_id": "c1", "name": "clock", "arguments": arguments}]
    if dialect.name == "anthropic":
        return [{"type": "tool_use", "id": "c1", "name": "clock", "input": arguments}]
    return [{"functionCall": {"name": "clock", "args": arguments}}]


def test_fb5_half_a_character_in_arguments_is_replaced(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    arguments: Any = {"a": HALF} if dialect.name in ("anthropic", "gemini") else '{"a": "\\ud83d"}'
    server.script(ascii_document(DOCUMENTS[dialect.name](call_turn(dialect, arguments))), dialect.whole())
    orchestrator = orchestrate()

    first = orchestrator.send_request("Hi", tools=[CLOCK])
    (call,) = first.tool_calls

    assert call.arguments == {"a": "\ufffd"}
    orchestrator.send_request([user(), first.message, call.result(call.arguments)], tools=[CLOCK])
    assert len(server.requests) == 2


def test_fb5_pieces_are_handed_out_without_halves(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(halved(dialect, "streamed", HALF, OTHER_HALF, "a" + HALF, "b" + HALF))

    stream = orchestrate().send_streaming_request("Hi")
    pieces = [event.text for event in stream.events() if isinstance(event, TextDelta)]

    assert "".join(pieces) == "\U0001f600a\ufffdb\ufffd"
    assert all(pieces), "no piece is empty"
