"""Reads a YAML file into plain values; every error names the file and, where known, line and column.

A file in JSON is one, too, and read by the standard library.
"""

from __future__ import annotations

import json
import os
import select
import stat
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from llm_orchestrator.config.problems import Path
from llm_orchestrator.config.substitution import MAX_DEPTH
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.files import read_regular
from llm_orchestrator.utils.json import is_deeper

__all__ = ["YamlFile", "read_yaml"]

_MAX_BYTES = 1_000_000
#: Seconds to wait for the first byte from a pipe.
PIPE_PATIENCE = 5.0


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
        from llm_orchestrator.config.yaml_text import lines_of  # only errors need it

        return lines_of(self.text, paths)


def read_yaml(path: str) -> YamlFile:
    """Read a YAML file that holds one mapping."""
    text = _decoded(path, _read_bytes(path))
    try:
        value = _of_json(text) or _of_yaml(text)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    if value is None:
        raise ConfigurationError(f"{path}: the file is empty. Write one by `llm-orchestrator init --force`.")
    if not isinstance(value, dict):
        raise ConfigurationError(
            f"{path}: the file is not a mapping. Begin with a line such as `active_provider: openai`."
        )
    return YamlFile(value, text)


def _of_json(text: str) -> Optional[Dict[str, Any]]:
    """The mapping of a file in JSON, which is YAML that the standard library reads; None for other files.

    Whatever is not quite JSON is left to PyYAML, which knows what is wrong and where.
    """
    if not text.startswith("{"):
        return None
    try:
        value: Dict[str, Any] = json.loads(text, object_pairs_hook=_unique, parse_constant=int)  # no NaN
    except (ValueError, RecursionError):
        return None
    return None if is_deeper(value, MAX_DEPTH) else value


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key appears twice")
    return values


def _of_yaml(text: str) -> Any:
    from llm_orchestrator.config.yaml_text import parsed  # it takes longer to import than a file to read

    return parsed(text)


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
