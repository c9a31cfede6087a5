"""A call of ``embed``: the texts in batches that the provider takes, and the vectors of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, List, Optional

from llm_orchestrator.calls.continuation import summed
from llm_orchestrator.providers.embedding import Embedded
from llm_orchestrator.types import EmbeddingRequest, EmbeddingResponse, LLMResponse, Message
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.providers.base import BaseLLMProvider

__all__ = ["Vectors", "parts_of"]


def parts_of(provider: BaseLLMProvider, request: EmbeddingRequest) -> Iterator[EmbeddingRequest]:
    """Cut a request into those that the provider takes, with at least one text each."""
    most = request.batch_size or provider.embedding_texts
    batch: List[Message] = []
    size = 0
    for message in request.messages:
        length = len(message.text.encode())
        # No tokenizer makes more tokens of a text than it has bytes.
        is_full = provider.embedding_tokens is not None and size + length > provider.embedding_tokens
        if batch and (len(batch) == most or is_full):
            yield evolve(request, messages=tuple(batch))
            batch, size = [], 0
        batch.append(message)
        size += length
    yield evolve(request, messages=tuple(batch))


class Vectors:
    """The vectors of a call as far as they have come, with what they cost."""

    def __init__(self) -> None:
        self._vectors: List[List[float]] = []
        self.answer: Optional[LLMResponse] = None

    @property
    def length(self) -> Optional[int]:
        """Numbers in each vector; None before the first."""
        return len(self._vectors[0]) if self._vectors else None

    def add(self, batch: Embedded, recorded: LLMResponse) -> LLMResponse:
        """Add a batch, and its answer as it was recorded; returns the sum of all answers."""
        self._vectors += batch.vectors
        self.answer = recorded if self.answer is None else summed(self.answer, recorded)
        return self.answer

    def response(self, answer: LLMResponse) -> EmbeddingResponse:
        """Make the response of the whole call."""
        return EmbeddingResponse(
            self._vectors,
            answer.model,
            answer.provider,
            requested_model=answer.requested_model,
            usage=answer.usage,
            cost=answer.cost,
            cost_details=answer.cost_details,
            session_id=answer.session_id,
            attempts=answer.attempts,
            latency=answer.latency,
            warnings=answer.warnings,
        )
