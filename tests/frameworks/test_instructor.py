"""O3 with the real instructor: its own modes, and its own examples, unchanged but for the line of the client."""

from __future__ import annotations

import asyncio
from typing import Any, Iterable, List

import pytest
from pydantic import BaseModel, field_validator

from llm_orchestrator import LLMOrchestrator
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import MODEL, Call, Dialect, ScriptedServer

instructor: Any = pytest.importorskip(
    "instructor", reason="instructor is not installed: make test-frameworks"
)

from llm_orchestrator.frameworks.openai_sdk import AsyncOpenAI, OpenAI

MODES = ("TOOLS", "JSON_SCHEMA", "MD_JSON")
HI = [{"role": "user", "content": "Jason is 25 years old"}]


class User(BaseModel):
    """A value to be extracted."""

    name: str
    age: int


def answer(dialect: Dialect, mode: str, *, fits: bool = True, streamed: bool = False) -> Any:
    """An answer as the mode asks for it."""
    age: Any = 25 if fits else "unknown"
    if mode == "TOOLS":
        calls = [Call("User", {"name": "Jason", "age": age}, id="c1")]
        facts: Any = {"tool_calls": calls, "finish": "tool_calls"}
        return dialect.stream([], **facts) if streamed else dialect.whole("", **facts)
    text = '{"name": "Jason", "age": 25}' if fits else '{"name": "Jason"}'
    return dialect.stream([text[:9], text[9:]]) if streamed else dialect.whole(text)


@pytest.mark.parametrize("mode", MODES)
def test_o3_instructor_runs_on_every_provider(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, mode: str
) -> None:
    orchestrator = orchestrate()
    client = instructor.from_litellm(orchestrator.openai.chat.completions.create, mode=instructor.Mode[mode])
    given: Any = {"model": MODEL, "response_model": User, "messages": HI}
    wanted = {"name": "Jason", "age": 25}

    server.script(answer(dialect, mode, fits=False), answer(dialect, mode))
    made, completion = client.chat.completions.create_with_completion(max_retries=2, **given)
    assert (made.model_dump(), completion.usage.total_tokens) == (wanted, 18)
    assert len(server.requests) == 2

    server.script(answer(dialect, mode, streamed=True))
    last = list(client.chat.completions.create_partial(**given))[-1]
    assert last.model_dump() == wanted

    server.script(answer(dialect, mode))
    waiting = instructor.from_litellm(
        orchestrator.aopenai.chat.completions.create, mode=instructor.Mode[mode]
    )
    assert asyncio.run(waiting.chat.completions.create(**given)).model_dump() == wanted


# ---------------------------------------------------------------- its documented examples


class UserDetail(BaseModel):
    name: str
    age: int

    @field_validator("name")
    @classmethod
    def validate_name(cls, value: str) -> str:
        if value.upper() != value:
            raise ValueError("Name must be in uppercase.")
        return value


def called(dialect: Dialect, name: str, *arguments: Any) -> Any:
    calls = [Call(name, each, id=f"c{number}") for number, each in enumerate(arguments)]
    return {"tool_calls": calls, "finish": "tool_calls"}


def test_a_validator_asks_again(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    client = instructor.from_openai(OpenAI(orchestrate()))
    server.script(
        dialect.whole("", **called(dialect, "UserDetail", {"name": "Jason", "age": 12})),
        dialect.whole("", **called(dialect, "UserDetail", {"name": "JASON", "age": 12})),
    )
    response = client.create(
        model=MODEL,
        response_model=UserDetail,
        messages=[{"role": "user", "content": "Extract `jason is 12`"}],
        max_retries=3,
    )
    assert response.name == "JASON"
    assert "Name must be in uppercase." in str(server.requests[1].body)


def test_retries_end_with_the_frameworks_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    from instructor.core import InstructorRetryException

    orchestrator = orchestrate()
    client = instructor.from_openai(OpenAI(orchestrator))
    server.default = dialect.whole("", **called(dialect, "UserDetail", {"name": "Jason", "age": 12}))
    with pytest.raises(InstructorRetryException) as caught:
        client.create(model=MODEL, response_model=UserDetail, messages=HI, max_retries=2)
    assert caught.value.n_attempts == len(server.requests) == 3
    assert len(list(orchestrator.cost_tracker.to_dicts())) == 3, "what was paid is recorded"


@pytest.mark.parametrize("way", ["iterable", "create_iterable"])
def test_iterables_come_one_by_one(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    client = instructor.from_openai(OpenAI(orchestrate()))
    users = [{"name": "Jason", "age": 25}, {"name": "Sarah", "age": 30}]
    server.script(dialect.stream([], **called(dialect, "IterableUser", {"tasks": users})))
    given: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Jason is 25, Sarah is 30"}]}
    if way == "iterable":
        found = client.create(response_model=Iterable[User], stream=True, **given)
    else:
        found = client.create_iterable(response_model=User, **given)
    assert [user.model_dump() for user in found] == users


def test_partials_async(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    server.script(dialect.stream([], **called(dialect, "User", {"name": "Jason", "age": 25})))

    async def run() -> List[Any]:
        client = instructor.from_openai(AsyncOpenAI(orchestrate()))
        stream = client.create_partial(model=MODEL, response_model=User, messages=HI)
        return [part.model_dump() async for part in stream]

    parts = asyncio.run(run())
    assert parts[-1] == {"name": "Jason", "age": 25}
    assert len(parts) > 1 or dialect.name == "gemini", "Gemini sends a call in one piece"


@pytest.mark.parametrize("name", ["responses", "chat"])
def test_the_responses_mode(server: ScriptedServer, name: str) -> None:
    from tests.support.scripted_server import DIALECTS

    dialect = DIALECTS[name]
    server.script(dialect.whole("", **called(dialect, "User", {"name": "Jason", "age": 25})))
    with LLMOrchestrator(dialect.config(server.url)) as orchestrator:
        client = instructor.from_openai(OpenAI(orchestrator), mode=instructor.Mode.RESPONSES_TOOLS)
        made = client.create(model=MODEL, response_model=User, messages=HI)
    assert made.model_dump() == {"name": "Jason", "age": 25}


def test_an_error_of_the_provider_is_the_sdks(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    import openai

    server.default = dialect.failure("bad_key")
    client = instructor.from_openai(OpenAI(orchestrate()))
    with pytest.raises(Exception) as caught:
        client.create(model=MODEL, response_model=User, messages=HI, max_retries=0)
    chain: List[Any] = [caught.value]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    assert any(isinstance(error, openai.AuthenticationError) for error in chain)
