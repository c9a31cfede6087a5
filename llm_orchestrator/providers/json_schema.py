"""What the providers' rules for JSON Schemas have in common: references, and an object at the root."""

from __future__ import annotations

import json
from typing import Any

from llm_orchestrator.types import JSON

__all__ = ["COMMON_FORMATS", "with_limits"]

#: Formats of texts that every provider with a list of them takes.
COMMON_FORMATS = (
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "time",
    "uuid",
)


def with_limits(description: Any, limits: JSON) -> str:
    """Tell in a description what a provider has no keyword for, so that the model still reads it."""
    told = json.dumps(limits, ensure_ascii=False, default=str)
    return f"{description}\n\n{told}" if description else told
