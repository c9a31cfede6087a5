"""O5: programs written for the SDK's ``responses``, on the orchestrator and its active provider."""

from __future__ import annotations

import json
from typing import Any, Dict, List

import pytest
from pydantic import BaseModel

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.frameworks import openai as shape
from llm_orchestrator.frameworks.openai import Response, ResponseStreamEvent
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic
from tests.support.scripted_server import MODEL, SIGNATURE, Call, Dialect, ScriptedServer, Usage
from tests.support.ways import run_async

CLOCK = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}
without_chat = pytest.mark.parametrize("dialect", ["responses", "anthropic", "gemini"], indirect=True)


class City(BaseModel):
    """A value to be parsed."""

    name: str


def create(orchestrator: LLMOrchestrator, way: str, given: Any = "Hi", **arguments: Any) -> Response:
    """Ask in one of the four ways; the events of a stream are checked against its end."""
    arguments = {"model": MODEL, "input": given, **arguments}
    if "streamed" in way:
        arguments["stream"] = True
    if way == "whole":
        whole: Response = orchestrator.openai.responses.create(**arguments)
        return whole
    if way == "streamed":
        return checked(list(orchestrator.openai.responses.create(**arguments)))
    return run_async(orchestrator, lambda: acreate(orchestrator, way, arguments))


async def acreate(orchestrator: LLMOrchestrator, way: str, arguments: Any) -> Response:
    made = await orchestrator.aopenai.responses.create(**arguments)
    if way == "async whole":
        assert isinstance(made, Response)
        return made
    return checked([event async for event in made])


def checked(events: List[Any]) -> Response:
    """The answer at the end of a stream, which its pieces told before."""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert all(isinstance(event, ResponseStreamEvent) for event in events)
    assert events[0].type == "response.created"
    response: Response = events[-1].response
    assert events[-1].type == f"response.{response.status}"
    assert response.id == events[0].response.id
    done = [event.item for event in events if event.type == "response.output_item.done"]
    added = [event for event in events if event.type == "response.output_item.added"]
    assert [item.id for item in response.output] == [item.id for item in done]
    assert [event.item.id for event in added] == [item.id for item in done]
    assert [event.output_index for event in added] == list(range(len(added))) == list(range(len(done)))
    assert joined(events, "response.output_text.delta") == response.output_text
    calls = [item.arguments for item in done if item.type == "function_call"]
    assert joined(events, "response.function_call_arguments.delta") == "".join(calls)
    return response


def joined(events: List[Any], kind: str) -> str:
    return "".join(event.delta for event in events if event.type == kind)


def answered(dialect: Dialect, way: str, *pieces: str, **facts: Any) -> Any:
    return dialect.stream(pieces, **facts) if "streamed" in way else dialect.whole("".join(pieces), **facts)


def test_o5_an_answer_has_the_shape_of_the_sdk(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answered(dialect, way, "Hel", "lo", usage=Usage(prompt=10, completion=5)))

    response = create(orchestrate(), way, instructions="Be brief.", max_output_tokens=20)

    assert (response.output_text, response.status) == ("Hello", "completed")
    (item,) = [item for item in response.output if item.type == "message"]
    document: Dict[str, Any] = item.model_dump()
    assert document["content"] == [{"type": "output_text", "text": "Hello", "annotations": []}]
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (10, 5)
    assert b"Be brief." in server.requests[0].content
    assert json.loads(response.model_dump_json())["output"][0]["id"] == response.output[0].id


def test_o5_an_answer_that_was_cut_is_incomplete(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answered(dialect, way, "Hel", finish="length"))
    response = create(orchestrate(), way)
    assert response.status == "incomplete"
    assert response.model_dump()["incomplete_details"] == {"reason": "max_output_tokens"}


@without_chat
@pytest.mark.parametrize("form", ["objects", "JSON"])
def test_o5_calls_and_signatures_go_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, form: str
) -> None:
    calls = [Call("clock", {"zone": "UTC"}, id="c1"), Call("clock", {"zone": "CET"}, id="c2")]
    server.script(
        answered(dialect, way, "Let me see.", reasoning="Hm.", tool_calls=calls, finish="tool_calls"),
        answered(dialect, way, "Noon."),
    )
    orchestrator = orchestrate()
    response = create(orchestrator, way, tools=[CLOCK])
    output: List[Any] = response.output
    if form == "JSON":
        output = json.loads(response.model_dump_json())["output"]
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "12:00"}  # type: ignore[attr-defined]
        for item in response.output
        if item.type == "function_call"
    ]
    assert len(results) == 2

    history = [{"role": "user", "content": "Hi"}, *output, *results]
    final = create(orchestrator, way, history, tools=[CLOCK])

    assert final.output_text == "Noon."
    assert server.requests[-1].content.count(SIGNATURE.encode()) == 1
    assert server.requests[-1].content.count(b"12:00") == 2


def test_o5_parse_gives_an_instance(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(*[dialect.whole('{"name": "Bern"}')] * 2)
    orchestrator = orchestrate()
    given: Any = {"model": MODEL, "input": "Where?", "text_format": City}
    assert orchestrator.openai.responses.parse(**given).output_parsed == City(name="Bern")
    made = run_async(orchestrator, lambda: orchestrator.aopenai.responses.parse(**given))
    assert made.output_parsed == City(name="Bern")


def test_o5_a_schema_and_an_effort_are_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole('{"name": "Bern"}'))
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    form = {"type": "json_schema", "name": "city", "schema": {**schema, "additionalProperties": False}}
    part = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    turn = {"role": "user", "content": [{"type": "input_text", "text": "Where?"}, part]}

    create(orchestrate(), "whole", [turn], text={"format": form})

    for piece in (
        b"additionalProperties" if dialect.name != "gemini" else b"name",
        b"iVBORw0KGgo=",
        b"Where?",
    ):
        assert piece in server.requests[0].content


@pytest.mark.parametrize(
    ("arguments", "wanted", "word"),
    [
        ({"previous_response_id": "resp_1"}, shape.BadRequestError, "input"),
        ({"background": True}, shape.BadRequestError, "background"),
        ({"inputs": "Hi"}, TypeError, "inputs"),
        ({"input": 5}, shape.BadRequestError, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, shape.BadRequestError, "item_reference"),
        ({"input": [{"type": "function_call", "name": "clock"}]}, shape.BadRequestError, "tool call"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, shape.BadRequestError, "part"),
    ],
)
@anthropic
def test_o5_arguments_that_cannot_be_meant_are_refused_unsent(
    orchestrate: Orchestrate, server: ScriptedServer, arguments: Any, wanted: Any, word: str
) -> None:
    with pytest.raises(wanted) as raised:
        orchestrate().openai.responses.create(**{"model": MODEL, "input": "Hi", **arguments})
    assert word in str(raised.value)
    assert server.requests == []
