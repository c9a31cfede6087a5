"""Requests in Gemini's JSON: parameters, tools, options and paths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict

import pytest

from llm_orchestrator.exceptions import InvalidRequestError, UnsupportedParameterError
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.gemini_adapter import GeminiAdapter
from tests.support.shapes.gemini_shapes import ADAPTER, WEATHER, body, request

Json = Dict[str, Any]
FUNCTION = {"name": "weather", "description": "Tells the weather.", "parameters": WEATHER}
TOOL = {"type": "function", "function": FUNCTION}
DECLARATION = {"name": "weather", "description": "Tells the weather.", "parametersJsonSchema": WEATHER}
BLOCK_NONE = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}


def test_a_bare_call_sends_nothing_but_the_messages() -> None:
    assert body() == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


@pytest.mark.parametrize(
    "parameter, value, field, sent",
    [
        ("temperature", 0.0, "temperature", 0.0),
        ("max_tokens", 7, "maxOutputTokens", 7),
        ("top_p", 0.5, "topP", 0.5),
        ("top_k", 3, "topK", 3),
        ("stop", ("a", "b"), "stopSequences", ["a", "b"]),
        ("seed", 0, "seed", 0),
        ("frequency_penalty", 0.1, "frequencyPenalty", 0.1),
        ("presence_penalty", -0.1, "presencePenalty", -0.1),
        ("reasoning_effort", "low", "thinkingConfig", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("reasoning_effort", "none", "thinkingConfig", {"thinkingBudget": 0}),
        ("response_format", {"type": "json_object"}, "responseMimeType", "application/json"),
    ],
)
def test_a_parameter_has_its_field(parameter: str, value: Any, field: str, sent: Any) -> None:
    assert body(**{parameter: value})["generationConfig"] == {field: sent}


def test_a_schema_for_the_answer_is_a_json_schema() -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER, "strict": True}}
    sent = body(response_format=response_format)["generationConfig"]
    assert sent == {"responseMimeType": "application/json", "responseJsonSchema": WEATHER}


def test_functions_share_one_tool_and_native_tools_pass_unchanged() -> None:
    bare = {"type": "function", "function": {"name": "now"}}
    search = {"googleSearch": {}}
    sent = body(tools=(TOOL, search, bare))["tools"]
    assert sent == [{"functionDeclarations": [DECLARATION, {"name": "now"}]}, search]


@pytest.mark.parametrize(
    "choice, config",
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "weather"}},
            {"mode": "ANY", "allowedFunctionNames": ["weather"]},
        ),
    ],
)
def test_the_choice_of_tools(choice: Any, config: Json) -> None:
    assert body(tools=(TOOL,), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": config}


def test_what_gemini_has_no_field_for_is_said() -> None:
    wire = ADAPTER.build_request(request(parallel_tool_calls=False, cache="off"), stream=False)
    assert wire.unsupported == ("parallel_tool_calls",)
    assert "cache='off' was not sent" in wire.warnings[0]
    with pytest.raises(UnsupportedParameterError, match="parallel_tool_calls"):
        asked = request(tools=(TOOL,), parallel_tool_calls=False)
        ADAPTER.prepare(asked, AttemptContext(strict=True), stream=False)


def test_what_gemini_does_anyway_needs_no_word() -> None:
    wire = ADAPTER.build_request(request(parallel_tool_calls=True, cache="auto"), stream=False)
    assert (wire.unsupported, wire.warnings) == ((), ())


@pytest.mark.parametrize(
    "settings",
    [
        [BLOCK_NONE],
        (BLOCK_NONE,),
        {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"},
    ],
)
def test_safety_settings_in_each_form(settings: Any) -> None:
    sent = body(provider_options={"safety_settings": settings, "labels": {"a": "b"}})
    assert sent["safetySettings"] == [BLOCK_NONE]
    assert sent["labels"] == {"a": "b"}
    assert "safety_settings" not in sent


def test_safety_settings_of_the_entry_and_of_the_call() -> None:
    adapter = GeminiAdapter("g", api_key="k", options={"safety_settings": [BLOCK_NONE], "temperature": 0.3})
    _, wire = adapter.prepare(request(), stream=False)
    assert wire.body is not None
    assert wire.body["safetySettings"] == [BLOCK_NONE]
    assert wire.body["generationConfig"] == {"temperature": 0.3}

    stricter = {**BLOCK_NONE, "threshold": "BLOCK_LOW_AND_ABOVE"}
    _, wire = adapter.prepare(request(provider_options={"safety_settings": [stricter]}), stream=False)
    assert wire.body is not None
    assert wire.body["safetySettings"] == [stricter]


@pytest.mark.parametrize("settings", ["BLOCK_NONE", [{"category": "X"}], ["X"], {"X": None}, 3])
def test_safety_settings_of_another_form_are_refused(settings: Any) -> None:
    with pytest.raises(InvalidRequestError, match="not in a form that Gemini accepts"):
        body(provider_options={"safety_settings": settings})


def test_provider_options_are_merged_last() -> None:
    options = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 64}}, "cachedContent": "c/1"}
    sent = body(temperature=0.5, provider_options=options)
    assert sent["generationConfig"] == {"temperature": 0.5, "thinkingConfig": {"thinkingBudget": 64}}
    assert sent["cachedContent"] == "c/1"


@pytest.mark.parametrize(
    "model, place",
    [
        ("flash", "models/flash"),
        ("models/flash", "models/flash"),
        ("a/../../b?c#d", "models/a%2F..%2F..%2Fb%3Fc%23d"),
        ("models/models/x", "models/models%2Fx"),
    ],
)
def test_a_model_name_cannot_change_the_path(model: str, place: str) -> None:
    asked = replace(request(), model=model)
    assert ADAPTER.build_request(asked, stream=False).path == f"{place}:generateContent"
    assert ADAPTER.build_request(asked, stream=True).path == f"{place}:streamGenerateContent?alt=sse"
    assert ADAPTER.model_request(model).path == place


@pytest.mark.parametrize("model", ["", "models/", ".", ".."])
def test_no_model_name(model: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a model's name"):
        ADAPTER.model_request(model)


def test_a_call_is_a_post_of_the_generate_content_api() -> None:
    wire = ADAPTER.build_request(request(), stream=True)
    assert (wire.method, wire.api) == ("POST", "generate_content")
