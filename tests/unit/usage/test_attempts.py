"""The record of an attempt: what is kept of it, and what it costs when its provider refused it."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from llm_orchestrator import CostTracker, LLMResponse, TokenUsage, UsageRecord
from llm_orchestrator.pricing import CostDetails
from llm_orchestrator.types import Attempt, Exchange
from llm_orchestrator.usage.attempts import CallFacts, is_refused, usage_record_of
from llm_orchestrator.utils.values import evolve

CALL = CallFacts("session", "call", True, {"team": "docs"}, "https://host.example/v1?user=a-secret")
SENT = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
ATTEMPT = Attempt("asked", status_code=200, request_id="r-1", latency=0.5, started_at=SENT)
ANSWER = LLMResponse("A secret answer.", "served", "p", usage=TokenUsage(10, 5, 15, raw={"in": 10}))
DETAILS = CostDetails("priced", total=Decimal("0.5"), provider="vendor")


def record(**known: Any) -> UsageRecord:
    facts = {"number": 2, "status": "ok", "details": DETAILS, **known}
    return usage_record_of(CALL, ATTEMPT, ANSWER, **facts)


def test_a_record_has_every_field_and_is_final_until_another_follows() -> None:
    made = record()
    assert vars(made).keys() == UsageRecord.__dataclass_fields__.keys()
    assert (made.final, evolve(made, final=False).final) == (True, False)
    assert (made.provider, made.model, made.requested_model, made.attempt) == ("p", "served", "asked", 2)
    assert (made.session_id, made.call_id, made.streamed, made.tags) == (
        "session",
        "call",
        True,
        {"team": "docs"},
    )
    assert (made.cost, made.price_provider, made.total_tokens) == (Decimal("0.5"), "vendor", 15)
    assert (made.started_at, made.latency, made.request_id, made.status_code) == (SENT, 0.5, "r-1", 200)
    assert abs((datetime.now(timezone.utc) - made.timestamp).total_seconds()) < 60


def test_of_a_url_only_the_origin_is_kept() -> None:
    assert record().base_url == "https://host.example"
    assert "secret" not in str(record().to_row())


def test_a_refused_attempt_costs_nothing_and_used_nothing() -> None:
    made = record(details=None, status="error")
    assert (made.cost, made.price_status, made.usage_status, made.total_tokens) == (0, "free", "none", None)
    assert made.to_row()["price_source"] == "not_billed"


@pytest.mark.parametrize(
    ("estimated", "counts"),
    [({"in": 7}, (None, 5, None)), ({"out": 7}, (10, None, None)), ({"in": 7, "out": 7}, (None, None, None))],
)
def test_estimates_are_not_among_reported_tokens(estimated: Any, counts: Any) -> None:
    made = record(estimated=estimated)
    assert (made.prompt_tokens, made.completion_tokens, made.total_tokens) == counts
    assert (made.estimated_counts, made.estimator, made.estimated) == (estimated, "characters-1", True)


def test_with_the_exchange_an_audit_has_what_it_needs() -> None:
    exchange = Exchange("chat", {"service_tier": "flex", "messages": "a secret"}, {})
    made = record(exchange=exchange)
    assert (made.api, made.usage_raw, made.price_facts) == (
        "chat",
        {"in": 10},
        {"request": {"service_tier": "flex"}},
    )
    without = record()
    assert (without.api, without.usage_raw, without.price_facts) == (None, None, {})


@pytest.mark.parametrize(
    ("status", "code", "usage", "expected"),
    [
        ("error", 429, TokenUsage(), True),
        ("error", 429, TokenUsage(1, 1, 2), False),
        ("error", None, TokenUsage(), False),
        ("interrupted", 500, TokenUsage(), False),
        ("ok", 200, TokenUsage(), False),
    ],
)
def test_what_counts_as_refused(status: str, code: Any, usage: TokenUsage, expected: bool) -> None:
    assert is_refused(status, code, usage) is expected


def test_a_tracker_adds_a_record_as_it_is() -> None:
    tracker = CostTracker(log_path=None, session_id="session")
    made = evolve(record(), final=True)
    tracker.add(made)
    assert tracker.get_session_cost() == Decimal("0.5")
    assert tracker.to_dicts()[0]["cost"] == Decimal("0.5")
    off = CostTracker(enabled=False)
    off.add(made)
    assert off.get_usage_report().total_requests == 0


def test_a_record_made_by_name_has_defaults_for_the_rest() -> None:
    fields = {
        "timestamp": SENT,
        "provider": "p",
        "model": "m",
        "cost": None,
        "session_id": "s",
        "call_id": "c",
    }
    made = UsageRecord.of(fields)
    assert (made.attempt, made.final, made.status, made.tags, made.prompt_tokens) == (1, True, "ok", {}, None)
