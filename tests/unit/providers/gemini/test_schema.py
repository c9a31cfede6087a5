"""JSON Schemas in Gemini's subset."""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Optional

import pytest
from pydantic import BaseModel, Field

from llm_orchestrator.providers.gemini.schema import accepted_schema
from tests.support.shapes.gemini_shapes import ADAPTER, request

Json = Dict[str, Any]
NODE = {"$ref": "#/$defs/Node"}


class Address(BaseModel):
    city: str


class Person(BaseModel):
    home: Address = Field(description="Where they live.")
    work: Optional[Address] = None


def node(required: List[str], child: Any) -> Json:
    properties = {"value": {"type": "integer"}, "child": child}
    definition = {"type": "object", "properties": properties, "required": required}
    return {"$defs": {"Node": definition}, **NODE}


def test_a_reference_stands_alone_and_keeps_its_description() -> None:
    accepted, made_optional = accepted_schema(Person.model_json_schema())
    home = accepted["properties"]["home"]
    assert home == {"anyOf": [{"$ref": "#/$defs/Address"}], "description": "Where they live."}
    assert accepted["required"] == ["home"]
    assert accepted["$defs"]["Address"]["properties"]["city"]["type"] == "string"
    assert made_optional == []


@pytest.mark.parametrize(
    "schema, expected",
    [
        ({"const": "a"}, {"enum": ["a"]}),
        ({"const": None}, {"const": None}),
        ({"allOf": [{"$ref": "#/x"}], "title": "T"}, {"anyOf": [{"$ref": "#/x"}], "title": "T"}),
        ({"allOf": [{"a": 1}, {"b": 2}]}, {"allOf": [{"a": 1}, {"b": 2}]}),
        ({"$ref": "#/x", "$comment": "c"}, {"$ref": "#/x", "$comment": "c"}),
        ({"$ref": "#/x", "anyOf": [{"a": 1}]}, {"$ref": "#/x", "anyOf": [{"a": 1}]}),
        ({"items": {"const": 1}}, {"items": {"enum": [1]}}),
        ({"items": True, "additionalProperties": False}, {"items": True, "additionalProperties": False}),
        (
            {"enum": [{"const": 1}], "default": {"const": 1}},
            {"enum": [{"const": 1}], "default": {"const": 1}},
        ),
        ({"properties": {"const": {"const": 1}}}, {"properties": {"const": {"enum": [1]}}}),
        ({"properties": 3, "anyOf": 3, "required": "x"}, {"properties": 3, "anyOf": 3, "required": "x"}),
    ],
)
def test_keywords_outside_the_subset_are_said_otherwise(schema: Json, expected: Json) -> None:
    before = copy.deepcopy(schema)
    assert accepted_schema(schema)[0] == expected
    assert schema == before


@pytest.mark.parametrize(
    "child",
    [NODE, {"type": "array", "items": NODE}, {"anyOf": [NODE, {"type": "null"}]}, {"prefixItems": [NODE]}],
)
def test_a_required_property_that_leads_back_becomes_optional(child: Json) -> None:
    accepted, made_optional = accepted_schema(node(["value", "child"], child))
    assert accepted["$defs"]["Node"]["required"] == ["value"]
    assert made_optional == ["child"]


def test_an_optional_recursion_stays_as_it_is() -> None:
    schema = node(["value"], NODE)
    assert accepted_schema(schema) == (schema, [])


def test_recursion_through_another_definition_and_through_the_root() -> None:
    schema: Json = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "again": {"$ref": "#"}, "leaf": {"$ref": "#/$defs/Leaf"}},
        "required": ["a", "again", "leaf"],
        "$defs": {
            "A": {"properties": {"b": {"$ref": "#/$defs/B"}}, "required": ["b"]},
            "B": {"properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"]},
            "Leaf": {"type": "string"},
        },
    }
    accepted, made_optional = accepted_schema(schema)
    assert accepted["required"] == ["a", "leaf"]
    assert accepted["$defs"]["A"]["required"] == []
    assert accepted["$defs"]["B"]["required"] == []
    assert sorted(made_optional) == ["a", "again", "b"]


def test_a_property_that_became_optional_is_told() -> None:
    schema = node(["child"], NODE)
    response_format = {"type": "json_schema", "json_schema": {"name": "tree", "schema": schema}}
    tool = {"type": "function", "function": {"name": "grow", "parameters": schema}}
    wire = ADAPTER.build_request(request(response_format=response_format, tools=(tool,)), stream=False)
    assert len(wire.warnings) == 2
    assert any("response_format" in warning and "child" in warning for warning in wire.warnings)
    assert any("'grow'" in warning and "child" in warning for warning in wire.warnings)
