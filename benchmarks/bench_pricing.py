"""How long pricing takes: loading the table, and one call of each provider.

    python benchmarks/bench_pricing.py

Figures are CPU time, the best of many short runs, because other work on the machine only ever adds to them.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable, Dict

from llm_orchestrator.pricing import PriceTable, PricingQuery

LOAD_MS = 5.0
PRICE_US = 10.0

AT = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
CALLS: Dict[str, Dict[str, Any]] = {
    "openai": {
        "model": "gpt-6-luna",
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "total_tokens": 1100,
            "prompt_tokens_details": {"cached_tokens": 200},
            "completion_tokens_details": {"reasoning_tokens": 50},
        },
        "response": {"service_tier": "default"},
    },
    "anthropic": {
        "model": "claude-sonnet-4-6",
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 1000,
            "output_tokens": 3,
            "service_tier": "standard",
        },
    },
    "gemini": {
        "model": "gemini-2.5-pro",
        "usage": {"promptTokenCount": 1000, "candidatesTokenCount": 10, "thoughtsTokenCount": 30},
        "headers": {"x-gemini-service-tier": "standard"},
    },
}


def best(action: Callable[[], Any], rounds: int, repeat: int) -> float:
    """Seconds of CPU for one ``action``, in the fastest of ``repeat`` runs of ``rounds``."""
    fastest = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        for _ in range(rounds):
            action()
        fastest = min(fastest, (time.process_time() - start) / rounds)
    return fastest


def load_and_price_once() -> None:
    """What the first call of a process pays, once the modules are imported."""
    PriceTable().price(PricingQuery("openai", **CALLS["openai"]))


def price(table: PriceTable, provider: str, call: Dict[str, Any]) -> None:
    """What a call pays."""
    table.price(PricingQuery(provider, at=AT, **call))


def main() -> None:
    """Print every figure beside its target."""
    loading = best(load_and_price_once, 1, 30)
    figures = [("load the table and price the first call", loading * 1e3, LOAD_MS, "ms")]
    table = PriceTable()
    for provider, call in CALLS.items():
        seconds = best(partial(price, table, provider, call), 500, 200)
        figures.append((f"price one {provider} call", seconds * 1e6, PRICE_US, "us"))
    for name, figure, target, unit in figures:
        print(f"{name:42} {figure:8.2f} {unit}   target {target:g} {unit}")


if __name__ == "__main__":
    main()
