"""From the settings of budgets to what keeps them: a check on a ledger file, reservations in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.budget import LedgerBudget
from llm_orchestrator.usage.ledger import Ledger
from llm_orchestrator.usage.limits import BudgetLimits

if TYPE_CHECKING:
    from llm_orchestrator.usage.recorder import AnyBudget

__all__ = ["make_budget"]


def make_budget(
    settings: Mapping[str, Any], ledger: Optional[Ledger], database_url: Optional[str], *, enabled: bool
) -> Optional[AnyBudget]:
    """Make the budget of a tracker; None where nothing is limited."""
    limits = BudgetLimits(**settings)
    if not limits:
        return None
    if not enabled:
        raise ConfigurationError(
            "A budget is set, but cost tracking is off, so nothing would be counted. Turn it on."
        )
    if database_url is None:
        return LedgerBudget(limits, ledger)
    from llm_orchestrator.usage.database.reserving import DatabaseBudget

    return DatabaseBudget(limits.in_utc(), database_url)
