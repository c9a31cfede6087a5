"""What LangChain's own suites leave open: opaque state, agents, refusals, errors, streams that are left."""

from __future__ import annotations

import asyncio
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

pytest.importorskip("langchain_core", reason="LangChain is not installed: make test-frameworks")

from langchain.agents import create_agent
from langchain_core import exceptions as theirs
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, messages_from_dict, messages_to_dict

from llm_orchestrator.frameworks.langchain import ChatOrchestrator

ASKS = [Call("temperature", {"city": "Rome"}, id="call_1")]


class Ticket(BaseModel):
    """A ticket."""

    subject: str
    urgent: bool


def temperature(city: str) -> str:
    """Tell how warm it is in a city."""
    return f"21 degrees in {city}"


@pytest.mark.parametrize("streamed", [False, True])
def test_an_agent_calls_a_tool_and_the_opaque_state_comes_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, streamed: bool
) -> None:
    facts: Any = {"tool_calls": ASKS, "finish": "tool_calls", "reasoning": "Let me look."}
    orchestrator = orchestrate()
    model = ChatOrchestrator(orchestrator=orchestrator, model=MODEL, streaming=streamed)
    agent = create_agent(model, tools=[temperature], system_prompt="Look it up.")
    if streamed:
        server.script(dialect.stream([], **facts), dialect.stream(["21 ", "degrees."]))
    else:
        server.script(dialect.whole("", **facts), dialect.whole("21 degrees."))
    state = agent.invoke({"messages": [{"role": "user", "content": "How warm is it in Rome?"}]})
    assert state["messages"][-1].text == "21 degrees."
    request = server.requests[-1]
    asked = dialect.read_request(request.body, request.path)
    assert asked["messages"][-1] == ("tool", "21 degrees in Rome")
    assert asked["system"] == "Look it up."
    reasoning = [block for block in state["messages"][1].content_blocks if block["type"] == "reasoning"]
    assert [block["reasoning"] for block in reasoning] == ["Let me look."]
    if dialect.name != "chat":
        assert SIGNATURE in str(request.body)
    assert len(list(orchestrator.cost_tracker.to_dicts())) == 2


def test_an_answer_has_its_usage_its_cost_and_what_is_known(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    usage = Usage(prompt=12, completion=6, cached=4, reasoning=2)
    server.script(dialect.whole("Hi.", usage=usage), dialect.whole("Hi.", usage=None))
    model = ChatOrchestrator(orchestrator=orchestrate())
    answer = model.invoke("Hi")
    assert answer.usage_metadata["input_tokens"] == 12
    assert answer.usage_metadata["input_token_details"]["cache_read"] == 4
    told = answer.response_metadata
    assert (told["model_name"], told["finish_reason"], told["cost"]) == (MODEL, "stop", None)
    assert messages_from_dict(messages_to_dict([answer])) == [answer]
    assert model.invoke("Hi").usage_metadata is None, "unknown is not zero"


def test_a_refusal_is_the_error_of_the_framework(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.whole("", refusal="I cannot do that.", finish="content_filter")
    model = ChatOrchestrator(orchestrator=orchestrate()).with_structured_output(Ticket)
    with pytest.raises(theirs.ModelRefusalError) as caught:
        model.invoke("Make a ticket")
    assert isinstance(caught.value.raw_message, AIMessage)


def test_an_answer_that_does_not_fit_is_kept_with_its_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.whole('{"subject": "Fire"}')
    model = ChatOrchestrator(orchestrator=orchestrate())
    made = model.with_structured_output(Ticket, include_raw=True).invoke("Make a ticket")
    assert made["raw"].text == '{"subject": "Fire"}' and made["parsed"] is None
    assert isinstance(made["parsing_error"], theirs.OutputParserException)
    with pytest.raises(theirs.OutputParserException):
        model.with_structured_output(Ticket).invoke("Make a ticket")


def test_arguments_that_are_no_json_are_told_and_sent_back(server: ScriptedServer) -> None:
    dialect = DIALECTS["chat"]
    broken = [Call("temperature", id="call_1", raw='{"city": ')]
    server.script(dialect.whole("", tool_calls=broken, finish="tool_calls"), dialect.whole("Sorry."))
    with LLMOrchestrator(dialect.config(server.url)) as orchestrator:
        model = ChatOrchestrator(orchestrator=orchestrator).bind_tools([temperature])
        answer = model.invoke("How warm is it in Rome?")
        assert answer.tool_calls == []
        assert [call["args"] for call in answer.invalid_tool_calls] == ['{"city": ']
        model.invoke(
            [HumanMessage("How warm?"), answer, ToolMessage("That is no JSON.", tool_call_id="call_1")]
        )
    assert server.requests[-1].body["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"city": '


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_arguments_that_break_off_in_a_stream_run_no_tool(server: ScriptedServer, way: str) -> None:
    dialect = DIALECTS["chat"]
    broken = [Call("temperature", id="call_1", raw='{"city": "Ro')]
    server.script(dialect.stream([], tool_calls=broken, finish="length"))
    with LLMOrchestrator(dialect.config(server.url)) as orchestrator:
        model = ChatOrchestrator(orchestrator=orchestrator, streaming=True)
        with pytest.raises(theirs.OutputParserException, match="'temperature' broke off") as caught:
            ask(model, way)
        assert caught.value.llm_output == '{"city": "Ro'
        assert [row["status"] for row in orchestrator.cost_tracker.to_dicts()] == ["ok"]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ("rate_limit", theirs.ModelRateLimitError),
        ("overloaded", theirs.ModelAPIError),
        ("server", theirs.ModelAPIError),
        ("context_length", theirs.ContextOverflowError),
        ("bad_key", theirs.ModelAuthenticationError),
        ("permission", theirs.ModelPermissionDeniedError),
        ("model_not_found", theirs.ModelNotFoundError),
        ("bad_request", theirs.ModelInvalidRequestError),
    ],
)
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_errors_are_those_of_the_framework(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, failure: str, expected: Any, way: str
) -> None:
    server.default = dialect.failure(failure)
    with pytest.raises(theirs.ModelError) as caught:
        ask(ChatOrchestrator(orchestrator=orchestrate()), way)
    assert type(caught.value) is expected
    cause = caught.value.__cause__
    assert isinstance(cause, own.ProviderError)
    assert caught.value.is_retryable is cause.retryable
    assert len(caught.value.attempts) == len(server.requests) == 1  # type: ignore[attr-defined]


def ask(model: Any, way: str) -> List[str]:
    if way == "invoke":
        return [model.invoke("Hi").text]
    if way == "stream":
        return [chunk.text for chunk in model.stream("Hi")]

    async def run() -> List[str]:
        if way == "ainvoke":
            return [(await model.ainvoke("Hi")).text]
        return [chunk.text async for chunk in model.astream("Hi")]

    return asyncio.run(run())


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_breaks_off_or_is_left_is_recorded(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(
        dialect.stream(["Hel", "lo"], complete=False).but(fault=Reset()),
        dialect.stream(["Hello "] * 12, cut="recorded").but(fault=Stall(8)),
    )
    orchestrator = orchestrate()
    model = ChatOrchestrator(orchestrator=orchestrator)
    with pytest.raises(theirs.ModelConnectionError) as caught:
        ask(model, way)
    assert isinstance(caught.value.__cause__, own.StreamInterruptedError)
    leave(model, way)
    assert [row["status"] for row in orchestrator.cost_tracker.to_dicts()] == ["interrupted", "interrupted"]


def leave(model: Any, way: str) -> None:
    """Read the first chunk and go."""
    if way == "stream":
        stream = model.stream("Hi")
        next(stream)
        stream.close()
        return

    async def run() -> None:
        stream = model.astream("Hi")
        await stream.__anext__()
        await stream.aclose()

    asyncio.run(run())


def test_nothing_is_sent_where_the_request_is_wrong(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    keyed = ChatOrchestrator(
        orchestrator=orchestrate(), api_key="sk-other", extra_headers={"x-key": "sk-other"}
    )
    with pytest.raises(theirs.ModelInvalidRequestError, match="api_key"):
        keyed.invoke("Hi")
    assert "sk-other" not in repr(keyed) + str(keyed.asdict()), "traces show these"
    with pytest.raises(ValueError, match="by_magic"):
        ChatOrchestrator(orchestrator=orchestrate()).with_structured_output(Ticket, method="by_magic")
    with pytest.raises(theirs.ModelInvalidRequestError, match="temperature"):
        ChatOrchestrator(orchestrator=orchestrate()).invoke("Hi", temperature="hot")
    stranger = AIMessage("Hi", additional_kwargs={"provider": "another", "provider_state": {"a": 1}})
    with pytest.raises(theirs.ModelInvalidRequestError, match="another"):
        ChatOrchestrator(orchestrator=orchestrate()).invoke(
            [HumanMessage("Hi"), stranger, HumanMessage("Go on")]
        )
    assert server.requests == []


def test_the_frameworks_cache_tells_models_and_options_apart(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(*[dialect.whole(text) for text in ("one", "two", "three")])
    orchestrator = orchestrate()
    set_llm_cache(InMemoryCache())
    try:
        models = [
            ChatOrchestrator(orchestrator=orchestrator),
            ChatOrchestrator(orchestrator=orchestrator, model="scripted-2"),
            ChatOrchestrator(orchestrator=orchestrator, max_tokens=5),
        ]
        for _ in range(2):
            assert [model.invoke("Hi").text for model in models] == ["one", "two", "three"]
    finally:
        set_llm_cache(None)


def test_options_are_those_of_a_call(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("Hi."), dialect.whole("", tool_calls=ASKS, finish="tool_calls"))
    orchestrator = orchestrate()
    model = ChatOrchestrator(orchestrator=orchestrator, max_tokens=77, options={"tags": {"customer": "acme"}})
    model.invoke("Hi", max_tokens=78)
    assert "78" in str(server.requests[0].body) and "77" not in str(server.requests[0].body)
    assert next(iter(orchestrator.cost_tracker.to_dicts()))["tags"] == {"customer": "acme"}
    called = model.bind_tools([temperature], tool_choice="temperature").invoke("How warm is it in Rome?")
    assert called.tool_calls[0]["args"] == {"city": "Rome"}
    body = str(server.requests[1].body)
    assert body.count("'temperature'") == 2, "as a tool, and as the one that must be called"
