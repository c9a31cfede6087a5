"""JSON Schema: resolving references, and an object at the root."""

from __future__ import annotations

from collections import abc
from typing import Any

from llm_orchestrator.utils.json import JSON

__all__ = ["resolved", "with_object_at_root"]


def resolved(reference: Any, root: JSON) -> JSON:
    """Follow a ``$ref`` within its own document; empty when it leads nowhere."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return {}
    target: Any = root
    for step in reference[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        target = target.get(name) if isinstance(target, abc.Mapping) else None
    return target if isinstance(target, abc.Mapping) else {}


def with_object_at_root(schema: JSON) -> JSON:
    """Resolve a root that is only a ``$ref``, which pydantic writes for recursive classes."""
    target = resolved(schema.get("$ref"), schema)
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}} if target else schema
