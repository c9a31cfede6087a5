"""What a run would cost, without asking anything."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any, Iterable, Optional, Protocol

from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.journal import Journal
from llm_orchestrator.bulk.prepare import Preparation
from llm_orchestrator.bulk.results import BulkEstimate
from llm_orchestrator.exceptions import OrchestratorError
from llm_orchestrator.types import LLMRequest, Messages
from llm_orchestrator.usage.estimates import estimate_prompt

__all__ = ["estimated"]


class _Caller(Protocol):
    @property
    def identity(self) -> Any:
        """What decides an answer beside the request."""

    def request_of(self, messages: Messages) -> LLMRequest:
        """Make the request of one row."""

    def estimated_cost(self, request: LLMRequest, completion: int) -> Optional[Decimal]:
        """What a row would cost with an answer of so many tokens."""


def estimated(job: BulkJob, caller: _Caller, rows: Iterable[Any]) -> BulkEstimate:
    """Prepare all rows as a run would, and add up what the new ones would cost."""
    preparation = Preparation(job, caller)
    journal = Journal(job.journal) if job.journal and os.path.exists(job.journal) else None
    count = wrong = kept = prompt = completion = 0
    cost: Optional[Decimal] = Decimal(0)
    try:
        for index, row in enumerate(rows):
            count += 1
            try:
                prepared = preparation.of(index, row)
            except OrchestratorError:
                wrong += 1
                continue
            if journal is not None and journal.find(prepared.key_text, prepared.fingerprint) is not None:
                kept += 1
                continue
            most = prepared.request.max_tokens or 0
            prompt += estimate_prompt(prepared.request)
            completion += most
            price = caller.estimated_cost(prepared.request, most)
            cost = None if cost is None or price is None else cost + price
    finally:
        preparation.close()
        if journal is not None:
            journal.close()
    return BulkEstimate(count, wrong, kept, prompt, completion, cost)
