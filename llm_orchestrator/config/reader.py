"""Reads a YAML file into plain values; every error names the file and, where known, line and column.

PyYAML reads it with the rules of ``safe_load``. Added are limits on size and nesting, and an error for a key
that appears twice in one mapping.
"""

from __future__ import annotations

import os
import select
import stat
from typing import Any, ClassVar, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

import yaml

from llm_orchestrator.config.problems import Path
from llm_orchestrator.config.substitution import MAX_DEPTH
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.files import read_regular

__all__ = ["YamlFile", "read_yaml"]

_MAX_BYTES = 1_000_000
#: Seconds to wait for the first byte from a pipe.
PIPE_PATIENCE = 5.0

# The C parser is several times faster, but not every PyYAML is built with it.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]  # chosen at run time
    """Reads dates as strings, such as an unquoted ``api_version: 2023-06-01``, and refuses duplicate keys."""

    yaml_implicit_resolvers: ClassVar[Dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_document(self, node: yaml.Node) -> Any:
        """Check the keys first: PyYAML would keep the last of two values without a word."""
        _check_keys(node, set())
        return super().construct_document(node)


class YamlFile(NamedTuple):
    """A YAML file that was read.

    Attributes:
        values: Its mapping.
        text: Its text.
    """

    values: Dict[Any, Any]
    text: str

    def lines_of(self, paths: Iterable[Path]) -> List[Optional[int]]:
        """Find the line of each key, or of the nearest one above it that is there."""
        root: Any = yaml.compose(self.text, Loader=_SafeLoader)
        return [_line_of(root, path) for path in paths]


def read_yaml(path: str) -> YamlFile:
    """Read a YAML file that holds one mapping."""
    text = _decoded(path, _read_bytes(path))
    problem: Optional[str] = None
    value = None
    try:
        _check_depth(text)
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problem = _described(error, text)
    except Exception:  # noqa: BLE001 (an explicit tag raises anything, with the value in its text)
        problem = "a value does not match its tag. Put it in quotes, and remove tags that begin with `!!`."
    if problem:
        raise ConfigurationError(f"{path}: {problem}")
    if value is None:
        raise ConfigurationError(f"{path}: the file is empty. Write one by `llm-orchestrator init --force`.")
    if not isinstance(value, dict):
        raise ConfigurationError(
            f"{path}: the file is not a mapping. Begin with a line such as `active_provider: openai`."
        )
    return YamlFile(value, text)


def _read_bytes(path: str) -> bytes:
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise ConfigurationError(f"{path}: this is a folder or a device. Pass the path of a YAML file.")
        data = _read_pipe(path) if stat.S_ISFIFO(mode) else read_regular(path, _MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: the file does not exist. Write one by `llm-orchestrator init`, or pass another path."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"{path!r}: the file cannot be read ({reason}). Check the path and the permissions."
        ) from error
    if len(data) > _MAX_BYTES:
        raise ConfigurationError(
            f"{path}: the file is larger than {_MAX_BYTES:,} bytes. Check that it is the configuration."
        )
    return data


def _read_pipe(path: str) -> bytes:
    """Read a pipe, as a shell makes of ``<(command)``; one that nobody writes to is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as pipe:
        if not select.select([pipe], [], [], PIPE_PATIENCE)[0]:
            raise ConfigurationError(
                f"{path}: nothing was written to this pipe for {PIPE_PATIENCE:g} seconds. "
                "Check the command that writes to it, or pass the path of a YAML file."
            )
        os.set_blocking(descriptor, True)
        return pipe.read(_MAX_BYTES + 1)


def _decoded(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    raise ConfigurationError(f"{path}, line {line}: the text is not valid UTF-8. Save the file as UTF-8.")


def _check_depth(text: str) -> None:
    """Bound the nesting before anything is built: libyaml before 0.2.6 crashes on deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _error("the nesting is too deep", event)


def _check_keys(node: yaml.Node, seen: Set[int]) -> None:
    if id(node) in seen:  # an alias is the same node as its anchor
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: Set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise _error(f"the key {key.value!r} appears twice", key)
                keys.add(key.value)
            _check_keys(value, seen)


def _error(problem: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def _line_of(node: Any, path: Path) -> Optional[int]:
    line: Optional[int] = None
    for step in path:
        found = _child_of(node, step)
        if found is None:
            break
        mark, node = found
        line = mark.line + 1
    return line


def _child_of(node: Any, step: Any) -> Optional[Tuple[Any, Any]]:
    """Where the key or item of a path stands, and its value."""
    if isinstance(node, yaml.MappingNode):
        keys = ((key.start_mark, value) for key, value in node.value if key.value == str(step))
        return next(keys, None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark, node.value[step]
    return None


def _described(error: yaml.YAMLError, text: str) -> str:
    """Where and what, without PyYAML's excerpt of the file: the line may hold a key."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    parts = [getattr(error, name, None) for name in ("context", "problem", "reason")]
    problem = ", ".join(filter(None, parts)) or "this is not valid YAML"
    lines = text.splitlines()
    if mark and mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        return f"{where}the line is indented with a tab. Use spaces."
    return f"{where}{problem}. Correct the YAML there."
