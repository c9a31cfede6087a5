"""What one call does with its budgets: reserves before it, checks before each attempt, settles at its end."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Callable, Mapping, Optional

from llm_orchestrator.utils.money import ZERO, add_money

if TYPE_CHECKING:
    from llm_orchestrator.calls.shared import SharedState
    from llm_orchestrator.usage.reservation import BudgetRequest, Reservation

__all__ = ["CallBudget"]

#: Seconds that a call without a ``total_timeout`` is thought to take at most.
LONGEST_CALL = 3600.0
#: Seconds for which a call that ended may still be on its way to say so.
SPARE_SECONDS = 60.0


class CallBudget:
    """Keeps what one call has reserved and spent, until it is settled."""

    __slots__ = ("_has_reserved", "_reservation", "_shared", "_spent", "_tags")

    def __init__(self, shared: SharedState, tags: Mapping[str, str]) -> None:
        self._shared = shared
        self._tags = tags
        self._has_reserved = False
        self._reservation: Optional[Reservation] = None
        self._spent = ZERO

    def request(
        self, amount: Callable[[], Decimal], total_timeout: Optional[float]
    ) -> Optional[BudgetRequest]:
        """Ask to reserve an amount, once, where a budget in a database wants it."""
        if self._has_reserved:
            return None
        self._has_reserved = True
        shared = self._shared
        shared.check_open()
        lifetime = (total_timeout or LONGEST_CALL) + SPARE_SECONDS
        return shared.tracker.request_budget(shared.session_id, self._tags, amount, lifetime)

    def hold(self, reservation: Reservation) -> None:
        """Keep what was reserved; the end of the call settles it."""
        self._reservation = reservation

    def check(self, pending: Optional[Decimal]) -> None:
        """Refuse another attempt where a budget is spent; ``pending`` is in no row yet."""
        self._shared.tracker.check_budget(self._shared.session_id, pending, self._tags)

    def spend(self, cost: Decimal) -> None:
        """Add what an attempt cost."""
        self._spent = add_money(self._spent, cost)

    def settle(self) -> None:
        """Settle what was spent: with what was reserved, or without, as of a request in a batch."""
        spent, self._spent = self._spent, ZERO
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            reservation.settle(spent)
        elif spent:
            self._shared.tracker.spend_budget(self._shared.session_id, self._tags, spent)
