"""A real model on this machine: the local provider, and the adapters that its server understands.

The server speaks OpenAI Chat, OpenAI Responses and Anthropic Messages, so these adapters meet a real model
here, in all four ways. The model is small: what it says does not matter, that it says it does.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from llm_orchestrator import (
    ConfigurationError,
    ContextLengthError,
    FinishReason,
    InvalidRequestError,
    LLMOrchestrator,
)
from llm_orchestrator.providers.local.server import LocalServer
from tests.support.ways import ask, run_async

pytestmark = pytest.mark.local_model

QUESTION = [
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": "What is water?"},
]


@pytest.fixture(scope="module")
def llama_server(local_model_path: Path) -> Iterator[LocalServer]:
    """One llama.cpp server for all tests of this file."""
    server = LocalServer(str(local_model_path))
    yield server
    server.close()


def entries(server: LocalServer) -> Dict[str, Dict[str, Any]]:
    """Provider entries that lead to the same server in different protocols."""
    return {
        "chat": {"adapter": "openai", "base_url": server.base_url, "api": "chat"},
        "responses": {"adapter": "openai", "base_url": server.base_url, "api": "responses"},
        "anthropic": {"base_url": server.base_url[: -len("/v1")], "api_key": "unused-key"},
    }


@pytest.fixture(params=["chat", "responses", "anthropic"])
def orchestrator(request: pytest.FixtureRequest, llama_server: LocalServer) -> Iterator[LLMOrchestrator]:
    """An orchestrator that speaks one of the protocols to the real model."""
    config = {
        "active_provider": request.param,
        "active_model": llama_server.model,
        "providers": entries(llama_server),
    }
    with LLMOrchestrator(config) as made:
        yield made


def test_adapters_on_a_real_model(orchestrator: LLMOrchestrator, way: str) -> None:
    response = ask(orchestrator, way, QUESTION, max_tokens=12, temperature=0.0)

    assert response.content.strip()
    assert response.finish_reason in (FinishReason.LENGTH, FinishReason.STOP)
    usage = response.usage
    assert usage.source == "reported"
    assert usage.prompt_tokens is not None and usage.prompt_tokens > 10
    assert usage.completion_tokens is not None and 0 < usage.completion_tokens <= 12
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert response.cost is None or response.cost == 0


def test_the_same_answer_in_all_ways(orchestrator: LLMOrchestrator) -> None:
    ways = ("whole", "streamed", "async whole", "async streamed")
    answers = {ask(orchestrator, way, QUESTION, max_tokens=12, temperature=0.0).content for way in ways}

    assert len(answers) == 1, "without chance the model says the same, however it is asked"


@pytest.mark.parametrize("transport", ["direct", "sdk"])
def test_tokens_are_counted_as_the_usage_of_an_answer_tells(
    llama_server: LocalServer, orchestrator: LLMOrchestrator, transport: str
) -> None:
    name = orchestrator.active_provider
    providers = {name: {**entries(llama_server)[name], "transport": transport}}
    config = {"active_provider": name, "active_model": llama_server.model, "providers": providers}
    with LLMOrchestrator(config) as made:
        number = made.count_tokens(QUESTION)
        assert number == made.send_request(QUESTION, max_tokens=1).usage.prompt_tokens
        assert run_async(made, lambda: made.acount_tokens(QUESTION)) == number


def test_a_prompt_that_is_too_long(orchestrator: LLMOrchestrator) -> None:
    with pytest.raises(ContextLengthError):
        orchestrator.send_request("word " * 12000, max_tokens=5)


@pytest.fixture(scope="module")
def local(local_model_path: Path) -> Iterator[LLMOrchestrator]:
    """An orchestrator on the local provider, started by its first call."""
    config = {
        "active_provider": "local",
        "active_model": "smollm2",
        "providers": {"local": {"model_path": str(local_model_path)}},
    }
    with LLMOrchestrator(config) as made:
        yield made


def test_local_provider(local: LLMOrchestrator, way: str) -> None:
    response = ask(local, way, QUESTION, max_tokens=12)

    assert response.content.strip()
    assert (response.provider, response.requested_model, response.cost) == ("local", "smollm2", Decimal(0))
    assert response.cost_details is not None and response.cost_details.status == "free"


def test_the_local_provider_tells_how_likely_its_tokens_are(local: LLMOrchestrator, way: str) -> None:
    response = ask(local, way, QUESTION, max_tokens=5, temperature=0, logprobs=2)
    assert "".join(token.token for token in response.logprobs) == response.content
    for token in response.logprobs:
        assert token.logprob is not None and token.logprob <= 0 and len(token.top_logprobs) == 2
    assert response.warnings == ()


def test_the_local_provider_counts_tokens(local: LLMOrchestrator) -> None:
    number = local.count_tokens(QUESTION)
    assert number == local.send_request(QUESTION, max_tokens=1).usage.prompt_tokens
    assert local.count_tokens("What is water? Tell me all.") > local.count_tokens("What is water?")


@pytest.mark.parametrize("transport", ["direct", "sdk"])
def test_the_local_provider_makes_vectors_and_still_answers(local_model_path: Path, transport: str) -> None:
    entry = {"model_path": str(local_model_path), "embedding_model": "smollm2", "transport": transport}
    config = {"active_provider": "local", "active_model": "smollm2", "providers": {"local": entry}}
    with LLMOrchestrator(config) as made:
        response = made.embed(["a cat sat", "a cat sat", "The market fell by three percent."])
        same, again, other = response.vectors
        assert same == pytest.approx(again, abs=1e-4) and same != pytest.approx(other, abs=1e-2)
        assert (response.cost, response.usage.completion_tokens) == (Decimal(0), 0)
        assert run_async(made, lambda: made.aembed("a cat sat")).vectors[0] == pytest.approx(same, abs=1e-4)
        with pytest.raises(ContextLengthError):
            made.embed("word " * 3000)
        assert made.send_request(QUESTION, max_tokens=5).content.strip()
        (listed,) = made.registry._providers["local"].get_available_models()
        assert (listed.embeds, listed.exclusion) == (True, None)


def test_a_local_entry_for_answers_alone_says_how_to_make_vectors(local: LLMOrchestrator) -> None:
    with pytest.raises(InvalidRequestError, match="embedding_model in the entry"):
        local.embed("a cat", model="smollm2")


def test_local_models_are_listed_and_validated(local: LLMOrchestrator, tmp_path: Path) -> None:
    (model,) = local.registry._providers["local"].get_available_models()

    assert local.validate_model(model.name) is True
    assert local.validate_model("another") is False


def test_a_closed_orchestrator_stops_its_server(local_model_path: Path) -> None:
    server = LocalServer(str(local_model_path))
    url = server.base_url
    server.close()
    with (
        LLMOrchestrator(
            {
                "active_provider": "late",
                "active_model": "any",
                "providers": {"late": {"adapter": "openai", "base_url": url, "max_retries": 0}},
            }
        ) as orchestrator,
        pytest.raises(Exception, match="No connection"),
    ):
        orchestrator.send_request("Is anybody there?")


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF but not really")

    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        LocalServer(str(path))
