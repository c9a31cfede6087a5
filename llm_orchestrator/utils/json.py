"""JSON objects as dicts: leaving out None, and merging."""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, Mapping

__all__ = ["JSON", "merged", "without_none"]

#: A JSON object that is not changed.
JSON = Mapping[str, Any]


def without_none(values: Mapping[str, Any]) -> Dict[str, Any]:
    """Leave out the keys whose value is None."""
    return {key: value for key, value in values.items() if value is not None}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Dict[str, Any]:
    """Merge deeply: mappings are merged, everything else is replaced."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        both = isinstance(old, abc.Mapping) and isinstance(value, abc.Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return result
