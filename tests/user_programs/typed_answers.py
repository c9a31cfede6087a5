"""What checkers know of the parsed answer: its type in all ways, conversations and rows included."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, List, Literal, Optional, Union

from pydantic import BaseModel
from typing_extensions import Annotated, TypedDict, assert_type

from llm_orchestrator import (
    AsyncBulkRun,
    AsyncLLMStream,
    BulkResult,
    BulkRun,
    Conversation,
    LLMOrchestrator,
    LLMResponse,
    LLMStream,
)


class City(BaseModel):
    name: str


@dataclass
class Point:
    x: int


class Label(TypedDict):
    name: str


class Mood(Enum):
    GOOD = "good"


async def ways(orchestrator: LLMOrchestrator) -> None:
    assert_type(orchestrator.send_request("Hi", response_format=City), LLMResponse[City])
    assert_type(orchestrator.send_request("Hi", response_format=City).parsed, Optional[City])
    assert_type(await orchestrator.asend_request("Hi", response_format=City, seed=1), LLMResponse[City])
    stream = orchestrator.send_streaming_request("Hi", response_format=City, temperature=0.5)
    assert_type(stream, LLMStream[City])
    assert_type(stream.final_response().parsed, Optional[City])
    astream = orchestrator.asend_streaming_request("Hi", response_format=City)
    assert_type(astream, AsyncLLMStream[City])
    async with astream as opened:
        assert_type(await opened.final_response(), LLMResponse[City])
    assert_type(astream.response, Optional[LLMResponse[City]])


def types(orchestrator: LLMOrchestrator) -> None:
    assert_type(orchestrator.send_request("Hi", response_format=Point), LLMResponse[Point])
    assert_type(orchestrator.send_request("Hi", response_format=Label), LLMResponse[Label])
    assert_type(orchestrator.send_request("Hi", response_format=Mood), LLMResponse[Mood])
    assert_type(orchestrator.send_request("Hi", response_format=List[City]), LLMResponse[List[City]])
    assert_type(orchestrator.send_request("Hi", response_format=int), LLMResponse[int])


async def of_any(orchestrator: LLMOrchestrator) -> None:
    assert_type(orchestrator.send_request("Hi"), LLMResponse[Any])
    assert_type(orchestrator.send_request("Hi", response_format={"type": "json_object"}), LLMResponse[Any])
    assert_type(orchestrator.send_request("Hi", response_format=Union[City, Point]), LLMResponse[Any])
    assert_type(orchestrator.send_request("Hi", response_format=Literal["yes", "no"]), LLMResponse[Any])
    assert_type(orchestrator.send_request("Hi", response_format=Annotated[int, "x"]), LLMResponse[Any])
    assert_type(await orchestrator.asend_request("Hi", verbosity="low"), LLMResponse[Any])
    assert_type(orchestrator.send_streaming_request("Hi"), LLMStream[Any])
    assert_type(orchestrator.asend_streaming_request("Hi"), AsyncLLMStream[Any])
    plain: LLMResponse = orchestrator.send_request("Hi", cache="auto", tool_choice="none")
    print(plain.parsed)


async def conversations(talk: Conversation) -> None:
    assert_type(talk.send("Hi", response_format=City), LLMResponse[City])
    assert_type(await talk.asend("Hi", response_format=City), LLMResponse[City])
    assert_type(talk.stream("Hi", response_format=City), LLMStream[City])
    assert_type(talk.astream("Hi", response_format=City), AsyncLLMStream[City])
    assert_type(talk.send("Hi"), LLMResponse[Any])


async def loops(talk: Conversation) -> None:
    assert_type(talk.run("Hi", response_format=City), LLMResponse[City])
    assert_type(await talk.arun("Hi", 3, response_format=City), LLMResponse[City])
    assert_type(talk.run_stream("Hi", max_turns=3, response_format=City), LLMStream[City])
    assert_type(talk.arun_stream("Hi", response_format=City, on_tool_error="raise"), AsyncLLMStream[City])
    assert_type(talk.run("Hi", before_tool=lambda call: call.name != "delete"), LLMResponse[Any])
    assert_type(await talk.arun("Hi"), LLMResponse[Any])


async def rows(orchestrator: LLMOrchestrator) -> None:
    run = orchestrator.map(["a"], response_format=City, concurrency=8)
    assert_type(run, BulkRun[City])
    for result in run:
        assert_type(result, BulkResult[City])
        assert_type(result.parsed, Optional[City])
    arun = orchestrator.amap(["a"], response_format=City)
    assert_type(arun, AsyncBulkRun[City])
    async for each in arun:
        assert_type(each.response, Optional[LLMResponse[City]])
    assert_type(orchestrator.map(["a"], messages="Classify: {text}"), BulkRun[Any])
