"""Fast constructors and copies of frozen dataclasses, of which every call makes several.

A frozen dataclass sets its fields one by one with ``object.__setattr__``, and ``dataclasses.replace`` reads
all of them first; for a value of twenty fields that takes longer than the work it is made for.
"""

from __future__ import annotations

from dataclasses import MISSING
from dataclasses import fields as fields_of
from typing import Any, Dict, Type, TypeVar

__all__ = ["build", "evolve", "make"]

Value = TypeVar("Value")

_new, _set = object.__new__, object.__setattr__


def build(kind: Type[Value], fields: Dict[str, Any]) -> Value:
    """Make a frozen dataclass from a dict of all its fields; the caller must not use the dict afterwards."""
    value = _new(kind)
    _set(value, "__dict__", fields)
    return value


def make(kind: Type[Value], **fields: Any) -> Value:
    """Make a frozen dataclass from its fields by name, those left out at their defaults."""
    dataclass: Any = kind
    values = _defaults[dataclass] | fields
    assert len(values) == len(
        dataclass.__dataclass_fields__
    ), f"{kind.__name__} is not made of {', '.join(fields)}"
    return build(kind, values)


class _Defaults(Dict[Any, Dict[str, Any]]):
    """The defaults of each class, which its values share: they are as frozen as the values."""

    def __missing__(self, kind: Any) -> Dict[str, Any]:
        made = {f.name: f.default_factory() for f in fields_of(kind) if f.default_factory is not MISSING}
        given = {f.name: f.default for f in fields_of(kind) if f.default is not MISSING}
        defaults = self[kind] = {**given, **made}
        return defaults


_defaults = _Defaults()


def evolve(value: Value, **changes: Any) -> Value:
    """Copy a frozen dataclass with some of its fields changed, much faster than ``dataclasses.replace``."""
    fields = value.__dict__ | changes
    assert len(fields) == len(value.__dict__), f"{type(value).__name__} has not all of {', '.join(changes)}"
    return build(type(value), fields)
