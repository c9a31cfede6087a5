"""Schemas on their way to OpenAI's strict mode: what pydantic writes becomes what the API accepts."""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, List, Optional, Union

import pytest
from pydantic import BaseModel, Field

from llm_orchestrator.providers.openai.schema import accepted_format, accepted_tools
from tests.support.shapes.openai_shapes import CHAT, RESPONSES, Json, request


class Colour(str, Enum):
    RED = "red"


class Inner(BaseModel):
    x: int = 3


class Node(BaseModel):
    value: Optional[str] = None
    children: List[Node] = Field(default=[], description="Below it.")


class Outer(BaseModel):
    colour: Colour
    inner: Inner = Field(description="Described.")
    either: Union[Inner, int]
    more: List[Inner] = []


class Open(BaseModel):
    counts: Dict[str, int]


class Anything(BaseModel):
    value: Any


def strict(model: Any) -> Json:
    return {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": model.model_json_schema(), "strict": True},
    }


def objects_in(schema: Any) -> List[Json]:
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    here = [schema] if isinstance(schema, dict) and schema.get("type") == "object" else []
    return here + [found for child in inside for found in objects_in(child)]


@pytest.mark.parametrize("model", [Inner, Outer, Node])
def test_m7_strict_objects_are_closed_and_want_every_property(model: Any) -> None:
    sent, warnings = accepted_format(strict(model))
    assert sent is not None and warnings == ()
    schema = sent["json_schema"]["schema"]
    assert schema["type"] == "object"
    assert sent["json_schema"]["strict"] is True
    for found in objects_in(schema):
        assert found["additionalProperties"] is False
        assert found["required"] == list(found["properties"])
    assert "default" not in str(schema)


def test_m7_a_recursive_class_keeps_its_reference() -> None:
    sent, _ = accepted_format(strict(Node))
    assert sent is not None
    schema = sent["json_schema"]["schema"]
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert "Node" in schema["$defs"]


def test_m7_a_described_reference_is_written_out() -> None:
    sent, _ = accepted_format(strict(Outer))
    assert sent is not None
    inner = sent["json_schema"]["schema"]["properties"]["inner"]
    assert (inner["type"], inner["description"], inner["required"]) == ("object", "Described.", ["x"])
    assert "$ref" not in inner


def test_m7_a_described_reference_to_itself_ends() -> None:
    schema = {
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/A", "description": "d"}},
        "$defs": {"A": {"type": "object", "properties": {"next": {"$ref": "#/$defs/A", "description": "d"}}}},
    }
    sent, warnings = accepted_format(
        {"type": "json_schema", "json_schema": {"schema": schema, "strict": True}}
    )
    assert sent is not None and warnings == ()
    inner = sent["json_schema"]["schema"]["properties"]["next"]
    assert inner["properties"]["next"] == {"$ref": "#/$defs/A"}


def test_one_of_becomes_any_of() -> None:
    schema = {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}], "discriminator": {}}}}
    sent, _ = accepted_format({"type": "json_schema", "json_schema": {"schema": schema, "strict": True}})
    assert sent is not None
    assert sent["json_schema"]["schema"]["properties"]["a"] == {"anyOf": [{"type": "string"}]}


@pytest.mark.parametrize("model", [Open, Anything])
def test_m7_what_strict_mode_cannot_express_is_sent_without_it_and_said(model: Any) -> None:
    sent, warnings = accepted_format(strict(model))
    assert sent is not None
    assert sent["json_schema"]["strict"] is False
    assert sent["json_schema"]["schema"] == model.model_json_schema()
    assert len(warnings) == 1 and "without strict" in warnings[0]


@pytest.mark.parametrize("value", [None, {"type": "json_object"}])
def test_formats_without_a_schema_stay(value: Optional[Json]) -> None:
    assert accepted_format(value) == (value, ())


def test_only_strict_tools_are_changed() -> None:
    loose = {"type": "function", "function": {"name": "f", "parameters": Inner.model_json_schema()}}
    native = {"type": "web_search"}
    tight = {"type": "function", "function": {**loose["function"], "strict": True}}
    (first, second, third), warnings = accepted_tools([loose, native, tight])
    assert (first, second, warnings) == (loose, native, ())
    assert third["function"]["parameters"]["required"] == ["x"]


@pytest.mark.parametrize("adapter", [CHAT, RESPONSES])
def test_the_warning_reaches_the_request(adapter: Any) -> None:
    wire = adapter.build_request(request(response_format=strict(Open)), stream=False)
    assert "without strict" in wire.warnings[0]


def test_m7_limits_that_strict_mode_does_not_know_move_into_the_description() -> None:
    text = {"type": "string", "format": "uri", "minLength": 1, "pattern": "^h", "description": "Where."}
    schema = {"type": "object", "properties": {"url": text, "day": {"type": "string", "format": "date"}}}
    named = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}

    accepted, warnings = accepted_format(named)

    assert accepted is not None and warnings == ()
    sent = accepted["json_schema"]["schema"]["properties"]
    assert sent["day"] == {"type": "string", "format": "date"}
    assert sent["url"] == {
        "type": "string",
        "pattern": "^h",
        "description": 'Where.\n\n{"format": "uri", "minLength": 1}',
    }
