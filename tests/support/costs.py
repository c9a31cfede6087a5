"""What the tests of cost tracker and ledger share: fixed prices, a tracker, a plain reader of CSV files."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List, Optional

from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.pricing import CostDetails, PricingQuery
from llm_orchestrator.types import TokenUsage

TOKENS = {"prompt": 10, "completion": 5, "total": 15}
EIGHT = "timestamp,provider,model,prompt_tokens,completion_tokens,total_tokens,cost,session_id"


class FixedPrices:
    """A price table where a token of the model ``priced`` costs a micro-dollar, others are unknown."""

    def __init__(self) -> None:
        self.asked: List[PricingQuery] = []

    def price(self, query: PricingQuery) -> CostDetails:
        self.asked.append(query)
        tokens = query.usage.total_tokens if isinstance(query.usage, TokenUsage) else None
        if query.model != "priced" or tokens is None:
            return CostDetails(status="unpriced", total=None)
        return CostDetails(status="priced", total=tokens * Decimal("0.000001"))


def make(path: Optional[Path], **settings: Any) -> CostTracker:
    return CostTracker(log_path=path, session_id="s", price_table=FixedPrices(), **settings)


def read(path: Path) -> List[Dict[str, str]]:
    """The file as any other program reads it."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def fill(tracker: CostTracker) -> None:
    """Log five calls on five days: four priced or unknown, one without usage."""
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for number in range(5):
        tracker.log_usage(
            "p",
            "=cmd()" if number else "priced",
            None if number == 3 else TOKENS,
            call_id=f"call-{number}",
            tags={"n": str(number)},
            timestamp=start + timedelta(days=number),
        )
