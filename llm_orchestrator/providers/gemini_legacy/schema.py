"""JSON Schemas in the few keywords that google-generativeai has; what it cannot express becomes a warning."""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, List, Tuple

from llm_orchestrator.types import JSON
from llm_orchestrator.utils.json_schema import resolved

__all__ = ["legacy_schema"]

#: Keywords that are sent as they are, and those left out without a warning.
CARRIED = ("description", "format", "minItems", "maxItems")
SILENT = ("$defs", "$schema", "additionalProperties", "default", "definitions", "examples", "title")
#: Keywords that are translated below.
TRANSLATED = ("$ref", "anyOf", "const", "enum", "items", "nullable", "properties", "required", "type")


def legacy_schema(schema: JSON, where: str, warnings: List[str]) -> Dict[str, Any]:
    """Write a schema in the SDK's keywords."""
    writer = _Writer(schema)
    written = writer.write(schema, ())
    if writer.lost:
        names = ", ".join(sorted(set(writer.lost)))
        warnings.append(f"{where}: {names} was not sent: google-generativeai cannot express it.")
    return written


class _Writer:
    def __init__(self, root: JSON) -> None:
        self.lost: List[str] = []
        self._root = root

    def write(self, schema: Any, inside: Tuple[str, ...]) -> Dict[str, Any]:
        """Write one schema; ``inside`` are the references that led here."""
        if not isinstance(schema, abc.Mapping):
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._resolved(schema, reference, inside)
        self.lost += [key for key in schema if key not in (*CARRIED, *SILENT, *TRANSLATED)]
        written = {key: schema[key] for key in CARRIED if key in schema}
        written.update(self._kind(schema))
        written.update(self._values(schema))
        written.update(self._inner(schema, inside))
        alternatives = schema.get("anyOf")
        if isinstance(alternatives, list):
            written.update(self._alternative(alternatives, inside))
        return written

    def _resolved(self, schema: JSON, reference: str, inside: Tuple[str, ...]) -> Dict[str, Any]:
        if reference in inside:
            self.lost.append("recursion")
            return {"type": "OBJECT"}
        beside = {key: schema[key] for key in CARRIED if key in schema}
        return {**self.write(resolved(reference, self._root), (*inside, reference)), **beside}

    def _kind(self, schema: JSON) -> Dict[str, Any]:
        named = schema.get("type")
        kinds = [named] if isinstance(named, str) else list(named or ())
        written: Dict[str, Any] = {"nullable": True} if "null" in kinds or schema.get("nullable") else {}
        kinds = [kind for kind in kinds if kind != "null"]
        if len(kinds) > 1:
            self.lost.append("type")
        elif kinds:
            written["type"] = str(kinds[0]).upper()
        return written

    def _values(self, schema: JSON) -> Dict[str, Any]:
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        if all(isinstance(value, str) for value in values):
            return {"enum": list(values), "format": "enum", "type": "STRING"} if values else {}
        self.lost.append("enum")
        return {}

    def _inner(self, schema: JSON, inside: Tuple[str, ...]) -> Dict[str, Any]:
        written: Dict[str, Any] = {}
        if isinstance(schema.get("properties"), abc.Mapping):
            written["properties"] = {
                name: self.write(inner, inside) for name, inner in schema["properties"].items()
            }
        if "items" in schema:
            written["items"] = self.write(schema["items"], inside)
        if isinstance(schema.get("required"), list):
            written["required"] = schema["required"]
        return written

    def _alternative(self, alternatives: List[Any], inside: Tuple[str, ...]) -> Dict[str, Any]:
        """A nullable X of ``X or null``; several alternatives cannot be expressed."""
        others = [inner for inner in alternatives if inner != {"type": "null"}]
        nullable: Dict[str, Any] = {"nullable": True} if len(others) < len(alternatives) else {}
        if len(others) != 1:
            self.lost.append("anyOf")
            return nullable
        return {**self.write(others[0], inside), **nullable}
