"""How days and shares are written on the page: in English, whatever the program's locale is."""

from __future__ import annotations

from datetime import date

__all__ = ["day_name", "month_name", "percent", "span_name"]

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def month_name(day: date) -> str:
    """The month of a day: ``November 2026``."""
    return f"{_MONTHS[day.month - 1]} {day.year}"


def span_name(first: date, last: date) -> str:
    """The days from one to another: a month of the calendar by its name."""
    if first.day == 1 and first.month == last.month:
        return month_name(first)
    year = "" if first.year == last.year else f" {first.year}"
    return f"{day_name(first)}{year} to {day_name(last)} {last.year}"


def day_name(day: date) -> str:
    """A day without its year: ``29 November``."""
    return f"{day.day} {_MONTHS[day.month - 1]}"


def percent(share: float) -> str:
    """A share of the whole; small ones with a decimal, and never rounded to none or all."""
    if 0 < share < 0.001:
        return "less than 0.1 %"
    if 0.999 < share < 1:
        return "more than 99.9 %"
    return f"{100 * share:.1f} %" if share < 0.0995 or 0.995 <= share < 1 else f"{100 * share:.0f} %"
