"""Reads fields of a provider's JSON, which may hold anything: a value of the wrong type counts as missing."""

from __future__ import annotations

import re
from collections import abc
from typing import Any, List, NamedTuple, Optional

from llm_orchestrator.types import JSON

__all__ = [
    "InlineData",
    "as_count",
    "as_list",
    "as_mapping",
    "as_mappings",
    "as_text",
    "as_text_or_none",
    "parse_data_url",
]

#: A dict, which JSON objects are read into, comes first: it is recognized several times faster.
_MAPPINGS = (dict, abc.Mapping)
_DATA_URL = re.compile(r"data:(?P<mime>[^;,]*)(?:;[^;,]*)*?;base64,(?P<data>.*)", re.DOTALL)


def as_mapping(value: Any) -> JSON:
    """A JSON object; empty when the value is not one."""
    return value if isinstance(value, _MAPPINGS) else {}


def as_list(value: Any) -> List[Any]:
    """A list; empty when the value is not one."""
    return value if isinstance(value, list) else []


def as_mappings(value: Any) -> List[JSON]:
    """The JSON objects in a list."""
    return [item for item in as_list(value) if isinstance(item, _MAPPINGS)]


def as_text(value: Any) -> str:
    """A string; empty when the value is not one."""
    return value if isinstance(value, str) else ""


def as_text_or_none(value: Any) -> Optional[str]:
    """A string that is not empty."""
    return value if isinstance(value, str) and value else None


def as_count(value: Any) -> Optional[int]:
    """A whole number that is not negative."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class InlineData(NamedTuple):
    """Bytes carried inside a message, as base64 in the standard alphabet."""

    mime_type: str
    base64: str


def parse_data_url(url: str) -> Optional[InlineData]:
    """Take a base64 data URL apart."""
    match = _DATA_URL.fullmatch(url)
    return InlineData(match["mime"], match["data"]) if match else None
