"""A fake counts words for tokens, without an entry of its script."""

from __future__ import annotations

import asyncio

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider


def test_a_fake_counts_words_and_keeps_its_script() -> None:
    fake = FakeProvider("Here I am.")
    config = {"active_provider": "fake", "active_model": "fake-1", "cost_tracking": {"log_path": None}}
    with LLMOrchestrator(config, providers={"fake": fake}) as orchestrator:
        assert orchestrator.count_tokens("three words here") == 3
        assert asyncio.run(orchestrator.acount_tokens("two words")) == 2
        assert list(fake.requests) == []
        assert orchestrator.send_request("Hi").content == "Here I am."
