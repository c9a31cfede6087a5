"""What a run would cost, without asking anything."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any, Iterable, Optional, Protocol

from llm_orchestrator.bulk.job import BulkJob
from llm_orchestrator.bulk.journals import is_begun, open_journal
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

    @property
    def has_batches(self) -> bool:
        """Whether the provider has a batch API."""

    def request_of(self, messages: Messages) -> LLMRequest:
        """Make the request of one row."""

    def estimated_cost(
        self, request: LLMRequest, completion: int, *, batch: bool = False, now: bool = False
    ) -> Optional[Decimal]:
        """What a row would cost with an answer of so many tokens."""


class _Costs:
    """What the rows cost together in each mode: that of the run, now, and in batches."""

    def __init__(self, caller: _Caller, *, uses_batches: bool) -> None:
        self._caller = caller
        self._uses_batches = uses_batches
        self.own: Optional[Decimal] = Decimal(0)
        self.now: Optional[Decimal] = Decimal(0)
        self.batch: Optional[Decimal] = Decimal(0) if caller.has_batches else None

    def add(self, request: LLMRequest, completion: int) -> None:
        price = partial(self._caller.estimated_cost, request, completion)
        self.own = _sum(self.own, price(batch=self._uses_batches))
        self.now = _sum(self.now, price(now=True))
        if self.batch is not None:
            self.batch = _sum(self.batch, price(batch=True))


def _sum(total: Optional[Decimal], price: Optional[Decimal]) -> Optional[Decimal]:
    """What is known of all; None where one is not known."""
    return None if total is None or price is None else total + price


def estimated(job: BulkJob, caller: _Caller, rows: Iterable[Any]) -> BulkEstimate:
    """Prepare all rows as a run would, and add up what the new ones would cost."""
    preparation = Preparation(job, caller)
    journal = open_journal(job.journal) if job.journal and is_begun(job.journal) else None
    count = wrong = kept = prompt = completion = 0
    costs = _Costs(caller, uses_batches=job.uses_batches)
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
            costs.add(prepared.request, most)
    finally:
        preparation.close()
        if journal is not None:
            journal.close()
    return BulkEstimate(count, wrong, kept, prompt, completion, costs.own, costs.now, costs.batch)
