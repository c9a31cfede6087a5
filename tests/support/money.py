"""What the scenarios about money share: orchestrators with a ledger, and its rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from llm_orchestrator import LLMOrchestrator
from tests.support.scripted_server import MODEL, Dialect, ScriptedServer
from tests.support.scripted_server.replies import Reply

#: Dollars per million tokens for the model of the scripted server.
RATES = {"in": "3", "cache_write": "3.75", "cache_read": "0.3", "out": "15"}

Spend = Callable[..., LLMOrchestrator]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "costs.csv"


@pytest.fixture
def spend(server: ScriptedServer, dialect: Dialect, path: Path) -> Iterator[Spend]:
    """Makes orchestrators with a ledger; settings are those of cost_tracking."""
    made: List[LLMOrchestrator] = []

    def make(model: str = MODEL, entry: Any = None, **settings: Any) -> LLMOrchestrator:
        config = dialect.config(server.url, model, **{"max_retries": 0, **(entry or {})})
        config["cost_tracking"] = {"log_path": str(path), **settings}
        made.append(LLMOrchestrator(config, session_id="session"))
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.close()


def price(dialect: Dialect, rates: Any = None, model: str = MODEL) -> Dict[str, Any]:
    """The setting that gives the scripted model a price."""
    override = {"provider": dialect.provider, "model": model, "rates": rates or RATES}
    return {"price_overrides": [override]}


def rows(path: Path) -> List[Dict[str, str]]:
    """The ledger as any other program reads it."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def answer(dialect: Dialect, way: str, **keywords: Any) -> Reply:
    """The same answer, whole or as a stream, as the way of calling asks for."""
    return dialect.stream(**keywords) if "streamed" in way else dialect.whole(**keywords)
