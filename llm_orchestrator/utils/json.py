"""JSON: reading it within bounds, and objects as dicts: leaving out None, merging, how deep they are."""

from __future__ import annotations

import json
from collections import abc
from typing import Any, Dict, List, Mapping

__all__ = [
    "JSON",
    "MAPPINGS",
    "MAX_DEPTH",
    "beside",
    "is_deeper",
    "merged",
    "overridden",
    "read_json",
    "without_none",
]

#: A JSON object that is not changed.
JSON = Mapping[str, Any]
#: What ``isinstance`` is asked for an object: a dict, as most are, is recognized several times faster.
MAPPINGS = (dict, abc.Mapping)

#: Deeper nesting is no data, and whoever writes it again may run out of stack.
MAX_DEPTH = 200


def read_json(text: str, **options: Any) -> Any:
    """Read JSON as ``json.loads`` does; nesting without end is a ValueError, too."""
    try:
        value = json.loads(text, **options)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and is_deeper(value, MAX_DEPTH):
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    return value


def without_none(values: Mapping[str, Any]) -> Dict[str, Any]:
    """Leave out the keys whose value is None."""
    return {key: value for key, value in values.items() if value is not None}


def beside(values: Mapping[str, Any], *taken: str) -> Dict[str, Any]:
    """What stands in an object beside the keys that are taken."""
    return {key: value for key, value in values.items() if key not in taken}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Dict[str, Any]:
    """Merge deeply: mappings are merged, everything else is replaced."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        both = isinstance(old, abc.Mapping) and isinstance(value, abc.Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return result


def is_deeper(value: Any, limit: int) -> bool:
    """Whether objects and lists are nested deeper than a limit; recursion would have a limit of its own."""
    level: List[Any] = [value]
    for _ in range(limit):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return any(isinstance(item, (dict, list)) for item in level)


def _children(item: Any) -> Any:
    return item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()


def overridden(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Dict[str, Any]:
    """Merge deeply, as ``merged`` does; None takes a key away."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, abc.Mapping):
            old = result.get(key)
            result[key] = overridden(old if isinstance(old, abc.Mapping) else {}, value)
        else:
            result[key] = value
    return result
