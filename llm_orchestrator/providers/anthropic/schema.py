"""JSON Schemas in the form that Anthropic accepts for structured output and strict tools.

The API takes closed objects without recursion, and no limits on numbers and strings. Limits move into the
descriptions, as in the vendor's SDK, where the model still reads them; what cannot be expressed is rejected.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, FrozenSet, Set

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.providers.json_schema import COMMON_FORMATS, DEFINITIONS, schemas_in, with_limits
from llm_orchestrator.providers.reading import as_mapping
from llm_orchestrator.types import JSON
from llm_orchestrator.utils.json_schema import resolved

__all__ = ["accepted_schema"]

#: Keywords sent as they are.
PLAIN = ("type", "enum", "const", "required", "title", "description")
#: Keywords that hold schemas by name, and those that hold a list of them.
NAMED = ("properties", *DEFINITIONS)
LISTED = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
#: Keywords of which a schema must have one, as the vendor's SDK demands too.
KINDS = ("$ref", "type", "enum", "const", "properties", *LISTED)
#: Keywords that hold the schemas directly inside one; definitions count where they are referred to.
INNER = ("items", "properties", *LISTED)
FORMATS = (*COMMON_FORMATS, "uri")


def accepted_schema(schema: JSON) -> Dict[str, Any]:
    """Rewrite a schema so that Anthropic accepts it."""
    _check_recursion(schema, schema, frozenset(), set())
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
        key: {name: _accepted(child) for name, child in as_mapping(schema[key]).items()}
        for key in DEFINITIONS
        if key in schema
    }


def _check_kind(schema: Any) -> None:
    if not isinstance(schema, abc.Mapping) or not any(key in schema for key in KINDS):
        raise InvalidRequestError(
            "Anthropic does not accept a schema for values of any type. Name the type of every field."
        )


def _is_object(schema: JSON) -> bool:
    if schema.get("type") != "object" and "properties" not in schema:
        return False
    free = schema.get("additionalProperties", "properties" not in schema)
    if isinstance(free, abc.Mapping) or (free is True and not schema.get("properties")):
        raise InvalidRequestError(
            "Anthropic does not accept objects with free keys in a schema. Name their properties, or use a "
            "list of pairs."
        )
    return True


def _check_recursion(schema: JSON, root: JSON, open_references: FrozenSet[str], ended: Set[str]) -> None:
    """Follow every reference once; one that is met again before it has ended is recursive."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in ended:
        if reference in open_references:
            raise InvalidRequestError(
                f"Anthropic does not accept recursive schemas, and {reference} refers to itself. Limit the "
                "depth by writing the levels out."
            )
        _check_recursion(resolved(reference, root), root, open_references | {reference}, ended)
        ended.add(reference)
    for child in schemas_in(schema, INNER):
        _check_recursion(child, root, open_references, ended)
