"""What the tests of budgets share: orchestrators whose model writes a token for a cent, and databases for them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Iterable, Mapping, Tuple

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider

__all__ = ["CENT", "ONE_CENT", "RATES", "spender", "sums"]

CENT = Decimal("0.01")
#: As many tokens of an answer cost one cent; a prompt costs nothing.
ONE_CENT = 1
RATES = {"in": "0", "out": "10000"}


def spender(
    url: str,
    spool: Any,
    budget: Mapping[str, Any],
    script: Iterable[Any] = ("x",),
    *,
    entry: Any = None,
    **arguments: Any,
) -> LLMOrchestrator:
    """An orchestrator with a database as its ledger, whose words cost a cent each."""
    prices = [{"provider": "fake", "model": model, "rates": RATES} for model in ("m", "other")]
    config = {
        "active_provider": "fake",
        "active_model": "m",
        "providers": {"fake": {"max_retries": 0, **(entry or {})}},
        "cost_tracking": {
            "database_url": url,
            "spool_path": str(spool),
            "budget": dict(budget),
            "price_overrides": prices,
        },
    }
    provider = FakeProvider(list(script))
    return LLMOrchestrator(config, providers={"fake": provider}, session_id="session", **arguments)


def sums(orchestrator: LLMOrchestrator, budget: str = "day") -> Tuple[Any, Any]:
    """What is spent and held of a budget."""
    (status,) = [status for status in orchestrator.budget_status() if status.budget == budget]
    return status.spent, status.held
