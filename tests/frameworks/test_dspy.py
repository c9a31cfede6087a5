"""DSPy on the orchestrator: its own examples, whole and streamed, sync and async, errors, and what is recorded."""

from __future__ import annotations

import asyncio
from typing import Any, Iterator, List

import pytest

from llm_orchestrator import exceptions as own
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import MODEL, Dialect, Reset, ScriptedServer

pytest.importorskip("dspy", reason="DSPy is not installed: make test-frameworks")
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")

import dspy
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMError,
    LMRateLimitError,
    LMServerError,
    LMUnsupportedModelError,
)

from llm_orchestrator.frameworks.dspy import OrchestratorLM


def fields(**values: Any) -> str:
    """An answer in the form that DSPy asks models for."""
    written = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in values.items())
    return f"{written}[[ ## completed ## ]]"


@pytest.fixture(autouse=True)
def no_cache() -> Iterator[None]:
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    yield


def test_predict_and_chain_of_thought(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(
        dialect.whole(fields(answer="Paris")),
        dialect.whole(fields(reasoning="Two dice, one way of 36.", answer="0.0277776")),
    )
    orchestrator = orchestrate()
    with dspy.context(lm=OrchestratorLM(orchestrator, MODEL), track_usage=True):
        assert dspy.Predict("question -> answer")(question="The capital of France?").answer == "Paris"
        math = dspy.ChainOfThought("question -> answer: float")
        found = math(question="Two dice are tossed. What is the probability that the sum equals two?")
    assert (found.answer, found.reasoning) == (0.0277776, "Two dice, one way of 36.")
    assert len(list(orchestrator.cost_tracker.to_dicts())) == len(server.requests) == 2


def test_react_calls_its_tools(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    called: List[str] = []

    def search(query: str) -> str:
        """Search an encyclopedia."""
        called.append(query)
        return "David Gregory was born in 1661 at Kinnairdy Castle."

    server.script(
        dialect.whole(
            fields(next_thought="Look.", next_tool_name="search", next_tool_args='{"query": "David Gregory"}')
        ),
        dialect.whole(fields(next_thought="Done.", next_tool_name="finish", next_tool_args="{}")),
        dialect.whole(fields(reasoning="It says so.", answer="1661")),
    )
    with dspy.context(lm=OrchestratorLM(orchestrate())):
        react = dspy.ReAct("question -> answer: int", tools=[search])
        assert react(question="When was David Gregory born?").answer == 1661
    assert called == ["David Gregory"]


def test_async(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    server.script(dialect.whole(fields(answer="Paris")))

    async def run() -> str:
        with dspy.context(lm=OrchestratorLM(orchestrate())):
            return str((await dspy.Predict("question -> answer").acall(question="Capital of France?")).answer)

    assert asyncio.run(run()) == "Paris"


def test_a_stream_comes_in_pieces(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    text = fields(answer="To get to the other side of the road")
    server.script(dialect.stream([f"{word} " for word in text.split(" ")]))

    async def run() -> List[Any]:
        with dspy.context(lm=OrchestratorLM(orchestrate())):
            listener = dspy.streaming.StreamListener(signature_field_name="answer")
            program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])
            return [piece async for piece in program(question="Why did the chicken cross the road?")]

    *pieces, last = asyncio.run(run())
    assert last.answer.split() == "To get to the other side of the road".split()
    assert len(pieces) > 2 and "".join(piece.chunk for piece in pieces).split() == last.answer.split()


def test_a_direct_call_gives_texts(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("This is a test!"), dialect.whole("Again."))
    lm = OrchestratorLM(orchestrate(), temperature=0.7, max_tokens=77)
    assert lm("Say this is a test!") == ["This is a test!"]
    assert "77" in str(server.requests[0].body)
    request = dspy.lm15.Request(model=lm.model, messages=(dspy.lm15.Message.user("Again?"),))
    answer = lm(request)
    assert (answer.message.text, answer.usage.input_tokens) == ("Again.", 12)


def test_the_cache_is_dspys_and_tells_models_apart(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    server.script(dialect.whole("one"), dialect.whole("two"))
    orchestrator = orchestrate()
    for _ in range(2):
        assert OrchestratorLM(orchestrator)(f"Hi {dialect.name}") == ["one"]
        assert OrchestratorLM(orchestrator, "scripted-2")(f"Hi {dialect.name}") == ["two"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ("rate_limit", LMRateLimitError),
        ("server", LMServerError),
        ("context_length", ContextWindowExceededError),
        ("bad_key", LMAuthError),
        ("quota", LMBillingError),
        ("model_not_found", LMUnsupportedModelError),
    ],
)
def test_errors_are_those_of_the_framework(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, failure: str, expected: Any
) -> None:
    if failure not in dialect.failures:
        pytest.skip(f"{dialect.name} does not tell {failure} apart")
    server.default = dialect.failure(failure)
    with pytest.raises(LMError) as caught:
        OrchestratorLM(orchestrate())("Hi")
    assert type(caught.value) is expected
    assert caught.value.__cause__ is not None
    assert isinstance(caught.value.__cause__.__cause__, own.ProviderError)
    assert len(server.requests) == 1


def test_a_stream_that_breaks_off_is_recorded(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.stream(["Hel", "lo"], complete=False).but(fault=Reset())
    orchestrator = orchestrate()
    lm = OrchestratorLM(orchestrator)
    request = dspy.lm15.Request(model=lm.model, messages=(dspy.lm15.Message.user("Hi"),))
    with pytest.raises(dspy.lm15.TransportError):
        list(lm.engine.stream(request))
    assert [row["status"] for row in orchestrator.cost_tracker.to_dicts()] == ["interrupted"]


def test_arguments_of_the_library_and_unknown_ones(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole("Hi."))
    orchestrator = orchestrate()
    OrchestratorLM(orchestrator, options={"tags": {"customer": "acme"}})("Hi")
    assert next(iter(orchestrator.cost_tracker.to_dicts()))["tags"] == {"customer": "acme"}
    with pytest.raises(ValueError, match="api_key"):
        OrchestratorLM(orchestrator, api_key="sk-other")
    with pytest.raises(LMError, match="no_such_thing"):
        OrchestratorLM(orchestrator, no_such_thing=1)("Hi")
