"""Costs, reports, hooks, a provider for tests, and models."""

from datetime import datetime
from decimal import Decimal
from typing import Dict, List, Tuple

from llm_orchestrator import (
    CallEvent,
    CostDetails,
    CostTracker,
    LLMOrchestrator,
    ModelInfo,
    UsageReport,
    format_cost,
    price_usage,
)
from llm_orchestrator.testing import FakeProvider, FakeReply


def note(event: CallEvent) -> None:
    print(event.kind, event.status, event.model)


def spent(orchestrator: LLMOrchestrator) -> Decimal:
    tracker: CostTracker = orchestrator.cost_tracker
    report: UsageReport = tracker.get_usage_report(datetime(2026, 1, 1))
    by_model: Dict[str, Decimal] = {name: group.cost for name, group in report.by_model.items()}
    by_customer = report.grouped("tag:customer")
    of_acme = tracker.get_usage_report(tags={"customer": "acme"}, model="gpt-6-luna").known_cost
    both: Dict[Tuple[str, ...], Decimal] = {
        names: group.cost for names, group in report.grouped(["tag:customer", "model"]).items()
    }
    tracker.export_to_csv("usage.csv", tags={"customer": "acme"})
    print(by_model, by_customer, both, format_cost(of_acme), format_cost(report.total_cost))
    return report.total_cost


def priced() -> CostDetails:
    return price_usage("openai", "gpt-6-luna", {"prompt_tokens": 10, "completion_tokens": 1}, api="chat")


def main() -> List[ModelInfo]:
    fake = FakeProvider([FakeReply("Hi", tool_calls=[("weather", {"city": "Rome"})]), "Bye"])
    config = {"active_provider": "fake", "active_model": "m"}
    with LLMOrchestrator(config, providers={"fake": fake}, hooks=[note]) as orchestrator:
        spent(orchestrator)
        return orchestrator.registry.get_available_models("fake")
