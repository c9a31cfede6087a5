"""Tools on the wire: what is offered, what must be called, and the loop that answers calls."""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Mapping

import pytest
from pydantic import BaseModel

from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.scripted_server.smart import TEXT
from tests.support.ways import ask


def forecast(city: str, unit: Literal["C", "F"] = "C") -> str:
    """Tell the weather.

    It knows the next three days.

    Args:
        city: Name of the city.
        unit: Degrees Celsius or Fahrenheit.
    """
    return f"{city}: 21 {unit}"


class Search(BaseModel):
    """Search the archive."""

    words: str


PLAIN = {"type": "function", "function": {"name": "clock", "description": "Tell the time."}}
#: What ``tool_choice`` becomes: required, none, one tool.
CHOICES: Mapping[str, List[Any]] = {
    "chat": ["required", "none", {"type": "function", "function": {"name": "forecast"}}],
    "responses": ["required", "none", {"type": "function", "name": "forecast"}],
    "anthropic": [{"type": "any"}, {"type": "none"}, {"type": "tool", "name": "forecast"}],
    "gemini": [{"mode": "ANY"}, {"mode": "NONE"}, {"mode": "ANY", "allowedFunctionNames": ["forecast"]}],
}


def test_functions_classes_and_dicts_are_offered_alike(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    ask(orchestrate(), way, tools=[forecast, Search, PLAIN])

    body = server.requests[0].body
    assert dialect.read_request(body, server.requests[0].path)["tools"] == ["forecast", "Search", "clock"]
    offered = dialect.read_wishes(body).tools
    assert offered["forecast"]["required"] == ["city"]
    assert offered["forecast"]["properties"]["unit"]["enum"] == ["C", "F"]
    assert offered["forecast"]["properties"]["city"]["description"] == "Name of the city."
    assert list(offered["Search"]["properties"]) == ["words"]
    assert "It knows the next three days." in str(body)


@pytest.mark.parametrize(("place", "choice"), list(enumerate(["required", "none", "forecast"])))
def test_what_must_be_called(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, place: int, choice: str
) -> None:
    orchestrate().send_request("Hi", tools=[forecast], tool_choice=choice)

    body = server.requests[0].body
    sent = body["toolConfig"]["functionCallingConfig"] if dialect.name == "gemini" else body["tool_choice"]
    assert sent == CHOICES[dialect.name][place]


@pytest.mark.parametrize("allowed", [True, False])
def test_parallel_calls_on_and_off(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, allowed: bool
) -> None:
    response = orchestrate().send_request("Hi", tools=[forecast], parallel_tool_calls=allowed)

    body: Dict[str, Any] = server.requests[0].body
    if dialect.provider == "openai":
        assert body["parallel_tool_calls"] is allowed
    elif dialect.name == "anthropic":
        off = {"type": "auto", "disable_parallel_tool_use": True}
        assert body.get("tool_choice") == (None if allowed else off)
    assert bool(response.warnings) is (dialect.name == "gemini" and not allowed)


def test_a_loop_of_tools_ends_with_words(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate()
    messages: List[Any] = [{"role": "user", "content": "How warm is it in Rome?"}]
    response = ask(orchestrator, way, list(messages), tools=[forecast])
    while response.tool_calls:
        messages.append(response.message)
        for call in response.tool_calls:
            assert call.arguments is not None
            messages.append({"role": "tool", "tool_call_id": call.id, "content": forecast(**call.arguments)})
        response = ask(orchestrator, way, list(messages), tools=[forecast])

    assert response.content == TEXT
    asked = dialect.read_request(server.requests[1].body, server.requests[1].path)
    assert asked["messages"][-1] == ("tool", "Rome: 21 C")
    assert len(server.requests) == 2
