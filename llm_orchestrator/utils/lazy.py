"""Modules that are imported, and patterns that are compiled, when first needed: a program starts fast."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable, Optional

from llm_orchestrator.utils.forks import forks_wait

__all__ = ["LazyModule", "LazyPattern"]


class LazyModule:
    """Stands for a module, also in annotations: ``typing.get_type_hints`` then imports it.

    Where ``TYPE_CHECKING`` holds, the same name is the module itself.
    """

    def __init__(self, name: str, explained: Optional[Callable[[OSError], Exception]] = None) -> None:
        self._name = name
        self._explained = explained

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "__isabstractmethod__":  # an abstract class asks it of all that stands in it
            raise AttributeError(attribute)
        try:
            with forks_wait:
                value = getattr(import_module(self._name), attribute)
        except OSError as error:  # no file can be opened
            if self._explained is None:
                raise
            raise self._explained(error) from error
        setattr(self, attribute, value)
        return value


if TYPE_CHECKING:
    LazyPattern = re.compile
else:

    class LazyPattern:
        """Stands for a pattern that few programs need, with all its methods; made like ``re.compile``."""

        def __init__(self, pattern: str, flags: int = 0) -> None:
            self._made_of = (pattern, flags)

        def __getattr__(self, attribute: str) -> Any:
            value = getattr(re.compile(*self._made_of), attribute)
            setattr(self, attribute, value)
            return value
