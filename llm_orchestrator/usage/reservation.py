"""What a call does with its budgets in a database: it asks for a reservation, waits, and settles it."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING, Optional, Sequence
from uuid import UUID

from llm_orchestrator.utils.worker import SilenceError

if TYPE_CHECKING:
    from llm_orchestrator.usage.database.reserving import DatabaseBudget
    from llm_orchestrator.usage.limits import Claim

__all__ = ["NO_ANSWER", "BudgetRequest", "Reservation"]

#: Why a database cannot be asked that says nothing.
NO_ANSWER = "it gave no answer within a second."


class Reservation:
    """What a call holds of its budgets; settled once, by whoever ends the call."""

    def __init__(
        self, budget: DatabaseBudget, claims: Sequence[Claim], amount: Decimal, hold: Optional[UUID]
    ) -> None:
        self._budget: Optional[DatabaseBudget] = budget
        self._claims = claims
        self._amount = amount
        self._hold = hold
        self._process = os.getpid()

    def settle(self, cost: Decimal) -> None:
        """Give back what was held, and count what was spent; the second time is nothing."""
        budget, self._budget = self._budget, None
        if budget is not None and os.getpid() == self._process:  # after a fork it is the parent's
            budget.settle(self._claims, self._amount, self._hold, cost)


class BudgetRequest:
    """Asks for a reservation, waiting in a thread or on a loop."""

    def __init__(
        self, budget: DatabaseBudget, claims: Sequence[Claim], amount: Decimal, seconds: float
    ) -> None:
        self._budget = budget
        self._claims = claims
        self._amount = amount
        self._seconds = seconds

    def take(self) -> Reservation:
        """Get it, or raise what refuses the call."""
        asked = self._budget.ask(self._claims, self._amount, self._seconds)
        try:
            outcome = self._budget.worker.wait(asked)
        except SilenceError:
            self._budget.give_back(asked)
            outcome = NO_ANSWER
        except BaseException:  # a Ctrl-C or a cancellation, which may come just after it was granted
            self._budget.give_back(asked)
            raise
        return self._budget.conclude(self._claims, self._amount, outcome)

    async def atake(self) -> Reservation:
        """Get it, or raise what refuses the call, on a loop."""
        asked = self._budget.ask(self._claims, self._amount, self._seconds)
        try:
            outcome = await self._budget.worker.await_(asked)
        except SilenceError:
            self._budget.give_back(asked)
            outcome = NO_ANSWER
        except BaseException:  # a Ctrl-C or a cancellation, which may come just after it was granted
            self._budget.give_back(asked)
            raise
        return self._budget.conclude(self._claims, self._amount, outcome)
