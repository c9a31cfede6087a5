"""Replaces ``${NAME}`` and ``${NAME:-default}`` in the strings of a configuration by environment variables.

This happens after the YAML was read, string by string: a variable's value is never parsed as YAML.
"""

from __future__ import annotations

import re
from collections import abc
from typing import Any, List, Mapping, Match

from llm_orchestrator.config.problems import Path, Problem

__all__ = ["MAX_DEPTH", "Substitution"]

#: Most levels of nesting, and most values once aliases are expanded, that a configuration may have.
MAX_DEPTH = 50
MAX_VALUES = 100_000

#: The limit on the length of a default keeps the search linear in a file full of unclosed references.
_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]{0,1000})?\})?"
)
_ABSENT: Any = object()


class Substitution:
    """A configuration with its variables replaced.

    Attributes:
        tree: A copy of the plain values; a key or list item whose variable is not set is left out.
        problems: Every variable that is not set and every reference that is not valid.
    """

    def __init__(self, value: Any, environment: Mapping[str, str]) -> None:
        self.problems: List[Problem] = []
        self._environment = environment
        self._values = 0
        self.tree = self._filled(value, ())

    def _filled(self, value: Any, path: Path) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            return self._absent(path[:1], f"more than {MAX_VALUES:,} values. Use fewer aliases.")
        if isinstance(value, str):
            return self._text(value, path)
        if not isinstance(value, (abc.Mapping, list, tuple)):
            return value
        if len(path) >= MAX_DEPTH:
            return self._absent(
                path[:3], "nested too deeply. Flatten it, or remove an alias that refers to itself."
            )
        if isinstance(value, abc.Mapping):
            items = {key: self._filled(item, (*path, key)) for key, item in value.items()}
            return {key: item for key, item in items.items() if item is not _ABSENT}
        filled = (self._filled(item, (*path, index)) for index, item in enumerate(value))
        return [item for item in filled if item is not _ABSENT]

    def _text(self, text: str, path: Path) -> Any:
        if "${" not in text:
            return text
        before = len(self.problems)
        filled = _REFERENCE.sub(lambda reference: self._value(reference, path), text)
        return filled if len(self.problems) == before else _ABSENT

    def _value(self, reference: Match[str], path: Path) -> str:
        name, default = reference["name"], reference["default"]
        if reference["escaped"]:
            return "${"
        if name is None:
            self._absent(path, "has a ${...} that is not valid. Write ${NAME} or ${NAME:-default}.")
            return ""
        value = self._environment.get(name)
        if default is not None:
            return value or default[2:]
        if value is None:
            self._absent(
                path, f"the environment variable {name} is not set. Set it, or write ${{{name}:-default}}."
            )
            return ""
        return value

    def _absent(self, path: Path, text: str) -> Any:
        problem = Problem(path, text)
        if problem not in self.problems[-1:]:  # the same variable twice in one string
            self.problems.append(problem)
        return _ABSENT
