"""What the tests of streams that are left open share: who asks, what the server sends, what must not be left."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from typing import Any, Awaitable, Callable, Iterator, List

import pytest

from llm_orchestrator import LLMOrchestrator
from tests.support.fakes import RecordingTracker
from tests.support.scripted_server import Dialect, Reply, ScriptedServer, Stall


@pytest.fixture(name="orchestrator")
def recording_orchestrator(server: ScriptedServer, dialect: Dialect) -> Iterator[LLMOrchestrator]:
    """An orchestrator that notes the rows of its ledger."""
    config = dialect.config(server.url, max_retries=0, timeout=30)
    with LLMOrchestrator(config, cost_tracker=RecordingTracker()) as orchestrator:
        yield orchestrator


@pytest.fixture(autouse=True)
def nothing_printed(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, nothing is printed, and asyncio logs no error."""
    yield
    gc.collect(0)
    assert capfd.readouterr() == ("", "")
    complaints = [record for record in caplog.get_records("call") if record.name == "asyncio"]
    assert [record.getMessage() for record in complaints if record.levelno >= logging.WARNING] == []


def rows(orchestrator: LLMOrchestrator) -> List[Any]:
    tracker: Any = orchestrator.cost_tracker
    return list(tracker.records)


def unfinished(dialect: Dialect) -> Reply:
    """A stream that goes on and on, as far as its reader can tell."""
    return dialect.stream(["One", " two"], complete=False).but(fault=Stall())


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run async work with asyncio's complaints turned on; whatever it prints fails the test."""

    async def main() -> Any:
        asyncio.get_running_loop().slow_callback_duration = 10
        return await work()

    return asyncio.run(main(), debug=True)


def in_thread(work: Callable[[], Any]) -> None:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive(), "it waits for something"


async def gone(server: ScriptedServer) -> bool:
    """Whether the connection goes while the loop runs on."""
    return await asyncio.get_running_loop().run_in_executor(None, server.wait_for_connections, 0)
