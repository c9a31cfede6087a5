"""O1 to O5 beside the real OpenAI SDK: what the client makes is what the SDK's own types take, errors included."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.support.fixtures import Orchestrate
from tests.support.marks import chat
from tests.support.scripted_server import MODEL, Call, Dialect, ScriptedServer

HI: Any = [{"role": "user", "content": "Hi"}]
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
FLAT = {"type": "function", "name": "clock", "parameters": {"type": "object"}, "strict": None}
ANSWER: Any = {"reasoning": "Hm.", "tool_calls": [Call("clock", {"zone": "UTC"})], "finish": "tool_calls"}


def test_o1_answers_are_the_sdks(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    server.script(dialect.whole("Hello", **ANSWER), dialect.stream(["Hel", "lo"], **ANSWER))
    completions = orchestrate().openai.chat.completions

    made = completions.create(model=MODEL, messages=HI, tools=[CLOCK])
    theirs = ChatCompletion.model_validate_json(made.model_dump_json())
    assert theirs.choices[0].message.content == "Hello"
    assert theirs.choices[0].message.tool_calls is not None

    options = {"include_usage": True}
    chunks = completions.create(model=MODEL, messages=HI, tools=[CLOCK], stream=True, stream_options=options)
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.model_dump_json())


def test_o5_responses_are_the_sdks(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("Hello", **ANSWER), dialect.stream(["Hel", "lo"], **ANSWER))
    responses = orchestrate().openai.responses
    events: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

    made = responses.create(model=MODEL, input="Hi", tools=[FLAT])
    assert Response.model_validate(without_usage(made.model_dump(mode="json"))).output_text == "Hello"
    for event in responses.create(model=MODEL, input="Hi", tools=[FLAT], stream=True):
        events.validate_python(without_usage(event.model_dump(mode="json")))


def without_usage(document: Any) -> Any:
    """A count that was not told is None, which the SDK's types do not know."""
    (document.get("response") or document).pop("usage", None)
    return document


class Query(BaseModel):
    """The arguments of a tool."""

    table: str


def test_o3_arguments_are_instances_of_the_tools_class(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    call = Call("Query", {"table": "orders"})
    server.script(dialect.whole("", tool_calls=[call], finish="tool_calls"))
    tools = [openai.pydantic_function_tool(Query)]
    made = orchestrate().openai.chat.completions.parse(model=MODEL, messages=HI, tools=tools)
    (written,) = made.choices[0].message.tool_calls or []
    assert written.function.parsed_arguments == Query(table="orders")


@chat
def test_o3_vectors_are_the_sdks(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    made = orchestrate().openai.embeddings.create(model=MODEL, input="a cat")
    assert len(CreateEmbeddingResponse.model_validate_json(made.model_dump_json()).data) == 1


@pytest.mark.parametrize(
    ("status", "theirs"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
@chat
def test_o4_an_except_of_the_sdk_holds(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, status: int, theirs: Any
) -> None:
    server.script(dialect.error(status))
    with pytest.raises(theirs) as raised:
        orchestrate().openai.chat.completions.create(model=MODEL, messages=HI)
    assert isinstance(raised.value, openai.APIStatusError)
    assert raised.value.status_code == status
