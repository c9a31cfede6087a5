"""Requests for vectors in the providers' words, and the values around them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers.clouds.azure import AzureAdapter
from llm_orchestrator.providers.clouds.vertex import VertexAdapter
from llm_orchestrator.providers.embedding import read_only
from llm_orchestrator.request.embedding import embedding_arguments
from llm_orchestrator.types import MISSING_USAGE, EmbeddingRequest, EmbeddingResponse, TokenUsage
from llm_orchestrator.utils.values import evolve
from tests.support.shapes import gemini_shapes, openai_shapes


def request(*texts: str, **arguments: Any) -> EmbeddingRequest:
    made = embedding_arguments(texts, model="some-model", **arguments).request
    assert isinstance(made, EmbeddingRequest)
    return made


def test_openai_is_sent_the_texts_as_a_list() -> None:
    wire = openai_shapes.CHAT.embedding_request(request("a", "b", dimensions=256, user="u"))
    assert (wire.path, wire.api) == ("/embeddings", "embeddings")
    assert wire.body == {"model": "some-model", "input": ["a", "b"], "dimensions": 256, "user": "u"}


def test_gemini_is_sent_a_request_for_each_text() -> None:
    wire = gemini_shapes.ADAPTER.embedding_request(request("a", "b", dimensions=256, taskType="CLUSTERING"))
    assert wire.path == "models/some-model:batchEmbedContents"
    settings = {"model": "models/some-model", "outputDimensionality": 256, "taskType": "CLUSTERING"}
    assert wire.body == {
        "requests": [{"content": {"parts": [{"text": text}]}, **settings} for text in ("a", "b")]
    }


def test_azure_has_the_deployment_in_the_path() -> None:
    azure = AzureAdapter("azure", base_url="https://127.0.0.1:9", api_key="key-0123456789")
    wire = azure.embedding_request(request("a"))
    assert wire.path == "/deployments/some-model/embeddings"


def test_vertex_has_the_settings_below_a_name_of_their_own() -> None:
    vertex: Any = VertexAdapter("vertex", api_key="key-0123456789")
    wire = vertex.embedding_request(request("a", dimensions=256))
    assert wire.path == "publishers/google/models/some-model:batchEmbedContents"
    content = {"parts": [{"text": "a"}]}
    assert wire.body == {
        "requests": [{"content": content, "embedContentConfig": {"outputDimensionality": 256}}]
    }
    assert vertex.embedding_request(request("a")).body == {"requests": [{"content": content}]}


def test_vectors_are_read_and_nothing_is_written() -> None:
    assert read_only(TokenUsage(5, None, None)) == TokenUsage(5, 0, 5)
    assert read_only(TokenUsage(None, None, 5)) == TokenUsage(5, 0, 5)
    assert read_only(MISSING_USAGE) == MISSING_USAGE


def test_a_response_shows_its_shape_and_not_its_numbers() -> None:
    response = EmbeddingResponse([[0.25, 0.5], [1.0, 2.0]], "some-model", "openai")
    assert str(response) == "2 vectors of 2 numbers (openai/some-model, unknown tokens, unknown)"
    assert "0.25" not in repr(response)


def test_an_array_is_made_by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy: Any = ModuleType("numpy")
    numpy.asarray = lambda values, dtype: (values, dtype)
    monkeypatch.setitem(sys.modules, "numpy", numpy)
    response = EmbeddingResponse([[0.25]], "some-model", "openai")
    assert response.as_array() == ([[0.25]], "float32")
    assert response.as_array("float64") == ([[0.25]], "float64")


def test_without_numpy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ConfigurationError, match="pip install numpy"):
        EmbeddingResponse([[0.25]], "some-model", "openai").as_array()


def test_a_part_of_a_request_is_one_too() -> None:
    whole = request("a", "b")
    assert evolve(whole, messages=whole.messages[1:]).texts == ["b"]
