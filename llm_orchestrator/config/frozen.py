"""Dicts and lists that cannot be changed, so that a loaded configuration stays as it was checked.

They are subclasses of dict and list, and compare, copy, pickle and serialize to JSON like these.
"""

from __future__ import annotations

from typing import Any, Dict, List, NoReturn, Tuple

__all__ = ["FrozenDict", "FrozenList", "freeze"]


class FrozenDict(Dict[str, Any]):
    """A dict that raises TypeError on every change."""

    def __reduce__(self) -> Tuple[Any, ...]:
        """Copy and pickle through the constructor, because the default sets items one by one."""
        return type(self), (dict(self),)


class FrozenList(List[Any]):
    """A list that raises TypeError on every change."""

    def __reduce__(self) -> Tuple[Any, ...]:
        """Copy and pickle through the constructor, because the default appends items one by one."""
        return type(self), (list(self),)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("The configuration is frozen after loading. Change the YAML and load it again.")


for _name in ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
    setattr(FrozenDict, _name, _refuse)
for _name in ("__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "clear", "extend", "insert"):
    setattr(FrozenList, _name, _refuse)
for _name in ("pop", "remove", "reverse", "sort"):
    setattr(FrozenList, _name, _refuse)


def freeze(value: Any) -> Any:
    """Copy a value with every dict and list in it frozen."""
    if isinstance(value, dict):
        return FrozenDict({key: freeze(item) for key, item in value.items()})
    if isinstance(value, list):
        return FrozenList([freeze(item) for item in value])
    return value
