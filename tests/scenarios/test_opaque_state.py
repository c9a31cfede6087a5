"""M6 and FB4: whatever text and calls cannot rebuild of a turn stands in the next request as it came."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from llm_orchestrator import Conversation
from tests.scenarios.test_conversations import say
from tests.support.fixtures import Orchestrate
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


def test_fb4_every_dialect_has_its_turns() -> None:
    assert set(TURNS) == set(DIALECTS)
