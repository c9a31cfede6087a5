"""``max_cost`` of a run by batches: what a row may cost is held back until it is known what it did."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict, Optional, Protocol

from llm_orchestrator.bulk.prepare import Prepared
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.types import LLMRequest

__all__ = ["Allowance"]


class _Pricing(Protocol):
    def estimated_cost(self, request: LLMRequest, completion: int) -> Optional[Decimal]:
        """What a row would cost in a batch with an answer of so many tokens."""


class Allowance:
    """Holds back the estimated prompt and ``max_tokens`` of each row: a batch is paid whole or not at all."""

    def __init__(self, most: Optional[Decimal], pricing: _Pricing) -> None:
        self._most = most
        self._pricing = pricing
        self._spent = self._total_held = Decimal(0)
        self._held: Dict[int, Decimal] = {}

    def reserve(self, row: Prepared) -> bool:
        """Hold back what a row may cost; False when it does not fit, so that no further row is asked."""
        if self._most is None:
            return True
        amount = self._amount(row)
        if self._spent + self._total_held + amount > self._most:
            return False
        self._hold(row, amount)
        return True

    def hold(self, row: Prepared) -> None:
        """Hold back what a row may cost that an earlier run has submitted."""
        if self._most is not None:
            self._hold(row, self._amount(row))

    def _hold(self, row: Prepared, amount: Decimal) -> None:
        self._held[row.position] = amount
        self._total_held += amount

    def _amount(self, row: Prepared) -> Decimal:
        if row.request.max_tokens is None:
            raise ConfigurationError(
                "max_cost needs max_tokens in a batch: what an answer costs is not known before the batch "
                "is paid. Set max_tokens, or leave max_cost out."
            )
        amount = self._pricing.estimated_cost(row.request, row.request.max_tokens)
        if amount is None:
            raise ConfigurationError(
                "The price of the model is not known, so max_cost cannot be kept. Add the model to "
                "price_overrides, or leave max_cost out."
            )
        return amount

    def settle(self, result: BulkResult) -> None:
        """Note what a row has cost."""
        self._total_held -= self._held.pop(result.index, Decimal(0))
        if result.cost is not None:
            self._spent += result.cost
