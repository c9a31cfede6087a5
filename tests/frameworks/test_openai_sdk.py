"""The OpenAI SDK's own documented examples, unchanged but for the lines that make the client, on every provider."""

from __future__ import annotations

import asyncio
import json
from typing import Any, List

import pytest
from pydantic import BaseModel

from tests.support.fixtures import Orchestrate
from tests.support.marks import chat
from tests.support.scripted_server import MODEL, Call, Dialect, ScriptedServer

openai: Any = pytest.importorskip("openai", reason="the OpenAI SDK is not installed: make test-frameworks")

from llm_orchestrator.frameworks.openai_sdk import AsyncOpenAI, OpenAI


def test_the_readme(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    server.script(dialect.whole("Arrr."), dialect.whole("Arrr."), dialect.stream(["Once", " upon"]))
    client = OpenAI(orchestrate())
    assert isinstance(client, openai.OpenAI)
    response = client.responses.create(
        model=MODEL,
        instructions="You are a coding assistant that talks like a pirate.",
        input="How do I check if a Python object is an instance of a class?",
    )
    assert response.output_text == "Arrr."
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "developer", "content": "Talk like a pirate."},
            {"role": "user", "content": "How do I check if a Python object is an instance of a class?"},
        ],
    )
    assert completion.choices[0].message.content == "Arrr."
    stream = client.responses.create(
        model=MODEL, input="Write a one-sentence bedtime story about a unicorn.", stream=True
    )
    kinds = [event.type for event in stream]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_the_readme_async(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    server.script(dialect.whole("Four."), dialect.stream(["Fo", "ur."]))

    async def main() -> List[str]:
        client = AsyncOpenAI(orchestrate())
        response = await client.responses.create(model=MODEL, input="2+2?")
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "2+2?"}], stream=True
        )
        return [response.output_text, *[chunk.choices[0].delta.content or "" async for chunk in stream]]

    assert "".join(asyncio.run(main())) == "Four.Four."


def test_function_calling(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    call = Call("get_horoscope", {"sign": "Aquarius"}, id="call_1")
    server.script(
        dialect.whole("", tool_calls=[call], finish="tool_calls"),
        dialect.whole("You will befriend an otter."),
    )
    client = OpenAI(orchestrate())
    tools = [
        {
            "type": "function",
            "name": "get_horoscope",
            "description": "Get today's horoscope for an astrological sign.",
            "parameters": {
                "type": "object",
                "properties": {"sign": {"type": "string"}},
                "required": ["sign"],
            },
        }
    ]
    input_list: List[Any] = [{"role": "user", "content": "What is my horoscope? I am an Aquarius."}]
    response = client.responses.create(model=MODEL, tools=tools, input=input_list)
    input_list += response.output
    for item in response.output:
        if item.type == "function_call" and item.name == "get_horoscope":
            sign = json.loads(item.arguments)["sign"]
            output = f"{sign}: Next Tuesday you will befriend a baby otter."
            input_list.append({"type": "function_call_output", "call_id": item.call_id, "output": output})
    response = client.responses.create(
        model=MODEL, instructions="Respond only with a horoscope.", tools=tools, input=input_list
    )
    assert response.output_text == "You will befriend an otter."


class Step(BaseModel):
    explanation: str
    output: str


class MathResponse(BaseModel):
    steps: List[Step]
    final_answer: str


ANSWER = {"steps": [{"explanation": "Subtract 31.", "output": "8x = -29"}], "final_answer": "x = -29/8"}


def test_the_parse_helpers(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    server.default = dialect.whole(json.dumps(ANSWER))
    client = OpenAI(orchestrate())
    rsp = client.responses.parse(input="solve 8x + 31 = 2", model=MODEL, text_format=MathResponse)
    assert rsp.output_parsed == MathResponse(**ANSWER)  # type: ignore[arg-type]
    completion = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "solve 8x + 31 = 2"}],
        response_format=MathResponse,
    )
    message = completion.choices[0].message
    assert message.parsed is not None
    assert message.parsed.final_answer == "x = -29/8"


@chat
def test_embeddings(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    response = OpenAI(orchestrate()).embeddings.create(
        input="Your text string goes here", model="text-embedding-3-small"
    )
    assert len(response.data[0].embedding) > 0


def test_errors(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    server.default = dialect.failure("rate_limit", retry_after=7)
    client = OpenAI(orchestrate())
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}])
    assert isinstance(caught.value, openai.APIStatusError) and caught.value.status_code == 429
    again = openai.RateLimitError("Raised anew.", response=caught.value.response, body=caught.value.body)
    assert (again.status_code, again.request_id) == (429, caught.value.request_id)


def test_raw_responses(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    server.default = dialect.whole("Hi.")
    messages: Any = [{"role": "user", "content": "Say this is a test"}]
    raw = OpenAI(orchestrate()).chat.completions.with_raw_response.create(messages=messages, model=MODEL)
    assert raw.parse().choices[0].message.content == "Hi."
    assert (raw.request_id, raw.status_code) == (raw.parse().llm_response.request_id, 200)
    assert raw.request_id is not None

    async def main() -> Any:
        client = AsyncOpenAI(orchestrate())
        return (await client.responses.with_raw_response.create(input="Hi", model=MODEL)).parse()

    assert asyncio.run(main()).output_text == "Hi."


def test_nothing_goes_past_the_orchestrator(orchestrate: Orchestrate, server: ScriptedServer) -> None:
    orchestrator = orchestrate()
    with OpenAI(orchestrator) as client:
        with pytest.raises(openai.OpenAIError, match="chat.completions, responses and embeddings alone"):
            client.models.list()
        with pytest.raises(openai.OpenAIError, match="YAML"):
            client.with_options(max_retries=5)

    async def main() -> None:
        async with AsyncOpenAI(orchestrator) as waiting:
            with pytest.raises(openai.OpenAIError, match="alone"):
                await waiting.files.retrieve("file-1")

    asyncio.run(main())
    assert server.requests == []
