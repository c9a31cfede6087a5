"""Conversations in all four ways on every provider's wire format: what is kept, and what never is."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, List

import pytest

from llm_orchestrator import (
    AsyncLLMStream,
    Conversation,
    InvalidRequestError,
    LLMResponse,
    LLMStream,
    ProviderError,
    StreamInterruptedError,
)
from tests.support.fixtures import Orchestrate
from tests.support.leaving import ASYNC, SYNC, AsyncLeave, Leave
from tests.support.scripted_server import (
    BEFORE_HEAD,
    SIGNATURE,
    Call,
    Dialect,
    Reply,
    Reset,
    ScriptedServer,
    Stall,
    Usage,
)
from tests.support.ways import WAYS

STREAMED = [way for way in WAYS if "streamed" in way]


def say(conversation: Conversation, way: str, messages: Any = "Hi", **arguments: Any) -> LLMResponse:
    """Take a turn in one of the four ways."""
    if way == "whole":
        return conversation.send(messages, **arguments)
    if way == "streamed":
        return conversation.stream(messages, **arguments).final_response()
    if way == "async whole":
        return asyncio.run(conversation.asend(messages, **arguments))

    async def read() -> LLMResponse:
        return await conversation.astream(messages, **arguments).final_response()

    return asyncio.run(read())


def answer(dialect: Dialect, way: str, text: str = "Hello.", **keywords: Any) -> Reply:
    """The same answer, whole or as a stream, as the way of calling asks for."""
    if "streamed" in way:
        return dialect.stream([text] if text else [], **keywords)
    return dialect.whole(text, **keywords)


def sent(server: ScriptedServer, dialect: Dialect) -> List[Any]:
    """System text and messages of every request."""
    read = [dialect.read_request(request.body, request.path) for request in server.requests]
    return [(asked["system"] or "", asked["messages"]) for asked in read]


def texts(conversation: Conversation) -> List[str]:
    return [f"{message.role}: {message.text}" for message in conversation.messages]


@pytest.fixture
def conversation(orchestrate: Orchestrate) -> Conversation:
    """A conversation in which nothing was said yet."""
    return orchestrate(timeout=30).start_conversation("Be brief.", max_tokens=100)


# ---------------------------------------------------------------- turns


def test_every_answer_adds_a_turn(
    conversation: Conversation, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    usage = Usage(prompt=100, completion=20, cached=40)
    server.script(*(answer(dialect, way, text, usage=usage) for text in ("Two", "Four")))

    first = say(conversation, way, "One")
    last = say(conversation, way, [{"role": "user", "content": "Three"}])

    assert (first.content, last.content) == ("Two", "Four")
    turns = [("user", "One"), ("assistant", "Two"), ("user", "Three")]
    assert [messages for _, messages in sent(server, dialect)] == [turns[:1], turns]
    assert all("Be brief." in system for system, _ in sent(server, dialect))
    kept = ["system: Be brief.", *(f"{role}: {text}" for role, text in turns), "assistant: Four"]
    assert texts(conversation) == kept
    assert conversation.messages[-1] == last.message
    counted = conversation.usage
    assert (counted.prompt_tokens, counted.completion_tokens, counted.cached_tokens) == (200, 40, 80)


def test_a_tool_loop_takes_a_turn_for_the_results(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    def clock(zone: str) -> str:
        return f"Noon in {zone}"

    calls = [Call("clock", {"zone": "UTC"}), Call("clock", {"zone": "Europe/Zürich"})]
    asked = answer(dialect, way, "", tool_calls=calls, finish="tool_calls")
    server.script(asked, answer(dialect, way, "Noon."))
    conversation = orchestrate().start_conversation(tools=[clock])

    response = say(conversation, way, "What time is it?")
    while response.tool_calls:
        results = [call.result(clock(**(call.arguments or {}))) for call in response.tool_calls]
        response = say(conversation, way, results)

    assert response.content == "Noon."
    assert [message.role for message in conversation.messages] == "user assistant tool tool assistant".split()
    second = server.requests[1].content.decode()
    assert second.index("Noon in UTC") < second.index("Noon in Europe/Z")


@pytest.mark.slow
def test_m6_a_saved_conversation_sends_the_same_bytes(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    thought = answer(
        dialect,
        way,
        "Let me see 🌍.",
        reasoning="Hm.",
        tool_calls=[Call("clock", {"zone": "Zürich", "at": 1.0})],
        finish="tool_calls",
    )
    server.script(thought, *[answer(dialect, way)] * 2)
    orchestrator = orchestrate()
    tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
    conversation = orchestrator.start_conversation("Think.", tools=[tool])
    (call,) = say(conversation, way).tool_calls

    loaded = Conversation.from_json(conversation.to_json(), orchestrator, tools=[tool])
    assert loaded.messages == conversation.messages
    for each in (conversation, loaded):
        say(each, way, [call.result({"time": "noon"})])

    _, unsaved, saved = (request.content for request in server.requests)
    assert saved == unsaved
    assert (SIGNATURE.encode() in saved) is (dialect.signature is not None)
    assert loaded.to_json() == conversation.to_json()


def test_a_tool_may_change_the_arguments_it_was_given(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    calls = [Call("sort", {"numbers": [2, 1]})]
    server.script(
        answer(dialect, way, "", reasoning="Hm.", tool_calls=calls, finish="tool_calls"), answer(dialect, way)
    )
    conversation = orchestrate().start_conversation()
    (call,) = say(conversation, way).tool_calls
    assert call.arguments is not None

    call.arguments["numbers"].sort()
    say(conversation, way, [call.result("sorted")])

    assert conversation.messages[1].tool_calls[0].arguments == {"numbers": [2, 1]}
    assert (SIGNATURE.encode() in server.requests[1].content) is (dialect.signature is not None)


@pytest.mark.parametrize("ending", ["refusal", "content_filter", "length"])
def test_an_answer_that_is_none_does_not_end_the_conversation(
    conversation: Conversation, server: ScriptedServer, dialect: Dialect, way: str, ending: str
) -> None:
    keywords = {"refusal": "I cannot."} if ending == "refusal" else {"finish": ending}
    server.script(answer(dialect, way, "", **keywords), answer(dialect, way, "Yes."))

    refused = say(conversation, way, "Do it.")
    assert refused.content == "" and len(conversation.messages) == 3
    assert say(conversation, way, "Then this.").content == "Yes."

    said = "\n".join(text for _, text in sent(server, dialect)[1][1])
    assert "Do it." in said and "Then this." in said


def test_another_answer_takes_the_place_of_one_taken_back(
    conversation: Conversation, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    cut_off = answer(dialect, way, "", tool_calls=[Call("clock", raw='{"zo')], finish="length")
    server.script(cut_off, answer(dialect, way, "Noon."))
    say(conversation, way, "What time is it?")

    say(conversation, way, conversation.undo(), max_tokens=200)

    assert texts(conversation) == ["system: Be brief.", "user: What time is it?", "assistant: Noon."]
    assert sent(server, dialect)[0] == sent(server, dialect)[1]


# ---------------------------------------------------------------- what is not kept


def test_a_failed_call_leaves_the_conversation_as_it_was(
    conversation: Conversation, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.failure("overloaded"), answer(dialect, way))
    before = conversation.to_json()

    with pytest.raises(ProviderError):
        say(conversation, way, "Lost")
    assert conversation.to_json() == before

    say(conversation, way, "Kept")
    assert sent(server, dialect)[-1][1] == [("user", "Kept")]


@pytest.mark.parametrize("way", STREAMED)
@pytest.mark.parametrize("fault", [None, Reset()], ids=["clean end", "reset"])
def test_a_cut_stream_leaves_the_history_as_it_was(
    conversation: Conversation, server: ScriptedServer, dialect: Dialect, way: str, fault: Any
) -> None:
    cut = dialect.stream(["Half", " an"], complete=False)
    server.script(cut.but(fault=fault) if fault else cut, answer(dialect, way))

    with pytest.raises(StreamInterruptedError):
        say(conversation, way, "Lost")
    assert texts(conversation) == ["system: Be brief."]
    assert conversation.unpriced_requests == 1

    say(conversation, way, "Kept")
    assert sent(server, dialect)[-1][1] == [("user", "Kept")]


def unfinished(dialect: Dialect) -> Reply:
    return dialect.stream(["One", " two"], complete=False).but(fault=Stall())


@pytest.mark.parametrize(("leave", "status"), SYNC.values(), ids=list(SYNC))
def test_a_stream_that_is_left_is_not_kept_and_blocks_nothing(
    conversation: Conversation, server: ScriptedServer, dialect: Dialect, leave: Leave, status: str
) -> None:
    server.script(unfinished(dialect), dialect.whole("Yes."))

    leave(conversation.stream("Lost"))
    gc.collect(0)

    assert texts(conversation) == ["system: Be brief."]
    assert conversation.send("Kept").content == "Yes."
    assert sent(server, dialect)[-1][1] == [("user", "Kept")]
    assert (conversation.unpriced_requests, conversation.usage.source) == (2, "partial")


@pytest.mark.parametrize(("leave", "status"), ASYNC.values(), ids=list(ASYNC))
def test_an_async_stream_that_is_left_is_not_kept_and_blocks_nothing(
    conversation: Conversation, server: ScriptedServer, dialect: Dialect, leave: AsyncLeave, status: str
) -> None:
    server.script(unfinished(dialect), dialect.whole("Yes."))

    async def scenario() -> None:
        await leave(conversation.astream("Lost"))

    asyncio.run(scenario())
    gc.collect(0)

    assert texts(conversation) == ["system: Be brief."]
    assert asyncio.run(conversation.asend("Kept")).content == "Yes."
    assert sent(server, dialect)[-1][1] == [("user", "Kept")]
    assert (conversation.unpriced_requests, conversation.usage.source) == (2, "partial")


def test_a_cancelled_call_is_not_kept_and_blocks_nothing(
    conversation: Conversation, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole().but(fault=Stall(BEFORE_HEAD)), dialect.whole("Yes."))

    async def scenario() -> LLMResponse:
        task = asyncio.ensure_future(conversation.asend("Lost"))
        await asyncio.get_running_loop().run_in_executor(None, server.wait_for_requests, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await conversation.asend("Kept")

    assert asyncio.run(scenario()).content == "Yes."
    assert texts(conversation) == ["system: Be brief.", "user: Kept", "assistant: Yes."]
    assert sent(server, dialect)[-1][1] == [("user", "Kept")]


def test_a_turn_that_cannot_be_sent_leaves_no_trace(
    conversation: Conversation, server: ScriptedServer, way: str
) -> None:
    with pytest.raises(InvalidRequestError, match="temperature"):
        say(conversation, way, temperature="hot")
    assert server.requests == [] and len(conversation.messages) == 1


def test_streams_are_those_of_the_orchestrator(conversation: Conversation, dialect: Dialect) -> None:
    assert isinstance(conversation.stream("Hi"), LLMStream)
    assert isinstance(conversation.astream("Hi"), AsyncLLMStream)
