"""Bounds of the numbers that come from outside, in replies and files: beyond them nothing is believed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

__all__ = ["MOST_TOKENS", "MOST_TOKENS_IN_ALL", "MOST_TOOL_CALLS", "is_amount", "is_count", "shown"]

#: No request has so many tokens, and one that claims to would close every budget.
MOST_TOKENS = 10**9 - 1
#: No answer has so many calls of the provider's own tools.
MOST_TOOL_CALLS = 10**5 - 1
#: Nor have all requests of one conversation together.
MOST_TOKENS_IN_ALL = 10**15 - 1
#: Powers of ten between which an amount of money lies.
_SMALLEST, _GREATEST = -50, 11


def is_count(value: Any, most: int = MOST_TOKENS) -> bool:
    """Whether a value is a number of tokens, or of other things that can be counted."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def shown(value: Any) -> str:
    """A value for an error's text, where a number may have more digits than Python writes."""
    is_long = isinstance(value, int) and value.bit_length() > 64
    return "a number of many digits" if is_long else repr(value)[:50]


def is_amount(value: Decimal) -> bool:
    """Whether a value can be an amount of money, with which sums stay exact and short enough to be shown."""
    return value.is_finite() and _SMALLEST <= value.adjusted() <= _GREATEST
