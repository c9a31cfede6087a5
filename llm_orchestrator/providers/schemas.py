"""What the providers' rules for JSON Schemas have in common: references, and an object at the root."""

from __future__ import annotations

import json
from collections import abc
from typing import Any

from llm_orchestrator.types import JSON

__all__ = ["COMMON_FORMATS", "resolved", "with_limits", "with_object_at_root"]

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


def resolved(reference: Any, root: JSON) -> JSON:
    """Follow a reference into its own document.

    Args:
        reference: The value of a ``$ref``.
        root: The schema it stands in.

    Returns:
        The schema it names; empty when there is none.
    """
    if not isinstance(reference, str) or not reference.startswith("#"):
        return {}
    target: Any = root
    for step in reference[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        target = target.get(name) if isinstance(target, abc.Mapping) else None
    return target if isinstance(target, abc.Mapping) else {}


def with_object_at_root(schema: JSON) -> JSON:
    """Write the object itself where the root only refers to it, as pydantic does for recursive classes.

    Args:
        schema: A schema.

    Returns:
        A schema of the same meaning, whose root is no reference.
    """
    target = resolved(schema.get("$ref"), schema)
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}} if target else schema


def with_limits(description: Any, limits: JSON) -> str:
    """Tell in a description what a provider has no keyword for, so that the model still reads it.

    Args:
        description: The description there is, or None.
        limits: Keywords and their values.

    Returns:
        The description to send.
    """
    told = json.dumps(limits, ensure_ascii=False, default=str)
    return f"{description}\n\n{told}" if description else told
