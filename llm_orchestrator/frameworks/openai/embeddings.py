"""From the library's vectors to the SDK's ``CreateEmbeddingResponse``."""

from __future__ import annotations

import sys
from array import array
from base64 import b64encode
from typing import Any, List

from llm_orchestrator.frameworks.openai.completions import usage_of
from llm_orchestrator.frameworks.openai.values import CreateEmbeddingResponse, Embedding
from llm_orchestrator.types import EmbeddingResponse

__all__ = ["embeddings_of"]


def embeddings_of(response: EmbeddingResponse, in_base64: bool) -> CreateEmbeddingResponse:
    """Write vectors as the SDK does."""
    made = CreateEmbeddingResponse(
        data=[
            Embedding(embedding=_encoded(vector) if in_base64 else vector, index=index)
            for index, vector in enumerate(response.vectors)
        ],
        model=response.model,
        usage=usage_of(response.usage),
    )
    made._llm_response = response
    return made


def _encoded(vector: List[float]) -> Any:
    """The bytes of 32-bit floats, least byte first, in base64."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes()).decode()
