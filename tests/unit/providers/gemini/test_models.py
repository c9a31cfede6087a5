"""Gemini's listing of models."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.types import ModelInfo
from tests.support.shapes.gemini_shapes import ADAPTER

Json = Dict[str, Any]


def entry(name: str, *methods: str, **more: Any) -> Json:
    return {"name": name, "supportedGenerationMethods": list(methods), **more}


def model(document: Json) -> ModelInfo:
    models, _ = ADAPTER.parse_models({"models": [document]})
    return models[0]


def test_a_model() -> None:
    found = model(
        entry(
            "models/flash-9",
            "generateContent",
            displayName="Flash 9",
            inputTokenLimit=1000,
            outputTokenLimit=100,
            thinking=True,
            description="For people.",
        )
    )
    assert found == ModelInfo(
        name="flash-9",
        provider="gemini",
        context_window=1000,
        max_output_tokens=100,
        display_name="Flash 9",
        capabilities={"supportedGenerationMethods": ["generateContent"], "thinking": True},
    )


@pytest.mark.parametrize(
    "document, embeds",
    [
        (entry("models/vectors", "embedContent", "countTokens"), True),
        (entry("models/embedding-of-old", "embedText"), False),
        (entry("models/both", "generateContent", "embedContent"), True),
        ({"name": "models/untold"}, False),
        ({"name": "models/odd", "supportedGenerationMethods": "embedContent"}, False),
    ],
)
def test_what_makes_vectors_says_so(document: Json, embeds: bool) -> None:
    assert model(document).embeds is embeds


@pytest.mark.parametrize(
    "document, exclusion",
    [
        (entry("models/embed", "embedContent"), "it does not support generateContent"),
        (entry("models/none"), "it does not support generateContent"),
        (entry("tunedModels/mine", "generateContent"), "it is fine-tuned"),
        ({"name": "models/untold"}, None),
        ({"name": "models/odd", "supportedGenerationMethods": "x", "inputTokenLimit": "x"}, None),
    ],
)
def test_what_is_no_chat_model_is_excluded(document: Json, exclusion: Any) -> None:
    assert model(document).exclusion == exclusion


def test_pages() -> None:
    models, cursor = ADAPTER.parse_models({"models": [entry("models/a")], "nextPageToken": "x&y"})
    assert ([found.name for found in models], cursor) == (["a"], "x&y")
    assert ADAPTER.list_request(None).path == "models?pageSize=1000"
    assert ADAPTER.list_request(cursor).path == "models?pageSize=1000&pageToken=x%26y"
    assert ADAPTER.list_request(cursor).method == "GET"


@pytest.mark.parametrize(
    "body", [{}, {"models": None}, {"models": [None, {}, {"name": 3}], "nextPageToken": ""}]
)
def test_fd3_malformed_pages_are_no_listing(body: Json) -> None:
    with pytest.raises(InvalidResponseError, match="not a list of models"):
        ADAPTER.parse_models(body)
