"""Modules that are imported when something of them is first needed, so that a program starts fast."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["LazyModule"]


class LazyModule:
    """Stands for a module, also in annotations: ``typing.get_type_hints`` then imports it.

    Where ``TYPE_CHECKING`` holds, the same name is the module itself.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value
