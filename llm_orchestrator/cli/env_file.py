"""The file ``.env`` beside a configuration: the command line takes from it what the configuration names."""

from __future__ import annotations

import os
import re
from typing import Dict

from llm_orchestrator.cli.terminal import note
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.files import read_regular

__all__ = ["use_env_file"]

NAME = ".env"
#: Set while a shell asks for completions, which go to the terminal with everything else that is said.
COMPLETING = "_LLM_ORCHESTRATOR_COMPLETE"
#: Most bytes that are read; more is another file.
MOST_BYTES = 1_000_000
_REFERENCE = re.compile(r"\$\{(\w+)")
_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)[ \t]*=[ \t]*
    (?:"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)'|(?P<bare>[^\n]*?))[ \t]*(?:(?<=\s)\#[^\n]*)?$""",
    re.MULTILINE | re.VERBOSE,
)


def use_env_file(config: str) -> None:
    """Set the variables that a configuration names and nobody has set, and say which."""
    path = os.path.join(os.path.dirname(config), NAME)
    if not os.path.isfile(path) or not os.path.isfile(config):
        return
    named = set(_REFERENCE.findall(_text(config)))
    found = {
        name: value
        for name, value in _variables(_text(path)).items()
        if name in named and name not in os.environ
    }
    os.environ.update(found)
    if found and COMPLETING not in os.environ:
        note(f"{', '.join(sorted(found))}: taken from {path}. Programs do not read that file.")


def _variables(text: str) -> Dict[str, str]:
    """The variables of a file in the usual form: ``NAME=value`` in each line, taken as it stands."""
    return {
        line["name"]: next(value for value in line.group("double", "single", "bare") if value is not None)
        for line in _LINE.finditer(text.replace("\r\n", "\n"))
    }


def _text(path: str) -> str:
    try:
        return read_regular(path, MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({type(error).__name__}). Check its permissions and that it is UTF-8."
        ) from error
