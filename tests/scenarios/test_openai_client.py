"""O1 to O4: programs written for the OpenAI SDK's client, on the orchestrator and its active provider."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import types
from base64 import b64decode
from struct import unpack
from typing import Any, Dict, List, Type

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    AllFallbacksFailedError,
    BudgetExceededError,
    ContextLengthError,
    LLMOrchestrator,
    OrchestratorError,
    ProviderTimeoutError,
    QuotaExceededError,
)
from llm_orchestrator.frameworks import openai as shape
from llm_orchestrator.frameworks.openai import OpenAIError
from llm_orchestrator.frameworks.openai.errors import translated
from llm_orchestrator.testing.fake_vectors import fake_vector
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic, chat, streamed
from tests.support.openai_client import create
from tests.support.scripted_server import MODEL, SIGNATURE, Call, Dialect, ScriptedServer, Usage
from tests.support.scripted_server.faults import Reset
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.ways import run_async

HI = [{"role": "user", "content": "Hi"}]
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
with_embeddings = pytest.mark.parametrize("dialect", ["chat", "responses", "gemini"], indirect=True)


class City(BaseModel):
    """A value to be parsed."""

    name: str
    people: int


def answered(dialect: Dialect, way: str, *pieces: str, **facts: Any) -> Any:
    """A scripted answer, whole or streamed."""
    return dialect.stream(pieces, **facts) if "streamed" in way else dialect.whole("".join(pieces), **facts)


def asked(dialect: Dialect, server: ScriptedServer, place: int = -1) -> Dict[str, Any]:
    request = server.requests[place]
    return dict(dialect.read_request(request.body, request.path))


# ------------------------------------------------------------------------------- O1: answers


def test_o1_an_answer_has_the_shape_of_the_sdk(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answered(dialect, way, "Hel", "lo", usage=Usage(prompt=10, completion=5, cached=4)))
    messages = [{"role": "developer", "content": "Be brief."}, *HI]

    told = create(orchestrate(), way, messages, temperature=0.5, max_completion_tokens=20)

    assert (told.message["content"], told.message["role"]) == ("Hello", "assistant")
    assert told.finish_reason == "stop"
    assert (told.usage.prompt_tokens, told.usage.completion_tokens, told.usage.total_tokens) == (10, 5, 15)
    assert told.usage.prompt_tokens_details.cached_tokens == 4
    assert told.response.content == "Hello"
    assert asked(dialect, server)["messages"][-1] == ("user", "Hi")
    assert b"Be brief." in server.requests[-1].content


def test_o1_it_falls_back_and_is_in_the_ledger(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.failure("overloaded"), answered(dialect, way, "Hello"))
    orchestrator = orchestrate(fallback_models=["scripted-2"])

    told = create(orchestrator, way, tags={"team": "a"})

    assert [attempt.model for attempt in told.response.attempts] == [MODEL, "scripted-2"]
    rows = orchestrator.cost_tracker.to_dicts()
    assert [row["status"] for row in rows][-1] == "ok"
    assert len(rows) == 2


def test_o1_a_prefix_chooses_no_provider(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("Hello"))
    create(orchestrate(), "whole", model="anthropic/claude")
    assert len(server.requests) == 1
    sent = server.requests[0]
    assert "anthropic/claude" in sent.content.decode() + sent.path.replace("%2F", "/")


def test_o1_values_are_written_as_json(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(
        dialect.whole("", tool_calls=[Call("clock", {"zone": "UTC"}, id="c1")], finish="tool_calls")
    )
    made = orchestrate().openai.chat.completions.create(model=MODEL, messages=HI, tools=[CLOCK])

    document = json.loads(made.model_dump_json())
    assert document == made.model_dump()
    assert document["object"] == "chat.completion"
    (call,) = document["choices"][0]["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["function"]["name"] == "clock"
    assert json.loads(call["function"]["arguments"]) == {"zone": "UTC"}
    assert document["choices"][0]["finish_reason"] == "tool_calls"
    assert made.choices[0].message.content is None
    assert json.loads(made.to_json())["id"] == made.id


def test_o1_a_stream_that_is_left_is_closed_and_recorded(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(*[dialect.stream(["a", "b", "c"])] * 3)
    orchestrator = orchestrate()
    for place, leave in enumerate(("close", "with", "drop"), start=1):
        stream = orchestrator.openai.chat.completions.create(model=MODEL, messages=HI, stream=True)
        next(stream)
        assert next(stream).choices[0].delta.content == "a"
        if leave == "close":
            stream.close()
        elif leave == "with":
            with stream:
                pass
        assert len(orchestrator.cost_tracker.to_dicts()) == (place if leave != "drop" else place - 1)
        del stream
    assert [row["status"] for row in orchestrator.cost_tracker.to_dicts()] == ["interrupted"] * 3


def test_o1_an_async_stream_that_is_left_is_recorded(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.stream(["a", "b", "c"]))
    orchestrator = orchestrate()

    async def leave() -> None:
        create = orchestrator.aopenai.chat.completions.create
        async with await create(model=MODEL, messages=HI, stream=True) as stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break

    run_async(orchestrator, leave)
    assert [row["status"] for row in orchestrator.cost_tracker.to_dicts()] == ["interrupted"]


# ------------------------------------------------------------------------------- O2: turns that go back


@pytest.mark.parametrize("dialect", ["responses", "anthropic", "gemini"], indirect=True)
def test_o2_signatures_and_encrypted_reasoning_go_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    calls = [Call("clock", {"zone": "UTC"}, id="c1")]
    server.script(
        answered(dialect, way, reasoning="Hm.", tool_calls=calls, finish="tool_calls"),
        answered(dialect, way, "Noon."),
    )
    orchestrator = orchestrate()
    told = create(orchestrator, way, tools=[CLOCK])
    (call,) = told.message["tool_calls"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "12:00"}

    saved = json.loads(json.dumps(told.message))
    final = create(orchestrator, way, [*HI, saved, result], tools=[CLOCK])

    assert final.message["content"] == "Noon."
    assert server.requests[-1].content.count(SIGNATURE.encode()) == 1
    assert b"12:00" in server.requests[-1].content


def test_o2_a_message_goes_back_as_the_object_it_is(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("Hello"), dialect.whole("Again"))
    completions = orchestrate().openai.chat.completions
    first = completions.create(model=MODEL, messages=HI).choices[0].message

    completions.create(model=MODEL, messages=[*HI, first, *HI])

    assert asked(dialect, server)["messages"] == [("user", "Hi"), ("assistant", "Hello"), ("user", "Hi")]


def test_o2_a_turn_of_another_provider_is_refused(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    turn = {"role": "assistant", "content": "Hello", "provider": "other", "provider_state": {"a": 1}}
    with pytest.raises(shape.BadRequestError) as raised:
        create(orchestrate(), way, [*HI, turn, *HI])
    assert "other" in str(raised.value)
    assert server.requests == []


# ------------------------------------------------------------------------------- O3: structured output and vectors


@pytest.mark.parametrize("way", ["whole", "async whole"], indirect=True)
def test_o3_parse_gives_an_instance(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.whole('{"name": "Bern", "people": 140000}'))
    orchestrator = orchestrate()
    arguments: Any = {"model": MODEL, "messages": HI, "response_format": City}
    if way == "whole":
        made = orchestrator.openai.beta.chat.completions.parse(**arguments)
    else:
        made = run_async(orchestrator, lambda: orchestrator.aopenai.chat.completions.parse(**arguments))
    assert made.choices[0].message.parsed == City(name="Bern", people=140000)
    assert b"people" in server.requests[0].content


def test_o3_what_does_not_fit_is_an_error_with_the_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("{}"), dialect.whole('{"na', finish="length"))
    parse = orchestrate().openai.chat.completions.parse
    with pytest.raises(shape.APIResponseValidationError) as wrong:
        parse(model=MODEL, messages=HI, response_format=City)
    assert wrong.value.completion.choices[0].message.content == "{}"
    with pytest.raises(shape.LengthFinishReasonError) as short:
        parse(model=MODEL, messages=HI, response_format=City)
    assert short.value.completion.choices[0].finish_reason == "length"


@with_embeddings
@pytest.mark.parametrize("way", ["whole", "async whole"], indirect=True)
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_o3_texts_become_vectors(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, encoding: str
) -> None:
    orchestrator = orchestrate()
    arguments: Any = {"model": MODEL, "input": ["a cat", "a dog"], "encoding_format": encoding}
    if way == "whole":
        made = orchestrator.openai.embeddings.create(**arguments)
    else:
        made = run_async(orchestrator, lambda: orchestrator.aopenai.embeddings.create(**arguments))
    assert [item.index for item in made.data] == [0, 1]
    vectors = [item.embedding for item in made.data]
    if encoding == "base64":
        vectors = [list(unpack("<8f", b64decode(text))) for text in vectors]
    for vector, text in zip(vectors, arguments["input"]):
        assert vector == pytest.approx(fake_vector(text, 8), rel=1e-6)
    assert made.usage is not None
    assert made.usage.prompt_tokens


# ------------------------------------------------------------------------------- O4: errors

FAILURES: List[Any] = [
    ("overloaded", "InternalServerError"),
    ("context_length", "BadRequestError"),
]


def sdk_with(*names: str) -> Any:
    """What stands for the SDK in a program that has imported it."""

    class OpenAIError(Exception):
        def __init__(self, message: str, *, response: Any, body: Any) -> None:
            raise AssertionError("it takes a reply that we do not have")

    module: Any = types.ModuleType("openai")
    module.OpenAIError = OpenAIError
    for name in names:
        setattr(module, name, type(name, (OpenAIError,), {}))
    return module


@pytest.mark.parametrize(("failure", "name"), FAILURES)
def test_o4_a_failure_is_the_error_of_its_name(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, failure: str, name: str
) -> None:
    server.script(dialect.failure(failure))
    wanted: Type[Any] = getattr(shape, name)
    with pytest.raises(wanted) as raised:
        create(orchestrate(), way)
    error = raised.value
    assert isinstance(error.__cause__, OrchestratorError)
    assert error.status_code == error.response.status_code >= 400
    assert error.body["message"] == error.message == str(error)
    assert len(error.attempts) == 1
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, wanted)
    assert (str(again), again.status_code, again.body) == (str(error), error.status_code, error.body)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
    ],
)
@chat
def test_o4_a_status_is_the_error_that_the_sdk_has_for_it(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, status: int, name: str
) -> None:
    server.script(dialect.error(status, retry_after=7 if status == 429 else None))
    with pytest.raises(getattr(shape, name)) as raised:
        create(orchestrate(max_retry_wait=1), "whole")
    assert raised.value.status_code == status
    if status == 429:
        assert float(raised.value.response.headers["retry-after"]) == 7


@pytest.mark.skipif(TRANSPORT == "sdk", reason="the SDK itself asks, and the test puts another in its place")
def test_o4_an_except_of_the_sdk_holds_where_the_program_has_imported_it(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sdk = sdk_with("InternalServerError")
    monkeypatch.setitem(sys.modules, "openai", sdk)
    server.script(dialect.failure("overloaded"))
    with pytest.raises(sdk.InternalServerError) as raised:
        create(orchestrate(), way)
    assert isinstance(raised.value, shape.InternalServerError)
    assert isinstance(pickle.loads(pickle.dumps(raised.value)), sdk.InternalServerError)


@pytest.mark.parametrize(
    ("error", "name", "code"),
    [
        (BudgetExceededError("The budget is spent."), "RateLimitError", "budget_exceeded"),
        (QuotaExceededError("No credit.", code="billing"), "RateLimitError", "insufficient_quota"),
        (ContextLengthError("Too long."), "BadRequestError", "context_length_exceeded"),
        (ProviderTimeoutError("Too late."), "APITimeoutError", None),
    ],
)
def test_o4_what_has_a_word_of_the_sdk_is_told_by_it(error: Any, name: str, code: Any) -> None:
    with pytest.raises(getattr(shape, name)) as raised, translated():
        raise error
    assert (raised.value.code, raised.value.__cause__) == (code, error)


def test_o4_when_all_models_failed_it_is_the_first_failure(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.failure("context_length"), dialect.failure("overloaded"))
    with pytest.raises(shape.BadRequestError) as raised:
        create(orchestrate(fallback_models=["scripted-2"]), way)
    assert isinstance(raised.value.__cause__, AllFallbacksFailedError)
    assert len(raised.value.attempts) == 2


@streamed
def test_o4_a_stream_that_breaks_off_is_a_lost_connection(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.stream(["a", "b"], complete=False).but(fault=Reset()))
    with pytest.raises(shape.APIConnectionError):
        create(orchestrate(), way)


def test_o4_a_refusal_to_start_shows_when_the_stream_is_made(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.failure("overloaded"))
    with pytest.raises(shape.InternalServerError):
        orchestrate().openai.chat.completions.create(model=MODEL, messages=HI, stream=True)


@pytest.mark.parametrize(
    ("arguments", "wanted", "word"),
    [
        ({"functions": []}, shape.BadRequestError, "tools"),
        ({"top_logprobs": 2}, shape.BadRequestError, "logprobs=True"),
        ({"temperatur": 1}, TypeError, "temperatur"),
        ({"api_key": "secret-1"}, TypeError, "api_key"),
        ({"extra_body": {"api_key": "secret-1"}}, shape.BadRequestError, "api_key"),
        ({"n": 2, "stream": True}, shape.BadRequestError, "n"),
        ({"temperature": "hot"}, shape.BadRequestError, "temperature"),
        ({"messages": "Hi"}, shape.BadRequestError, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, shape.BadRequestError, "robot"),
        ({"model": None}, TypeError, "model"),
    ],
)
@anthropic
def test_o4_arguments_that_cannot_be_meant_are_refused_unsent(
    orchestrate: Orchestrate, server: ScriptedServer, arguments: Any, wanted: Any, word: str
) -> None:
    given = {"model": MODEL, "messages": HI, **arguments}
    with pytest.raises(wanted) as raised:
        orchestrate().openai.chat.completions.create(**given)
    assert word in str(raised.value)
    assert "secret-1" not in str(raised.value)
    assert server.requests == []


@chat
def test_o4_fields_that_providers_know_are_sent_and_what_is_left_out_is_not(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    class NotGiven:
        """As the SDK's."""

    server.script(dialect.whole("Hello"))
    create(orchestrate(), "whole", user="u1", extra_body={"seal": 5}, top_p=NotGiven(), stop=None, timeout=30)
    body = server.requests[0].body
    assert (body["user"], body["seal"]) == ("u1", 5)
    assert not {"top_p", "stop", "timeout", "extra_body"} & set(body)


@chat
def test_o4_a_closed_orchestrator_says_so(orchestrate: Orchestrate) -> None:
    orchestrator: LLMOrchestrator = orchestrate()
    orchestrator.close()
    with pytest.raises(OpenAIError, match="closed"):
        create(orchestrator, "whole")


PROGRAM = """
import sys
from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.frameworks.openai import OpenAIError
from llm_orchestrator.testing import FakeProvider, FakeReply

fake = FakeProvider([FakeReply("Hello"), FakeReply("none")])
config = {"active_provider": "fake", "active_model": "m", "providers": {}}
client = LLMOrchestrator(config, providers={"fake": fake}).openai
assert "pydantic" in sys.modules
messages = [{"role": "user", "content": "Hi"}]
made = client.chat.completions.create(model="m", messages=messages)
assert made.choices[0].message.content == "Hello"
try:
    client.chat.completions.create(model="m", messages=[])
except OpenAIError as error:
    assert type(error).__module__ == "llm_orchestrator.frameworks.openai.errors"
assert "openai" not in sys.modules
"""


def test_o4_the_sdk_is_never_imported() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)


def test_o1_an_answer_comes_with_what_is_known_of_its_reply(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.whole("Hi.")
    orchestrator = orchestrate()
    raw = orchestrator.openai.chat.completions.with_raw_response.create(model=MODEL, messages=HI)
    made = raw.parse()
    assert made.choices[0].message.content == "Hi."
    assert raw.status_code == 200 and raw.headers == made.llm_response.headers
    assert raw.request_id == made.llm_response.request_id is not None

    async def ask() -> Any:
        return (
            await orchestrator.aopenai.responses.with_raw_response.create(model=MODEL, input="Hi")
        ).parse()

    assert run_async(orchestrator, ask).output_text == "Hi."
    with pytest.raises(AttributeError):
        orchestrator.openai.embeddings.with_raw_response.no_such_method()
