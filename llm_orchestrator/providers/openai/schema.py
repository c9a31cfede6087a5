"""JSON Schemas in the form that OpenAI's strict mode accepts: closed objects, all properties required.

Only what is marked strict is changed, as the vendor's SDK does it; limits that strict mode does not know move
into the descriptions. A schema that strict mode cannot express is sent without it, with a warning: the model
is then guided by the schema, but not held to it.
https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, FrozenSet, List, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.providers.json_schema import COMMON_FORMATS, DEFINITIONS, with_limits
from llm_orchestrator.providers.reading import as_list, as_mapping
from llm_orchestrator.request.tools import refuse_declarations
from llm_orchestrator.types import JSON
from llm_orchestrator.utils.json_schema import resolved, with_object_at_root

__all__ = ["accepted_format", "accepted_tools"]

#: Keywords that mean nothing in strict mode, or are rejected by it.
DROPPED = ("default", "discriminator")
#: Keywords that strict mode has nothing for; they move into the description, and pydantic checks them.
LIMITS = ("maxLength", "maxProperties", "minLength", "minProperties", "propertyNames", "uniqueItems")
#: Keywords that leave a choice of schemas; the root must be one object.
CHOICES = ("anyOf", "oneOf", "allOf", "enum", "not")
#: Keywords of which a schema must have one, for strict mode takes no value of any type.
TYPED = ("type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const")

Warnings = Tuple[str, ...]


class _NotStrictError(Exception):
    """The schema allows something that strict mode cannot express."""


def accepted_format(response_format: Optional[JSON]) -> Tuple[Optional[JSON], Warnings]:
    """Bring the schema of a response format into the accepted form."""
    named = response_format.get("json_schema") if response_format is not None else None
    if response_format is None or not isinstance(named, abc.Mapping):
        return response_format, ()
    accepted, warnings = _accepted(named, "schema", "The response format")
    return {**response_format, "json_schema": accepted}, warnings


def accepted_tools(tools: Sequence[JSON]) -> Tuple[List[JSON], Warnings]:
    """Bring the schemas of tools into the accepted form."""
    sent: List[JSON] = []
    warnings: Warnings = ()
    for tool in tools:
        function = tool.get("function")
        if not isinstance(function, abc.Mapping):
            refuse_declarations(tool)
            sent.append(tool)
            continue
        accepted, more = _accepted(function, "parameters", f"The tool {function.get('name')}")
        sent.append({**tool, "function": accepted})
        warnings += more
    return sent, warnings


def _accepted(definition: JSON, field: str, what: str) -> Tuple[JSON, Warnings]:
    schema = definition.get(field)
    if not isinstance(schema, abc.Mapping):
        return definition, ()
    schema = with_object_at_root(schema)
    _check_root(schema, what)
    if definition.get("strict") is not True:
        return {**definition, field: schema}, ()
    try:
        return {**definition, field: _strict(schema, schema, frozenset())}, ()
    except _NotStrictError as error:
        warning = f"{what} was sent without strict, because its schema has {error}."
        return {**definition, field: schema, "strict": False}, (warning,)


def _check_root(schema: JSON, what: str) -> None:
    """OpenAI accepts only an object there, strict or not."""
    if schema.get("type", "object") != "object" or any(key in schema for key in CHOICES):
        raise InvalidRequestError(
            f"{what} has a schema whose root is not one object, which OpenAI does not accept. "
            "Make it a field of a class."
        )


def _strict(schema: Any, root: JSON, inlined: FrozenSet[str]) -> JSON:
    if not isinstance(schema, abc.Mapping) or not any(key in schema for key in TYPED):
        raise _NotStrictError("a value of any type")
    reference = schema.get("$ref")
    if reference is not None:
        return _strict_reference(schema, root, inlined)
    result: Dict[str, Any] = {}
    limits: Dict[str, Any] = {}
    for key, value in schema.items():
        if key in DEFINITIONS:
            result[key] = {name: _strict(child, root, inlined) for name, child in as_mapping(value).items()}
        elif key in ("anyOf", "oneOf"):
            result["anyOf"] = [_strict(child, root, inlined) for child in as_list(value)]
        elif key == "items":
            result[key] = _strict(value, root, inlined)
        elif key == "allOf":
            result.update(_strict_only(as_list(value), root, inlined))
        elif key == "prefixItems":
            raise _NotStrictError("a list with a type for each place")
        elif key in LIMITS or (key == "format" and value not in COMMON_FORMATS):
            limits[key] = value
        elif key not in DROPPED:
            result[key] = value
    if limits:
        result["description"] = with_limits(result.get("description"), limits)
    is_object = schema.get("type") == "object" or "object" in as_list(schema.get("type"))
    return _strict_object(result, root, inlined) if is_object else result


def _strict_object(schema: Dict[str, Any], root: JSON, inlined: FrozenSet[str]) -> JSON:
    properties = as_mapping(schema.get("properties"))
    if schema.get("additionalProperties", not properties and "properties" not in schema):
        raise _NotStrictError("an object with free keys")
    return {
        **schema,
        "properties": {name: _strict(child, root, inlined) for name, child in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def _strict_only(schemas: Sequence[JSON], root: JSON, inlined: FrozenSet[str]) -> JSON:
    if len(schemas) != 1:
        raise _NotStrictError("several schemas for one value")
    return _strict(schemas[0], root, inlined)


def _strict_reference(schema: JSON, root: JSON, inlined: FrozenSet[str]) -> JSON:
    """Nothing may be beside a reference: one with a description is written out, except inside itself."""
    reference = schema["$ref"]
    beside = {key: value for key, value in schema.items() if key not in (*DROPPED, "$ref")}
    if not beside or reference in inlined:
        return {"$ref": reference}
    return _strict({**resolved(reference, root), **beside}, root, inlined | {reference})
