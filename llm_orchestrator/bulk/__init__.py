"""Many calls: rows in, a result for each row out; with a journal that a later run goes on from."""

from __future__ import annotations

from llm_orchestrator.bulk.results import BulkEstimate, BulkProgress, BulkResult, BulkSummary
from llm_orchestrator.bulk.run import AsyncBulkRun, BulkRun

__all__ = ["AsyncBulkRun", "BulkEstimate", "BulkProgress", "BulkResult", "BulkRun", "BulkSummary"]
