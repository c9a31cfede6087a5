"""O3 with the real instructor, where it is installed: its own modes, whole, in parts and asked again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import MODEL, Call, Dialect, ScriptedServer

instructor: Any = pytest.importorskip("instructor", reason="instructor is not among the test dependencies")

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
