"""Turns the problems of a configuration into one ConfigurationError.

Every text names the key path, what is wrong and what to do. None shows a value, which could be an API key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, List, Mapping, NamedTuple, Sequence, Tuple, Type, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.suggestions import did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["Path", "Problem", "configuration_error", "schema_problems"]

_MOST_SHOWN = 30

Path = Tuple[Union[str, int], ...]


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        path: The keys and list positions from the top of the file to the value.
        text: What is wrong and what to do.
    """

    path: Path
    text: str

    def __str__(self) -> str:
        """Return ``providers.openai.fallback_models[0]: text``."""
        dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return f"{dotted.lstrip('.')}: {self.text}" if dotted else self.text


def configuration_error(source: str, problems: Sequence[Problem]) -> ConfigurationError:
    """Make one error of all problems."""
    if len(problems) == 1:
        return ConfigurationError(f"{source}: {problems[0]}")
    lines = "".join(f"\n  {problem}" for problem in problems[:_MOST_SHOWN])
    if len(problems) > _MOST_SHOWN:
        lines += f"\n  and {len(problems) - _MOST_SHOWN} more."
    return ConfigurationError(f"{source}: {len(problems)} problems.{lines}")


def schema_problems(error: ValidationError, sections: Mapping[str, Type[BaseModel]]) -> List[Problem]:
    """Translate the errors that pydantic reports."""
    findings = error.errors(include_url=False, include_input=False)
    return [_from_finding(finding, sections) for finding in findings if finding["type"] not in _CONSEQUENCES]


#: Errors that pydantic reports only as a consequence of another one.
_CONSEQUENCES = {"default_factory_not_called"}


def _from_finding(finding: ErrorDetails, sections: Mapping[str, Type[BaseModel]]) -> Problem:
    kind = finding["type"]
    path: Path = tuple(part for part in finding["loc"] if part != "[key]")
    if path != finding["loc"]:
        return Problem(path, "the key should be a string. Put it in quotes.")
    if kind == "extra_forbidden":
        return Problem(path, f"unknown key. {did_you_mean(str(path[-1]), _known_keys(path, sections))}")
    if kind == "missing":
        return Problem(path, f"missing. Add `{path[-1]}: ...`.")
    if kind == "model_type":
        return Problem(path, "should be a mapping. Write its keys indented below it.")
    if kind == "value_error":
        return Problem(path, str(finding["ctx"]["error"]))
    what = finding["msg"].replace("Input should", "should", 1)
    return Problem(path, f"{what}. Correct the value, or remove the key to get its default.")


def _known_keys(path: Path, sections: Mapping[str, Type[BaseModel]]) -> Iterable[str]:
    # The names of the entries below `providers` are free; one may be the name of a section.
    inside = path[:1] if path[0] == "providers" else path[:-1]
    section = next((part for part in reversed(inside) if isinstance(part, str)), "")
    return [field.alias or name for name, field in sections[section].model_fields.items()]
