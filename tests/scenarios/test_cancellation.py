"""R7: a task that is cancelled ends at once, wherever it waits: for a reply, in a backoff, for a chunk."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import LLMOrchestrator, policy
from tests.support.costs import read
from tests.support.scripted_server import BEFORE_HEAD, Dialect, ScriptedServer, Stall


class Cancellation:
    """A call that is cancelled at a chosen moment, and what was left behind by it."""

    def __init__(self, config: Dict[str, Any], ledger: Path) -> None:
        self._config = {**config, "cost_tracking": {"log_path": str(ledger)}}
        self._ledger = ledger
        self.took = float("nan")

    async def of(self, way: str, moment: Any) -> None:
        """Call, wait for the moment, cancel, and see that it ends at once with nothing else."""
        orchestrator = LLMOrchestrator(self._config)
        task = asyncio.ensure_future(self._call(orchestrator, way))
        await moment(task)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        self.took = time.monotonic() - started
        await orchestrator.aclose()

    async def _call(self, orchestrator: LLMOrchestrator, way: str) -> None:
        if way == "whole":
            await orchestrator.asend_request("Hi")
            return
        async for _ in orchestrator.asend_streaming_request("Hi"):
            pass

    def rows(self) -> List[Any]:
        """Status and error of each row in the ledger."""
        return [row["status"] for row in read(self._ledger)] if self._ledger.exists() else []


@pytest.fixture
def cancellation(server: ScriptedServer, dialect: Dialect, tmp_path: Path) -> Cancellation:
    config = dialect.config(server.url, max_retries=3, fallback_models=["second"], max_retry_wait=600)
    return Cancellation(config, tmp_path / "usage.csv")


async def until(condition: Any) -> None:
    """Let the loop go on until something has come about."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        await asyncio.sleep(0.001)


def assert_ended_at_once(cancellation: Cancellation, server: ScriptedServer, rows: List[str]) -> None:
    assert cancellation.took < 5
    assert len(server.requests) == 1, "no further request"
    assert server.wait_for_connections(0), "the connection was released"
    assert cancellation.rows() == rows


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_r7_cancelled_during_the_request(
    cancellation: Cancellation, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.whole().but(fault=Stall(BEFORE_HEAD))

    asyncio.run(cancellation.of(way, lambda task: until(lambda: server.requests)))

    assert_ended_at_once(cancellation, server, ["cancelled"])


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_r7_cancelled_while_the_body_arrives(
    cancellation: Cancellation, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    """In the middle of a whole answer, and between two chunks of a stream."""
    whole = dialect.whole("Hello.").but(piece_size=20, fault=Stall(after=2))
    server.default = dialect.stream(["Hel", "lo."]).but(fault=Stall()) if way == "streamed" else whole

    async def begun(task: Any) -> None:
        await until(lambda: server.requests)
        await asyncio.sleep(0.02)  # what was sent by now is read

    asyncio.run(cancellation.of(way, begun))

    assert_ended_at_once(cancellation, server, ["cancelled"])


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_r7_cancelled_during_the_backoff(
    cancellation: Cancellation,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.default = dialect.failure("rate_limit", retry_after=300)
    waiting = asyncio_sleeps(monkeypatch)

    asyncio.run(cancellation.of(way, lambda task: until(lambda: waiting)))

    assert waiting == [300]
    assert_ended_at_once(cancellation, server, ["error"])


def asyncio_sleeps(monkeypatch: pytest.MonkeyPatch) -> List[float]:
    """The waits of the policy as they begin; they are waited all the same."""
    begun: List[float] = []
    really = policy._asleep

    async def asleep(seconds: float) -> None:
        begun.append(seconds)
        await really(seconds)

    monkeypatch.setattr(policy, "_asleep", asleep)
    return begun
