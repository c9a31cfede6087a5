"""Frameworks with a real model behind the orchestrator. It is small: what it says does not matter, but its form does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Iterator

import pytest
from pydantic import BaseModel

from llm_orchestrator import LLMOrchestrator

pytestmark = pytest.mark.local_model

QUESTION = "Jason is 25 years old. How old is Jason?"


class User(BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def orchestrator(local_model_path: Path) -> Iterator[LLMOrchestrator]:
    config = {
        "active_provider": "local",
        "active_model": "local",
        "providers": {
            "local": {"model_path": str(local_model_path), "options": {"temperature": 0, "max_tokens": 60}}
        },
    }
    with LLMOrchestrator(config) as made:
        yield made


def test_langchain(orchestrator: LLMOrchestrator) -> None:
    pytest.importorskip("langchain_core", reason="LangChain is not installed: make test-frameworks")
    from llm_orchestrator.frameworks.langchain import ChatOrchestrator

    model = ChatOrchestrator(orchestrator=orchestrator)
    answer = model.invoke(QUESTION)
    assert answer.text and answer.usage_metadata["output_tokens"] > 0
    assert "".join(chunk.text for chunk in model.stream(QUESTION)) == answer.text
    assert isinstance(model.with_structured_output(User).invoke(QUESTION), User)


def test_pydantic_ai(orchestrator: LLMOrchestrator) -> None:
    pydantic_ai: Any = pytest.importorskip(
        "pydantic_ai", reason="pydantic-ai is not installed: make test-frameworks"
    )
    from llm_orchestrator.frameworks.pydantic_ai import OrchestratorModel

    model = OrchestratorModel(orchestrator)
    answer = pydantic_ai.Agent(model).run_sync(QUESTION)
    assert answer.output and answer.usage.output_tokens > 0
    output = pydantic_ai.NativeOutput(User)
    assert isinstance(pydantic_ai.Agent(model, output_type=output).run_sync(QUESTION).output, User)


def test_dspy(orchestrator: LLMOrchestrator) -> None:
    dspy: Any = pytest.importorskip("dspy", reason="DSPy is not installed: make test-frameworks")
    from llm_orchestrator.frameworks.dspy import OrchestratorLM

    lm = OrchestratorLM(orchestrator, cache=False)
    assert lm(QUESTION)[0]
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        assert isinstance(dspy.Predict("question -> age: int")(question=QUESTION).age, int)


def test_instructor(orchestrator: LLMOrchestrator) -> None:
    instructor: Any = pytest.importorskip(
        "instructor", reason="instructor is not installed: make test-frameworks"
    )
    from llm_orchestrator.frameworks.openai_sdk import AsyncOpenAI, OpenAI

    given: Any = {
        "model": "local",
        "response_model": User,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    mode = instructor.Mode.JSON_SCHEMA
    client = instructor.from_openai(OpenAI(orchestrator), mode=mode)
    assert isinstance(client.create(**given), User)
    assert isinstance(list(client.create_partial(**given))[-1], User)
    waiting = instructor.from_openai(AsyncOpenAI(orchestrator), mode=mode)
    assert isinstance(asyncio.run(waiting.create(**given)), User)
