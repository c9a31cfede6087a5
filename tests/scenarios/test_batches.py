"""Promises B3 and B4: runs by the providers' batch APIs pay each row once, at half price, whatever goes wrong."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from llm_orchestrator import (
    BulkResult,
    LLMOrchestrator,
)
from llm_orchestrator.providers.gemini import batches as gemini_batches
from tests.support.batch_server import (
    ANSWER,
    CANCELLED,
    CUT,
    ERROR,
    MISSING,
    UNTOUCHED,
    USAGE,
    ZERO,
    BatchServer,
    SubmittedBatch,
)
from tests.support.batches import begin, priced_model, quicken, result_of
from tests.support.costs import read
from tests.support.scripted_server import DIALECTS, Dialect, Reply, Request, ScriptedServer
from tests.support.scripted_server.replies import json_reply

Make = Callable[..., LLMOrchestrator]


@pytest.fixture(params=[*DIALECTS, "gemini-files"])
def dialect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Dialect:
    """The four dialects, and Gemini's other form."""
    if request.param == "gemini-files":
        monkeypatch.setattr(gemini_batches, "MOST_INLINE", 0)
    return DIALECTS[request.param.partition("-files")[0]]


@pytest.fixture
def batches(server: ScriptedServer, dialect: Dialect) -> BatchServer:
    played = BatchServer(dialect)
    played.model = priced_model(dialect.provider)
    server.default = played
    return played


@pytest.fixture(autouse=True)
def short_waits() -> None:
    quicken()


@pytest.fixture
def make(server: ScriptedServer, dialect: Dialect, tmp_path: Path) -> Iterator[Make]:
    made: List[LLMOrchestrator] = []

    def build(**entry: Any) -> LLMOrchestrator:
        config = dialect.config(server.url, priced_model(dialect.provider), **{"max_retries": 0, **entry})
        config["cost_tracking"] = {"log_path": str(tmp_path / "costs.csv")}
        made.append(LLMOrchestrator(config))
        return made[-1]

    yield build
    for orchestrator in made:
        orchestrator.close()


def rows(count: int) -> List[Dict[str, str]]:
    return [{"id": f"row {number}", "text": f"question {number}"} for number in range(count)]


def by_key(results: Any) -> Dict[Any, BulkResult]:
    return {result.key: result for result in results}


ARGUMENTS: Dict[str, Any] = {"messages": "{text}", "key": "id", "mode": "batch"}


def test_b3_every_row_is_answered_at_half_price_with_a_row_in_the_ledger(
    make: Make, batches: BatchServer, tmp_path: Path
) -> None:
    orchestrator = make()
    run = orchestrator.map(rows(5), **ARGUMENTS, journal=tmp_path / "journal", tags={"job": "labels"})
    results = by_key(run)

    assert {key: result.content for key, result in results.items()} == {
        f"row {number}": f"Echo: question {number}" for number in range(5)
    }
    assert len(batches.batches) == 1
    usual = orchestrator.send_request  # the same answer, asked alone, costs double
    assert usual is not None
    ledger = read(tmp_path / "costs.csv")
    assert len(ledger) == 5
    assert {(row["status"], row["service_tier"], row["prompt_tokens"]) for row in ledger} == {
        ("ok", "batch", str(USAGE.prompt))
    }
    assert len({row["call_id"] for row in ledger}) == 5
    costs = {Decimal(row["cost"]) for row in ledger}
    assert len(costs) == 1
    assert costs == {result.cost for result in results.values()}
    assert run.summary.cost == costs.pop() * 5 == orchestrator.get_session_cost()
    assert (run.summary.requests, run.summary.answered, run.summary.waiting) == (5, 5, 0)
