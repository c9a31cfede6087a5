"""A fake makes vectors of words, without an entry of its script, and raises the errors that it has next."""

from __future__ import annotations

import asyncio

import pytest

from llm_orchestrator import EmbeddingRequest, LLMOrchestrator, RateLimitError
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.testing.scripted_orchestrator import ScriptedOrchestrator


def orchestrator_of(fake: FakeProvider) -> LLMOrchestrator:
    config = {"active_provider": "fake", "active_model": "fake-1", "providers": {"fake": {"max_retries": 0}}}
    return LLMOrchestrator({**config, "cost_tracking": {"log_path": None}}, providers={"fake": fake})


def test_a_fake_makes_vectors_and_keeps_its_script() -> None:
    fake = FakeProvider(["Here I am.", "And here."])
    with orchestrator_of(fake) as orchestrator:
        first = orchestrator.embed(["a red cat", "a red dog", "rain"], model="fake-vectors")
        again = asyncio.run(orchestrator.aembed("a red cat", model="fake-vectors", dimensions=8))
        assert again.vectors == first.vectors[:1]
        assert first.usage.prompt_tokens == 7
        red_cat, red_dog, rain = first.vectors
        closeness = [sum(a * b for a, b in zip(red_cat, other)) for other in (red_cat, red_dog, rain)]
        assert closeness == sorted(closeness, reverse=True) and abs(closeness[0] - 1) < 1e-9
        assert [type(request) for request in fake.requests] == [EmbeddingRequest] * 2
        assert [orchestrator.send_request("Hi").content for _ in range(2)] == ["Here I am.", "And here."]


def test_a_fake_raises_the_error_that_comes_next() -> None:
    fake = FakeProvider([RateLimitError("Too many."), "Here I am."])
    with orchestrator_of(fake) as orchestrator:
        with pytest.raises(RateLimitError):
            orchestrator.embed("a", model="fake-vectors")
        assert len(orchestrator.embed("a", model="fake-vectors").vectors[0]) == 8
        assert orchestrator.send_request("Hi").content == "Here I am."


def test_the_scripted_orchestrator_names_a_model(scripted_orchestrator: ScriptedOrchestrator) -> None:
    response = scripted_orchestrator.embed(["two words", "three words here"])
    assert [len(vector) for vector in response.vectors] == [8, 8]
    assert response.cost is not None and response.cost > 0
    request = scripted_orchestrator.requests[0]
    assert isinstance(request, EmbeddingRequest) and request.texts == ["two words", "three words here"]
