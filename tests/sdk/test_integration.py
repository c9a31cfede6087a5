"""Real providers, for a fraction of a cent: run with ``make integration``, skipped without keys.

The model is the cheapest one that the provider lists and the price table knows, so that no model name stands
here.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Iterator, Tuple

import pytest

from llm_orchestrator import FinishReason, LLMOrchestrator, ModelNotFoundError
from llm_orchestrator.pricing import price_usage
from llm_orchestrator.providers.gemini import transport as gemini_transport
from tests.conftest import KEYS
from tests.support.ways import ask

pytestmark = pytest.mark.integration

#: A call of this size, in the words of each provider, decides which model is the cheapest.
SIZES = {
    "openai": {"prompt_tokens": 1000, "completion_tokens": 1000},
    "anthropic": {"input_tokens": 1000, "output_tokens": 1000},
    "gemini": {"promptTokenCount": 1000, "candidatesTokenCount": 1000},
}


@pytest.fixture
def certificates() -> None:
    """As they are, also where another test has left none: real servers show theirs."""
    gemini_transport._certificates.cache_clear()


@pytest.fixture(params=list(KEYS))
def provider(request: pytest.FixtureRequest) -> str:
    """Each provider whose key is set."""
    name = str(request.param)
    if not os.environ.get(KEYS[name]):
        pytest.skip(f"no key in {KEYS[name]}")
    return name


@pytest.fixture
def orchestrator(provider: str, tmp_path: Path) -> Iterator[LLMOrchestrator]:
    """An orchestrator on the provider's cheapest listed model."""
    config = {
        "active_provider": provider,
        "active_model": "to-be-chosen",
        "providers": {provider: {"api_key": os.environ[KEYS[provider]]}},
        "model_registry": {"cache_path": str(tmp_path / "models.json")},
        "cost_tracking": {"log_path": str(tmp_path / "costs.csv")},
    }
    with LLMOrchestrator(config) as made:
        made.refresh_models(provider)
        yield made.for_provider(provider, cheapest(provider, made))


def cheapest(provider: str, orchestrator: LLMOrchestrator) -> str:
    """The cheapest model that is listed and has a price."""
    priced = [priced_at(provider, model) for model in orchestrator.get_available_models(provider)]
    return min(found for found in priced if found[0] is not None)[1]


def priced_at(provider: str, model: str) -> Tuple[Decimal, str]:
    """What a call of a fixed size costs on a model; a fortune where nobody knows."""
    total = price_usage(provider, model, SIZES[provider]).total
    return (Decimal("Infinity") if total is None else total, model)


def test_a_real_answer(orchestrator: LLMOrchestrator, way: str) -> None:
    response = ask(orchestrator, way, "Reply with the single word: ready", max_tokens=500)

    assert "ready" in response.content.lower()
    assert response.finish_reason is FinishReason.STOP
    assert response.usage.source == "reported"
    assert response.cost is not None and response.cost > 0
    assert response.request_id


def test_a_model_that_does_not_exist(orchestrator: LLMOrchestrator) -> None:
    with pytest.raises(ModelNotFoundError):
        orchestrator.send_request("Hi", model="no-such-model-anywhere", fallback=False)
    assert orchestrator.validate_model("no-such-model-anywhere") is False
