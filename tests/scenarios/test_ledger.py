"""Promise P6, and what else a ledger has to survive: processes, crashes, event loops, audits."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from llm_orchestrator import (
    BudgetExceededError,
    ConfigurationError,
    CostTracker,
    LLMOrchestrator,
    LLMResponse,
    TokenUsage,
)
from llm_orchestrator.pricing import PriceTable, PricingQuery
from llm_orchestrator.pricing.facts import price_facts
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.types import Attempt, Exchange
from llm_orchestrator.usage import store
from llm_orchestrator.usage.attempts import CallFacts, usage_record_of
from tests.support.costs import TOKENS, make
from tests.support.forks import needs_fork, start_child, succeeded
from tests.support.money import rows

WHEN = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
no_locks = pytest.mark.skipif(sys.platform == "win32", reason="this system has no file locks")


# Processes and crashes


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("rotate_mb", [None, 0.02])
def test_p6_eight_processes_append_to_one_ledger_and_every_row_is_intact(
    path: Path, rotate_mb: Optional[float]
) -> None:
    def work(name: str) -> None:
        tracker = make(path, rotate_mb=rotate_mb)
        for number in range(100):
            request_id = f"{name}-{number}"
            tracker.log_usage(
                "p", name, TOKENS, cost=Decimal("0.1"), request_id=request_id, tags={"a": "b,c"}
            )

    children = [start_child(lambda name=name: work(name)) for name in "abcdefgh"]
    assert [succeeded(child) for child in children] == [True] * 8

    files = sorted(path.parent.iterdir())
    assert (len(files) > 1) == bool(rotate_mb)
    assert {file.read_text().count("timestamp") for file in files} == {1}
    found = [row for file in files for row in rows(file)]
    assert {row["request_id"] for row in found} == {f"{name}-{n}" for name in "abcdefgh" for n in range(100)}
    assert (len(found), {row["schema"] for row in found}) == (800, {"v2"})
    report = make(path).get_usage_report()
    assert (report.total_requests, report.total_cost) == (800, 80)


@needs_fork
@pytest.mark.slow
def test_p6_a_killed_process_loses_at_most_the_row_in_flight(path: Path) -> None:
    read_end, write_end = os.pipe()

    def work() -> None:
        tracker = make(path)
        for number in range(100_000):
            tracker.log_usage("p", f"m{number}", TOKENS, cost=Decimal(1))
            os.write(write_end, b".")

    child = start_child(work)
    finished = sum(len(os.read(read_end, 1)) for _ in range(50))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(write_end)
    finished += len(os.read(read_end, 1_000_000))
    os.close(read_end)

    tracker = make(path)
    tracker.log_usage("p", "after", TOKENS, cost=Decimal(1))
    models = [row["model"] for row in tracker.to_dicts()]
    assert models[-1] == "after"
    assert models[:-1] == [f"m{number}" for number in range(len(models) - 1)]
    assert finished <= len(models) - 1 <= finished + 1


def test_p6_a_missing_folder_is_an_error_at_the_start_and_a_lost_one_never_loses_the_answer(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"active_provider": "fake", "active_model": "m", "providers": {"fake": {}}}
    for place in (tmp_path / "nowhere" / "costs.csv", tmp_path):
        with pytest.raises(ConfigurationError, match="ledger"):
            LLMOrchestrator(
                {**config, "cost_tracking": {"log_path": str(place)}},
                providers={"fake": FakeProvider("Four.")},
            )

    folder = tmp_path / "costs"
    folder.mkdir()
    orchestrator = LLMOrchestrator(
        {**config, "cost_tracking": {"log_path": str(folder / "costs.csv")}},
        providers={"fake": FakeProvider("Four.")},
    )
    folder.rmdir()
    assert orchestrator.send_request("2+2?").content == "Four."
    assert "could not be written" in caplog.text


# Event loops


@no_locks
def test_an_event_loop_never_waits_for_a_lock_and_no_row_is_lost(path: Path) -> None:
    import fcntl

    tracker = make(path)
    tracker.log_usage("p", "first", TOKENS)

    async def log_while_locked() -> float:
        started = asyncio.get_running_loop().time()
        for number in range(20):
            tracker.log_usage("p", f"queued {number}", TOKENS)
        return asyncio.get_running_loop().time() - started

    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waited = asyncio.run(log_while_locked())
        assert len(rows(path)) == 1
    assert waited < 0.05, "twenty times the patience of a thread would be a second"
    assert tracker.get_usage_report().total_requests == 21
    assert [row["model"] for row in rows(path)] == ["first", *(f"queued {number}" for number in range(20))]


def test_an_event_loop_does_not_wait_for_a_thread_that_writes(path: Path) -> None:
    tracker = make(path)

    async def log() -> None:
        tracker.log_usage("p", "queued", TOKENS)

    with tracker._recorder.store._lock:  # as a thread holds it that waits for the disk
        asyncio.run(log())
    assert not path.exists()
    tracker.close()
    assert [row["model"] for row in rows(path)] == ["queued"]


@no_locks
def test_a_row_that_waited_too_long_is_written_without_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    tracker = make(path)
    tracker.log_usage("p", "first", TOKENS)

    async def log(model: str) -> None:
        tracker.log_usage("p", model, TOKENS)

    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        asyncio.run(log("waiting"))
        assert [row["model"] for row in rows(path)] == ["first"]
        monkeypatch.setattr(store, "OVERDUE", -1.0)
        asyncio.run(log("next"))
        assert [row["model"] for row in rows(path)] == ["first", "waiting", "next"]
    tracker.close()


# Audits: every stored cost can be computed again

ANTHROPIC = {"input_tokens": 10, "cache_read_input_tokens": 1000, "output_tokens": 30}
RESPONSES = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 100},
    "output_tokens": 50,
    "total_tokens": 1050,
}
GEMINI = {"promptTokenCount": 300_000, "candidatesTokenCount": 10, "thoughtsTokenCount": 30}
SEARCHES = [
    {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "a secret"}},
    {"type": "web_search_call", "status": "failed"},
    {"type": "message", "content": "a secret"},
    {"type": "file_search_call", "queries": ["a secret"]},
]
#: What a call may look like: provider, model, API, usage and its source, what was asked and told, estimates.
CALLS: Dict[str, Dict[str, Any]] = {
    "priced": {"provider": "openai", "model": "gpt-6-luna", "raw": RESPONSES, "api": "responses"},
    "priority": {
        "provider": "openai",
        "model": "gpt-6-luna",
        "raw": RESPONSES,
        "response": {"service_tier": "priority"},
        "asked": {"service_tier": "auto"},
    },
    "assumed tier": {
        "provider": "openai",
        "model": "gpt-6-luna",
        "raw": RESPONSES,
        "asked": {"service_tier": "flex"},
    },
    "tools": {
        "provider": "openai",
        "model": "gpt-6-luna",
        "raw": RESPONSES,
        "api": "responses",
        "response": {"output": SEARCHES},
    },
    "image tool": {
        "provider": "openai",
        "model": "gpt-6-luna",
        "raw": RESPONSES,
        "response": {
            "output": [{"type": "image_generation_call", "result": "a secret"}],
            "tool_usage": {"image_gen": {"input_tokens": 5, "output_tokens": 9, "total_tokens": 14}},
        },
        "asked": {"tools": [{"type": "image_generation", "model": "gpt-image-1"}]},
    },
    "partial": {
        "provider": "openai",
        "model": "gpt-6-luna",
        "raw": RESPONSES,
        "response": {"output": [{"type": "image_generation_call"}]},
    },
    "region": {
        "provider": "openai",
        "model": "gpt-6-luna",
        "raw": RESPONSES,
        "base_url": "https://eu.api.openai.com/v1?key=a-secret",
    },
    "long cache": {
        "provider": "openai",
        "model": "gpt-6-luna",
        "raw": {
            "prompt_tokens": 99,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cache_write_tokens": 50},
        },
        "asked": {"prompt_cache_options": {"ttl": "12h", "key": "a secret"}},
    },
    "inference in the US": {
        "provider": "anthropic",
        "model": "claude-opus-5",
        "raw": {
            **ANTHROPIC,
            "inference_geo": "us",
            "speed": "fast",
            "server_tool_use": {"web_search_requests": 2},
        },
    },
    "gemini": {
        "provider": "gemini",
        "model": "gemini-2.5-pro",
        "raw": GEMINI,
        "headers": {"X-Gemini-Service-Tier": "flex", "set-cookie": "a secret"},
        "response": {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a secret"]}}]},
    },
    "unpriced": {"provider": "openai", "model": "nobody-knows", "raw": RESPONSES},
    "free": {"provider": "local", "model": "any.gguf", "raw": {"prompt_tokens": 5, "completion_tokens": 5}},
    "cut, input known": {
        "provider": "anthropic",
        "model": "claude-opus-5",
        "raw": {**ANTHROPIC, "output_tokens": 1},
        "source": "partial",
        "estimated": {"out": 77},
    },
    "cut, nothing known": {
        "provider": "openai",
        "model": "gpt-6-luna",
        "raw": None,
        "source": "missing",
        "estimated": {"in": 20, "out": 77},
        "asked": {"service_tier": "priority"},
    },
    "contradictory": {
        "provider": "openai",
        "model": "gpt-6-luna",
        "raw": {"prompt_tokens": 5, "completion_tokens": -1, "total_tokens": 4},
    },
}


def book(
    tracker: CostTracker,
    call: Dict[str, Any],
    at: datetime = WHEN,
    ended_at: Optional[datetime] = None,
    status: str = "ok",
) -> Dict[str, str]:
    """Record a call as an orchestrator does, and give its row back."""
    exchange = Exchange(call.get("api", ""), call.get("asked", {}), call.get("headers", {}))
    raw = call["raw"]
    usage = (
        TokenUsage(1, 2, 3, source=call.get("source", "reported"), raw=raw)
        if raw
        else TokenUsage(source="missing")
    )
    model, base_url, estimated = call["model"], call.get("base_url"), call.get("estimated")
    response = LLMResponse("", model, call["provider"], model, usage, raw_response=call.get("response", {}))
    details = tracker.price_response(
        response, call["provider"], base_url, at=at, estimated=estimated, exchange=exchange
    )
    record = usage_record_of(
        CallFacts("session", "call", False, {}, base_url),
        Attempt(model, started_at=at),
        response,
        number=1,
        status=status,
        details=details,
        estimated=estimated,
        exchange=exchange,
        ended_at=ended_at,
    )
    tracker.add(record)
    assert record.cost == details.total
    return record.to_row()


@pytest.mark.parametrize("status", ["ok", "interrupted", "cancelled", "error"])
@pytest.mark.parametrize("name", list(CALLS))
def test_a_row_is_priced_again_to_the_stored_cost(name: str, status: str, path: Path) -> None:
    tracker = CostTracker(log_path=path)
    book(tracker, CALLS[name], status=status)
    (row,) = rows(path)

    again = CostTracker(log_path=None).recompute(row)

    assert again == (Decimal(row["cost"]) if row["cost"] else None)
    expected = {"partial": "partial", "unpriced": "unpriced", "free": "free", "contradictory": "unpriced"}
    assert row["price_status"] == expected.get(name, "priced")
    assert "secret" not in path.read_text()
    tracker.close()


def test_a_stale_price_is_computed_again(path: Path) -> None:
    tracker = CostTracker(log_path=path, price_table=PriceTable(stale_after_days=1))
    row = book(tracker, CALLS["priced"], at=datetime(2027, 6, 1, tzinfo=timezone.utc))
    assert row["price_status"] == "stale"
    assert tracker.recompute(row) == Decimal(row["cost"]) == tracker.recompute(tracker.to_dicts()[0])


@pytest.mark.parametrize(
    "fields",
    [
        {"cost": Decimal("0.25")},
        {"status": "error", "status_code": 503},
        {"status": "error"},
        {"tokens": TokenUsage(10, 5, 15, source="estimated")},
        {"tokens": {"prompt": 10, "completion": 5}},
    ],
)
def test_what_was_logged_by_hand_is_computed_again(path: Path, fields: Dict[str, Any]) -> None:
    tracker = CostTracker(log_path=path)
    record = tracker.log_usage(**{"provider": "openai", "model": "gpt-6-luna", "tokens": None, **fields})
    (row,) = rows(path)
    assert tracker.recompute(record) == tracker.recompute(row) == record.cost


def test_a_call_is_priced_by_the_day_it_began(path: Path) -> None:
    """The price of Claude Sonnet 4.6 beyond 200,000 tokens fell on 2026-03-13 (see the price table)."""
    table = PriceTable()
    before = datetime(2026, 3, 12, 23, 59, tzinfo=timezone.utc)
    usage = {"input_tokens": 300_000, "output_tokens": 1}
    call = {"provider": "anthropic", "model": "claude-sonnet-4-6", "raw": usage}
    tracker = CostTracker(log_path=path)
    row = book(tracker, call, at=before, ended_at=before + timedelta(minutes=5))
    query = PricingQuery("anthropic", "claude-sonnet-4-6", usage, at=before)
    assert Decimal(row["cost"]) == table.price(query).total
    assert Decimal(row["cost"]) > Decimal("1.8")
    assert tracker.recompute(row) == Decimal(row["cost"])


@pytest.mark.parametrize("name", list(CALLS))
def test_the_facts_that_are_kept_price_a_call_like_the_call_itself(name: str) -> None:
    call = CALLS[name]
    asked, headers, told = call.get("asked", {}), call.get("headers", {}), call.get("response", {})
    facts = price_facts(asked, headers, told)
    table = PriceTable()

    def priced(request: Any, headers: Any, response: Any) -> Any:
        query = PricingQuery(call["provider"], call["model"], call["raw"])
        return table.price(query._replace(request=request, headers=headers, response=response))

    kept = priced(facts.get("request", {}), facts.get("headers", {}), facts.get("response", {}))
    assert kept == priced(asked, headers, told)
    assert "secret" not in str(facts)


# Budgets


def test_a_budget_holds_across_trackers_that_share_a_ledger(path: Path) -> None:
    first, second = (make(path, session_budget=Decimal(1), day_budget=Decimal(10)) for _ in "ab")
    for _ in range(2):
        first.log_usage("p", "m", TOKENS, cost=Decimal("0.5"))
    with pytest.raises(BudgetExceededError, match=r"one session is spent: \$1\.00 of \$1\.00"):
        second.check_budget("s")
    second.check_budget("another")
    first.log_usage("p", "m", TOKENS, "another", cost=Decimal(9))
    with pytest.raises(BudgetExceededError, match=r"one day is spent: \$10\.00 of \$10\.00"):
        second.check_budget("a third")


def test_budgets_of_months_and_tags_are_checked(path: Path) -> None:
    budget = {"month": 10, "timezone": "UTC", "tags": {"customer": {"month": 2}}}
    tracker = make(path, budget=budget)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(2), tags={"customer": "acme", "team": "x"})
    long_ago = datetime.now(timezone.utc) - timedelta(days=32)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(50), tags={"customer": "b"}, timestamp=long_ago)

    with pytest.raises(BudgetExceededError, match=r"one month of customer=acme is spent") as refused:
        tracker.check_budget("s", tags={"customer": "acme"})
    tracker.check_budget("s", tags={"customer": "b"})
    tracker.check_budget("s")

    now = datetime.now(timezone.utc)
    assert refused.value.until is not None and refused.value.until > now
    assert (refused.value.budget, refused.value.spent) == ("month tag:customer=acme", 2)
    shown = [
        (one.budget, one.period, one.spent, one.left) for one in make(path, budget=budget).budget_status()
    ]
    assert shown == [
        ("month", f"{now:%Y-%m}", 2, 8),
        ("month tag:customer=acme", f"{now:%Y-%m}", 2, 0),
    ]
    assert tracker.budget_status(tags={"customer": "b"})[1].left == 2


def test_a_tracker_without_a_budget_has_no_status(path: Path) -> None:
    assert make(path).budget_status() == make(path, budget={"month": None}).budget_status() == []


def test_a_budget_counts_what_is_in_the_ledger_already(path: Path) -> None:
    yesterday = datetime.now(timezone.utc) - timedelta(days=2)
    make(path).log_usage("p", "m", TOKENS, cost=Decimal(3), timestamp=yesterday)
    tracker = make(path, session_budget=Decimal(3), day_budget=Decimal(3))
    with pytest.raises(BudgetExceededError, match="one session"):
        tracker.check_budget("s")
    tracker.check_budget("another")  # nothing was spent today


def test_a_budget_follows_rotations(path: Path) -> None:
    tracker = make(path, rotate_mb=0.0005, session_budget=Decimal(20))
    other = make(path, rotate_mb=0.0005)
    for number in range(20):
        tracker.check_budget("s")
        for _ in range(number % 3):  # none, one or two rotations between two checks
            other.log_usage("p", "m", TOKENS, "x", cost=Decimal(1))
        other.log_usage("p", "m", TOKENS, "s", cost=Decimal(1))
    assert len(list(path.parent.iterdir())) > 20
    with pytest.raises(BudgetExceededError, match=r"\$20\.00 of \$20\.00"):
        tracker.check_budget("s")


def test_a_budget_reads_on_in_a_file_that_was_emptied(path: Path) -> None:
    tracker = make(path, session_budget=4.0)
    for _ in range(2):
        tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    tracker.check_budget("s")
    os.truncate(path, 0)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    tracker.check_budget("s")
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
    with pytest.raises(BudgetExceededError, match=r"\$4\.00 of \$4\.00"):
        tracker.check_budget("s")


def test_a_budget_counts_in_memory_and_rows_that_could_not_be_written(path: Path, tmp_path: Path) -> None:
    in_memory = make(None, session_budget=Decimal(1))
    folder = tmp_path / "folder"
    folder.mkdir()
    without_disk = make(folder / "costs.csv", session_budget=Decimal(1))
    folder.rmdir()
    for tracker in (in_memory, without_disk):
        tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
        with pytest.raises(BudgetExceededError):
            tracker.check_budget("s")


def test_estimates_count_for_a_budget_and_unpriced_calls_warn(caplog: pytest.LogCaptureFixture) -> None:
    tracker = make(None, session_budget=Decimal(1))
    tracker.log_usage("p", "unknown", TOKENS)
    tracker.check_budget("s")
    assert "not part of any sum or budget" in caplog.text
    tracker.log_usage("p", "m", TokenUsage(1, 1, 2, source="estimated"), cost=Decimal(1))
    with pytest.raises(BudgetExceededError):
        tracker.check_budget("s")


def test_a_budget_warns_once_at_eighty_percent(caplog: pytest.LogCaptureFixture) -> None:
    tracker = make(None, session_budget=Decimal(1))
    tracker.log_usage("p", "m", TOKENS, cost=Decimal("0.79"))
    tracker.check_budget("s")
    assert not caplog.records
    tracker.log_usage("p", "m", TOKENS, cost=Decimal("0.01"))
    for _ in range(3):
        tracker.check_budget("s")
    assert [record.getMessage() for record in caplog.records] == [
        "$0.80 of $1.00 has been spent of the budget for session s."
    ]


def test_a_budget_without_counting_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing would be counted"):
        CostTracker(enabled=False, log_path=path, session_budget=Decimal(1))


def test_threads_share_a_budget(path: Path) -> None:
    tracker = make(path, session_budget=Decimal(10))
    sent: List[int] = []

    def work() -> None:
        try:
            while True:
                tracker.check_budget("s")
                sent.append(1)
                tracker.log_usage("p", "m", TOKENS, cost=Decimal(1))
        except BudgetExceededError:
            pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 10 <= len(sent) <= 13, "those under way may overshoot, no others"
