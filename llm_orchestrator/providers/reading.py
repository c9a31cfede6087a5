"""Reads fields of a provider's JSON, which may hold anything: a value of the wrong type counts as missing."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.types import JSON
from llm_orchestrator.utils.json import MAPPINGS
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.numbers import is_count

__all__ = [
    "InlineData",
    "as_count",
    "as_list",
    "as_mapping",
    "as_mappings",
    "as_text",
    "as_text_or_none",
    "listed_models",
    "other_answers",
    "parse_data_url",
]

_DATA_URL = LazyPattern(r"data:(?P<mime>[^;,]*)(?:;[^;,]*)*?;base64,(?P<data>.*)", re.DOTALL)


def as_mapping(value: Any) -> JSON:
    """A JSON object; empty when the value is not one."""
    if value is None:  # most often; to ask an abstract class takes long
        return {}
    return value if isinstance(value, MAPPINGS) else {}


def as_list(value: Any) -> List[Any]:
    """A list; empty when the value is not one."""
    return value if isinstance(value, list) else []


def as_mappings(value: Any) -> List[JSON]:
    """The JSON objects in a list."""
    return [item for item in as_list(value) if isinstance(item, MAPPINGS)]


def as_text(value: Any) -> str:
    """A string; empty when the value is not one."""
    return value if isinstance(value, str) else ""


def as_text_or_none(value: Any) -> Optional[str]:
    """A string that is not empty."""
    return value if isinstance(value, str) and value else None


def as_count(value: Any) -> Optional[int]:
    """A number of tokens, or of other things that are counted; None for one that cannot be."""
    return value if value is not None and is_count(value) else None


def other_answers(answers: Any, first: Optional[JSON]) -> List[Tuple[int, JSON]]:
    """The answers in one reply beside the first, by their index; hosts leave it out, or repeat it."""
    if isinstance(answers, list) and len(answers) == 1 and answers[0] is first:
        return []
    numbered: Dict[int, JSON] = {}
    for place, answer in enumerate(as_mappings(answers)):
        number = place if (index := as_count(answer.get("index"))) is None else index
        while number in numbered:
            number += 1
        numbered[number] = answer
    return sorted((number, answer) for number, answer in numbered.items() if answer is not first)


def listed_models(value: Any, name: str) -> List[JSON]:
    """The entries of a listing that have a name; what is not a listing must not empty the list we have."""
    named = [entry for entry in as_mappings(value) if as_text_or_none(entry.get(name))]
    if not isinstance(value, list) or (value and not named):
        raise InvalidResponseError("The reply is not a list of models. Check base_url, or try again.")
    return named


class InlineData(NamedTuple):
    """Bytes carried inside a message, as base64 in the standard alphabet."""

    mime_type: str
    base64: str


def parse_data_url(url: str) -> Optional[InlineData]:
    """Take a base64 data URL apart."""
    match = _DATA_URL.fullmatch(url)
    return InlineData(match["mime"], match["data"]) if match else None
