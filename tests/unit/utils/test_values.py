"""Frozen dataclasses made and copied without their constructors."""

from __future__ import annotations

import pytest

from llm_orchestrator.types import Attempt, LLMRequest, LLMResponse, Message, TokenUsage
from llm_orchestrator.utils.values import evolve, make


def test_a_value_that_is_made_is_what_the_constructor_makes() -> None:
    assert make(LLMResponse, content="a", model="m", provider="p") == LLMResponse("a", "m", "p")
    assert make(Message, role="user", content="Hi") == Message("user", "Hi")
    assert make(TokenUsage, prompt_tokens=1) == TokenUsage(1)
    assert make(Attempt, model="m") == Attempt("m")
    assert make(LLMRequest, model="m", messages=()) == LLMRequest("m", ())


def test_a_field_that_is_missing_or_unknown_is_noticed() -> None:
    with pytest.raises(AssertionError, match="Attempt is not made of error"):
        make(Attempt, error="E")
    with pytest.raises(AssertionError, match="Attempt is not made of model, odd"):
        make(Attempt, model="m", odd=1)
    with pytest.raises(AssertionError, match="Attempt has not all of odd"):
        evolve(Attempt("m"), odd=1)
