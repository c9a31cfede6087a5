"""JSON Schemas in the shape that Anthropic accepts for structured output and strict tools.

The API takes closed objects without recursion, and no limits on numbers and texts. Limits move into the
descriptions, as in the vendor's SDK, where the model still reads them; what cannot be expressed is refused.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, FrozenSet, Iterator, List, Set

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.providers.json_schema import COMMON_FORMATS, with_limits
from llm_orchestrator.types import JSON
from llm_orchestrator.utils.json_schema import resolved

__all__ = ["accepted_schema"]

#: Keywords sent as they are.
PLAIN = ("type", "enum", "const", "required", "title", "description")
#: Keywords that hold schemas by name, and those that hold a list of them.
DEFINITIONS = ("$defs", "definitions")
NAMED = ("properties", *DEFINITIONS)
LISTED = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
#: Keywords of which a schema must have one, as the vendor's SDK demands too.
KINDS = ("$ref", "type", "enum", "const", "properties", *LISTED)
FORMATS = (*COMMON_FORMATS, "uri")


def accepted_schema(schema: JSON) -> Dict[str, Any]:
    """Bring a schema into the shape that the API accepts."""
    _refuse_recursion(schema, schema, frozenset(), set())
    return _accepted(schema)


def _accepted(schema: JSON) -> Dict[str, Any]:
    _check_kind(schema)
    if "$ref" in schema:
        return {"$ref": schema["$ref"], **_accepted_definitions(schema)}
    result: Dict[str, Any] = {}
    limits: Dict[str, Any] = {}
    for key, value in schema.items():
        if key in PLAIN or (key == "minItems" and value in (0, 1)) or (key == "format" and value in FORMATS):
            result[key] = value
        elif key in NAMED and isinstance(value, abc.Mapping):
            result[key] = {name: _accepted(child) for name, child in value.items()}
        elif key in LISTED and isinstance(value, (list, tuple)):
            result[LISTED[key]] = [_accepted(child) for child in value]
        elif key == "items" and isinstance(value, abc.Mapping):
            result[key] = _accepted(value)
        elif key != "additionalProperties":
            limits[key] = value
    if _is_object(schema):
        result["additionalProperties"] = False
    if limits:
        result["description"] = with_limits(result.get("description"), limits)
    return result


def _accepted_definitions(schema: JSON) -> Dict[str, Any]:
    return {
        key: {name: _accepted(child) for name, child in schema[key].items()}
        for key in DEFINITIONS
        if isinstance(schema.get(key), abc.Mapping)
    }


def _check_kind(schema: Any) -> None:
    if not isinstance(schema, abc.Mapping) or not any(key in schema for key in KINDS):
        raise InvalidRequestError(
            "Anthropic takes no schema for a value of any type. Name the type of every field."
        )


def _is_object(schema: JSON) -> bool:
    if schema.get("type") != "object" and "properties" not in schema:
        return False
    free = schema.get("additionalProperties", "properties" not in schema)
    if isinstance(free, abc.Mapping) or (free is True and not schema.get("properties")):
        raise InvalidRequestError(
            "Anthropic takes no objects with free keys in a schema. Name their properties, or use a list of "
            "pairs."
        )
    return True


def _refuse_recursion(schema: JSON, root: JSON, open_references: FrozenSet[str], ended: Set[str]) -> None:
    """Follow every reference once; one that is met again before it has ended goes round in a circle."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in ended:
        if reference in open_references:
            raise InvalidRequestError(
                f"Anthropic takes no recursive schemas, and {reference} refers to itself. Limit the depth by "
                "writing the levels out."
            )
        _refuse_recursion(resolved(reference, root), root, open_references | {reference}, ended)
        ended.add(reference)
    for child in _children(schema):
        _refuse_recursion(child, root, open_references, ended)


def _children(schema: JSON) -> Iterator[JSON]:
    """The schemas directly inside one, without definitions: those count where they are referred to."""
    inside: List[Any] = [schema.get("items")]
    properties = schema.get("properties")
    inside += properties.values() if isinstance(properties, abc.Mapping) else ()
    for key in LISTED:
        listed = schema.get(key)
        inside += listed if isinstance(listed, (list, tuple)) else ()
    return (child for child in inside if isinstance(child, abc.Mapping))
