"""``max_cost``: a row is asked only while its cost surely fits into what is left."""

from __future__ import annotations

from decimal import Decimal
from typing import Optional, Protocol

from llm_orchestrator.bulk.waiting import Line
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.types import LLMRequest

__all__ = ["Spending"]


class _Pricing(Protocol):
    def estimated_cost(self, request: LLMRequest, completion: int) -> Optional[Decimal]:
        """What a row would cost with an answer of so many tokens; None where its price is not known."""


class Spending:
    """Holds back, for each row under way, what it may cost.

    That is its estimated prompt and ``max_tokens``, and at least the dearest row so far. What no row showed
    yet is unknown, so the first one goes alone.
    """

    def __init__(self, most: Optional[Decimal], pricing: _Pricing) -> None:
        self._most = most
        self._pricing = pricing
        self._spent = self._held = self._dearest = Decimal(0)
        self._under_way = 0
        self._is_known = False
        self._line = Line()

    async def reserve(self, request: LLMRequest) -> Optional[Decimal]:
        """Hold back what a row may cost; None when it does not fit, so that the run has to end."""
        if self._most is None:
            return Decimal(0)
        estimate = self._pricing.estimated_cost(request, request.max_tokens or 0)
        if estimate is None:
            raise ConfigurationError(
                "The price of the model is not known, so max_cost cannot be kept. Add the model to "
                "price_overrides, or leave max_cost out."
            )
        while True:
            amount = max(estimate, self._dearest)
            if self._under_way == 0 or self._is_known:
                if self._spent + self._held + amount <= self._most:
                    self._held += amount
                    self._under_way += 1
                    return amount
                if self._under_way == 0:
                    return None
            await self._line.wait()

    def settle(self, held: Decimal, cost: Optional[Decimal]) -> None:
        """Note what a row has cost."""
        if self._most is None:
            return
        self._held -= held
        self._under_way -= 1
        if cost is not None:
            self._is_known = True
            self._spent += cost
            self._dearest = max(self._dearest, cost)
        self._line.wake_all()
