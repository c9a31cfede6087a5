"""What the frozen dataclasses share: equality, hash and repr, and fast constructors and copies.

Every call makes several. A frozen dataclass sets its fields one by one with ``object.__setattr__``, and
``dataclasses.replace`` reads all of them first; for a value of twenty fields that takes longer than the work
it is made for.
"""

from __future__ import annotations

from dataclasses import MISSING
from dataclasses import fields as fields_of
from reprlib import recursive_repr
from typing import Any, Dict, Tuple, Type, TypeVar

__all__ = ["Value", "build", "evolve", "make"]

Kind = TypeVar("Kind")

_new, _set = object.__new__, object.__setattr__


class Value:
    """Equality, hash and repr of a frozen dataclass, as ``dataclass`` would write them.

    It would write and compile them for each class anew, for which every program that starts would wait.
    """

    def __eq__(self, other: object) -> bool:
        return _contents(self) == _contents(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_contents(self))

    @recursive_repr("...")
    def __repr__(self: Any) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields_of(self) if each.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"


def _contents(value: Any) -> Tuple[Any, ...]:
    return tuple([getattr(value, name) for name in value.__dataclass_fields__])


def build(kind: Type[Kind], fields: Dict[str, Any]) -> Kind:
    """Make a frozen dataclass from a dict of all its fields; the caller must not use the dict afterwards."""
    value = _new(kind)
    _set(value, "__dict__", fields)
    return value


def make(kind: Type[Kind], **fields: Any) -> Kind:
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


def evolve(value: Kind, **changes: Any) -> Kind:
    """Copy a frozen dataclass with some of its fields changed, much faster than ``dataclasses.replace``."""
    fields = value.__dict__ | changes
    assert len(fields) == len(value.__dict__), f"{type(value).__name__} has not all of {', '.join(changes)}"
    return build(type(value), fields)
