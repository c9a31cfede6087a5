"""JSON Schemas in the form that Gemini accepts, with as little lost as possible.

Gemini takes ``$defs`` and ``$ref``, with limits that its documentation names: nothing may be beside a
``$ref``, ``const`` and ``allOf`` are unknown, and recursion is accepted only in optional properties.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Set, Tuple

from llm_orchestrator.providers.json_schema import DEFINITIONS, NAMED_SCHEMAS, schemas_in
from llm_orchestrator.providers.reading import as_mapping
from llm_orchestrator.types import JSON

__all__ = ["accepted_schema"]

ROOT = "#"
#: Keywords that hold schemas in a list, and alone; what other keywords hold is data and stays.
LISTED_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLE_SCHEMAS = ("items", "additionalProperties", "not")
#: Keywords that hold the schemas directly inside one; definitions count where they are referred to.
INNER = frozenset({*NAMED_SCHEMAS, *LISTED_SCHEMAS, *SINGLE_SCHEMAS}.difference(DEFINITIONS))


def accepted_schema(schema: JSON) -> Tuple[Dict[str, Any], List[str]]:
    """Rewrite a schema so that Gemini accepts it."""
    rewriter = _Rewriter(_references_of_definitions(schema))
    return rewriter.rewrite(schema, ROOT), rewriter.made_optional


class _Rewriter:
    def __init__(self, references: Mapping[str, FrozenSet[str]]) -> None:
        self.made_optional: List[str] = []
        self._references = references

    def rewrite(self, schema: JSON, home: str) -> Dict[str, Any]:
        """Rewrite one schema inside the definition ``home``."""
        result = {key: self._rewrite_keyword(key, value, home) for key, value in schema.items()}
        if isinstance(result.get("required"), list) and isinstance(schema.get("properties"), abc.Mapping):
            result["required"] = self._required(result["required"], schema["properties"], home)
        return _within_the_subset(result)

    def _rewrite_keyword(self, key: str, value: Any, home: str) -> Any:
        if key in NAMED_SCHEMAS and isinstance(value, abc.Mapping):
            homes = {name: f"#/{key}/{name}" if key in DEFINITIONS else home for name in value}
            return {name: self._rewrite_any(inner, homes[name]) for name, inner in value.items()}
        if key in LISTED_SCHEMAS and isinstance(value, list):
            return [self._rewrite_any(inner, home) for inner in value]
        return self._rewrite_any(value, home) if key in SINGLE_SCHEMAS else value

    def _rewrite_any(self, schema: Any, home: str) -> Any:
        return self.rewrite(schema, home) if isinstance(schema, abc.Mapping) else schema

    def _required(self, names: List[str], properties: JSON, home: str) -> List[str]:
        recursive = [name for name in names if self._leads_to(properties.get(name), home)]
        self.made_optional += recursive
        return [name for name in names if name not in recursive]

    def _leads_to(self, schema: Any, home: str) -> bool:
        """Whether following the references of a schema ever arrives at the definition it is in."""
        seen: Set[str] = set()
        ahead = list(_references(schema))
        while ahead:
            target = ahead.pop()
            if target == home:
                return True
            if target not in seen:
                seen.add(target)
                ahead += self._references.get(target, ())
        return False


def _within_the_subset(schema: Dict[str, Any]) -> Dict[str, Any]:
    """Express the same in other keywords: ``anyOf`` of one schema, ``enum`` of one value."""
    reference = schema.get("$ref")
    if reference is not None and "anyOf" not in schema and not all(key.startswith("$") for key in schema):
        del schema["$ref"]
        schema["anyOf"] = [{"$ref": reference}]
    alternatives = schema.get("allOf")
    if isinstance(alternatives, list) and len(alternatives) == 1 and "anyOf" not in schema:
        schema["anyOf"] = schema.pop("allOf")
    if isinstance(schema.get("const"), (str, int, float)) and "enum" not in schema:
        schema["enum"] = [schema.pop("const")]
    return schema


def _references_of_definitions(schema: JSON) -> Dict[str, FrozenSet[str]]:
    """For the root and each definition, by its reference: the references inside it."""
    found = {ROOT: frozenset(_references(schema))}
    for key in DEFINITIONS:
        for name, inner in as_mapping(schema.get(key)).items():
            found[f"#/{key}/{name}"] = frozenset(_references(inner))
    return found


def _references(schema: Any) -> Iterator[str]:
    """The references in a schema, those of its definitions left out."""
    if not isinstance(schema, abc.Mapping):
        return
    if isinstance(schema.get("$ref"), str):
        yield schema["$ref"]
    for inner in schemas_in(schema, INNER.intersection(schema)):
        yield from _references(inner)
