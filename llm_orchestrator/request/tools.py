"""Reads ``tools`` and ``tool_choice``: functions, pydantic classes and dicts become the OpenAI Chat form."""

from __future__ import annotations

import inspect
import re
from collections import abc
from itertools import takewhile
from textwrap import dedent
from typing import Annotated, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, get_type_hints

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.output import json_schema, schema_of
from llm_orchestrator.types import JSON
from llm_orchestrator.utils.json_schema import with_object_at_root

__all__ = ["read_tool_choice", "read_tools"]

CHOICES = ("auto", "none", "required")
#: A tool name that all providers accept.
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
SECTION = re.compile(
    r"^(?:Args|Arguments|Returns|Yields|Raises|Examples?|Notes?|Attributes):\s*$", re.MULTILINE
)


def read_tools(tools: Optional[Sequence[Any]]) -> Tuple[JSON, ...]:
    """Read the ``tools`` of a call."""
    if tools is None:
        return ()
    if isinstance(tools, (str, abc.Mapping)) or not isinstance(tools, abc.Sequence):
        raise InvalidRequestError(f"tools is a {type(tools).__name__}. Pass a list of tools.")
    read = tuple(_read_tool(tool) for tool in tools)
    names = _names(read)
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise InvalidRequestError(f"Two tools are named {duplicate!r}. Give each tool its own name.")
    return read


def read_tool_choice(choice: Any, tools: Sequence[JSON]) -> Any:
    """Read the ``tool_choice`` of a call."""
    if choice is None or choice in CHOICES:
        return choice
    function = choice.get("function") if isinstance(choice, abc.Mapping) else {"name": choice}
    name = function.get("name") if isinstance(function, abc.Mapping) else None
    names = _names(tools)
    if name not in names:
        raise InvalidRequestError(
            f"tool_choice {choice!r} is not a tool of this call. Use one of {', '.join([*CHOICES, *names])}."
        )
    return {"type": "function", "function": {"name": name}}


def _names(tools: Sequence[JSON]) -> List[str]:
    return [tool["function"]["name"] for tool in tools if tool.get("type") == "function"]


def _read_tool(tool: Any) -> JSON:
    if isinstance(tool, abc.Mapping):
        return _checked(tool)
    if isinstance(tool, type) and hasattr(tool, "model_json_schema"):
        return _from_class(tool)
    if callable(tool):
        return _from_function(tool)
    raise InvalidRequestError(
        f"A tool is a {type(tool).__name__}. Pass a function, a pydantic class or an OpenAI Chat dict."
    )


def _checked(tool: JSON) -> JSON:
    if tool.get("type") != "function":
        return tool  # one of the provider's own tools, sent as it is
    function = tool.get("function")
    if not isinstance(function, abc.Mapping) or not function.get("name"):
        raise InvalidRequestError(
            'A tool has no name. Write {"type": "function", "function": {"name": ..., "parameters": {...}}}.'
        )
    parameters = function.get("parameters")
    if not isinstance(parameters, (abc.Mapping, type(None))):
        raise InvalidRequestError(
            f"The parameters of the tool {function['name']!r} are a {type(parameters).__name__}. Pass a JSON "
            "schema as a dict, or leave them out."
        )
    return tool


def _function(name: str, description: str, parameters: JSON) -> JSON:
    function: Dict[str, Any] = {"name": name, "parameters": parameters}
    if description:
        function["description"] = description
    return {"type": "function", "function": function}


def _from_class(tool: Any) -> JSON:
    _check_name(tool.__name__)
    schema = with_object_at_root(schema_of(tool))
    if schema.get("type") != "object":
        raise InvalidRequestError(f"The tool {tool.__name__} has no fields. Pass a class with fields.")
    own = inspect.cleandoc(tool.__doc__ or "")  # not inspect.getdoc, which finds pydantic's docstring
    return _function(tool.__name__, own, schema)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidRequestError(
            f"The tool name {name!r} is not valid: use ASCII letters, digits, _ and -, at most 64."
        )


def _from_function(function: Callable[..., Any]) -> JSON:
    from pydantic.errors import PydanticUserError

    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise InvalidRequestError(f"The tool {function!r} has no name. Define it with def.")
    _check_name(name)
    documentation = inspect.getdoc(function) or ""
    try:
        schema = _schema_of_parameters(name, function, _documented_arguments(documentation))
    except (NameError, TypeError, ValueError, PydanticUserError) as error:
        raise InvalidRequestError(
            f"The parameters of the tool {name!r} have no JSON schema: {error}. Use types that JSON can "
            "represent."
        ) from error
    return _function(name, _described(documentation), schema)


def _schema_of_parameters(
    tool: str, function: Callable[..., Any], described: Mapping[str, str]
) -> Dict[str, Any]:
    from pydantic import Field, create_model
    from pydantic.fields import FieldInfo

    hints = get_type_hints(function, include_extras=True)
    fields: Any = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InvalidRequestError(
                f"The tool {tool!r} takes *{name}. Declare each parameter, so that the model knows its name."
            )
        hint, default = hints.get(name, Any), parameter.default
        if isinstance(default, FieldInfo):  # ``city: str = Field(description=...)``
            hint, default = Annotated[hint, default], ...
        default = ... if default is parameter.empty else default
        # An alias, because pydantic refuses some field names that Python allows for parameters.
        described_as: Dict[str, Any] = {"description": described[name]} if name in described else {}
        field = Field(default, alias=name, **described_as)
        fields[f"field_{len(fields)}"] = (hint, field)
    model: Any = create_model(tool, **fields)
    schema = json_schema(model)
    schema.pop("title", None)
    return schema


def _described(documentation: str) -> str:
    """The docstring up to its first section, all of it: the model chooses its tool by it."""
    return SECTION.split(documentation, maxsplit=1)[0].strip()


def _documented_arguments(documentation: str) -> Dict[str, str]:
    """The descriptions in the Args section of a Google-style docstring, with any indentation."""
    indented = takewhile(
        lambda line: not line or line.startswith(" "), documentation.partition("Args:\n")[2].splitlines()
    )
    described: Dict[str, List[str]] = {}
    name = ""
    for line in dedent("\n".join(indented)).splitlines():
        begins = re.match(r"(\w+)(?: \([^)]*\))?:\s*(.*)", line)
        if begins:
            name = begins[1]
            described[name] = [begins[2]]
        elif name:
            described[name].append(line.strip())
    return {name: " ".join(text).strip() for name, text in described.items()}
