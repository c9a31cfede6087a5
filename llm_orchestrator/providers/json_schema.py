"""What the vendors' rules for JSON Schemas share: the keywords that hold schemas, and limits in words."""

from __future__ import annotations

import json
from typing import Any, Iterable, List

from llm_orchestrator.providers.reading import as_mapping, as_mappings
from llm_orchestrator.types import JSON

__all__ = ["COMMON_FORMATS", "DEFINITIONS", "NAMED_SCHEMAS", "schemas_in", "with_limits"]

#: Keywords that hold schemas to refer to, and all that hold schemas by name.
DEFINITIONS = ("$defs", "definitions")
NAMED_SCHEMAS = ("properties", "patternProperties", *DEFINITIONS)
#: Formats of strings that every provider with a list of them takes.
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


def schemas_in(schema: JSON, keywords: Iterable[str]) -> List[JSON]:
    """The schemas that some keywords of a schema hold: alone, in a list, or by name."""
    found: List[Any] = []
    for keyword in keywords:
        value = schema.get(keyword)
        if keyword in NAMED_SCHEMAS:
            found += as_mapping(value).values()
        elif isinstance(value, (list, tuple)):
            found += value
        elif value is not None:
            found.append(value)
    return as_mappings(found)


def with_limits(description: Any, limits: JSON) -> str:
    """Say in a description what a provider has no keyword for, so that the model still reads it."""
    written = json.dumps(limits, ensure_ascii=False, default=str)
    return f"{description}\n\n{written}" if description else written
