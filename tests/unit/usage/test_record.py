"""How the values of a row are written: quickly where they are of the usual kind, and always the same."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_orchestrator import CostTracker, UsageRecord
from llm_orchestrator.usage.record import as_text
from llm_orchestrator.utils.values import evolve

ZONES = st.sampled_from(
    [timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3))]
)


@given(st.datetimes(timezones=ZONES))
def test_a_moment_is_written_with_its_microseconds_and_its_zone(moment: datetime) -> None:
    assert as_text(moment) == moment.isoformat(timespec="microseconds")


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_amount_is_written_with_an_exponent(amount: Decimal) -> None:
    assert as_text(amount) == f"{amount:f}"


def recorded(usage: Any) -> UsageRecord:
    record = CostTracker(log_path=None).log_usage("p", "m", None, cost=Decimal(0))
    return evolve(record, usage_raw=usage)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 12, "details": {"cached": 0, "cost": 1e-7, "none": None}},
        {"of a host": "half \ud800 a character", "list": [1, [2]]},
        {"large": 10**30, "not JSON": float("inf")},
    ],
)
def test_the_usage_of_a_row_is_json_without_loss(usage: Any) -> None:
    assert json.loads(recorded(usage).to_row()["usage_raw"]) == usage


def test_a_row_without_usage_has_an_empty_cell() -> None:
    assert recorded(None).to_row()["usage_raw"] == ""


def test_a_logged_request_has_the_session_that_it_names_or_that_of_the_tracker() -> None:
    tracker = CostTracker(log_path=None, session_id="own")
    assert tracker.log_usage("p", "m", None, cost=Decimal(0)).session_id == "own"
    assert tracker.log_usage("p", "m", None, "other", cost=Decimal(0), final=False).final is False
    assert tracker.log_usage("p", "m", None, "other", cost=Decimal(0)).session_id == "other"
    with pytest.raises(TypeError, match="colour"):
        tracker.log_usage("p", "m", None, colour="red")  # type: ignore[call-arg]
