"""Tools from functions, classes and dicts, and the calls of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Callable, List, Optional

import pytest
from pydantic import BaseModel, Field

from llm_orchestrator import (
    FinishReason,
    InvalidRequestError,
    LLMOrchestrator,
    ToolCall,
)
from llm_orchestrator.request.output import read_response_format
from llm_orchestrator.request.tools import read_tool_choice, read_tools
from llm_orchestrator.testing import FakeReply
from tests.support.fakes import MODEL, play, warm  # noqa: F401 (warm is a fixture)
from tests.support.ways import ask


def forecast(city: str, days: int = 3, *, units: Optional[str] = None) -> str:
    """Tell the weather.

    Looks it up in a table that
    nobody reads.

    Args:
        city: Name of the city,
            in any language.
        days (int): How many days ahead.

    Returns:
        The forecast.
    """
    return f"{city} {days} {units}"


class Sum(BaseModel):
    """Add two numbers."""

    total: int


PLAIN = {"type": "function", "function": {"name": "plain", "parameters": {"type": "object"}}}
SEARCH = {"type": "web_search"}


# ---------------------------------------------------------------- tools


def test_a_function_becomes_a_tool() -> None:
    (tool,) = read_tools([forecast])
    assert tool["type"] == "function"
    function = tool["function"]
    description = "Tell the weather.\n\nLooks it up in a table that\nnobody reads."
    assert (function["name"], function["description"]) == ("forecast", description)
    parameters = function["parameters"]
    assert (parameters["type"], parameters["required"]) == ("object", ["city"])
    properties = parameters["properties"]
    assert list(properties) == ["city", "days", "units"]
    assert properties["city"]["type"] == "string"
    assert properties["city"]["description"] == "Name of the city, in any language."
    assert (properties["days"]["type"], properties["days"]["default"]) == ("integer", 3)
    assert properties["days"]["description"] == "How many days ahead."
    assert "description" not in properties["units"]


def test_descriptions_may_stand_in_the_hints_and_docstrings_be_indented_by_two() -> None:
    def order(
        item: Annotated[str, Field(description="What to buy.")], count: Annotated[int, Field(ge=1)]
    ) -> None:
        pass

    order.__doc__ = "Order an item.\nArgs:\n  count (int): How many,\n    at most ten.\nReturns:\n  Nothing."
    (tool,) = read_tools([order])
    properties = tool["function"]["parameters"]["properties"]
    assert tool["function"]["description"] == "Order an item."
    assert properties["item"]["description"] == "What to buy."
    assert (properties["count"]["description"], properties["count"]["minimum"]) == (
        "How many, at most ten.",
        1,
    )


def test_a_default_may_be_a_field() -> None:
    def order(
        item: str = Field(description="What to buy."),
        count: int = Field(1, ge=1),
    ) -> None: ...

    (tool,) = read_tools([order])
    parameters = tool["function"]["parameters"]
    assert parameters["required"] == ["item"]
    assert parameters["properties"]["item"]["description"] == "What to buy."
    assert (parameters["properties"]["count"]["minimum"], parameters["properties"]["count"]["default"]) == (
        1,
        1,
    )


def test_a_default_that_json_cannot_write_is_left_out_silently() -> None:
    missing = object()

    def find(name: str, fallback: Any = missing) -> None: ...

    class Found(BaseModel):
        value: Any = missing

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (tool,) = read_tools([find])
        output = read_response_format(Found)
    assert tool["function"]["parameters"]["required"] == ["name"]
    assert "default" not in str(tool) + str(output.response_format)


@pytest.mark.parametrize("name", ["größe", "a" * 65])
def test_names_that_providers_refuse(name: str) -> None:
    def tool() -> None: ...

    tool.__name__ = name
    with pytest.raises(InvalidRequestError, match="tool name .* is not valid: use ASCII letters"):
        read_tools([tool])


def test_a_function_may_be_bare() -> None:
    def now():  # type: ignore[no-untyped-def]
        return "noon"

    def echo(times=2, loud=False):  # type: ignore[no-untyped-def]
        return "echo" * times

    bare, untyped = read_tools([now, echo])
    assert bare["function"] == {"name": "now", "parameters": {"properties": {}, "type": "object"}}
    properties = untyped["function"]["parameters"]["properties"]
    assert [properties[name]["type"] for name in ("times", "loud")] == ["integer", "boolean"]


def test_a_method_is_a_tool_without_its_object() -> None:
    class Shop:
        def order(self, item: str) -> None:
            """Order an item."""

    (tool,) = read_tools([Shop().order])
    assert list(tool["function"]["parameters"]["properties"]) == ["item"]


def test_parameters_may_have_any_name_python_allows() -> None:
    def convert(json: str, copy: bool, model_name: str, schema: int, _hidden: int = 0) -> None: ...

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (tool,) = read_tools([convert])
    parameters = tool["function"]["parameters"]
    assert list(parameters["properties"]) == ["json", "copy", "model_name", "schema", "_hidden"]
    assert parameters["required"] == ["json", "copy", "model_name", "schema"]


def test_classes_and_dicts_are_tools() -> None:
    @dataclass
    class Point:
        x: int

    tools = read_tools((Sum, Point, PLAIN, SEARCH))
    assert tools[0]["function"]["name"] == "Sum"
    assert tools[0]["function"]["description"] == "Add two numbers."
    assert tools[0]["function"]["parameters"]["required"] == ["total"]
    assert tools[1]["function"]["parameters"]["properties"]["x"]["type"] == "integer"
    assert "description" not in tools[1]["function"], "Python's own repeats the signature"
    assert tools[2:] == (PLAIN, SEARCH)


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "forecast", "description": "Tell.", "parameters": CITY}


@pytest.mark.parametrize(
    "tool",
    [
        {"function": FUNCTION},
        {"type": "function", **FUNCTION},
        FUNCTION,
        {"name": "forecast", "description": "Tell.", "input_schema": CITY},
        {"type": "custom", "name": "forecast", "description": "Tell.", "input_schema": CITY},
        {"name": "forecast", "description": "Tell.", "inputSchema": CITY},
    ],
)
@pytest.mark.parametrize("marks", [{}, {"cache_control": {"type": "ephemeral"}}])
def test_fb9_a_function_in_another_form_is_the_same_tool(tool: Any, marks: Any) -> None:
    assert read_tools([{**tool, **marks}]) == ({"type": "function", "function": FUNCTION, **marks},)


@pytest.mark.parametrize(
    "tool",
    [
        SEARCH,
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "custom", "name": "sql", "format": {"type": "text"}},
        {"type": "custom", "custom": {"name": "sql"}},
        {"googleSearch": {}},
        {"functionDeclarations": [{**FUNCTION, "behavior": "NON_BLOCKING"}]},
    ],
)
def test_fb9_a_hosted_tool_passes(tool: Any) -> None:
    assert read_tools([tool]) == (tool,)


HOSTED = ({"type": "web_search_20250305", "name": "web_search"}, SEARCH, {"type": "custom", "name": "sql"})


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ({"type": "web_search"}, {"type": "web_search"}),
        ("web_search", {"type": "tool", "name": "web_search"}),
        ("sql", {"type": "custom", "name": "sql"}),
        ({"type": "tool", "name": "web_search"}, {"type": "tool", "name": "web_search"}),
        ({"type": "any"}, "required"),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"type": "tool", "name": "plain"}, {"type": "function", "function": {"name": "plain"}}),
        ({"type": "function", "name": "plain"}, {"type": "function", "function": {"name": "plain"}}),
        ({"type": "mcp", "server_label": "x"}, {"type": "mcp", "server_label": "x"}),
    ],
)
def test_fb9_a_choice_of_a_hosted_tool_passes(choice: Any, sent: Any) -> None:
    assert read_tool_choice(choice, [*HOSTED, PLAIN]) == sent


def test_no_tools_are_no_tools() -> None:
    assert read_tools(None) == read_tools([]) == ()


def takes_anything(*values: int) -> None: ...


def takes_names(**values: int) -> None: ...


class Opaque:
    """Nothing that JSON knows."""


def takes_opaque(thing: Opaque) -> None: ...


def takes_nothing_known(thing: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def takes_unknown(text):  # type: ignore[no-untyped-def]
    return text


class Holder(BaseModel):
    work: Callable[[], int]


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ("forecast", "tools is a str. Pass a list of tools."),
        (PLAIN, "tools is a dict. Pass a list of tools."),
        (forecast, "tools is a function. Pass a list of tools."),
        ([5], "A tool is a int. Pass a function, a pydantic class or an OpenAI Chat dict"),
        (["forecast"], "A tool is a str."),
        ([forecast, forecast], "Two tools are named 'forecast'. Give each tool its own name."),
        ([takes_anything], "The tool 'takes_anything' takes *values. Declare each parameter"),
        ([takes_names], "The tool 'takes_names' takes *values."),
        ([takes_opaque], "The parameters of the tool 'takes_opaque' have no JSON schema"),
        ([takes_nothing_known], "The parameters of the tool 'takes_nothing_known' have no JSON schema"),
        ([takes_unknown], "The parameter 'text' of the tool 'takes_unknown' has no type"),
        ([Holder], "Holder has no JSON schema"),
        ([Opaque], "The tool Opaque is a class that does not say what it takes. Make it a dataclass"),
        ([{"name": "add", "schema": {}}], 'is in no form of a function. Write {"type": "function"'),
        ([{"parameters": {}}], "is in no form of a function."),
        ([{}], "is in no form of a function."),
        ([{"type": 5, "name": "add", "parameters": {}}], "is in no form of a function."),
        ([{"name": "add", "input_schema": ["a"]}], "The parameters of the tool 'add' are a list."),
        ([lambda city: city], "has no name. Define it with def."),
        ([{"type": "function"}], "A tool has no name. Write"),
        ([{"type": "function", "function": {"parameters": {}}}], "A tool has no name."),
        ([{"type": "function", "function": "forecast"}], "A tool has no name."),
        ([{"type": "function", "function": {"name": "add", "parameters": ["a"]}}], "'add' are a list. Pass"),
    ],
)
def test_what_is_no_tool(tools: Any, expected: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_tools(tools)
    assert expected in str(caught.value)


@pytest.mark.parametrize("choice", [None, "auto", "none", "required"])
def test_choices_in_words(choice: Any) -> None:
    assert read_tool_choice(choice, read_tools([forecast])) == choice


@pytest.mark.parametrize("choice", ["plain", {"type": "function", "function": {"name": "plain"}}])
def test_a_choice_of_one_tool(choice: Any) -> None:
    chosen = {"type": "function", "function": {"name": "plain"}}
    assert read_tool_choice(choice, [forecast_tool(), SEARCH, PLAIN]) == chosen


def forecast_tool() -> Any:
    return read_tools([forecast])[0]


@pytest.mark.parametrize(
    "choice", ["other", "", 5, {"function": {"name": "other"}}, {"type": "x"}, ["plain"]]
)
def test_a_choice_that_names_no_tool(choice: Any) -> None:
    with pytest.raises(
        InvalidRequestError, match="is not a tool of this call. Use one of auto, none, required, plain"
    ):
        read_tool_choice(choice, [PLAIN])


def test_tools_reach_the_provider_and_calls_come_back(way: str) -> None:
    call = ToolCall("c1", "forecast", {"city": "Rome"}, '{"city": "Rome"}')
    scene = play(FakeReply(tool_calls=[call]))
    response = ask(scene.orchestrator, way, tools=[forecast, PLAIN], tool_choice="forecast")
    request = scene.provider.requests[0]
    assert [tool["function"]["name"] for tool in request.tools] == ["forecast", "plain"]
    assert request.tool_choice == {"type": "function", "function": {"name": "forecast"}}
    assert response.tool_calls == (call,)
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert response.message is not None and response.message.tool_calls == (call,)


def conversation_with_tools(orchestrator: LLMOrchestrator, way: str) -> List[Any]:
    """The ten lines an application writes around a tool."""
    history: List[Any] = [{"role": "user", "content": "Weather in Rome?"}]
    while True:
        response = ask(orchestrator, way, list(history), tools=[forecast])
        history.append(response.message)
        if not response.tool_calls:
            return history
        for call in response.tool_calls:
            assert call.arguments is not None
            history.append({"role": "tool", "tool_call_id": call.id, "content": forecast(**call.arguments)})


def test_a_loop_of_tool_calls(way: str) -> None:
    call = ToolCall("c1", "forecast", {"city": "Rome"}, '{"city": "Rome"}')
    scene = play(FakeReply(tool_calls=[call]), "Sunny.")
    history = conversation_with_tools(scene.orchestrator, way)
    assert [turn["role"] if isinstance(turn, dict) else turn.role for turn in history] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert scene.provider.requests[1].messages[2].content == "Rome 3 None"
    assert history[-1].content == "Sunny."
