"""From the settings of budgets to what keeps them: a check on a ledger file, reservations in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.budget import LedgerBudget
from llm_orchestrator.usage.groups import storable
from llm_orchestrator.usage.ledger import Ledger
from llm_orchestrator.usage.limits import BudgetLimits, BudgetStatus, scope_of

if TYPE_CHECKING:
    from llm_orchestrator.usage.recorder import AnyBudget

__all__ = ["make_budget", "make_limits", "month_budget"]


def make_budget(
    settings: Mapping[str, Any], ledger: Optional[Ledger], database_url: Optional[str], *, enabled: bool
) -> Optional[AnyBudget]:
    """Make the budget of a tracker; None where nothing is limited."""
    limits = make_limits(settings, database_url)
    if not limits:
        return None
    if not enabled:
        raise ConfigurationError(
            "A budget is set, but cost tracking is off, so nothing would be counted. Turn it on."
        )
    if database_url is None:
        return LedgerBudget(limits, ledger)
    from llm_orchestrator.usage.database.reserving import DatabaseBudget

    return DatabaseBudget(limits, database_url)


def make_limits(settings: Mapping[str, Any], database_url: Optional[str]) -> BudgetLimits:
    """The budgets of these settings; without a time zone, machines that share a database agree on UTC."""
    limits = BudgetLimits(**settings)
    return limits if database_url is None else limits.in_utc()


def month_budget(limits: BudgetLimits, tags: Mapping[str, str]) -> Optional[BudgetStatus]:
    """The budget for a month of all calls, or of those with one tag; nobody is asked what is left of it."""
    if len(tags) > 1:
        return None
    scope = scope_of("month", "".join(f"{name}={storable(value)}" for name, value in tags.items()))
    return next((claim.status(None) for claim in limits.claims("", tags) if claim.scope == scope), None)
