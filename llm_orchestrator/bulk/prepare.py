"""What is made of a row before it is asked: its key, its request, and the fingerprint of that."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Protocol, Tuple

from llm_orchestrator.bulk.fingerprint import Fingerprints
from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.keys import Keys
from llm_orchestrator.bulk.messages import messages_function
from llm_orchestrator.bulk.rows import BadRow
from llm_orchestrator.exceptions import OrchestratorError
from llm_orchestrator.types import LLMRequest, Messages

__all__ = ["Preparation", "Prepared"]


class _Caller(Protocol):
    @property
    def identity(self) -> Any:
        """What decides an answer beside the request."""

    def request_of(self, messages: Messages) -> LLMRequest:
        """Make the request of one row."""


class Prepared(NamedTuple):
    """A row whose request is made."""

    position: int
    row: Any
    key: Any
    key_text: str
    request: LLMRequest
    fingerprint: bytes

    @property
    def shown(self) -> Tuple[Any, int, Any]:
        """What a result shows of it: key, index and row."""
        return self.key, self.position, self.row


class Preparation:
    """Prepares the rows of a run, one after the other."""

    def __init__(self, job: BulkJob, caller: _Caller, *, may_repeat: bool = False) -> None:
        self._caller = caller
        self._messages = messages_function(job.messages)
        self._keys = Keys(job.key, may_repeat=may_repeat)
        self._has_journal = job.journal is not None
        self._fingerprints: Optional[Fingerprints] = None

    def of(self, index: int, row: Any) -> Prepared:
        """Prepare a row, or raise what is wrong with it."""
        if isinstance(row, BadRow):
            raise row.error
        key = self._keys.of(row, index)
        request = self._caller.request_of(self._messages(row))
        if self._fingerprints is None:
            self._fingerprints = Fingerprints(self._caller.identity, request)
        text = self._keys.text(key)
        fingerprint = self._fingerprints.of(request) if self._has_journal else b""
        return Prepared(index, row, key, text, request, fingerprint)

    def key_of(self, row: Any, index: int) -> Any:
        """The key of a row that could not be prepared, as far as it has one."""
        try:
            return index if isinstance(row, BadRow) else self._keys.of(row, index)
        except OrchestratorError:
            return index

    def close(self) -> None:
        """Forget the keys that were seen."""
        self._keys.close()
