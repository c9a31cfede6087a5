"""What becomes of a row, as its result: refused, resumed, or asked."""

from __future__ import annotations

from typing import Any, Optional, Protocol

from llm_orchestrator.bulk.journal import Kept
from llm_orchestrator.bulk.prepare import Prepared
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.bulk.rows import BadRow
from llm_orchestrator.exceptions import OrchestratorError, OutputParseError, OutputTruncatedError
from llm_orchestrator.types import LLMResponse

__all__ = ["paid_answer", "refused", "result_of", "resumed", "vector_of"]


class _Reader(Protocol):
    gives_vectors: bool

    def parsed(self, content: str) -> Any:
        """Parse the text of an answer that was kept."""


def refused(key: Any, index: int, row: Any, error: OrchestratorError) -> BulkResult:
    """A row that could not be asked."""
    return BulkResult(key, index, row.text if isinstance(row, BadRow) else row, error=error)


def resumed(prepared: Prepared, kept: Kept, reader: _Reader) -> BulkResult:
    """A row whose answer was paid before."""
    if reader.gives_vectors:
        vector = reader.parsed(kept.content)
        return BulkResult(*prepared.shown, cost=kept.cost, resumed=True, vector=vector)
    return BulkResult(
        *prepared.shown,
        content=kept.content,
        parsed=reader.parsed(kept.content) if kept.is_parsed else None,
        cost=kept.cost,
        resumed=True,
    )


def paid_answer(error: OrchestratorError) -> Optional[LLMResponse]:
    """The answer that does not fit its schema, but was paid for."""
    return error.response if isinstance(error, (OutputParseError, OutputTruncatedError)) else None


def vector_of(prepared: Prepared, response: LLMResponse) -> BulkResult:
    """A row whose vector was asked for, which is what is ``parsed`` of its answer."""
    return BulkResult(*prepared.shown, cost=response.cost, vector=response.parsed)


def result_of(
    prepared: Prepared, response: Optional[LLMResponse], error: Optional[OrchestratorError] = None
) -> BulkResult:
    """A row that was asked."""
    return BulkResult(
        *prepared.shown,
        response=response,
        content=None if response is None else response.content,
        parsed=None if response is None else response.parsed,
        cost=None if response is None else response.cost,
        error=error,
    )
