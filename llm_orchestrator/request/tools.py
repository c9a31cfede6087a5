"""Reads ``tools`` and ``tool_choice``: functions, classes and dicts become the OpenAI Chat form.

Tools that the provider runs itself, and what chooses among them, stay as they are.
"""

from __future__ import annotations

import inspect
import re
from collections import abc
from dataclasses import is_dataclass
from itertools import takewhile
from textwrap import dedent
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.output_type import json_schema, schema_of
from llm_orchestrator.types import CHOICES, JSON, LLMRequest
from llm_orchestrator.types.served_tools import ServedTool, each_tool
from llm_orchestrator.types.tool_functions import Parameters, documentation_of, name_of
from llm_orchestrator.utils.json import beside
from llm_orchestrator.utils.json_schema import with_object_at_root
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.suggestions import closest
from llm_orchestrator.utils.values import evolve

__all__ = ["mistyped_choice", "only_with_tools", "read_tool_choice", "read_tools", "refuse_declarations"]

#: The same in Anthropic's form, ``{"type": "any"}``.
CHOICE_WORDS = {"auto": "auto", "none": "none", "any": "required"}
#: Fields of a choice in a provider's own words: OpenAI's allowed tools, Gemini's configuration.
OWN_CHOICES = ("allowed_tools", "functionCallingConfig", "mode")
#: Parameters that providers refuse without tools, and the fields of a body that may hold tools.
NEEDS_TOOLS = ("tool_choice", "parallel_tool_calls")
TOOL_FIELDS = ("tools", "functions")
#: Where others than OpenAI put the schema of a tool's parameters: Anthropic, MCP.
SCHEMAS = ("parameters", "input_schema", "inputSchema")
#: Where Gemini has the functions of a tool, what describes one of them, and where its schema stands.
DECLARATIONS = ("functionDeclarations", "function_declarations")
DECLARED_SCHEMAS = ("parameters", "parametersJsonSchema", "parameters_json_schema")
DECLARATION_KEYS = {"name", "description", *DECLARED_SCHEMAS}
#: Parts of a schema that are values and not schemas.
VALUES_IN_SCHEMAS = ("const", "default", "enum", "example", "examples", "required")
FORM = '{"type": "function", "function": {"name": ..., "parameters": {...}}}'
#: A tool name that all providers accept.
NAME = LazyPattern(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
SECTION = LazyPattern(
    r"^(?:Args|Arguments|Returns|Yields|Raises|Examples?|Notes?|Attributes):\s*$", re.MULTILINE
)


def read_tools(tools: Optional[Sequence[Any]]) -> Tuple[JSON, ...]:
    """Read the ``tools`` of a call."""
    if tools is None:
        return ()
    if isinstance(tools, (str, abc.Mapping)) or not isinstance(tools, abc.Sequence):
        raise InvalidRequestError(f"tools is a {type(tools).__name__}. Pass a list of tools.")
    read = tuple(_read_tool(tool) for given in each_tool(tools) for tool in _declared(given))
    names = _names(read)
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise InvalidRequestError(f"Two tools are named {duplicate!r}. Give each tool its own name.")
    return read


def read_tool_choice(choice: Any, tools: Sequence[JSON]) -> Any:
    """Read the ``tool_choice`` of a call."""
    if choice is None or choice in CHOICES:
        return choice
    hosted = _hosted_choice(choice, [tool for tool in tools if tool.get("type") != "function"])
    if hosted is not None:
        return hosted
    name, names = _chosen_name(choice), _names(tools)
    if name not in names and (tools or not name or not isinstance(name, str)) and not _near_miss(name):
        raise InvalidRequestError(
            f"tool_choice {choice!r} is not a tool of this call. Use one of {', '.join([*CHOICES, *names])}."
        )
    return {"type": "function", "function": {"name": name}}


def mistyped_choice(choice: Any, tools: Sequence[JSON]) -> Optional[Tuple[str, str]]:
    """A choice of no tool of the call that looks like one of the words, and that word."""
    name = _chosen_name(choice) if isinstance(choice, abc.Mapping) else None
    meant = None if name in _names(tools) else _near_miss(name)
    return None if meant is None else (str(name), meant)


def _near_miss(name: Any) -> Optional[str]:
    return closest(name, CHOICES, cutoff=0.7) if isinstance(name, str) else None


def _chosen_name(choice: Any) -> Any:
    """The tool's name in a choice, in the form of OpenAI Chat, Responses or Anthropic, or the plain name."""
    if not isinstance(choice, abc.Mapping):
        return choice
    if "function" in choice or choice.get("type") not in ("function", "tool"):
        choice = choice.get("function")
    return choice.get("name") if isinstance(choice, abc.Mapping) else None


def _hosted_choice(choice: Any, hosted: Sequence[JSON]) -> Any:
    """A choice in the provider's own words, or what chooses one of its own tools; None for any other."""
    if isinstance(choice, abc.Mapping):
        kind, name = choice.get("type"), _chosen_name(choice)
        if isinstance(kind, str) and set(choice) == {"type"} and kind in CHOICE_WORDS:
            return CHOICE_WORDS[kind]
        own = any(name == tool.get("name") for tool in hosted) if name else bool(hosted)
        return choice if own or any(word in choice for word in OWN_CHOICES) else None
    for tool in hosted:
        custom = tool.get("custom")
        if isinstance(custom, abc.Mapping) and custom.get("name") == choice:
            return {"type": "custom", "custom": {"name": choice}}
        if tool.get("name") == choice:
            return {"type": "custom" if tool.get("type") == "custom" else "tool", "name": choice}
        if tool.get("type") == choice:
            return {"type": choice}
    return None


def only_with_tools(request: LLMRequest, asked: LLMRequest) -> Tuple[LLMRequest, Tuple[str, ...]]:
    """Leave out what only means something with tools, where there are none: providers answer it with 400.

    It is said where the call itself asks for it, not where the entry's options do so for all calls.
    """
    asked_for = [name for name in NEEDS_TOOLS if getattr(request, name) is not None]
    found = asked_for or not request.provider_options.keys().isdisjoint(NEEDS_TOOLS)
    if not found or request.tools or any(request.provider_options.get(name) for name in TOOL_FIELDS):
        return request, ()
    warnings = tuple(
        f"{name} was not sent: the call has no tools."
        for name in asked_for
        if getattr(asked, name) is not None
    )
    options = beside(request.provider_options, *NEEDS_TOOLS)
    return evolve(request, **dict.fromkeys(asked_for), provider_options=options), warnings


def _names(tools: Sequence[JSON]) -> List[str]:
    return [tool["function"]["name"] for tool in tools if tool.get("type") == "function"]


def _read_tool(tool: Any) -> JSON:
    if isinstance(tool, abc.Mapping):
        return _checked(_in_chat_form(tool))
    if isinstance(tool, ServedTool):
        return _function(tool.name, tool.description, tool.parameters)
    if isinstance(tool, type):
        return _from_class(tool)
    if callable(tool):
        return _from_function(tool)
    raise InvalidRequestError(
        f"A tool is a {type(tool).__name__}. Pass a function, a pydantic class or an OpenAI Chat dict."
    )


def _in_chat_form(tool: JSON) -> JSON:
    """A function in the flat form of OpenAI Responses, Anthropic or MCP as one in the form of OpenAI Chat."""
    function = tool.get("function")
    if isinstance(function, abc.Mapping):
        return {"type": "function", **tool, "function": _with_parameters(function)}
    if isinstance(tool.get("toolSpec"), abc.Mapping):  # Bedrock's
        return _in_chat_form({**_bedrocks_function(tool["toolSpec"]), **beside(tool, "toolSpec")})
    schemas = [key for key in SCHEMAS if key in tool]
    if "name" not in tool or not (tool.get("type") == "function" or (_may_be_flat(tool) and schemas)):
        return tool
    function = {key: tool[key] for key in ("name", "description", "strict") if tool.get(key) is not None}
    if schemas:
        function["parameters"] = tool[schemas[0]]
    marks = beside(tool, "type", "name", "description", "strict", *SCHEMAS)
    return {"type": "function", "function": function, **marks}


def _with_parameters(function: JSON) -> JSON:
    """A function whose schema stands where OpenAI has it."""
    schemas = [key for key in SCHEMAS if function.get(key) is not None]
    if not schemas or schemas[0] == "parameters":
        return function
    return {**beside(function, *SCHEMAS), "parameters": function[schemas[0]]}


def _bedrocks_function(spec: JSON) -> JSON:
    schema = spec.get("inputSchema")
    if isinstance(schema, abc.Mapping) and "json" in schema:
        schema = schema["json"]
    return {"type": "function", **beside(spec, "inputSchema"), "parameters": schema}


def _declared(tool: Any) -> Sequence[Any]:
    """The functions of a tool in Gemini's form, and what else is in it; any other tool as it is."""
    keys = [key for key in DECLARATIONS if isinstance(tool, abc.Mapping) and key in tool]
    declared = tool[keys[0]] if keys else None
    if not isinstance(declared, abc.Sequence) or not all(map(_is_plain_declaration, declared)):
        return (tool,)  # with what only Gemini knows, such as ``behavior``
    others = beside(tool, *DECLARATIONS)
    functions = [_geminis_function(declaration) for declaration in declared]
    return [*functions, others] if others else functions


def refuse_declarations(tool: JSON) -> None:
    """Refuse functions in Gemini's form, with fields that only Gemini has, for any other provider."""
    if any(key in tool for key in DECLARATIONS):
        raise InvalidRequestError(f"The functions of a tool have fields of Gemini alone. Write {FORM}.")


def _is_plain_declaration(declaration: Any) -> bool:
    return isinstance(declaration, abc.Mapping) and set(declaration) <= DECLARATION_KEYS


def _geminis_function(declaration: JSON) -> JSON:
    schema = next((declaration[key] for key in DECLARED_SCHEMAS if declaration.get(key) is not None), None)
    kept = {key: declaration[key] for key in ("name", "description") if declaration.get(key)}
    parameters = {} if schema is None else {"parameters": _with_lower_types(schema)}
    return {"type": "function", "function": {**kept, **parameters}}


def _with_lower_types(schema: Any) -> Any:
    """A schema with the types of JSON schema, which Gemini also takes in capitals."""
    if isinstance(schema, list):
        return [_with_lower_types(entry) for entry in schema]
    if not isinstance(schema, abc.Mapping):
        return schema
    return {
        key: (
            value.lower()
            if key == "type" and isinstance(value, str)
            else value if key in VALUES_IN_SCHEMAS else _with_lower_types(value)
        )
        for key, value in schema.items()
    }


def _may_be_flat(tool: JSON) -> bool:
    return tool.get("type") in (None, "custom")


def _checked(tool: JSON) -> JSON:
    kind = tool.get("type")
    if kind != "function":
        if isinstance(kind, str) and kind:
            return tool  # one of the provider's own tools, sent as it is
        if kind is None and tool and not _describes_a_function(tool):
            return tool  # one of Gemini's, which are named by their key
        raise InvalidRequestError(f"The tool {tool!r} is in no form of a function. Write {FORM}.")
    function = tool.get("function")
    if not isinstance(function, abc.Mapping) or not function.get("name"):
        raise InvalidRequestError(f"A tool has no name. Write {FORM}.")
    parameters = function.get("parameters")
    if not isinstance(parameters, (abc.Mapping, type(None))):
        raise InvalidRequestError(
            f"The parameters of the tool {function['name']!r} are a {type(parameters).__name__}. Pass a JSON "
            "schema as a dict, or leave them out."
        )
    return tool


def _describes_a_function(tool: JSON) -> bool:
    return any(key in tool for key in ("name", "description", "function", *SCHEMAS))


def _function(name: str, description: str, parameters: JSON) -> JSON:
    function: Dict[str, Any] = {"name": name, "parameters": parameters}
    if description:
        function["description"] = description
    return {"type": "function", "function": function}


def _from_class(tool: Any) -> JSON:
    if not hasattr(tool, "model_json_schema"):
        return _from_plain_class(tool)
    _check_name(tool.__name__)
    schema = with_object_at_root(schema_of(tool))
    if schema.get("type") != "object":
        raise InvalidRequestError(f"The tool {tool.__name__} has no fields. Pass a class with fields.")
    own = inspect.cleandoc(tool.__doc__ or "")  # not inspect.getdoc, which finds pydantic's docstring
    return _function(tool.__name__, own, schema)


def _from_plain_class(tool: Any) -> JSON:
    """A dataclass, or a class whose own constructor says what it takes."""
    if tool.__init__ is object.__init__ or issubclass(tool, (dict, BaseException)):
        raise InvalidRequestError(
            f"The tool {tool.__name__} is a class that does not say what it takes. Make it a dataclass or a "
            "subclass of pydantic.BaseModel, or pass a function."
        )
    made = _from_function(tool)
    name: str = tool.__name__
    if is_dataclass(tool) and str(tool.__doc__).startswith(f"{name}("):
        made["function"].pop("description", None)  # Python's, which repeats the signature
    return made


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidRequestError(
            f"The tool name {name!r} is not valid: use ASCII letters, digits, _ and -, at most 64."
        )


def _from_function(function: Callable[..., Any]) -> JSON:
    from pydantic.errors import PydanticUserError

    name = name_of(function)
    if not name.isidentifier():
        raise InvalidRequestError(f"The tool {function!r} has no name. Define it with def.")
    _check_name(name)
    documentation = documentation_of(function)
    try:
        schema = json_schema(Parameters(function, _documented_arguments(documentation)).model)
    except (NameError, TypeError, ValueError, PydanticUserError) as error:
        raise InvalidRequestError(
            f"The parameters of the tool {name!r} have no JSON schema: {error}. Use types that JSON can "
            "represent."
        ) from error
    schema.pop("title", None)
    return _function(name, _described(documentation), schema)


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
