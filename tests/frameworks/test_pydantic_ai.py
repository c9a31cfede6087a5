"""pydantic-ai's model on the orchestrator: agents, tools, output, streams, errors, and what is recorded."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, List

import pytest
from pydantic import BaseModel

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator import exceptions as own
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import (
    DIALECTS,
    MODEL,
    SIGNATURE,
    Call,
    Dialect,
    Reset,
    ScriptedServer,
    Stall,
    Usage,
)

pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed: make test-frameworks")

from pydantic_ai import (
    Agent,
    BinaryContent,
    CachePoint,
    ModelRequest,
    ModelRetry,
    NativeOutput,
    PromptedOutput,
    ToolDefinition,
)
from pydantic_ai import (
    exceptions as theirs,
)
from pydantic_ai.direct import model_request_stream, model_request_sync
from pydantic_ai.models import ModelRequestParameters

from llm_orchestrator.frameworks.pydantic_ai import OrchestratorModel

ASKS = [Call("temperature", {"city": "Rome"}, id="call_1")]


class City(BaseModel):
    """A city."""

    name: str
    country: str


def temperature(city: str) -> str:
    """Tell how warm it is in a city."""
    if city == "Nowhere":
        raise ModelRetry("No such city.")
    return f"21 degrees in {city}"


def asked(dialect: Dialect, server: ScriptedServer, index: int = -1) -> Any:
    request = server.requests[index]
    return dialect.read_request(request.body, request.path)


def test_an_agent_answers_and_goes_on(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("Four.", usage=Usage(prompt=12, completion=6)), dialect.whole("Six."))
    orchestrator = orchestrate()
    agent = Agent(OrchestratorModel(orchestrator, MODEL), instructions="Be brief.", system_prompt="You add.")
    result = agent.run_sync("2+2?")
    assert (result.output, result.usage.input_tokens, result.usage.output_tokens) == ("Four.", 12, 6)
    again = agent.run_sync("3+3?", message_history=result.all_messages())
    assert again.output == "Six."
    assert asked(dialect, server)["messages"] == [("user", "2+2?"), ("assistant", "Four."), ("user", "3+3?")]
    assert "You add." in asked(dialect, server)["system"] and "Be brief." in asked(dialect, server)["system"]
    response = again.new_messages()[-1]
    assert (response.model_name, response.provider_name, response.finish_reason) == (
        MODEL,
        orchestrator.active_provider,
        "stop",
    )
    assert len(list(orchestrator.cost_tracker.to_dicts())) == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_and_the_opaque_state_comes_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, streamed: bool
) -> None:
    facts: Any = {"tool_calls": ASKS, "finish": "tool_calls", "reasoning": "Let me look."}
    if streamed:
        server.script(dialect.stream([], **facts), dialect.stream(["21 ", "degrees."]))
    else:
        server.script(dialect.whole("", **facts), dialect.whole("21 degrees."))
    agent = Agent(OrchestratorModel(orchestrate(), MODEL), tools=[temperature])

    async def run() -> List[str]:
        async with agent.run_stream("How warm is it in Rome?") as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    answer = "".join(asyncio.run(run())) if streamed else agent.run_sync("How warm is it in Rome?").output
    assert answer == "21 degrees."
    assert asked(dialect, server)["messages"][-1] == ("tool", "21 degrees in Rome")
    if dialect.name != "chat":
        assert SIGNATURE in str(server.requests[-1].body)


def test_what_a_tool_says_is_wrong_goes_to_the_model(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    wrong = [Call("temperature", {"city": "Nowhere"}, id="call_0")]
    server.script(
        dialect.whole("", tool_calls=wrong, finish="tool_calls"),
        dialect.whole("", tool_calls=ASKS, finish="tool_calls"),
        dialect.whole("21."),
    )
    agent = Agent(OrchestratorModel(orchestrate(), MODEL), tools=[temperature])
    assert agent.run_sync("How warm is it?").output == "21."
    assert "No such city." in asked(dialect, server, 1)["messages"][-1][1]


@pytest.mark.parametrize(
    "output", [City, NativeOutput(City), PromptedOutput(City)], ids=["tool", "native", "prompt"]
)
def test_output_is_an_instance(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, output: Any
) -> None:
    rome = {"name": "Rome", "country": "Italy"}
    if output is City:
        call = Call("final_result", rome, id="call_1")
        server.script(dialect.whole("", tool_calls=[call], finish="tool_calls"))
    else:
        server.script(dialect.whole('{"name": "Rome", "country": "Italy"}'))
    agent: Any = Agent(OrchestratorModel(orchestrate(), MODEL), output_type=output)
    assert agent.run_sync("The capital of Italy?").output == City(**rome)
    wishes = dialect.read_wishes(server.requests[-1].body)
    assert ("final_result" in wishes.tools) is (output is City)
    assert (wishes.output is not None) is isinstance(output, NativeOutput)


def test_settings_become_arguments(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("Hi."))
    orchestrator = orchestrate()
    settings: Any = {
        "max_tokens": 77,
        "temperature": 0.5,
        "parallel_tool_calls": False,
        "thinking": "low",
        "timeout": 5,
        "openai_user": "of another model, and left out",
        "orchestrator_tags": {"customer": "acme"},
        "extra_body": {"metadata": {"a": "b"}},
    }
    model = OrchestratorModel(orchestrator, settings=settings)
    Agent(model, tools=[temperature]).run_sync(
        ["Look.", CachePoint(), BinaryContent(b"\x89PNG\r\n\x1a\n", media_type="image/png")]
    )
    body = server.requests[-1].body
    assert "77" in str(body) and body["metadata"] == {"a": "b"}
    assert "left out" not in str(body)
    assert dialect.read_wishes(body).reasoning
    assert next(iter(orchestrator.cost_tracker.to_dicts()))["tags"] == {"customer": "acme"}


@pytest.mark.parametrize(
    ("wish", "offered", "forced"),
    [
        (None, {"temperature", "humidity"}, False),
        ("none", set(), False),
        ("required", {"temperature", "humidity"}, True),
        (["humidity"], {"humidity"}, True),
    ],
)
def test_only_the_tools_that_may_be_called_are_offered(
    server: ScriptedServer, wish: Any, offered: Any, forced: bool
) -> None:
    dialect = DIALECTS["chat"]
    server.script(dialect.whole("21."))
    tools = [ToolDefinition(name=name) for name in ("temperature", "humidity")]
    with LLMOrchestrator(dialect.config(server.url)) as orchestrator:
        model_request_sync(
            OrchestratorModel(orchestrator),
            [ModelRequest.user_text_prompt("How is it in Rome?")],
            model_settings={} if wish is None else {"tool_choice": wish},
            model_request_parameters=ModelRequestParameters(function_tools=tools),
        )
    body = server.requests[0].body
    assert set(dialect.read_wishes(body).tools) == offered
    assert body.get("tool_choice", "none") == ("required" if forced else "auto" if offered else "none")


def test_a_request_that_cannot_be_sent_is_an_error_of_the_program(orchestrate: Orchestrate) -> None:
    agent = Agent(OrchestratorModel(orchestrate(), settings={"temperature": "hot"}))  # type: ignore[typeddict-item]
    with pytest.raises(theirs.ModelRequestRejectedError, match="temperature"):
        agent.run_sync("Hi")
    with pytest.raises(theirs.UserError, match="messages"):
        model_request_sync(OrchestratorModel(orchestrate()), [ModelRequest([])])


def test_a_stream_that_breaks_off_is_recorded(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.stream(["Hel", "lo"], complete=False).but(fault=Reset()))
    orchestrator = orchestrate()

    async def run() -> None:
        async with Agent(OrchestratorModel(orchestrator)).run_stream("Hi") as result:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                pass

    with pytest.raises(theirs.ModelConnectionError) as caught:
        asyncio.run(run())
    assert isinstance(caught.value.__cause__, own.StreamInterruptedError)
    assert [row["status"] for row in orchestrator.cost_tracker.to_dicts()] == ["interrupted"]


@pytest.mark.parametrize("how", ["cancelled", "left", "an error of the program"])
def test_a_stream_that_is_left_is_closed_and_recorded(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, how: str
) -> None:
    server.script(dialect.stream(["Hello "] * 12, cut="recorded").but(fault=Stall(8)))
    orchestrator = orchestrate()

    async def read(model: Any) -> None:
        messages: Any = [ModelRequest.user_text_prompt("Hi")]
        async with model_request_stream(model, messages) as stream:
            async for _ in stream:
                break
            if how == "cancelled":
                await stream.cancel()
            if how == "an error of the program":
                raise own.InvalidRequestError("of the program's own call, and not translated")

    async def run() -> Any:
        with suppress(own.InvalidRequestError):
            await read(OrchestratorModel(orchestrator))
        return [row["status"] for row in orchestrator.cost_tracker.to_dicts()]

    assert asyncio.run(run()) == ["interrupted"]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ("rate_limit", theirs.ModelRateLimitError),
        ("overloaded", theirs.ModelOverloadedError),
        ("server", theirs.ModelServerError),
        ("context_length", theirs.ModelContextWindowExceededError),
        ("bad_key", theirs.ModelAuthenticationError),
        ("model_not_found", theirs.ModelNotFoundError),
        ("quota", theirs.ModelQuotaExceededError),
    ],
)
def test_errors_are_those_of_the_framework(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, failure: str, expected: Any
) -> None:
    if failure not in dialect.failures:
        pytest.skip(f"{dialect.name} does not tell {failure} apart")
    server.default = dialect.failure(failure)
    orchestrator = orchestrate()
    agent = Agent(OrchestratorModel(orchestrator, MODEL))
    with pytest.raises(theirs.ModelHTTPError) as caught:
        agent.run_sync("Hi")
    assert isinstance(caught.value, expected)
    assert isinstance(caught.value.__cause__, own.ProviderError)
    assert caught.value.status_code == caught.value.__cause__.status_code
    assert len(caught.value.attempts) == len(server.requests) == 1  # type: ignore[attr-defined]
