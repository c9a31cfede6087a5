"""What a request may cost: the longest answer that was asked for, or that the model is known to give."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Optional

import pytest

from llm_orchestrator import CostTracker
from llm_orchestrator.calls.expected_cost import most_it_costs
from llm_orchestrator.pricing import PriceTable
from llm_orchestrator.providers.anthropic_adapter import AnthropicAdapter
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.types import LLMRequest, Message, ModelInfo

PRICE = {"provider": "p", "model": "m", "rates": {"in": "1000000", "out": "1000000"}}  # a dollar a token


@pytest.mark.parametrize(
    ("adapter", "settings", "request_fields", "known", "tokens"),
    [
        (OpenAIAdapter, {}, {"max_tokens": 7}, 1000, 7),
        (OpenAIAdapter, {}, {}, 1000, 1000),
        (OpenAIAdapter, {}, {}, None, 0),
        (OpenAIAdapter, {"max_tokens": 5}, {}, 1000, 5),
        (OpenAIAdapter, {"max_tokens": 5}, {"max_tokens": 7}, 1000, 7),
        (OpenAIAdapter, {}, {"max_tokens": 7, "provider_options": {"max_completion_tokens": 9}}, None, 9),
        (AnthropicAdapter, {}, {}, None, 16000),
        (AnthropicAdapter, {}, {}, 1000, 1000),
        (AnthropicAdapter, {}, {}, 64000, 16000),
    ],
)
def test_prompt_and_longest_answer(
    adapter: Any, settings: Any, request_fields: Any, known: Optional[int], tokens: int
) -> None:
    tracker = CostTracker(log_path=None, price_table=PriceTable(overrides=[PRICE]))
    provider = adapter("p", api_key="k", options=settings)
    request = LLMRequest("m", (Message("user", "x" * 40),), **request_fields)
    model = None if known is None else ModelInfo("m", "p", max_output_tokens=known)

    assert most_it_costs(tracker, provider, request, model) == Decimal(10 + tokens)
