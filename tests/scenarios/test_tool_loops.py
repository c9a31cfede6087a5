"""Loops of tools in all four ways: every call is answered, what goes wrong is told, and any cut leaves a history."""

from __future__ import annotations

import asyncio
import gc
import threading
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Callable, List

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    Conversation,
    InvalidRequestError,
    LLMResponse,
    OrchestratorError,
    OutputTruncatedError,
    ProviderError,
    TextDelta,
    ToolCall,
    ToolResults,
    ToolTimeoutError,
    TooManyTurnsError,
)
from llm_orchestrator.utils.values import evolve
from tests.support.fixtures import Orchestrate
from tests.support.marks import STREAMED, anthropic, chat, streamed
from tests.support.money import Spend, answer, price, rows
from tests.support.scripted_server import Call, Dialect, ScriptedServer
from tests.support.scripted_server.replies import Reply

asynchronous = pytest.mark.parametrize("way", ["async whole", "async streamed"], indirect=True)
synchronous = pytest.mark.parametrize("way", ["whole", "streamed"], indirect=True)


def forecast(city: str, days: int = 1) -> str:
    """Tell the weather."""
    return f"{city}: {21 * days}"


class City(BaseModel):
    name: str
    degrees: int


ROME, OSLO = Call("forecast", {"city": "Rome"}, "call_a"), Call(
    "forecast", {"city": "Oslo", "days": 2}, "call_b"
)


def calls(dialect: Dialect, way: str, *wanted: Call, **keywords: Any) -> Reply:
    """An answer that asks for calls of tools."""
    text: Any = {"pieces": []} if way in STREAMED else {"text": ""}
    return answer(
        dialect, way, tool_calls=wanted, finish=keywords.pop("finish", "tool_calls"), **text, **keywords
    )


def says(dialect: Dialect, way: str, text: str) -> Reply:
    return answer(dialect, way, **({"pieces": [text[:3], text[3:]]} if way in STREAMED else {"text": text}))


def loop(
    conversation: Conversation, way: str, messages: Any = "How warm?", *more: Any, **arguments: Any
) -> LLMResponse:
    """Carry out a loop in one of the four ways."""
    if way == "whole":
        return conversation.run(messages, *more, **arguments)
    if way == "streamed":
        return conversation.run_stream(messages, *more, **arguments).final_response()

    async def main() -> LLMResponse:
        if way == "async whole":
            return await conversation.arun(messages, *more, **arguments)
        return await conversation.arun_stream(messages, *more, **arguments).final_response()

    return asyncio.run(main())


def sent(server: ScriptedServer, dialect: Dialect, number: int = -1) -> List[Any]:
    """The messages of a request, as role and text."""
    request = server.requests[number]
    return list(dialect.read_request(request.body, request.path)["messages"])


def check_goes_on(conversation: Conversation, server: ScriptedServer, dialect: Dialect) -> None:
    """The history has a result for every call, and another turn is sent with it."""
    for place, message in enumerate(conversation.messages):
        after = conversation.messages[place + 1 : place + 1 + len(message.tool_calls)]
        assert [each.tool_call_id for each in after] == [call.id for call in message.tool_calls]
    again = Conversation.from_json(conversation.to_json(), conversation._orchestrator)
    assert again.messages == conversation.messages
    server.script(dialect.whole("As you like."))
    assert conversation.send("Never mind.").content == "As you like."


# ---------------------------------------------------------------- a loop that ends


def test_every_call_is_made_and_all_that_was_paid_is_in_the_answer(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    server.script(
        calls(dialect, way, ROME, OSLO), calls(dialect, way, ROME), says(dialect, way, "Rome is warm.")
    )
    orchestrator = spend(**price(dialect))
    conversation = orchestrator.start_conversation("Be brief.", tools=[forecast])

    response = loop(conversation, way)

    assert response.content == "Rome is warm."
    results = [("tool", "Rome: 21"), ("tool", "Oslo: 42")]
    assert [each for each in sent(server, dialect, 1) if each[0] == "tool"] == results
    assert [each for each in sent(server, dialect) if each[0] == "tool"] == [*results, ("tool", "Rome: 21")]
    roles = [message.role for message in conversation.messages]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "tool", "assistant"]
    assert len(response.attempts) == len(rows(path)) == 3
    assert response.cost == conversation.cost == orchestrator.get_session_cost() > 0
    assert response.usage.total_tokens == conversation.usage.total_tokens
    check_goes_on(conversation, server, dialect)


def test_an_answer_without_calls_is_one_turn(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, "21 degrees."))

    response = loop(orchestrate().start_conversation(tools=[forecast]), way, max_turns=1)

    assert (response.content, len(server.requests)) == ("21 degrees.", 1)


def test_the_last_answer_is_parsed(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(calls(dialect, way, ROME), says(dialect, way, '{"name": "Rome", "degrees": 21}'))

    response = loop(orchestrate().start_conversation(), way, tools=[forecast], response_format=City)

    assert response.parsed == City(name="Rome", degrees=21)
    wishes = [dialect.read_wishes(request.body) for request in server.requests]
    assert all(wish.output is not None and list(wish.tools) == ["forecast"] for wish in wishes)


def test_a_call_that_is_demanded_is_demanded_once(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(calls(dialect, "whole", ROME), says(dialect, "whole", "21."))

    orchestrate().start_conversation(tools=[forecast]).run("Hi", tool_choice="required")

    demanded = ["tool_choice" in request.body or "toolConfig" in request.body for request in server.requests]
    assert demanded == [True, False]


class Station:
    """A station."""

    def __init__(self) -> None:
        self.asked: List[str] = []

    def here(self, city: str) -> str:
        """Tell the weather here."""
        self.asked.append(city)
        return "dry"

    def __call__(self, city: str) -> str:
        """Tell the weather at the station."""
        self.asked.append(city)
        return "wet"


async def slow(city: str) -> str:
    """Tell the weather slowly."""
    await asyncio.sleep(0)
    return f"{city} slowly"


@asynchronous
def test_methods_objects_partials_and_async_functions_are_tools(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    station = Station()
    tools = [partial(forecast, days=3), station.here, station, slow]
    names = ("forecast", "here", "Station", "slow")
    server.script(
        calls(dialect, way, *(Call(name, {"city": "Rome"}, f"id_{name}") for name in names)),
        says(dialect, way, "Done."),
    )

    loop(orchestrate().start_conversation(tools=tools), way)

    offered = dialect.read_wishes(server.requests[0].body).tools
    assert list(offered["forecast"]["properties"]) == ["city"], "what a partial has set is not the model's"
    assert [text for role, text in sent(server, dialect) if role == "tool"] == [
        "Rome: 63",
        "dry",
        "wet",
        "Rome slowly",
    ]
    assert station.asked == ["Rome", "Rome"]


@asynchronous
def test_the_calls_of_a_turn_run_at_the_same_time(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(calls(dialect, way, ROME, OSLO), says(dialect, way, "Done."))
    both = threading.Barrier(2, timeout=30)

    def meet(city: str, days: int = 1) -> str:
        """Tell the weather, when the other one does."""
        both.wait()
        return city

    meet.__name__ = "forecast"

    assert loop(orchestrate().start_conversation(tools=[meet]), way).content == "Done."


# ---------------------------------------------------------------- streams


@streamed
def test_a_stream_has_the_text_of_all_turns_and_a_mark_between(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    first = dialect.stream(["Let me ", "look."], tool_calls=[ROME], finish="tool_calls")
    server.script(first, dialect.stream(["It is ", "warm."]))
    conversation = orchestrate().start_conversation(tools=[forecast])

    async def main() -> Any:
        if way == "streamed":
            stream = conversation.run_stream("How warm?")
            return list(stream.events()), stream
        astream = conversation.arun_stream("How warm?")
        return [event async for event in astream.events()], astream

    events, stream = asyncio.run(main())

    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Let me look.It is warm."
    (mark,) = [event for event in events if isinstance(event, ToolResults)]
    assert mark.response.content == "Let me look." and [each.text for each in mark.results] == ["Rome: 21"]
    assert stream.text == stream.response.content == "It is warm."
    assert len(stream.response.attempts) == 2


@streamed
def test_an_object_grows_in_the_last_turn(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    last = dialect.stream(['{"name": "Ro', 'me", "degrees": 21}'])
    server.script(calls(dialect, way, ROME), last)
    conversation = orchestrate().start_conversation(tools=[forecast], response_format=City)

    async def main() -> List[Any]:
        if way == "streamed":
            return list(conversation.run_stream("How warm?").partial())
        return [value async for value in conversation.arun_stream("How warm?").partial()]

    values = asyncio.run(main())

    assert {"name": "Ro"} in values and values[-1] == City(name="Rome", degrees=21)


@streamed
def test_a_stream_that_is_not_read_sends_and_holds_nothing(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    conversation = orchestrate().start_conversation(tools=[forecast])
    make = conversation.run_stream if way == "streamed" else conversation.arun_stream
    stream = make("How warm?")

    check_goes_on(conversation, server, dialect)

    assert len(server.requests) == 1
    del stream


# ---------------------------------------------------------------- what goes wrong is told to the model


def test_what_a_tool_raises_and_what_the_model_gets_wrong_are_results(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    def forecast(city: str, days: int) -> str:
        """Tell the weather."""
        raise LookupError(f"no station in {city}")

    wrong = [
        Call("forecast", {"city": "Rome", "days": 1}, "id_1"),
        Call("forecast", {"city": "Rome", "days": "many"}, "id_2"),
        Call("forcast", {"city": "Rome"}, "id_3"),
    ]
    server.script(calls(dialect, way, *wrong), says(dialect, way, "Sorry."))

    assert loop(orchestrate().start_conversation(tools=[forecast]), way).content == "Sorry."

    failed, misfit, unknown = (text for role, text in sent(server, dialect) if role == "tool")
    assert "LookupError: no station in Rome" in failed
    assert "days: Input should be a valid integer" in misfit
    assert "There is no tool 'forcast'. Did you mean 'forecast'?" in unknown


def test_an_error_of_a_tool_is_raised_where_that_is_wanted(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    def forecast(city: str, days: int = 1) -> str:
        """Tell the weather."""
        if city == "Oslo":
            raise LookupError("no station")
        return "warm"

    server.script(calls(dialect, way, ROME, OSLO))
    conversation = orchestrate().start_conversation(tools=[forecast])

    with pytest.raises(LookupError, match="no station"):
        loop(conversation, way, on_tool_error="raise")

    assert conversation.messages[-1].text.startswith("This call has no result")
    check_goes_on(conversation, server, dialect)


@chat
def test_a_tool_that_never_returns_ends_by_its_timeout(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    never = threading.Event()

    def forecast(city: str, days: int = 1) -> str:
        """Tell the weather."""
        never.wait(60)
        return "late"

    server.script(calls(dialect, way, ROME), says(dialect, way, "Sorry."), calls(dialect, way, ROME))
    conversation = orchestrate().start_conversation(tools=[forecast])

    assert loop(conversation, way, tool_timeout=0.05).content == "Sorry."
    assert "did not end within 0.05 seconds" in sent(server, dialect)[-1][1]
    with pytest.raises(ToolTimeoutError):
        loop(conversation, way, tool_timeout=0.05, on_tool_error="raise")
    never.set()
    check_goes_on(conversation, server, dialect)


@chat
@asynchronous
def test_an_async_tool_that_never_returns_is_cancelled(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    ended: List[str] = []

    async def forecast(city: str) -> str:
        """Tell the weather."""
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(city)
        return "late"

    server.script(calls(dialect, way, ROME), says(dialect, way, "Sorry."))

    assert (
        loop(orchestrate().start_conversation(tools=[forecast]), way, tool_timeout=0.05).content == "Sorry."
    )
    assert ended == ["Rome"]


# ---------------------------------------------------------------- before a tool


def test_calls_are_approved_changed_refused_and_answered(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    cities = ("Rome", "Oslo", "Bonn", "Kiel", "Lyon")
    wanted = [Call("forecast", {"city": city}, f"id_{city}") for city in cities]
    server.script(calls(dialect, way, *wanted), says(dialect, way, "Done."))

    def decide(call: ToolCall) -> Any:
        city = (call.arguments or {})["city"]
        verdicts = {
            "Rome": None,
            "Oslo": evolve(call, arguments={"city": "Bergen"}),
            "Bonn": False,
            "Kiel": "too far",
            "Lyon": call.result("warm"),
        }
        return verdicts[city]

    conversation = orchestrate().start_conversation(tools=[forecast])
    loop(conversation, way, before_tool=decide)

    assert [text for role, text in sent(server, dialect) if role == "tool"] == [
        "Rome: 21",
        "Bergen: 21",
        "This call was refused.",
        "This call was refused: too far",
        "warm",
    ]
    check_goes_on(conversation, server, dialect)


def test_what_decides_may_answer_for_a_tool_that_is_no_function(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(calls(dialect, way, Call("City", {"name": "Rome"}, "id_1")), says(dialect, way, "Done."))
    conversation = orchestrate().start_conversation(tools=[City])

    loop(conversation, way, before_tool=lambda call: call.result("21 degrees"))

    assert sent(server, dialect)[-1] == ("tool", "21 degrees")


@synchronous
def test_an_async_function_is_refused_also_where_something_decides(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    with pytest.raises(InvalidRequestError, match="'slow' is async"):
        loop(orchestrate().start_conversation(tools=[slow]), way, before_tool=lambda call: True)
    assert server.requests == []


@asynchronous
def test_what_decides_may_be_async(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    async def decide(call: ToolCall) -> bool:
        await asyncio.sleep(0)
        return call.name != "forecast"

    server.script(calls(dialect, way, ROME), says(dialect, way, "Done."))

    loop(orchestrate().start_conversation(tools=[forecast]), way, before_tool=decide)

    assert sent(server, dialect)[-1] == ("tool", "This call was refused.")


# ---------------------------------------------------------------- a loop that is cut


def test_a_loop_without_end_stops_with_what_was_paid(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    server.script(*(calls(dialect, way, ROME) for _ in range(3)))
    conversation = spend(**price(dialect)).start_conversation(tools=[forecast])

    with pytest.raises(TooManyTurnsError, match="in each of 3 turns. Raise max_turns") as caught:
        loop(conversation, way, max_turns=3)

    error = caught.value
    assert len(error.responses) == len(error.attempts) == len(server.requests) == len(rows(path)) == 3
    assert error.response is not None and error.response.cost == conversation.cost
    assert conversation.cost == sum((each.cost or Decimal(0) for each in error.responses), Decimal(0)) > 0
    assert [message.role for message in conversation.messages] == ["user", *["assistant", "tool"] * 3]
    check_goes_on(conversation, server, dialect)


def test_a_turn_that_fails_leaves_the_turns_before(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(
        calls(dialect, way, ROME), dialect.error(500), calls(dialect, way, OSLO), says(dialect, way, "Ok.")
    )
    conversation = orchestrate().start_conversation(tools=[forecast])

    with pytest.raises(ProviderError):
        loop(conversation, way)

    assert [message.text for message in conversation.messages] == ["How warm?", "", "Rome: 21"]
    assert loop(conversation, way, conversation.undo()).content == "Ok."  # goes on where it was cut
    assert [message.role for message in conversation.messages].count("assistant") == 3
    check_goes_on(conversation, server, dialect)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@synchronous
def test_a_ctrl_c_in_a_tool_leaves_a_history(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, stop: Any
) -> None:
    def forecast(city: str, days: int = 1) -> str:
        """Tell the weather."""
        if city == "Oslo":
            raise stop
        return "warm"

    server.script(calls(dialect, way, ROME, OSLO))
    conversation = orchestrate().start_conversation(tools=[forecast])

    with pytest.raises(stop):
        loop(conversation, way)

    assert [message.text for message in conversation.messages[2:3]] == ["warm"], "what was done is known"
    check_goes_on(conversation, server, dialect)


@asynchronous
def test_a_cancellation_while_tools_run_leaves_a_history(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(calls(dialect, way, ROME, OSLO))
    conversation: Any = None

    async def main() -> None:
        waits = asyncio.Event()

        async def forecast(city: str, days: int = 1) -> str:
            """Tell the weather."""
            if city == "Oslo":
                for _ in range(50):  # the other one ends meanwhile
                    await asyncio.sleep(0)
                waits.set()
                await asyncio.sleep(3600)
            return "warm"

        nonlocal conversation
        conversation = orchestrate().start_conversation(tools=[forecast])
        running = conversation.arun if way == "async whole" else _read
        arguments = ["How warm?"] if way == "async whole" else [conversation]
        task = asyncio.ensure_future(running(*arguments))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert [message.text for message in conversation.messages[2:3]] == ["warm"]
    check_goes_on(conversation, server, dialect)


async def _read(conversation: Conversation) -> LLMResponse:
    return await conversation.arun_stream("How warm?").final_response()


def close(stream: Any) -> None:
    stream.close()


def drop(stream: Any) -> None:
    del stream
    gc.collect()


@pytest.mark.parametrize("leave", [close, drop])
@pytest.mark.parametrize("turns_before", [0, 1])
def test_a_stream_that_is_left_leaves_a_history(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    leave: Callable[[Any], None],
    turns_before: int,
) -> None:
    server.script(*[calls(dialect, "streamed", ROME)] * turns_before, dialect.stream(["It is ", "warm."]))
    conversation = orchestrate().start_conversation(tools=[forecast])

    streams = [conversation.run_stream("How warm?")]
    assert next(streams[0]) == "It is "
    with pytest.raises(OrchestratorError, match="Another call of this conversation is running"):
        conversation.send("And now?")
    leave(streams.pop())

    assert len(conversation.messages) == 3 * turns_before
    check_goes_on(conversation, server, dialect)


def test_an_answer_that_is_cut_inside_a_call_is_an_error_and_not_kept(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(calls(dialect, way, ROME), calls(dialect, way, OSLO, finish="length"))
    conversation = orchestrate().start_conversation(tools=[forecast])

    with pytest.raises(OutputTruncatedError, match="inside a tool call. Raise max_tokens") as caught:
        loop(conversation, way)

    assert len(caught.value.responses) == len(caught.value.attempts) == 2
    assert [message.text for message in conversation.messages] == ["How warm?", "", "Rome: 21"]
    check_goes_on(conversation, server, dialect)


@chat
def test_arguments_that_are_not_json_are_told_and_mended(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    broken = Call("forecast", {}, "id_1", raw='{"city": ')
    server.script(calls(dialect, way, broken), says(dialect, way, "Sorry."))
    conversation = orchestrate().start_conversation(tools=[forecast])

    assert loop(conversation, way).content == "Sorry."

    assert "Invalid JSON" in sent(server, dialect)[-1][1]
    assert conversation.messages[1].tool_calls[0].arguments == {}, "no host takes half a call back"


def test_while_a_loop_runs_others_see_the_history_before_it(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    seen: List[Any] = []

    def look(call: ToolCall) -> None:
        seen.append((conversation.messages, conversation.usage.total_tokens))
        with pytest.raises(OrchestratorError, match="Another call"):
            conversation.send("And now?")

    server.script(calls(dialect, way, ROME), says(dialect, way, "Done."))
    conversation = orchestrate().start_conversation(tools=[forecast])

    loop(conversation, way, before_tool=look)

    ((messages, tokens),) = seen
    assert messages == () and tokens, "its cost is known at once, its call when that is answered"


# ---------------------------------------------------------------- wrong calls


@chat
@synchronous
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"max_turns": 0}, "max_turns is 0. Pass a whole number"),
        ({"max_turns": True}, "max_turns is True"),
        ({"tool_timeout": 0}, "tool_timeout is 0"),
        ({"on_tool_error": "ignore"}, "on_tool_error is 'ignore'. Use 'result' or 'raise'."),
        ({"before_tool": "yes"}, "before_tool is a str"),
        ({"tools": [City]}, "'City' is a class, which cannot be run"),
        (
            {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
            "'f' is a dict, which cannot be run",
        ),
        ({"tools": [slow]}, "'slow' is async. Run it on one of the async ways"),
    ],
)
def test_what_cannot_be_a_loop_is_refused_before_anything_is_sent(
    orchestrate: Orchestrate, server: ScriptedServer, way: str, arguments: Any, expected: str
) -> None:
    with pytest.raises(InvalidRequestError, match=expected):
        loop(orchestrate().start_conversation(tools=[forecast]), way, **arguments)
    assert server.requests == []


@anthropic
def test_a_wrong_verdict_ends_the_loop_with_a_history(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(calls(dialect, way, ROME))
    conversation = orchestrate().start_conversation(tools=[forecast])

    with pytest.raises(InvalidRequestError, match="before_tool returned a int"):
        loop(conversation, way, before_tool=lambda call: 5)  # type: ignore[arg-type, return-value, unused-ignore]

    check_goes_on(conversation, server, dialect)
