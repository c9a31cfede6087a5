"""Reads YAML text into plain values, by PyYAML, and finds the line of a key.

Added to the rules of ``safe_load`` are a limit on nesting, and an error for a key that appears twice in one
mapping. This is the one module that imports PyYAML, which takes long: JSON and mappings do without.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Iterable, List, Optional, Set, Tuple

import yaml

from llm_orchestrator.config.problems import Path
from llm_orchestrator.config.substitution import MAX_DEPTH

__all__ = ["lines_of", "parsed"]

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


def parsed(text: str) -> Any:
    """Read a text; what is wrong with it is a ValueError that shows no value."""
    try:
        _check_depth(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problem = _described(error, text)
    except Exception:  # noqa: BLE001 (an explicit tag raises anything, with the value in its text)
        problem = "a value does not match its tag. Put it in quotes, and remove tags that begin with `!!`."
    raise ValueError(problem)


def lines_of(text: str, paths: Iterable[Path]) -> List[Optional[int]]:
    """Find the line of each key, or of the nearest one above it that is there."""
    try:
        root: Any = yaml.compose(text, Loader=_SafeLoader)
    except yaml.YAMLError:  # JSON that is no YAML, such as lines indented with tabs
        root = None
    return [_line_of(root, path) for path in paths]


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
