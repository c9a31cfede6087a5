"""Values of the library as what JSON can hold: money as text, times in ISO 8601, bytes in base64."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import abc
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Callable, Dict, Iterable, List, Mapping, Tuple

from llm_orchestrator.types.messages import Message
from llm_orchestrator.utils.numbers import shown

__all__ = ["plain", "plain_fields", "plain_json"]

#: Python writes no number with more bits than this as digits.
_MOST_BITS = 14_000


def plain_fields(value: Any) -> Dict[str, Any]:
    """The fields of a dataclass by name, each as what JSON can hold."""
    return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def plain_json(value: Any) -> str:
    """The fields of a dataclass as a JSON text."""
    return json.dumps(plain_fields(value), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """A value as what JSON can hold; one that nobody knows is shown as its text."""
    for kinds, written in _FORMS:
        if isinstance(value, kinds):
            return written(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain_fields(value)
    return _of_pydantic(value)


def _of_pydantic(value: Any) -> Any:
    """What a class of an application holds, such as the ``parsed`` of an answer."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="null", fallback=str)


def _mapping(value: Mapping[Any, Any]) -> Dict[str, Any]:
    return {str(key): plain(entry) for key, entry in value.items()}


def _list(value: Iterable[Any]) -> List[Any]:
    return [plain(entry) for entry in value]


#: How each kind is written; what stands above counts, as an enum may be a string too.
_FORMS: Tuple[Tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: plain(value.value)),
    ((str, bool, type(None)), lambda value: value),
    (int, lambda value: value if value.bit_length() <= _MOST_BITS else shown(value)),
    (float, lambda value: value if math.isfinite(value) else None),
    (Decimal, lambda value: f"{value:f}"),
    (date, lambda value: value.isoformat()),  # a datetime is one
    (Message, lambda value: _mapping(value.to_dict())),
    (abc.Mapping, _mapping),
    ((list, tuple), _list),
    ((set, frozenset), lambda value: sorted(_list(value), key=str)),
)
