"""Conversations in Gemini's JSON: what providers reject is mended or refused, and nothing is invented."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any, Dict, List, Tuple

import pytest

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.types import LLMResponse, Message, ToolCall
from tests.support.shapes.gemini_shapes import (
    ADAPTER,
    SIGNATURE,
    assistant,
    body,
    call,
    contents,
    read,
    read_stream,
    reply,
    request,
    response,
    result,
    system,
    text,
    turn,
    user,
    whole,
)

Json = Dict[str, Any]
PIXEL = "iVBORw0KGgo+/A=="
SUNNY = {"result": "sunny"}
HI = turn("user", text("Hi"))


def image(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def asks(*cities: str) -> Json:
    return turn("model", *(call(args={"city": city}) for city in cities))


HISTORIES: Dict[str, Tuple[List[Message], List[Json]]] = {
    "one turn": ([user()], [HI]),
    "two user turns in a row": ([user("A"), user("B")], [turn("user", text("A"), text("B"))]),
    "two model turns in a row": (
        [user(), assistant("A"), assistant("B"), user()],
        [HI, turn("model", text("A"), text("B")), HI],
    ),
    "an empty user turn": ([user("")], [turn("user", text(""))]),
    "an empty model turn": ([user("A"), assistant(""), user("B")], [turn("user", text("A"), text("B"))]),
    "a model turn at the start": ([assistant("A"), user()], [turn("model", text("A")), HI]),
    "a tool result": (
        [user(), assistant(None, "a"), result("a")],
        [HI, asks("a"), turn("user", response("weather", SUNNY))],
    ),
    "a tool result and a question": (
        [user(), assistant("Let me see.", "a"), result("a"), user("And?")],
        [
            HI,
            turn("model", text("Let me see."), call(args={"city": "a"})),
            turn("user", response("weather", SUNNY), text("And?")),
        ],
    ),
    "results out of order": (
        [user(), assistant(None, "a", "b"), result("b", "B"), result("a", "A")],
        [
            HI,
            asks("a", "b"),
            turn("user", response("weather", {"result": "A"}), response("weather", {"result": "B"})),
        ],
    ),
    "an id used twice": (
        [user(), assistant(None, "a"), result("a"), assistant(None, "a"), result("a")],
        [
            HI,
            asks("a"),
            turn("user", response("weather", SUNNY)),
            asks("a"),
            turn("user", response("weather", SUNNY)),
        ],
    ),
    "results as JSON": (
        [
            user(),
            assistant(None, "a", "b", "c", "d", "e"),
            result("a", '{"celsius": 20}'),
            result("b", "{}"),
            result("c", "[1, 2]"),
            result("d", '{"celsius": NaN}'),
            result("e", ""),
        ],
        [
            HI,
            asks("a", "b", "c", "d", "e"),
            turn(
                "user",
                response("weather", {"celsius": 20}),
                response("weather", {}),
                response("weather", {"result": "[1, 2]"}),
                response("weather", {"result": '{"celsius": NaN}'}),
                response("weather", {"result": ""}),
            ),
        ],
    ),
    "a result with an image": (
        [
            user(),
            assistant(None, "a"),
            result("a", [{"type": "text", "text": "sunny"}, image(f"data:image/png;base64,{PIXEL}")]),
        ],
        [
            HI,
            asks("a"),
            turn(
                "user",
                response("weather", SUNNY, parts=[{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]),
            ),
        ],
    ),
    "images": (
        [
            user(
                [
                    {"type": "text", "text": "What is this?"},
                    {"type": "text", "text": ""},
                    image(f"data:image/png;base64,{PIXEL}"),
                    image("https://example.com/a.jpg?size=1"),
                    image("gs://bucket/object"),
                ]
            )
        ],
        [
            turn(
                "user",
                text("What is this?"),
                {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
                {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a.jpg?size=1"}},
                {"fileData": {"fileUri": "gs://bucket/object"}},
            )
        ],
    ),
    "files and sound": (
        [
            user(
                [
                    {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg=="}},
                    {"type": "file", "file": {"file_id": "https://example.com/v1beta/files/1"}},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                ]
            )
        ],
        [
            turn(
                "user",
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}},
                {"fileData": {"fileUri": "https://example.com/v1beta/files/1"}},
                {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
            )
        ],
    ),
    "a refusal among the parts": (
        [user(), Message("assistant", [{"type": "refusal", "refusal": "No."}]), user()],
        [HI, turn("model", text("No.")), HI],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_that_can_be_sent(name: str) -> None:
    messages, expected = HISTORIES[name]
    assert contents(*messages) == expected


REFUSED: Dict[str, Tuple[List[Message], int]] = {
    "system only": ([system("Be brief."), system("Be kind.")], 1),
    "a trailing model turn": ([user(), assistant("The answer is")], 1),
    "a trailing tool call": ([user(), assistant(None, "a")], 1),
    "a call without its result": ([user(), assistant(None, "a"), user()], 2),
    "one of two results": ([user(), assistant(None, "a", "b"), result("a"), user()], 3),
    "a result without its call": ([user(), result("a")], 1),
    "a result given twice": ([user(), assistant(None, "a"), result("a"), result("a")], 3),
    "a tool call at the start": ([assistant(None, "a"), result("a")], 0),
    "unreadable arguments": (
        [user(), Message("assistant", None, (ToolCall("a", "weather", None, "{"),)), result("a")],
        1,
    ),
    "an image in a system message": ([system([image("https://example.com/a.png")]), user()], 0),
    "an unknown part": ([user([{"type": "hologram"}])], 0),
    "a part without a type": ([user([{"text": "Hi"}])], 0),
    "a data URL that is not base64": ([user([image("data:text/plain,Hi")])], 0),
    "a data URL without a media type": ([user([image("data:;base64,SGk=")])], 0),
    "an image without a URL": ([user([{"type": "image_url"}])], 0),
    "a file without data": ([user(), user([{"type": "file", "file": "a.pdf"}])], 1),
    "sound without a format": ([user([{"type": "input_audio", "input_audio": {"data": "UklG"}}])], 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_history_that_is_refused_names_the_message(name: str) -> None:
    messages, index = REFUSED[name]
    with pytest.raises(InvalidMessagesError, match=rf"messages\[{index}\]") as caught:
        contents(*messages)
    assert caught.value.index == index


def test_system_messages_keep_their_order() -> None:
    sent = body(system("A"), system([{"type": "text", "text": "B"}]), system(""), user())
    assert sent["systemInstruction"] == {"parts": [text("A"), text("B")]}
    assert sent["contents"] == [HI]


def test_a_system_message_that_has_to_move_is_told() -> None:
    wire = ADAPTER.build_request(request(system("A"), user(), system("B"), user()), stream=False)
    assert wire.body is not None
    assert wire.body["systemInstruction"] == {"parts": [text("A"), text("B")]}
    assert len(wire.warnings) == 1 and "messages[2]" in wire.warnings[0]


# ---------------------------------------------------------------- opaque state

STATEFUL: Dict[str, List[Json]] = {
    "signature on text": [text("Hello", thoughtSignature=SIGNATURE)],
    "signature on empty text": [text("Hello"), text("", thoughtSignature=SIGNATURE)],
    "signature on a call": [
        call(args={"city": "Rome"}, thoughtSignature=SIGNATURE),
        call(args={"city": "Bern"}),
    ],
    "thoughts": [text("Hm.", thought=True), text("Hello")],
    "calls with ids": [call(args={}, function={"id": "f1"})],
    "a call without arguments": [call(thoughtSignature=SIGNATURE)],
    "code that Gemini ran": [
        {"executableCode": {"language": "PYTHON", "code": "1+1"}, "thoughtSignature": SIGNATURE},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
        text("It is 2."),
    ],
    "tools that Gemini ran": [
        {"toolCall": {"id": "t1"}, "thoughtSignature": SIGNATURE},
        {"toolResponse": {"id": "t1"}, "thoughtSignature": SIGNATURE},
        text("Found."),
    ],
    "an image": [text("Here."), {"inlineData": {"mimeType": "image/png", "data": PIXEL}}],
}


def answers_to(answer: LLMResponse) -> List[Message]:
    return [result(made.id) for made in answer.tool_calls] or [user()]


def saved(message: Message) -> Message:
    """The message after a conversation was saved to JSON and loaded."""
    fields = json.loads(json.dumps(asdict(message)))
    return Message(**{**fields, "tool_calls": tuple(ToolCall(**made) for made in fields["tool_calls"])})


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", STATEFUL)
def test_the_parts_of_an_answer_go_back_as_they_came(name: str, streamed: bool) -> None:
    parts = STATEFUL[name]
    if streamed:
        _, state = read_stream([reply(part, finish=None) for part in parts] + [reply(finish="STOP")])
        answer = whole(state)
    else:
        answer = read(reply(*parts))
    assert answer.message is not None
    for message in (answer.message, saved(answer.message)):
        assert contents(user(), message, *answers_to(answer))[1] == turn("model", *parts)


def test_a_plain_answer_carries_no_state() -> None:
    for parts in (
        [text("Hello")],
        [text("Hel"), text("lo")],
        [text("Hello"), call(args={"city": "Rome"})],
        [],
    ):
        answer = read(reply(*parts))
        assert answer.message is not None and answer.message.provider_state is None


def test_an_edited_turn_is_rebuilt_from_what_it_says() -> None:
    answer = read(reply(text("Hello"), call(args={"city": "Rome"}, thoughtSignature=SIGNATURE)))
    assert answer.message is not None
    edited = replace(answer.message, content="Goodbye")
    assert contents(user(), edited, *answers_to(answer))[1] == turn(
        "model", text("Goodbye"), call(args={"city": "Rome"})
    )
    other_call = replace(answer.message, tool_calls=(ToolCall("x", "weather", {"city": "Bern"}),))
    assert contents(user(), other_call, result("x"))[1] == turn(
        "model", text("Hello"), call(args={"city": "Bern"})
    )


@pytest.mark.parametrize("state", [{}, {"parts": None}, {"parts": "x"}, {"parts": [1]}, {"blocks": []}])
def test_state_of_another_form_is_not_sent(state: Json) -> None:
    message = Message("assistant", "Hello", provider_state=state)
    assert contents(user(), message, user())[1] == turn("model", text("Hello"))


def test_a_result_names_the_id_that_gemini_gave() -> None:
    answer = read(reply(call(args={}, function={"id": "f1"})))
    assert answer.message is not None
    sent = contents(user(), answer.message, result("f1"))
    assert sent[2] == turn("user", response("weather", SUNNY, id="f1"))
