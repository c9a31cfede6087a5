"""What decided a price is read out of anything that a provider, or a caller's options, may hold."""

from __future__ import annotations

from typing import Any

import pytest

from llm_orchestrator.pricing.facts import price_facts

ODD = [
    None,
    0,
    True,
    "x",
    1.5,
    [],
    {},
    [None],
    [[]],
    [{}],
    {"type": []},
    [{"type": "web_search_call", "action": 1}],
]


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("field", ["tools", "output", "candidates", "prompt_cache_options"])
def test_a_field_of_another_kind_decides_nothing(field: str, value: Any) -> None:
    document = {field: value, "service_tier": "flex"}
    facts = price_facts(document, {}, document)
    assert facts["request"]["service_tier"] == facts["response"]["service_tier"] == "flex"


@pytest.mark.parametrize(
    "queries", [None, 3, {}, {"webSearchQueries": 3}, {"webSearchQueries": ["a"]}], ids=repr
)
def test_searches_are_counted_where_they_are_a_list(queries: Any) -> None:
    facts = price_facts({}, {}, {"candidates": [{"groundingMetadata": queries}]})
    counted = queries == {"webSearchQueries": ["a"]}
    assert facts == (
        {"response": {"candidates": [{"groundingMetadata": {"webSearchQueries": [""]}}]}} if counted else {}
    )
