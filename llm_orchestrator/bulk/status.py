"""How far the batches of a run are: what ``BulkRun.status`` tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Tuple

from llm_orchestrator.utils.values import Value

__all__ = ["BatchState", "BulkStatus"]


@dataclass(frozen=True, eq=False, repr=False)
class BatchState(Value):
    """One batch at the provider.

    Attributes:
        id: The provider's id; None while it is not known whether the batch was submitted.
        state: ``unknown``, ``validating``, ``running``, ``ending``, ``ended``, ``failed``, ``expired`` or
            ``cancelled``.
        requests: Rows in it.
        answered: Rows that the provider has answered; None when it has not said.
        failed: Rows with an error; None when the provider has not said.
        created_at: When it was made, in the provider's form.
        expires_at: When the provider gives it up, in the provider's form.
    """

    id: Optional[str]
    state: str
    requests: int
    answered: Optional[int] = None
    failed: Optional[int] = None
    created_at: Any = None
    expires_at: Any = None


@dataclass(frozen=True, eq=False, repr=False)
class BulkStatus(Value):
    """The batches of a run that are not collected yet.

    Attributes:
        batches: The batches, oldest first.
        waiting: Rows of this run that lie in them, or are about to be submitted.
    """

    batches: Tuple[BatchState, ...] = ()
    waiting: int = 0

    def __str__(self) -> str:
        if not self.batches:
            return "no batch is under way"
        requests = sum(batch.requests for batch in self.batches)
        done = sum((batch.answered or 0) + (batch.failed or 0) for batch in self.batches)
        batches = "1 batch" if len(self.batches) == 1 else f"{len(self.batches):,} batches"
        return f"{batches}: {done:,} of {requests:,} requests done"
