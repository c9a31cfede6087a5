"""What the page's script is given: the cross table as small numbers, and the lines of the month's chart.

Money is a whole number of the smallest unit that any sum of the table needs, so that the script's sums are as
exact as the report's.
"""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Context, Decimal
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

from llm_orchestrator.usage.page.cube import Cell, Cube, CubeKey
from llm_orchestrator.usage.page.figures import Figures
from llm_orchestrator.usage.page.outlook import Outlook
from llm_orchestrator.usage.page.words import day_name
from llm_orchestrator.usage.report import UsageReport
from llm_orchestrator.utils.money import format_cost

__all__ = ["as_script_data", "page_data"]

#: Characters of the cross table that a page can hold.
MOST_CHARACTERS = 900_000
#: Characters of a name that are kept; a ledger may hold names of any length.
LONGEST_NAME = 160
#: A script knows whole numbers up to this one exactly; larger ones travel as text.
_MOST_EXACT = 2**53 - 1
_EXACT = Context(prec=200)
_PARTS = (
    "calls",
    "unpriced",
    "estimated",
    "tokens",
    "input",
    "cache_read",
    "cache_write",
    "output",
    "reasoning",
)


def page_data(report: UsageReport, cube: Cube, figures: Figures, outlook: Outlook) -> Dict[str, Any]:
    """Make what the page's script reads."""
    table = _table(cube)
    while len(as_script_data(table)) > MOST_CHARACTERS and cube.coarsen():
        table = _table(cube)
    days = sorted(report.by_day)
    return {
        **table,
        "first": days[0] if days else None,
        "last": days[-1] if days else None,
        "month": _month(outlook),
        "speed": _speed(figures),
    }


def as_script_data(value: Any) -> str:
    """Write JSON that may stand in a script element: nothing in it ends the element, or begins another."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class _Numbers(Dict[Any, int]):
    """Gives every value the number of its first appearance."""

    def __missing__(self, value: Any) -> int:
        self[value] = number = len(self)
        return number


def _table(cube: Cube) -> Dict[str, Any]:
    periods, models, tags = (_Numbers() for _ in range(3))
    values = [_Numbers() for _ in cube.tags]
    scale = _scale(cube.cells.values())

    def line(key: CubeKey, cell: Cell) -> List[Any]:
        combination = tuple(numbers[value] for numbers, value in zip(values, key.tags))
        counts = [getattr(cell, part) for part in _PARTS]
        money = (_units(cell.cost, scale), _units(cell.estimate, scale))
        return [
            periods[key.period],
            models[key.provider, key.model],
            tags[combination],
            *map(_number, (*counts, *money)),
        ]

    return {
        "cells": [
            line(key, cell) for key, cell in sorted(cube.cells.items(), key=lambda item: _order(item[0]))
        ],
        "unit": cube.unit,
        "scale": scale,
        "periods": list(periods),
        "models": [[_name(provider), _name(model)] for provider, model in models],
        "tagNames": [_name(name) for name in cube.tags],
        "values": [list(map(_name, numbers)) for numbers in values],
        "tags": [list(combination) for combination in tags],
    }


def _order(key: CubeKey) -> Any:
    """The same order for every ledger: a database sums rows up in another one than a file has them."""
    return key.period, *((name is None, name or "") for name in (key.provider, key.model, *key.tags))


def _name(name: Optional[str]) -> Optional[str]:
    return name if name is None or len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def _scale(cells: Iterable[Cell]) -> int:
    """Decimal places of the smallest unit that the sums need."""
    amounts = (amount for cell in cells for amount in (cell.cost, cell.estimate) if amount)
    places = (-int(amount.normalize(_EXACT).as_tuple().exponent) for amount in amounts)
    return max((2, *places))


def _units(amount: Decimal, scale: int) -> int:
    return int(_EXACT.scaleb(amount, scale))


def _number(value: int) -> Any:
    return value if abs(value) <= _MOST_EXACT else str(value)


# ---------------------------------------------------------------------------------------- charts


def _month(outlook: Outlook) -> Optional[Dict[str, Any]]:
    """The lines of the month's chart; None where neither month knows of any money."""
    month, before = outlook.month, outlook.before
    if not (month.spent or (before and before.spent)):
        return None
    number = len(month.days)
    lines: Dict[str, Sequence[Optional[Decimal]]] = {
        "spent": month.known[: outlook.day],
        "sums": month.known_sums[: outlook.day],
        "before": before.known_sums[:number] if before else [],
        "forecast": _forecast(outlook),
        "budget": [] if outlook.budget is None else [outlook.budget] * number,
    }
    drawn = {name: [*line, *[None] * (number - len(line))] for name, line in lines.items()}
    return {
        "name": month.name,
        "before_name": before.name if before else "",
        "since": "the first" if month.first.day == 1 else day_name(month.first),
        "days": [(month.first + timedelta(days=day)).day for day in range(number)],
        "label": _label(outlook),
        "texts": {name: [_text(value) for value in line] for name, line in drawn.items()},
        **{name: [None if value is None else float(value) for value in line] for name, line in drawn.items()},
    }


def _forecast(outlook: Outlook) -> Sequence[Optional[Decimal]]:
    """From today on, as long as the other lines."""
    return [*[None] * (outlook.day - 1), *outlook.forecast.sums] if outlook.forecast else []


def _text(value: Optional[Decimal]) -> str:
    return "" if value is None else format_cost(value)


def _label(outlook: Outlook) -> str:
    parts = [f"Spend of each day of {outlook.month.name} as bars, and its sum as a line"]
    parts += ["the sum of the month before"] if outlook.before else []
    parts += ["the forecast to the month's end"] if outlook.forecast else []
    parts += ["the budget"] if outlook.budget is not None else []
    return ", ".join(parts) + ". The table below has the same figures."


def _speed(figures: Figures) -> List[Mapping[str, Any]]:
    """How long answers take, by model, those with most answers first."""
    ranked = sorted(figures.models.items(), key=lambda item: (-item[1].latency.count, item[0]))
    return [
        {
            "model": _name(name) or "(none)",
            "median": model.latency.quantile(0.5),
            "most": model.latency.quantile(0.95),
        }
        for name, model in ranked
        if model.latency.count
    ]
