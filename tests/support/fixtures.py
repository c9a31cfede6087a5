"""Fixtures of the library's own tests, for ``conftest.py`` to import."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List

import pytest

from llm_orchestrator import LLMOrchestrator, policy
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.ways import WAYS

__all__ = ["Orchestrate", "orchestrate", "waits", "way"]

Orchestrate = Callable[..., LLMOrchestrator]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each of the four ways of calling in turn."""
    return str(request.param)


@pytest.fixture
def orchestrate(server: ScriptedServer, dialect: Dialect) -> Iterator[Orchestrate]:
    """Makes orchestrators on the scripted server; without a word about retries they do none."""
    made: List[LLMOrchestrator] = []

    def make(url: str = "", **settings: Any) -> LLMOrchestrator:
        config = dialect.config(url or server.url, **{"max_retries": 0, **settings})
        made.append(LLMOrchestrator(config))
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> List[float]:
    """The seconds that retries waited, without waiting them."""
    waited: List[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(policy, "_sleep", waited.append)
    monkeypatch.setattr(policy, "_asleep", note)
    return waited
