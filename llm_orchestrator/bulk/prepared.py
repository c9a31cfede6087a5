"""From a row to the request that is sent for it, and from what came of it to its result."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Protocol

from llm_orchestrator.bulk.fingerprint import Fingerprints
from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.journal import Kept
from llm_orchestrator.bulk.keys import Keys
from llm_orchestrator.bulk.messages import messages_function
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.bulk.rows import BadRow
from llm_orchestrator.exceptions import OrchestratorError, OutputParseError, OutputTruncatedError
from llm_orchestrator.types import LLMRequest, LLMResponse, Messages

__all__ = ["PreparedRow", "RowReader", "paid_answer", "result_of"]


class Requests(Protocol):
    """What makes the requests of rows."""

    @property
    def identity(self) -> Any:
        """What decides an answer beside the request."""

    def request_of(self, messages: Messages) -> LLMRequest:
        """Make the request of one row."""

    def parsed(self, content: str) -> Any:
        """Parse the text of an answer that was kept."""


class PreparedRow(NamedTuple):
    """A row whose request is made."""

    position: int
    row: Any
    key: Any
    key_text: str
    request: LLMRequest
    fingerprint: bytes


class RowReader:
    """Prepares the rows of a run."""

    def __init__(self, job: BulkJob, requests: Requests) -> None:
        self._requests = requests
        self._messages = messages_function(job.messages)
        self._keys = Keys(job.key)
        self._fingerprints: Optional[Fingerprints] = None

    def prepare(self, index: int, row: Any) -> PreparedRow:
        """Make the request of a row, or say what is wrong with it."""
        if isinstance(row, BadRow):
            raise row.error
        key = self._keys.of(row, index)
        request = self._requests.request_of(self._messages(row))
        if self._fingerprints is None:
            self._fingerprints = Fingerprints(self._requests.identity, request)
        return PreparedRow(index, row, key, self._keys.text(key), request, self._fingerprints.of(request))

    def refused(self, index: int, row: Any, error: OrchestratorError) -> BulkResult:
        """The result of a row that could not be prepared, with its key as far as it has one."""
        shown = row.text if isinstance(row, BadRow) else row
        try:
            key = index if isinstance(row, BadRow) else self._keys.of(row, index)
        except OrchestratorError:
            key = index
        return BulkResult(key, index, shown, error=error)

    def resumed(self, prepared: PreparedRow, kept: Kept) -> BulkResult:
        """The result of a row whose answer was paid before."""
        parsed = self._requests.parsed(kept.content) if kept.is_parsed else None
        return BulkResult(
            prepared.key,
            prepared.position,
            prepared.row,
            content=kept.content,
            parsed=parsed,
            cost=kept.cost,
            resumed=True,
        )

    def close(self) -> None:
        """Remove the temporary file of the keys."""
        self._keys.close()


def paid_answer(error: OrchestratorError) -> Optional[LLMResponse]:
    """The answer that does not fit its schema, but was paid for."""
    return error.response if isinstance(error, (OutputParseError, OutputTruncatedError)) else None


def result_of(
    prepared: PreparedRow, response: Optional[LLMResponse], error: Optional[OrchestratorError] = None
) -> BulkResult:
    """The result of a row that was asked."""
    return BulkResult(
        prepared.key,
        prepared.position,
        prepared.row,
        response=response,
        content=None if response is None else response.content,
        parsed=None if response is None else response.parsed,
        cost=None if response is None else response.cost,
        error=error,
    )
