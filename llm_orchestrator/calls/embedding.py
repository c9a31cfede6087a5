"""A call of ``embed``: the texts in batches that the provider takes, and the vectors of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, List, Optional

from llm_orchestrator.calls.continuation import summed
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.embedding import Embedded
from llm_orchestrator.types import EmbeddingRequest, EmbeddingResponse, LLMResponse, Message
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.providers.base import BaseLLMProvider

__all__ = ["Room", "Vectors", "parts_of"]


class Room:
    """What one request may hold: so many texts, with so many tokens together; always one text."""

    def __init__(self, provider: BaseLLMProvider, batch_size: Optional[int]) -> None:
        self.texts = batch_size or provider.embedding_texts
        self._tokens = provider.embedding_tokens
        self._count = self._size = 0

    def takes(self, size: int) -> bool:
        """Put a text of so many bytes in, if there is room; no tokenizer makes more tokens of it."""
        is_full = self._tokens is not None and self._size + size > self._tokens
        if self._count and (self._count == self.texts or is_full):
            return False
        self._count += 1
        self._size += size
        return True


def parts_of(provider: BaseLLMProvider, request: EmbeddingRequest) -> Iterator[EmbeddingRequest]:
    """Cut a request into those that the provider takes, with at least one text each."""
    room, batch = Room(provider, request.batch_size), list[Message]()
    for message in request.messages:
        size = len(message.text.encode())
        if not room.takes(size):
            yield evolve(request, messages=tuple(batch))
            room, batch = Room(provider, request.batch_size), []
            room.takes(size)
        batch.append(message)
    yield evolve(request, messages=tuple(batch))


class Vectors:
    """The vectors of a call as far as they have come, with what they cost; ``length`` if that is known."""

    def __init__(self, length: Optional[int] = None) -> None:
        self._length = length
        self._vectors: List[List[float]] = []
        self.answer: Optional[LLMResponse] = None

    @property
    def length(self) -> Optional[int]:
        """Numbers in each vector; None before the first."""
        return len(self._vectors[0]) if self._vectors else self._length

    def told(self, context: AttemptContext) -> AttemptContext:
        """What the next attempt knows, and the length of the vectors before."""
        context.vector_length = self.length
        return context

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
