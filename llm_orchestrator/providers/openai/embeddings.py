"""OpenAI's embeddings, which nearly every compatible server speaks too."""

from __future__ import annotations

from llm_orchestrator.providers.embedding import API, EmbeddingReply, in_order, read_only
from llm_orchestrator.providers.openai.usage import read_usage
from llm_orchestrator.providers.reading import as_text
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, EmbeddingRequest
from llm_orchestrator.utils.json import overridden, without_none

__all__ = ["parse_embeddings", "request_embeddings"]

PATH = "/embeddings"


def request_embeddings(request: EmbeddingRequest) -> WireRequest:
    """Ask for vectors, as lists of numbers, which is what every host gives unless asked for another form."""
    fields = {"model": request.model, "input": request.texts, "dimensions": request.dimensions}
    return WireRequest(PATH, overridden(without_none(fields), request.provider_options), api=API)


def parse_embeddings(body: JSON) -> EmbeddingReply:
    """Read the vectors."""
    vectors = [entry.get("embedding") for entry in in_order(body.get("data"))]
    usage = read_usage(body.get("usage"), "prompt_tokens", "completion_tokens")
    return EmbeddingReply(vectors, read_only(usage), as_text(body.get("model")))
