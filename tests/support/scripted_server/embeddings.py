"""Requests for vectors of the two protocols that have them, and their replies."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from llm_orchestrator.testing.fake_vectors import fake_vector
from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.replies import Reply, json_reply

__all__ = ["embedding_reply", "texts_of", "vectors_reply"]

LENGTH = 8


def texts_of(request: Request) -> List[str]:
    """The texts of a request for vectors."""
    if _is_gemini(request):
        return [each["content"]["parts"][0]["text"] for each in request.body["requests"]]
    return list(request.body["input"])


def embedding_reply(request: Request) -> Optional[Reply]:
    """Answer a request for vectors by its texts; None for another request. A word is a token."""
    path = request.path.partition("?")[0]
    if not (path.endswith("/embeddings") or _is_gemini(request)):
        return None
    texts = texts_of(request)
    length = _settings(request).get("dimensions") or _settings(request).get("outputDimensionality") or LENGTH
    words = sum(len(text.split()) for text in texts)
    return vectors_reply(request, [fake_vector(text, length) for text in texts], words)


def vectors_reply(request: Request, vectors: Sequence[Any], tokens: Optional[int] = None) -> Reply:
    """A reply with these vectors, whatever they are; without tokens it tells no usage."""
    if _is_gemini(request):
        counted = {} if tokens is None else {"usageMetadata": {"promptTokenCount": tokens}}
        return json_reply({"embeddings": [{"values": vector} for vector in vectors], **counted})
    entries = [
        {"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)
    ]
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return json_reply({"object": "list", "data": entries[::-1], "model": request.body.get("model"), **usage})


def _is_gemini(request: Request) -> bool:
    return ":batchEmbedContents" in request.path


def _settings(request: Request) -> Dict[str, Any]:
    body: Dict[str, Any] = request.body
    return dict(body["requests"][0]) if _is_gemini(request) else body
