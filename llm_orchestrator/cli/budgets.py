"""``costs --budget``: what is left of each budget, as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict
from typing import Any, Dict, List, Mapping, Optional

from llm_orchestrator.cli.terminal import show_table
from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.limits import BudgetStatus
from llm_orchestrator.utils.money import format_cost

__all__ = ["print_budgets"]

_NUMBERS = ("limit", "spent", "held", "left")
_COLUMNS = ("budget", "period", *_NUMBERS, "until")


def print_budgets(tracker: CostTracker, tags: Optional[Mapping[str, str]], form: str) -> None:
    """Show what is left of this day and month; a session is that of a program, which can tell."""
    budgets = [one for one in tracker.budget_status(tags=tags) if one.until is not None]
    if not budgets:
        raise ConfigurationError(
            "The configuration has no budget for a day or a month that was asked for. Set "
            "cost_tracking.budget, or leave --tag out."
        )
    if form == "json":
        print(json.dumps([_plain(budget) for budget in budgets], indent=2))
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_plain(budget) for budget in budgets)
    else:
        show_table(_COLUMNS, [_row(budget) for budget in budgets], numbers=_NUMBERS)


def _row(budget: BudgetStatus) -> List[str]:
    money = [format_cost(getattr(budget, name)) for name in _NUMBERS]
    until = f"{budget.until:%Y-%m-%d %H:%M %z}" if budget.until else ""
    return [budget.budget, budget.period, *money, until]


def _plain(budget: BudgetStatus) -> Dict[str, Any]:
    values = {**asdict(budget), "left": budget.left}
    for name in _NUMBERS:
        values[name] = None if values[name] is None else format(values[name], "f")
    values["until"] = budget.until.isoformat() if budget.until else None
    return {name: values[name] for name in _COLUMNS}
