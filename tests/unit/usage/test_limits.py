"""Which budgets apply to a call, and what they say when they have no room."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal

import pytest

from llm_orchestrator import ConfigurationError
from llm_orchestrator.usage.limits import BudgetLimits

AT = datetime(2026, 11, 29, 23, 30, tzinfo=timezone.utc)
LIMITS = BudgetLimits(
    session=Decimal(1),
    month=Decimal(300),
    tags={"customer": {"month": Decimal(50), "day": Decimal(5)}, "team": {"session": Decimal(2)}},
    timezone="Europe/Berlin",
)


def test_the_budgets_of_a_call_in_the_order_in_which_all_take_them() -> None:
    claims = LIMITS.claims("s", {"customer": "acme", "other": "x"}, AT)

    assert [(claim.scope, claim.period, claim.limit) for claim in claims] == [
        ("day tag:customer=acme", "2026-11-30", 5),
        ("month", "2026-11", 300),
        ("month tag:customer=acme", "2026-11", 50),
        ("session", "s", 1),
    ]
    assert [claim.setting.partition("budget.")[2] for claim in claims] == [
        "tags.customer.day",
        "month",
        "tags.customer.month",
        "session",
    ]
    row = LIMITS.keys(AT.isoformat(), "s", {"customer": "acme", "other": "x"})
    assert sorted(row) == [claim.key for claim in claims]


def test_without_a_zone_a_database_has_days_in_utc() -> None:
    limits = BudgetLimits(day=Decimal(1)).in_utc()

    assert limits.claims("s", {}, AT)[0].until == datetime(2026, 11, 30, tzinfo=timezone.utc)
    assert LIMITS.in_utc() is LIMITS


def test_a_session_is_called_as_the_ledger_stores_it() -> None:
    limits = BudgetLimits(session=Decimal(1))
    (claim,) = limits.claims("a\0b\ud800", {})

    assert claim.period == "a b\\ud800"
    assert list(limits.keys(AT.isoformat(), claim.period, {})) == [claim.key]


@pytest.mark.parametrize(
    ("spent", "held", "amount", "fits"),
    [
        ("0.99", "0", "0.01", True),
        ("0.98", "0.01", "0.02", False),
        ("1", "0", "0", False),
        ("0.9", "0", "0", True),
    ],
)
def test_what_fits(spent: str, held: str, amount: str, fits: bool) -> None:
    (claim,) = BudgetLimits(day=Decimal(1)).claims("s", {}, AT)

    assert claim.fits(Decimal(spent), Decimal(held), Decimal(amount)) is fits
    error = claim.exceeded(Decimal(spent), Decimal(held), Decimal(amount))
    assert (error.spent, error.held, error.needed) == (Decimal(spent), Decimal(held), Decimal(amount))
    assert "2026-11-2" in str(error) or "2026-11-3" in str(error)


def test_settings_that_make_no_sense() -> None:
    for settings in ({"on_unreachable": "maybe"}, {"month_starts_on": 31}, {"tags": {"a": {"week": 1}}}):
        with pytest.raises(ConfigurationError):
            BudgetLimits(**settings)  # type: ignore[arg-type]
    assert not BudgetLimits(tags={"customer": {}})
