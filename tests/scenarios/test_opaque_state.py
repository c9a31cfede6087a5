"""M6 and FB4: whatever text and calls cannot rebuild of a turn stands in the next request as it came."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from llm_orchestrator import Conversation
from tests.scenarios.test_conversations import say
from tests.support.fixtures import Orchestrate
from tests.support.marks import chat, responses
from tests.support.opaque import SIGNED, TURNS, reply, turn_in
from tests.support.scripted_server import DIALECTS, SIGNATURE, Call, ScriptedServer
from tests.support.scripted_server.wire_base import Answer

CASES = [(name, case) for name, cases in TURNS.items() for case in cases]
IDS = [f"{name}: {case}" for name, case in CASES]
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
#: Answers of the scripted server that carry its signature, before words and before calls.
CANNED = {
    "words": Answer(("Let me", " see."), reasoning="Hm."),
    "calls": Answer((), reasoning="Hm.", tool_calls=(Call("clock", {"at": 1.0}), Call("clock", {}))),
}


def without_empty(value: Any) -> Any:
    """Fields that say nothing left out: nobody misses them."""
    if isinstance(value, dict):
        return {key: each for key, each in value.items() if each not in (None, [], "")}
    return [without_empty(each) for each in value]


def go_on(conversation: Conversation, way: str) -> None:
    """Take the next turn, with results for the calls where there are any."""
    calls = conversation.messages[-1].tool_calls
    say(conversation, way, [call.result("noon") for call in calls] or "Go on.")


@pytest.mark.parametrize(("dialect", "case"), CASES, indirect=["dialect"], ids=IDS)
def test_fb4_a_turn_goes_back_as_it_came(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Any, case: str, way: str
) -> None:
    turn = TURNS[dialect.name][case]
    server.script(reply(dialect, way, turn), *[reply(dialect, way, turn)] * 2)
    orchestrator = orchestrate()
    conversation = orchestrator.start_conversation(tools=[CLOCK])
    say(conversation, way)

    loaded = Conversation.from_json(conversation.to_json(), orchestrator, tools=[CLOCK])
    for each in (conversation, loaded):
        go_on(each, way)

    _, unsaved, saved = server.requests
    assert turn_in(dialect, unsaved.body) == turn
    assert saved.content == unsaved.content
    if SIGNED in str(turn):
        assert SIGNED.encode() in saved.content


@pytest.mark.parametrize("name", CANNED)
@pytest.mark.parametrize("dialect", ["responses", "anthropic", "gemini"], indirect=True)
def test_fb4_the_canned_answers_too(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Any, name: str, way: str
) -> None:
    document, events = dialect.document(CANNED[name]), list(dialect.events(CANNED[name], complete=True))
    streamed = dialect._stream_reply(events, "awkward")
    whole = reply(dialect, "whole", received(dialect, document))
    server.script(streamed if "streamed" in way else whole, *[dialect.stream(), dialect.stream()])
    orchestrator = orchestrate()
    conversation = orchestrator.start_conversation(tools=[CLOCK])
    first = say(conversation, way)

    loaded = Conversation.from_json(conversation.to_json(), orchestrator, tools=[CLOCK])
    for each in (conversation, loaded):
        go_on(each, "streamed")

    raw: Dict[str, Any] = dict(first.raw_response or {})
    _, unsaved, saved = server.requests
    assert without_empty(turn_in(dialect, unsaved.body)) == without_empty(received(dialect, raw))
    assert saved.content == unsaved.content
    assert saved.content.count(SIGNATURE.encode()) == 1


def received(dialect: Any, document: Any) -> List[Any]:
    """The turn in a document of a provider's."""
    if dialect.name == "gemini":
        return list(document["candidates"][0]["content"]["parts"])
    return list(document["content" if dialect.name == "anthropic" else "output"])


SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SIGNED}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
TEXT = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Noon."}]}
UNSEALED = {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "Hm."}]}


@responses
def test_fb4_reasoning_that_cannot_be_found_takes_along_what_follows_from_it_alone(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Any, way: str
) -> None:
    text = {**TEXT, "id": "msg_1"}
    turn = [SEALED, SEARCH, UNSEALED, {**SEARCH, "id": "ws_2"}, text]
    server.script(reply(dialect, way, turn), dialect.whole())
    conversation = orchestrate().start_conversation()
    say(conversation, way)
    conversation.send("Go on.")

    assert turn_in(dialect, server.requests[1].body) == [SEALED, SEARCH, TEXT]


@chat
@pytest.mark.parametrize(("sent", "written"), [({"at": 1}, '{"at": 1}'), (None, "")])
def test_fb4_arguments_of_a_kept_call_are_text(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Any, sent: Any, written: str
) -> None:
    call = {"id": "c1", "type": "function", "seal": SIGNED, "function": {"name": "clock", "arguments": sent}}
    server.script(reply(dialect, "whole", {"content": None, "tool_calls": [call]}), dialect.whole())
    conversation = orchestrate().start_conversation(tools=[CLOCK])
    conversation.send("Hi")
    go_on(conversation, "whole")

    (back,) = turn_in(dialect, server.requests[1].body)["tool_calls"]
    assert back == {**call, "function": {"name": "clock", "arguments": written}}


@chat
def test_fb4_of_a_spoken_answer_its_id_goes_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Any
) -> None:
    audio = {"id": "audio_1", "data": "QUJD", "expires_at": 5, "transcript": "Hello"}
    server.script(reply(dialect, "whole", {"content": None, "audio": audio}), dialect.whole())
    conversation = orchestrate().start_conversation()
    conversation.send("Hi")
    conversation.send("Go on.")

    assert turn_in(dialect, server.requests[1].body) == {"content": None, "audio": {"id": "audio_1"}}


@chat
def test_fb4_empty_fields_and_visible_reasoning_without_calls_stay_behind(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Any
) -> None:
    nothing = {"refusal": "", "annotations": [], "audio": {"id": "", "expires_at": 0}, "prefix": False}
    turn = {"content": "Noon.", "reasoning": "Hm.", **nothing}
    server.script(reply(dialect, "whole", turn), dialect.whole())
    conversation = orchestrate().start_conversation()
    conversation.send("Hi")
    conversation.send("Go on.")

    assert turn_in(dialect, server.requests[1].body) == {"content": "Noon."}
    assert conversation.messages[1].provider_state is None


@responses
def test_fb4_a_message_that_only_came_in_pieces_goes_back_with_its_role(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Any
) -> None:
    whole = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    sealed = {"type": "response.output_item.done", "output_index": 0, "item": SEALED}
    delta = {"type": "response.output_text.delta", "output_index": 1, "delta": "Noon."}
    server.script(dialect._stream_reply([sealed, delta, whole], "awkward"), dialect.whole())
    conversation = orchestrate().start_conversation()
    conversation.stream("Hi").final_response()
    conversation.send("Go on.")

    assert turn_in(dialect, server.requests[1].body) == [SEALED, TEXT]


def test_fb4_every_dialect_has_its_turns() -> None:
    assert set(TURNS) == set(DIALECTS)
