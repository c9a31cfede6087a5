"""X3: a cost that nobody knows is never a zero, wherever people read it, and a sum says what it leaves out."""

from __future__ import annotations

import logging
from decimal import Decimal
from pathlib import Path
from typing import Any, List

import pytest

from llm_orchestrator import LLMOrchestrator, TokenUsage
from llm_orchestrator.testing import FakeProvider, FakeReply
from tests.support.ways import ask

PRICES = [{"provider": "fake", "model": "priced", "rates": {"in": "1000000", "out": "0"}}]
#: One token, at a dollar where there is a price.
ANSWER = FakeReply("Hello.", usage=TokenUsage(1, 0, 1))


def orchestrator_of(ledger: Path, model: str = "mystery") -> LLMOrchestrator:
    config = {
        "active_provider": "fake",
        "active_model": model,
        "cost_tracking": {"log_path": str(ledger), "price_overrides": PRICES},
    }
    return LLMOrchestrator(config, providers={"fake": FakeProvider([ANSWER] * 9)})


def warnings_of(caplog: pytest.LogCaptureFixture) -> List[str]:
    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [text for text in texts if "leaves out" in text]


def test_x3_the_cost_of_a_session_says_once_that_it_leaves_calls_out(
    tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    with orchestrator_of(tmp_path / "costs.csv") as orchestrator:
        ask(orchestrator, way, model="priced")
        assert orchestrator.get_session_cost() == Decimal(1)
        assert warnings_of(caplog) == [], "all calls are in it"

        assert ask(orchestrator, way).cost is None and ask(orchestrator, way).cost is None
        costs = [orchestrator.get_session_cost() for _ in range(3)]

    assert costs == [Decimal(1)] * 3 and all(isinstance(cost, Decimal) for cost in costs)
    (told,) = warnings_of(caplog)
    assert f"session {orchestrator.session_id} leaves out 2 calls" in told


def test_x3_an_estimate_is_left_out_of_it_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    usage = TokenUsage(1000, 0, 1000, source="estimated")
    with orchestrator_of(tmp_path / "costs.csv") as orchestrator:
        record = orchestrator.cost_tracker.log_usage(
            "anthropic", "claude-haiku-4-5", usage, orchestrator.session_id
        )
        assert record.estimated_cost and warnings_of(caplog) == []
        assert orchestrator.get_session_cost() == 0
    (told,) = warnings_of(caplog)
    assert "leaves out 1 call:" in told


def test_x3_a_conversation_without_a_known_price_has_no_cost(tmp_path: Path) -> None:
    with orchestrator_of(tmp_path / "costs.csv") as orchestrator:
        conversation = orchestrator.start_conversation()
        assert conversation.cost == 0, "nothing was asked"
        conversation.send("Hi")
        assert (conversation.cost, conversation.unpriced_requests) == (None, 1)
        conversation.send("Hi", model="priced")
        assert (conversation.cost, conversation.unpriced_requests) == (Decimal(1), 1)


def test_x3_the_summary_of_a_run_knows_what_is_unknown(tmp_path: Path) -> None:
    with orchestrator_of(tmp_path / "costs.csv") as orchestrator:
        run = orchestrator.map(["a", "b"], model="mystery")
        assert [result.cost for result in run] == [None, None]
    assert run.summary.unpriced == 2
    assert "2 answers of unknown price" in str(run.summary) and "$0" not in str(run.summary)


def test_x3_report_and_page_show_no_zero(tmp_path: Path) -> None:
    ledger = tmp_path / "costs.csv"
    with orchestrator_of(ledger) as orchestrator:
        orchestrator.send_request("Hi")
        report: Any = orchestrator.cost_tracker.get_usage_report()
        page = report.to_html()
    assert (report.unpriced_requests, report.to_dicts()[0]["cost"]) == (1, None)
    assert "unknown" in page and "$0.00<" not in page
