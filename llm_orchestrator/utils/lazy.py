"""Modules that are imported when something of them is first needed, so that a program starts fast."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Callable, Optional

from llm_orchestrator.utils.forks import forks_wait

__all__ = ["LazyModule"]


class LazyModule:
    """Stands for a module, also in annotations: ``typing.get_type_hints`` then imports it.

    Where ``TYPE_CHECKING`` holds, the same name is the module itself.
    """

    def __init__(self, name: str, explained: Optional[Callable[[OSError], Exception]] = None) -> None:
        self._name = name
        self._explained = explained

    def __getattr__(self, attribute: str) -> Any:
        try:
            with forks_wait:
                value = getattr(import_module(self._name), attribute)
        except OSError as error:  # no file can be opened
            if self._explained is None:
                raise
            raise self._explained(error) from error
        setattr(self, attribute, value)
        return value
