"""One orchestrator that speaks all dialects: an entry for each, whose model has a price."""

from __future__ import annotations

from typing import Any, Dict, List

from llm_orchestrator import LLMOrchestrator
from tests.support.scripted_server import DIALECTS, MODEL

#: US dollars per million tokens.
RATES = {"in": 2, "out": 10}


def config_of_all(url: str, *, log_path: Any = None, **settings: Any) -> Dict[str, Any]:
    """A configuration with an entry for each dialect, named after it; settings are added to each."""
    entries = {
        name: {"adapter": dialect.provider, **dialect.config_entry(url, **settings)}
        for name, dialect in DIALECTS.items()
    }
    prices = [{"provider": name, "model": MODEL, "rates": RATES} for name in DIALECTS]
    return {
        "active_provider": "chat",
        "active_model": MODEL,
        "providers": entries,
        "cost_tracking": {"log_path": str(log_path), "price_overrides": prices},
    }


def siblings(orchestrator: LLMOrchestrator) -> List[LLMOrchestrator]:
    """One for each dialect."""
    return [orchestrator.for_provider(name, MODEL) for name in DIALECTS]
