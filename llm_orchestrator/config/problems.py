"""Turns the problems of a configuration into one ConfigurationError.

Every text names the key path, what is wrong and what to do. None shows a value, which could be an API key.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
)

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.suggestions import did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["MOST_SHOWN", "Path", "Problem", "configuration_error", "schema_problems"]

#: Problems that one error tells in full.
MOST_SHOWN = 30
#: Characters of a name that is shown; keys have more.
_LONGEST_SHOWN = 20

Path = Tuple[Union[str, int], ...]


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        path: The keys and list positions from the top of the file to the value.
        text: What is wrong and what to do.
        line: The line of the file; None where there is none.
    """

    path: Path
    text: str
    line: Optional[int] = None

    def __str__(self) -> str:
        """Return ``line 7: providers.openai.fallback_models[0]: text``."""
        dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{dotted.lstrip('.')}: {self.text}" if dotted else self.text


def configuration_error(source: str, problems: Sequence[Problem]) -> ConfigurationError:
    """Make one error of all problems."""
    if len(problems) == 1:
        return ConfigurationError(f"{source}: {problems[0]}")
    lines = "".join(f"\n  {problem}" for problem in problems[:MOST_SHOWN])
    if len(problems) > MOST_SHOWN:
        lines += f"\n  and {len(problems) - MOST_SHOWN} more."
    return ConfigurationError(f"{source}: {len(problems)} problems.{lines}")


def schema_problems(error: ValidationError, sections: Mapping[str, Type[BaseModel]]) -> List[Problem]:
    """Translate the errors that pydantic reports."""
    findings = error.errors(include_url=False)
    return [_from_finding(finding, sections) for finding in findings if finding["type"] not in _CONSEQUENCES]


#: So long is the path of a key of an entry: ``providers``, the entry's name, the key.
ENTRY_KEY = 3
#: Where the budgets of tags stand, each below the tag's name.
_TAG_BUDGETS: Path = ("cost_tracking", "budget", "tags")
_EMPTY: Mapping[Path, str] = {
    ("providers",): "is empty. Add an entry for a provider, or pass providers of your own as `providers=`."
}
#: Errors that pydantic reports only as a consequence of another one.
_CONSEQUENCES = {"default_factory_not_called"}


def _from_finding(finding: ErrorDetails, sections: Mapping[str, Type[BaseModel]]) -> Problem:
    kind = finding["type"]
    path: Path = tuple(part for part in finding["loc"] if part != "[key]")
    if path != finding["loc"]:
        return Problem(path, "the key should be a string. Put it in quotes.")
    if kind == "extra_forbidden":
        return Problem(path, f"unknown key. {did_you_mean(str(path[-1]), _known_keys(path, sections))}")
    return Problem(path, _text_of(finding, path))


def _text_of(finding: ErrorDetails, path: Path) -> str:
    """What is wrong with a value, and its right form."""
    texts: Dict[str, Callable[[], str]] = {
        "missing": lambda: f"missing. Add `{path[-1]}: ...`.",
        "model_type": lambda: "should be a mapping. Write its keys indented below it.",
        "string_type": lambda: f"should be a string. Put it in quotes{_example(finding, _quoted)}.",
        "list_type": lambda: f"should be a list. Put it in brackets{_example(finding, _bracketed)}.",
        "too_short": lambda: _EMPTY.get(path, "is empty. Write at least one key below it."),
        "value_error": lambda: str(finding["ctx"]["error"]),
    }
    if finding["type"] in texts:
        return texts[finding["type"]]()
    what = finding["msg"].replace("Input should", "should", 1)
    return f"{what}. Correct the value, or remove the key to get its default."


def _example(finding: ErrorDetails, form: Callable[[Any], str]) -> str:
    """The value in its right form, where it is the name of a model and too short for a key."""
    value, keys = finding.get("input"), {str(part) for part in finding["loc"]}
    # `on` and `yes` are read as true and false, and how the value was written is not known.
    is_name = (
        isinstance(value, (str, int, float))
        and not isinstance(value, bool)
        and len(str(value)) <= _LONGEST_SHOWN
    )
    return f": {form(value)}" if is_name and keys & {"active_model", "fallback_models", "models"} else ""


def _quoted(value: Any) -> str:
    """The form of a string in YAML that nothing else can be read as."""
    return f'"{value}"'


def _bracketed(value: Any) -> str:
    """The form of a list with one item."""
    return f"[{value}]"


def _known_keys(path: Path, sections: Mapping[str, Type[BaseModel]]) -> Iterable[str]:
    # The names of the entries below `providers` are free; one may be the name of a section.
    inside = path[:1] if path[0] == "providers" and len(path) <= ENTRY_KEY else path[:-1]
    if path[:-2] == _TAG_BUDGETS:  # the names of tags are free, too
        inside = _TAG_BUDGETS
    section = next((part for part in reversed(inside) if isinstance(part, str)), "")
    return [field.alias or name for name, field in sections[section].model_fields.items()]
