"""Amounts of money: exact sums, and how an amount is shown."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Optional, Union

from llm_orchestrator.utils.plural import number_of

__all__ = ["ZERO", "add_money", "format_cost", "format_sum", "known_cost", "subtract_money"]

ZERO = Decimal(0)

# The decimal context is the application's and may have few digits; sums of money must stay exact.
_EXACT = Context(prec=60)


def add_money(first: Decimal, second: Decimal) -> Decimal:
    """Add two amounts exactly, whatever decimal context the application has set.

    Args:
        first: US dollars.
        second: US dollars.

    Returns:
        Their sum.
    """
    return _EXACT.add(first, second)


def subtract_money(first: Decimal, second: Decimal) -> Decimal:
    """Subtract one amount from another exactly; see ``add_money``.

    Args:
        first: US dollars.
        second: US dollars.

    Returns:
        Their difference.
    """
    return _EXACT.subtract(first, second)


def format_cost(cost: Union[Decimal, int, float, None]) -> str:
    """Show an amount of money without rounding a small one to zero.

    Args:
        cost: US dollars; None when unknown.

    Returns:
        Cents from one cent on (``$12.35``), two significant digits below (``$0.00075``), ``unknown`` for
        None.
    """
    if cost is None:
        return "unknown"
    amount = cost if isinstance(cost, Decimal) else Decimal(str(cost))
    if amount == 0 or abs(amount) >= Decimal("0.01"):
        return f"${amount:,.2f}"
    digits = format(amount, f".{1 - amount.adjusted()}f")
    return "$" + digits.rstrip("0")


def format_sum(cost: Decimal, unpriced: int) -> str:
    """Show what answers cost together, and how many are not in it; a sum of none is not shown as zero."""
    if not unpriced:
        return format_cost(cost)
    unknown = f"{number_of(unpriced, 'answer')} of unknown price"
    return f"{format_cost(cost)} and {unknown}" if cost else unknown


def known_cost(cost: Decimal, calls: int, unpriced: int) -> Optional[Decimal]:
    """Return a sum of costs, or None when nothing of it is known: unknown is not zero.

    Args:
        cost: US dollars, as far as known.
        calls: Number of calls that the sum is over.
        unpriced: Number of those whose cost is unknown, wholly or in part.

    Returns:
        The cost; None when no call has a known price.
    """
    return None if calls and calls == unpriced and not cost else cost
