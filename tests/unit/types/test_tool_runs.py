"""One call of a tool: which functions can be called, what their arguments become, and what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import pickle
from datetime import date
from enum import Enum
from functools import partial, wraps
from typing import Any, Awaitable, Callable, Dict, List

import pytest
from pydantic import BaseModel

from llm_orchestrator import InvalidRequestError, Message, ToolCall, ToolTimeoutError
from llm_orchestrator.request.tools import read_tools
from llm_orchestrator.types import tool_call
from llm_orchestrator.utils.values import evolve


class Unit(Enum):
    CELSIUS = "C"


class Place(BaseModel):
    city: str


def visit(
    place: Place, day: date, unit: Unit = Unit.CELSIUS, /, guests: int = 2, *, loud: bool = False
) -> str:
    """Visit a place."""
    return f"{place.city} {day:%d.%m.} {unit.name} {guests} {loud}"


class Diary:
    """A diary."""

    def note(self, text: str) -> Dict[str, str]:
        """Note something."""
        return {"noted": text}

    async def __call__(self, text: str) -> str:
        """Note something slowly."""
        await asyncio.sleep(0)
        return text.upper()

    @staticmethod
    def today() -> date:
        """Tell the day."""
        return date(2026, 1, 2)

    @classmethod
    def name(cls) -> str:
        """Tell the name."""
        return cls.__name__


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return call


def call(name: str, arguments: str = "{}") -> ToolCall:
    return tool_call("id_1", name, arguments)


def test_arguments_become_what_the_function_takes() -> None:
    wanted = call("visit", '{"place": {"city": "Rome"}, "day": "2026-03-01", "guests": "3"}')
    assert wanted.run([visit]) == Message(
        "tool", "Rome 01.03. CELSIUS 3 False", tool_call_id="id_1", name="visit"
    )


@pytest.mark.parametrize(
    ("tool", "name", "arguments", "expected"),
    [
        (Diary().note, "note", '{"text": "a"}', '{"noted":"a"}'),
        (Diary.today, "today", "{}", '"2026-01-02"'),
        (Diary.name, "name", "{}", "Diary"),
        (Diary(), "Diary", '{"text": "a"}', "A"),
        (
            partial(visit, Place(city="Oslo"), date(2026, 1, 1), guests=5),
            "visit",
            "{}",
            "Oslo 01.01. CELSIUS 5 False",
        ),
        (partial(partial(Diary().note), "b"), "note", "", '{"noted":"b"}'),
        (traced(Diary().note), "note", '{"text": "c"}', '{"noted":"c"}'),
    ],
)
def test_methods_objects_and_partials(tool: Any, name: str, arguments: str, expected: str) -> None:
    (described,) = read_tools([tool])
    assert described["function"]["name"] == name and described["function"]["description"]
    assert asyncio.run(call(name, arguments).arun([tool])).content == expected


def test_a_partial_hides_what_it_has_set_from_the_model() -> None:
    def fetch(city: str, key: str = "none") -> str:
        """Fetch the weather."""
        return key

    tool = partial(fetch, key="secret")
    assert "secret" not in str(read_tools([tool]))
    assert call("fetch", '{"city": "Rome", "key": "mine"}').run([tool]).content == "secret"


def test_functions_by_name_and_changed_arguments() -> None:
    asked = call("write", '{"text": "a"}')
    tools = {"write": Diary().note}
    assert asked.run(tools).content == '{"noted":"a"}'
    assert evolve(asked, arguments={"text": "b"}).run(tools).content == '{"noted":"b"}'
    assert ToolCall("i", "write", {"text": "c"}).run(tools).content == '{"noted":"c"}'


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("not", "{}", "There is no tool 'not'. Did you mean 'note'?"),
        ("note", "{}", "The arguments of 'note' do not fit: text: Field required. Call it again with"),
        ("note", '{"text": ', "The arguments of 'note' do not fit: Invalid JSON"),
    ],
)
@pytest.mark.parametrize("on_tool_error", ["result", "raise"])
def test_mistakes_of_the_model_are_told_always(
    name: str, arguments: str, expected: str, on_tool_error: str
) -> None:
    result = call(name, arguments).run([Diary().note], on_tool_error=on_tool_error)
    assert str(result.content).startswith(expected)


def fails() -> None:
    raise LookupError("over")


@pytest.mark.parametrize("place", range(4))
def test_a_tool_that_raises_stop_iteration_has_failed(place: int) -> None:
    def stops() -> None:
        raise StopIteration

    assert "StopIteration" in ways(call("stops"))[place]([stops]).content


def gives_what_json_cannot() -> Any:
    return object()


def ways(asked: ToolCall, **arguments: Any) -> List[Callable[[List[Any]], Any]]:
    """Run a call in every way there is."""
    return [
        lambda tools: asked.run(tools, **arguments),
        lambda tools: asked.run(tools, timeout=30, **arguments),
        lambda tools: asyncio.run(asked.arun(tools, **arguments)),
        lambda tools: asyncio.run(asked.arun(tools, timeout=30, **arguments)),
    ]


@pytest.mark.parametrize("place", range(4))
def test_what_a_tool_raises_is_told_and_logged_or_raised(
    place: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        told = ways(call("fails"))[place]([fails])
    assert told.content == "The tool 'fails' failed: LookupError: over"
    assert "The tool fails failed with LookupError" in caplog.text and "over" not in caplog.text
    with pytest.raises(LookupError, match="over"):
        ways(call("fails"), on_tool_error="raise")[place]([fails])


@pytest.mark.parametrize("place", range(4))
def test_a_result_that_json_cannot_hold_is_an_error_of_the_tool(place: int) -> None:
    tool = gives_what_json_cannot
    told = ways(call(tool.__name__))[place]([tool])
    assert "is a object that cannot be written as JSON" in told.content
    with pytest.raises(InvalidRequestError):
        ways(call(tool.__name__), on_tool_error="raise")[place]([tool])


def test_an_async_tool_that_cancels_itself_has_failed() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    told = asyncio.run(call("cancels").arun([cancels]))
    assert "RuntimeError: it was cancelled" in str(told.content)


def test_a_function_that_returns_something_to_await() -> None:
    def later() -> Awaitable[str]:
        """Tell it later."""
        return Diary()("a")

    assert asyncio.run(call("later").arun([later])).content == "A"
    with pytest.raises(InvalidRequestError, match="'later' is async"):
        call("later").run([later], on_tool_error="raise")


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (Place, "The tool 'Place' is a class, which cannot be run. Pass a function"),
        ({"type": "function", "function": {"name": "Place"}}, "The tool 'Place' is a dict"),
        ({"name": "Place", "input_schema": {}}, "The tool 'Place' is a dict"),
    ],
)
def test_what_cannot_be_run_is_the_applications_mistake(tool: Any, expected: str) -> None:
    with pytest.raises(InvalidRequestError, match=expected):
        call("Place").run([tool, {"type": "web_search", "name": "search"}])


def test_an_async_tool_is_refused_where_nothing_can_be_awaited() -> None:
    with pytest.raises(
        InvalidRequestError, match="The tool 'Diary' is async. Run it on one of the async ways."
    ):
        call("Diary", '{"text": "a"}').run([Diary()])
    with pytest.raises(InvalidRequestError, match="on_tool_error is 'no'"):
        call("note").run([Diary().note], on_tool_error="no")


@pytest.mark.parametrize("place", ["here", "on a loop"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tools": "note"}, r"tools is a str\. Pass a list of tools"),
        ({"tools": Diary.today}, r"tools is a function\. Pass a list of tools"),
        ({"timeout": -1}, "timeout is -1. Use a number of seconds greater than 0"),
        ({"timeout": True}, "timeout is True. Use a number"),
    ],
)
def test_tools_and_timeouts_that_cannot_be_are_the_applications_mistake(
    given: Dict[str, Any], expected: str, place: str
) -> None:
    arguments = {"tools": [Diary.today], **given}
    wanted = call("today")
    with pytest.raises(InvalidRequestError, match=expected):
        wanted.run(**arguments) if place == "here" else asyncio.run(wanted.arun(**arguments))


def test_an_exception_that_cannot_say_what_went_wrong_is_told_by_its_name() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def note() -> str:
        raise OddError

    told = call("note").run([note]).content
    assert told == "The tool 'note' failed: OddError: it does not say why"


def test_half_a_character_in_a_result_can_be_sent() -> None:
    """As in a file's name that is not UTF-8, which Python reads into such halves."""

    def listing() -> str:
        return b"caf\xe9.txt".decode("utf-8", "surrogateescape")

    assert call("listing").run([listing]).content == "caf\ufffd.txt"


def test_the_error_of_a_late_tool_is_pickled() -> None:
    error = ToolTimeoutError("Late.")
    assert str(pickle.loads(pickle.dumps(error))) == "Late."
