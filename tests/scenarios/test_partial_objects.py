"""X5: a streamed answer as the object that it becomes, at every step of its way."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Dict, List, Optional

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    InvalidRequestError,
    LLMOrchestrator,
    OrchestratorError,
    OutputParseError,
    StreamInterruptedError,
)
from tests.support.fixtures import Orchestrate
from tests.support.marks import chat, streamed
from tests.support.scripted_server import Call, Dialect, ScriptedServer

PIECES = ('{"name": "Ro', 'me", "people": 28', "00000", ', "old": tr', "ue}")


class City(BaseModel):
    name: str
    people: int
    old: bool


ROME = City(name="Rome", people=2800000, old=True)
STEPS = [
    {"name": "Ro"},
    {"name": "Rome"},
    {"name": "Rome", "people": 2800000},
    {"name": "Rome", "people": 2800000, "old": True},
]


def values(orchestrator: LLMOrchestrator, way: str, **arguments: Any) -> List[Any]:
    """What ``partial`` gives, one after the other."""
    if way == "streamed":
        return list(orchestrator.send_streaming_request("Hi", **arguments).partial())

    async def main() -> List[Any]:
        return [value async for value in orchestrator.asend_streaming_request("Hi", **arguments).partial()]

    return asyncio.run(main())


@streamed
def test_x5_the_object_so_far_and_last_the_instance(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.stream(PIECES))
    orchestrator = orchestrate()

    seen = values(orchestrator, way, response_format=City)

    assert seen == [*STEPS, ROME] and type(seen[-1]) is City
    assert [row["status"] for row in orchestrator.cost_tracker.to_dicts()] == ["ok"]


@streamed
def test_x5_a_schema_in_a_dict_gives_plain_values_to_the_end(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.stream(PIECES))
    schema = {"name": "City", "schema": City.model_json_schema()}

    seen = values(orchestrate(), way, response_format={"type": "json_schema", "json_schema": schema})

    assert seen == STEPS


@streamed
def test_x5_an_answer_that_does_not_fit_ends_with_the_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.stream(['{"name": "Rome", ', '"people": "many", "old": false}']))

    with pytest.raises(OutputParseError, match=r"people: .*\. Read it in"):
        values(orchestrate(), way, response_format=City)


@streamed
@pytest.mark.parametrize(
    "said", [{"refusal": "I will not."}, {"tool_calls": [Call("add", {})], "pieces": ()}]
)
def test_x5_without_an_object_there_is_no_value(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, said: Dict[str, Any]
) -> None:
    server.script(dialect.stream(**said))

    assert values(orchestrate(), way, response_format=City) == []


def test_x5_a_stream_that_breaks_off_gives_what_came(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.stream(PIECES[:2], complete=False))
    seen: List[Any] = []

    with pytest.raises(StreamInterruptedError):
        for value in orchestrate().send_streaming_request("Hi", response_format=City).partial():
            seen.append(value)

    assert seen == STEPS[:2]


def test_x5_it_goes_on_where_the_reader_of_chunks_stopped(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.stream(PIECES))
    with orchestrate().send_streaming_request("Hi", response_format=City) as stream:
        assert next(stream) == PIECES[0]

        assert list(stream.partial()) == [*STEPS[1:], ROME]

        with pytest.raises(OrchestratorError, match="has been read"):
            stream.partial()


@chat
def test_x5_a_call_without_a_format_is_told_so(orchestrate: Orchestrate, server: ScriptedServer) -> None:
    orchestrator = orchestrate()
    for stream in (orchestrator.send_streaming_request("Hi"), orchestrator.asend_streaming_request("Hi")):
        with pytest.raises(InvalidRequestError, match="has no response_format"):
            stream.partial()
    assert server.requests == []


class Thing(BaseModel):
    name: str
    price: float
    tags: List[str]


class Things(BaseModel):
    things: List[Thing]


@chat
def test_x5_500_chunks_take_at_most_twice_the_cpu_of_the_stream(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    text = json.dumps(
        {"things": [{"name": f"Thing {n}", "price": n / 4, "tags": ["a", "b"]} for n in range(50)]}
    )
    size = len(text) // 500 + 1
    server.default = dialect.stream(
        [text[at : at + size] for at in range(0, len(text), size)], cut="recorded"
    )
    orchestrator = orchestrate()

    def cpu(method: Optional[str]) -> float:
        stream = orchestrator.send_streaming_request("Hi", response_format=Things)
        began = time.thread_time()
        for _ in getattr(stream, method)() if method else stream:
            pass
        return time.thread_time() - began

    alone, partial = (min(cpu(method) for _ in range(9)) for method in (None, "partial"))

    assert partial < 2 * alone
