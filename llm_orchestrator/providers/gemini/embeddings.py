"""Gemini's embeddings: a request that is made of one request for each text."""

from __future__ import annotations

from urllib.parse import unquote

from llm_orchestrator.providers.embedding import API, EmbeddingReply, read_only
from llm_orchestrator.providers.gemini.models import model_path
from llm_orchestrator.providers.gemini.replies import read_usage
from llm_orchestrator.providers.reading import as_mappings
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, EmbeddingRequest
from llm_orchestrator.utils.json import overridden, without_none

__all__ = ["EMBED_METHOD", "parse_embeddings", "request_embeddings"]

EMBED_METHOD = "batchEmbedContents"


def request_embeddings(request: EmbeddingRequest) -> WireRequest:
    """Ask for vectors; options, such as ``taskType``, hold for each text."""
    path = model_path(request.model)
    settings = without_none({"outputDimensionality": request.dimensions})
    settings = overridden(settings, request.provider_options)
    requests = [
        {"model": unquote(path), "content": {"parts": [{"text": text}]}, **settings} for text in request.texts
    ]
    return WireRequest(f"{path}:{EMBED_METHOD}", {"requests": requests}, api=API)


def parse_embeddings(body: JSON) -> EmbeddingReply:
    """Read the vectors."""
    vectors = [entry.get("values") for entry in as_mappings(body.get("embeddings"))]
    return EmbeddingReply(vectors, read_only(read_usage(body.get("usageMetadata"))))
