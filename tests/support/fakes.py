"""What the tests of the core share: an orchestrator on a scripted provider, and everything it left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Type

import pytest

from llm_orchestrator import CallEvent, CostTracker, LLMOrchestrator, UsageRecord
from llm_orchestrator.exceptions import OverloadedError, ServerError
from llm_orchestrator.testing import FakeProvider
from tests.support.costs import FixedPrices

#: A token of this model costs a micro-dollar, see FixedPrices.
MODEL = "priced"
ANSWER = "Four, of course."


class RecordingTracker(CostTracker):
    """A tracker in memory whose records a test can look at."""

    def __init__(self) -> None:
        super().__init__(log_path=None, session_id="session", price_table=FixedPrices())  # type: ignore[arg-type]
        self.records: List[UsageRecord] = []

    def add(self, record: UsageRecord) -> None:
        super().add(record)
        self.records.append(record)


@dataclass
class Scene:
    """An orchestrator on a scripted provider, with what it sent, recorded and reported to its hook."""

    orchestrator: LLMOrchestrator
    provider: FakeProvider
    tracker: RecordingTracker
    events: List[CallEvent] = field(default_factory=list)

    @property
    def asked(self) -> List[str]:
        """The models that requests were sent to, in order."""
        return [request.model for request in self.provider.requests]

    @property
    def rows(self) -> List[str]:
        """Model and status of every row of the ledger, the last one of a call marked."""
        return [f"{row.requested_model} {row.status}{' final' * row.final}" for row in self.tracker.records]

    @property
    def reported(self) -> List[str]:
        """Kind and status of every event that the hook was given."""
        return [f"{event.kind} {event.status}" for event in self.events]


def play(
    *script: Any,
    fallback_models: Sequence[str] = (),
    provider_class: Type[FakeProvider] = FakeProvider,
    **entry: Any,
) -> Scene:
    """Make an orchestrator whose provider answers from the script; ``entry`` are settings of its entry."""
    provider = provider_class(script or ANSWER, name="fake", timeout=entry.get("timeout", 300.0))
    settings: Dict[str, Any] = {
        "active_provider": "fake",
        "active_model": MODEL,
        "providers": {"fake": {"fallback_models": list(fallback_models), **entry}},
        "model_registry": {"cache_path": "no-such-folder/models.json"},
    }
    tracker = RecordingTracker()
    events: List[CallEvent] = []
    orchestrator = LLMOrchestrator(
        settings, providers={"fake": provider}, cost_tracker=tracker, hooks=[events.append]
    )
    return Scene(orchestrator, provider, tracker, events)


def broken(**fields: Any) -> ServerError:
    """An error that is retried and falls back."""
    return OverloadedError("Overloaded.", status_code=529, **fields)


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """Pay once, outside the tests, for what the first call of a process costs."""
    play().orchestrator.send_request("Hi")
