"""The pytest fixtures ``no_network`` and ``scripted_orchestrator``, for the tests of applications.

To use them, write ``pytest_plugins = ["llm_orchestrator.testing.pytest_plugin"]`` into a ``conftest.py``. The
library is imported only when a fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from llm_orchestrator.testing import NetworkGuard, ScriptedOrchestrator

__all__ = ["no_network", "scripted_orchestrator"]


@pytest.fixture
def no_network(request: pytest.FixtureRequest) -> Iterator[NetworkGuard]:
    """Fail the test when it connects to another machine; ``allow(host)`` makes exceptions."""
    from llm_orchestrator.testing.no_network import NetworkGuard

    guard = NetworkGuard()
    failed_before = request.session.testsfailed
    with guard.watching():
        yield guard
    if guard.refused and request.session.testsfailed == failed_before:
        pytest.fail(guard.refused[0])  # for a connection on a thread, where the failure is not noticed


@pytest.fixture
def scripted_orchestrator(no_network: NetworkGuard, tmp_path: Path) -> Iterator[ScriptedOrchestrator]:
    """An orchestrator for the application under test; it answers from a script, without network."""
    from llm_orchestrator.testing.scripted_orchestrator import ScriptedOrchestrator

    orchestrator = ScriptedOrchestrator(tmp_path)
    yield orchestrator
    orchestrator.end()
