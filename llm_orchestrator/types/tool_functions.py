"""What is known of a Python function that is a tool: its name, its words, its parameters and their types.

Partials, bound methods and objects that can be called are functions too. One pydantic class made of the
parameters describes them to the model, and checks the arguments that the model then writes.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Callable, Dict, List, Mapping, Tuple, Type, get_type_hints

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Parameters", "documentation_of", "faults_of", "is_async", "name_of"]

#: Types that a default tells where there is no hint.
PLAIN_DEFAULTS = (bool, int, float, str)


def name_of(tool: Callable[..., Any]) -> str:
    """The name of a function; of an object that can be called, that of its class."""
    function = _without_partials(tool)
    name: str = getattr(function, "__name__", "") or type(function).__name__
    return name


def documentation_of(tool: Callable[..., Any]) -> str:
    """The docstring of a function; of an object, that of its ``__call__``, else of its class."""
    function = _without_partials(tool)
    return inspect.getdoc(_with_hints(function)) or inspect.getdoc(function) or ""


def is_async(tool: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(_with_hints(_without_partials(tool)))


def _without_partials(tool: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(tool, partial):
        tool = tool.func
    return tool


def _with_hints(function: Any) -> Any:
    """What has the annotations: the function itself, or the ``__call__`` of an object."""
    is_function = (
        inspect.isroutine(function) or isinstance(function, type) or hasattr(function, "__wrapped__")
    )
    return function if is_function else type(function).__call__


class Parameters:
    """The parameters of a function, without those that a partial has set.

    Args:
        tool: The function.
        described: Words for parameters, by name.

    Attributes:
        model: The pydantic class whose fields they are, under aliases.
    """

    def __init__(self, tool: Callable[..., Any], described: Mapping[str, str]) -> None:
        from pydantic import create_model

        self._kinds: List[Tuple[str, Any]] = []
        name = name_of(tool)
        fields: Dict[str, Any] = {}
        hints = get_type_hints(_with_hints(_without_partials(tool)), include_extras=True)
        for parameter in _open_parameters(tool):
            field = f"field_{len(fields)}"  # pydantic refuses some names that Python allows for parameters
            fields[field] = _field_of(name, parameter, hints, described)
            self._kinds.append((field, parameter))
        self.model: Type[BaseModel] = create_model(name, **fields)

    def read(self, text: str) -> Tuple[List[Any], Dict[str, Any]]:
        """Check arguments that are JSON; those that were not given are left to the function's defaults."""
        values = self.model.model_validate_json(text)
        by_place: List[Any] = []
        by_name: Dict[str, Any] = {}
        for field, parameter in self._kinds:
            if parameter.kind is parameter.POSITIONAL_ONLY:
                by_place.append(getattr(values, field))
            elif field in values.model_fields_set:
                by_name[parameter.name] = getattr(values, field)
        return by_place, by_name


def _open_parameters(tool: Callable[..., Any]) -> List[inspect.Parameter]:
    """The parameters that the model sets: what a partial has set is the application's, and may be secret."""
    taken: Dict[str, Any] = {}
    function = tool
    while isinstance(function, partial):
        taken.update(function.keywords)
        function = function.func
    return [found for name, found in inspect.signature(tool).parameters.items() if name not in taken]


def _field_of(
    tool: str, parameter: inspect.Parameter, hints: Mapping[str, Any], described: Mapping[str, str]
) -> Tuple[Any, Any]:
    from pydantic import Field
    from pydantic.fields import FieldInfo

    from llm_orchestrator.exceptions import InvalidRequestError

    name, default = parameter.name, parameter.default
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise InvalidRequestError(
            f"The tool {tool!r} takes *{name}. Declare each parameter, so that the model knows its name."
        )
    hint = hints.get(name) or (type(default) if isinstance(default, PLAIN_DEFAULTS) else None)
    if hint is None:
        raise InvalidRequestError(
            f"The parameter {name!r} of the tool {tool!r} has no type, so the model cannot know what to "
            f"pass. Write {name}: str, or whatever it takes."
        )
    if isinstance(default, FieldInfo):  # ``city: str = Field(description=...)``
        hint, default = Annotated[hint, default], ...
    default = ... if default is parameter.empty else default
    words: Dict[str, Any] = {"description": described[name]} if name in described else {}
    return hint, Field(default, alias=name, **words)


def faults_of(error: Any) -> str:
    """Name the arguments that do not fit, and why, for the model to correct."""
    return "; ".join(
        ": ".join([*(str(step) for step in fault["loc"]), fault["msg"]]) for fault in error.errors()
    )
