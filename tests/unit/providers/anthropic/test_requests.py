"""From our requests to Anthropic's: parameters, tools and output formats."""

from __future__ import annotations

from typing import Any, Dict, Optional

import pytest

from llm_orchestrator.exceptions import InvalidRequestError, UnsupportedParameterError
from llm_orchestrator.providers.anthropic_adapter import AnthropicAdapter
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.types import ModelInfo
from tests.support.shapes.anthropic_shapes import ADAPTER, body, request

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it.", "parameters": {"type": "object"}},
}


def test_the_plainest_request_holds_nothing_that_was_not_asked_for() -> None:
    wire = ADAPTER.build_request(request(), stream=False)
    assert wire.body == {
        "model": "some-model",
        "max_tokens": 16000,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert (wire.path, wire.api, wire.method) == ("/v1/messages", "messages", "POST")
    assert wire.headers == {"anthropic-version": "2023-06-01"}
    assert (wire.unsupported, wire.warnings) == ((), ())


def test_streaming_adds_one_field() -> None:
    whole, streamed = (ADAPTER.build_request(request(), stream=stream).body for stream in (False, True))
    assert streamed == {**(whole or {}), "stream": True}


def test_the_configured_api_version_is_sent_with_every_kind_of_request() -> None:
    adapter = AnthropicAdapter("anthropic", api_version="2026-10-21")
    call = adapter.build_request(request(), stream=False)
    for wire in (call, adapter.list_request(None), adapter.model_request("m")):
        assert wire.headers["anthropic-version"] == "2026-10-21"


@pytest.mark.parametrize(
    ("asked", "known", "sent"),
    [(7, 64000, 7), (40000, None, 40000), (None, None, 16000), (None, 4096, 4096), (None, 64000, 16000)],
)
def test_max_tokens_is_the_callers_or_else_fits_the_model(
    asked: Optional[int], known: Optional[int], sent: int
) -> None:
    context = AttemptContext(known=ModelInfo("some-model", "anthropic", max_output_tokens=known))
    wire = ADAPTER.build_attempt(request(max_tokens=asked), context, stream=False)
    assert wire.body is not None and wire.body["max_tokens"] == sent


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"top_p": 0.5, "top_k": 3}, {"top_p": 0.5, "top_k": 3}),
        ({"stop": ("END",)}, {"stop_sequences": ["END"]}),
        ({"cache": "auto"}, {"cache_control": {"type": "ephemeral"}}),
        ({"cache": "off"}, {}),
        (
            {"reasoning_effort": "high"},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"tools": (WEATHER,), "tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
        ({"tools": (WEATHER,), "tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({"tools": (WEATHER,), "tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        (
            {
                "tools": (WEATHER,),
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
                "parallel_tool_calls": False,
            },
            {"tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": (WEATHER,), "parallel_tool_calls": False},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": (WEATHER,), "tool_choice": "none", "parallel_tool_calls": False},
            {"tool_choice": {"type": "none"}},
        ),
        ({"tools": (WEATHER,), "parallel_tool_calls": True}, {}),
        ({"parallel_tool_calls": False}, {}),
        (  # the API rejects thinking beside a forced call
            {"tools": (WEATHER,), "tool_choice": "required", "reasoning_effort": "low"},
            {"tool_choice": {"type": "any"}, "output_config": {"effort": "low"}},
        ),
    ],
)
def test_parameters_become_the_fields_of_the_api(parameters: Dict[str, Any], fields: Dict[str, Any]) -> None:
    always = {"model", "messages", "max_tokens", "tools"}
    assert {key: value for key, value in body(**parameters).items() if key not in always} == fields


def test_parameters_without_a_field_are_named_and_left_out() -> None:
    wire = ADAPTER.build_request(request(seed=1, frequency_penalty=0.0, presence_penalty=0.5), stream=False)
    assert wire.unsupported == ("seed", "frequency_penalty", "presence_penalty")
    assert set(wire.body or ()) == {"model", "max_tokens", "messages"}


def test_tools_are_flattened_and_anthropics_own_pass_as_they_are() -> None:
    own = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    bare = {"type": "function", "function": {"name": "now"}}
    assert body(tools=(WEATHER, own, bare))["tools"] == [
        {"name": "weather", "description": "Tells it.", "input_schema": {"type": "object"}},
        own,
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
    ]


def test_only_strict_tools_get_the_strict_shape() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    loose = {"type": "function", "function": {"name": "a", "parameters": schema}}
    strict = {"type": "function", "function": {"name": "b", "parameters": schema, "strict": True}}
    first, second = body(tools=(loose, strict))["tools"]
    assert first == {"name": "a", "input_schema": schema}
    assert second["strict"] is True
    assert second["input_schema"] == {
        "type": "object",
        "properties": {"n": {"type": "integer", "description": '{"minimum": 1}'}},
        "additionalProperties": False,
    }


# -------------------------------------------------------------------- structured output


def output_schema(schema: Any) -> Dict[str, Any]:
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    sent = body(response_format=response_format)["output_config"]["format"]
    assert sent["type"] == "json_schema"
    return sent["schema"]


def test_schemas_are_closed_and_limits_move_into_descriptions() -> None:
    schema = {
        "type": "object",
        "title": "Order",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "code": {"type": "string", "description": "A code.", "pattern": "^a"},
            "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Line", "default": None}},
            "extra": {"oneOf": [{"type": "null"}, {"type": "number", "maximum": 9}]},
        },
        "required": ["id"],
        "additionalProperties": False,
        "$defs": {"Line": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    }
    assert output_schema(schema) == {
        "type": "object",
        "title": "Order",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "code": {"type": "string", "description": 'A code.\n\n{"pattern": "^a"}'},
            "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Line"}},
            "extra": {"anyOf": [{"type": "null"}, {"type": "number", "description": '{"maximum": 9}'}]},
        },
        "required": ["id"],
        "additionalProperties": False,
        "$defs": {
            "Line": {
                "type": "object",
                "properties": {"n": {"type": "integer"}},
                "additionalProperties": False,
            }
        },
    }


def test_a_definition_used_twice_is_no_recursion_and_a_root_reference_keeps_its_definitions() -> None:
    point = {"type": "object", "properties": {"x": {"type": "number"}}, "additionalProperties": False}
    pair = {"properties": {"a": {"$ref": "#/$defs/P"}, "b": {"$ref": "#/$defs/P"}}, "type": "object"}
    schema = {"$ref": "#/$defs/Pair", "$defs": {"P": point, "Pair": pair}}
    assert output_schema(schema) == {
        "$ref": "#/$defs/Pair",
        "$defs": {"P": point, "Pair": {**pair, "additionalProperties": False}},
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"any": True}},
        {"type": "object", "properties": {"free": {"type": "object"}}},
        {
            "type": "object",
            "properties": {"free": {"type": "object", "patternProperties": {"^a": {"type": "null"}}}},
        },
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {
            "type": "object",
            "properties": {"tree": {"$ref": "#/$defs/T"}},
            "$defs": {
                "T": {
                    "type": "object",
                    "properties": {"in": {"type": "array", "items": {"$ref": "#/$defs/T"}}},
                }
            },
        },
        {"anyOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "additionalProperties": True},
    ],
)
def test_schemas_the_api_cannot_take_are_refused_before_the_request(schema: Dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="Anthropic does not accept"):
        output_schema(schema)


def test_a_schema_that_shares_definitions_on_many_levels_is_read_once() -> None:
    levels = {
        f"L{n}": {"anyOf": [{"$ref": f"#/$defs/L{n + 1}"}, {"$ref": f"#/$defs/L{n + 1}"}]} for n in range(60)
    }
    definitions = {**levels, "L60": {"type": "null"}}
    assert output_schema({"$ref": "#/$defs/L0", "$defs": definitions})["$defs"] == definitions


def test_json_without_a_schema_is_refused_and_not_pretended() -> None:
    with pytest.raises(UnsupportedParameterError, match="json_schema") as caught:
        body(response_format={"type": "json_object"})
    assert caught.value.parameter == "response_format"
