"""The row of a call's last request says so, also when there was no time left for the next one."""

from __future__ import annotations

import time

import pytest

from llm_orchestrator import LLMOrchestrator, OrchestratorError, ServerError, policy
from llm_orchestrator.testing import FakeProvider


def test_time_that_is_over_during_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = FakeProvider([ServerError("Broken.", retry_after=0.0), "too late"])
    orchestrator = LLMOrchestrator(
        {"active_provider": "fake", "active_model": "m", "providers": {"fake": {"max_retries": 2}}},
        providers={"fake": provider},
    )
    passed = [0.0]
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])
    monkeypatch.setattr(policy, "_sleep", lambda seconds: passed.append(passed.pop() + 1000))

    with pytest.raises(OrchestratorError) as raised:
        orchestrator.send_request("Hi", total_timeout=900)

    assert [attempt.error for attempt in raised.value.attempts] == ["ServerError"]
    assert [row["final"] for row in orchestrator.cost_tracker.to_dicts()] == [True]
    assert len(provider.requests) == 1
