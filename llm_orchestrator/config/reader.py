"""Reads a configuration file into plain values, and tells file, line and column when it cannot.

A YAML file may come from anywhere, so it is checked event by event before anything is built from it: nesting
and the size that aliases expand to are bounded (libyaml crashes on deep nesting), and no key may stand twice.
"""

from __future__ import annotations

import os
import stat
from typing import Any, ClassVar, Dict, List, Optional, Set

import yaml

from llm_orchestrator.config.substitution import MAX_DEPTH
from llm_orchestrator.exceptions import ConfigurationError

__all__ = ["read_yaml"]

_MAX_BYTES = 1_000_000
_MAX_VALUES = 100_000

# The C parser is several times faster, but not every PyYAML is built with it.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]  # chosen at run time
    """Leaves dates as text: an unquoted ``api_version: 2023-06-01`` is a name, not a day."""

    yaml_implicit_resolvers: ClassVar[Dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(path: str) -> Dict[Any, Any]:
    """Read a YAML file that holds one mapping."""
    text = _decoded(path, _read_bytes(path))
    problem: Optional[str] = None
    value = None
    try:
        _check_structure(text)
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problem = _described(error)
    except Exception:  # noqa: BLE001 (what the constructor of an explicit tag meets escapes from PyYAML)
        # It has the value in its text (`!!int x`: ValueError, `!!bool x`: KeyError).
        problem = "a value does not fit its type. Put it in quotes, and remove tags that begin with `!!`."
    if problem:
        raise ConfigurationError(f"{path}: {problem}")
    if value is None:
        raise ConfigurationError(f"{path}: the file is empty. Copy config.example.yaml and edit it.")
    if not isinstance(value, dict):
        raise ConfigurationError(
            f"{path}: the file must hold a mapping. Begin with lines such as `active_provider: openai`."
        )
    return value


def _read_bytes(path: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigurationError(f"{path}: this is a folder or a device. Give the path of a YAML file.")
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: there is no such file. Copy config.example.yaml there, or give another path."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"{path!r}: the file cannot be read ({reason}). Check path and permissions."
        ) from error
    if len(data) > _MAX_BYTES:
        raise ConfigurationError(
            f"{path}: the file is larger than {_MAX_BYTES} bytes. No configuration is; check the path."
        )
    return data


def _decoded(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    raise ConfigurationError(f"{path}, line {line}: the text is not UTF-8. Save the file as UTF-8.")


class _Collection:
    """A mapping or sequence whose end was not read yet."""

    def __init__(self, start: yaml.CollectionStartEvent) -> None:
        self.anchor = start.anchor
        self.size = 1
        self._is_mapping = isinstance(start, yaml.MappingStartEvent)
        self._keys: Set[str] = set()
        self._parts = 0

    def add(self, size: int, event: yaml.Event) -> None:
        """Count one more key, value or item, and refuse a key that stands twice."""
        self.size += size
        is_key = self._is_mapping and self._parts % 2 == 0
        self._parts += 1
        if is_key and isinstance(event, yaml.ScalarEvent):
            if event.value in self._keys:
                raise _refusal(f"the key {event.value!r} stands here twice. Remove one of them", event)
            self._keys.add(event.value)


class _Structure:
    """Follows the events of a file and refuses what must not be built."""

    def __init__(self) -> None:
        self._documents = 0
        self._open: List[_Collection] = []
        self._sizes: Dict[str, int] = {}  # of what each anchor stands for, aliases expanded

    def read(self, event: yaml.Event) -> None:
        """Take the next event."""
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append(_Collection(event))
            if len(self._open) > MAX_DEPTH:
                raise _refusal("the nesting is too deep. Nothing in a configuration needs this", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = self._open.pop()
            self._add(ended.size, ended.anchor, event)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._sizes:
                raise _refusal("an alias has no complete anchor before it. Write the value out", event)
            self._add(self._sizes[event.anchor], None, event)
        elif isinstance(event, yaml.ScalarEvent):
            self._add(1, event.anchor, event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _refusal("a second document begins here. Keep one in the file", event)

    def _add(self, size: int, anchor: Optional[str], event: yaml.Event) -> None:
        if size > _MAX_VALUES:
            raise _refusal(f"more than {_MAX_VALUES} values, aliases written out. Shorten the file", event)
        if anchor is not None:
            self._sizes[anchor] = size
        if self._open:
            self._open[-1].add(size, event)


def _check_structure(text: str) -> None:
    structure = _Structure()
    for event in yaml.parse(text, Loader=_SafeLoader):
        structure.read(event)


class _Refusal(yaml.MarkedYAMLError):
    """Valid YAML that is not accepted; its problem says what to do."""


def _refusal(problem: str, event: yaml.Event) -> _Refusal:
    mark: Any = event.start_mark  # the C and the Python parser have a class of their own
    return _Refusal(problem=problem, problem_mark=mark)


def _described(error: yaml.YAMLError) -> str:
    """Where and what, without PyYAML's excerpt of the file: the line may hold a key."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is no valid YAML"
    return (
        f"{where}{problem}." if isinstance(error, _Refusal) else f"{where}{problem}. Correct the YAML there."
    )
