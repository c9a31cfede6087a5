"""Many calls: rows in, a result for each row out; with a journal that a later run goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_orchestrator.bulk.results import BulkEstimate, BulkProgress, BulkResult, BulkSummary
from llm_orchestrator.bulk.run import AsyncBulkRun, BulkRun
from llm_orchestrator.bulk.status import BatchState, BulkStatus

if TYPE_CHECKING:
    from llm_orchestrator.bulk.worker import Worker

__all__ = [
    "AsyncBulkRun",
    "BatchState",
    "BulkEstimate",
    "BulkProgress",
    "BulkResult",
    "BulkRun",
    "BulkStatus",
    "BulkSummary",
    "Worker",
]


def __getattr__(name: str) -> Any:
    if name == "Worker":  # it needs the orchestrator, which needs this package
        from llm_orchestrator.bulk.worker import Worker

        return Worker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
