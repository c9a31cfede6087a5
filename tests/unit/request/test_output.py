"""Answers as instances of a class, and output that cannot be one."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from llm_orchestrator import (
    FinishReason,
    InvalidRequestError,
    OutputParseError,
    OutputTruncatedError,
    ToolCall,
)
from llm_orchestrator.request.output import read_response_format
from llm_orchestrator.testing import FakeReply
from tests.support.fakes import MODEL, play, warm  # noqa: F401 (warm is a fixture)
from tests.support.ways import ask
from tests.unit.request.test_tools import Holder


class Sum(BaseModel):
    """Add two numbers."""

    total: int


def test_a_class_becomes_a_strict_schema() -> None:
    output = read_response_format(Sum)
    assert output.output_type is Sum
    assert output.response_format is not None
    schema = output.response_format["json_schema"]
    assert (output.response_format["type"], schema["name"], schema["strict"]) == ("json_schema", "Sum", True)
    assert schema["schema"] == Sum.model_json_schema()


def test_dicts_pass_and_text_is_the_default() -> None:
    json_object = {"type": "json_object"}
    assert read_response_format(json_object) == (json_object, None)
    assert read_response_format({"type": "text"}) == read_response_format(None) == (None, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "xml"}, "response_format has the type 'xml'. Use one of json_object, json_schema, text."),
        ({}, "response_format has the type None."),
        ("json", "response_format is a str. Pass a pydantic class"),
        (Sum(total=1), "response_format is a Sum."),
        ([Sum], "response_format is a list."),
        (len, "response_format is a builtin_function_or_method."),
        (Holder, "Holder has no JSON schema"),
    ],
)
def test_what_is_no_format(value: Any, expected: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_response_format(value)
    assert expected in str(caught.value)


def test_the_answer_is_an_instance(way: str) -> None:
    scene = play('{"total": 4}')
    response = ask(scene.orchestrator, way, response_format=Sum)
    assert response.parsed == Sum(total=4) and response.content == '{"total": 4}'
    assert scene.provider.requests[0].response_format is not None


def test_a_dict_parses_nothing(way: str) -> None:
    response = ask(play('{"total": 4}').orchestrator, way, response_format={"type": "json_object"})
    assert response.parsed is None


@pytest.mark.parametrize(
    "reply",
    [
        FakeReply("I will not.", refusal="I will not.", finish_reason=FinishReason.CONTENT_FILTER),
        FakeReply("I will not.", refusal="I will not.", finish_reason=FinishReason.STOP),
        FakeReply("", finish_reason=FinishReason.CONTENT_FILTER),
        FakeReply(tool_calls=[ToolCall("c1", "forecast", {}, "{}")]),
    ],
)
def test_m4_refusals_and_tool_calls_are_answers_without_an_instance(reply: FakeReply) -> None:
    response = play(reply).orchestrator.send_request("Hi", response_format=Sum)
    assert response.parsed is None and response.refusal == reply.refusal


@pytest.mark.parametrize(
    ("text", "finish", "expected"),
    [
        ('{"tot', FinishReason.LENGTH, OutputTruncatedError),
        ('{"total": 4}', FinishReason.LENGTH, OutputTruncatedError),
        ('{"total": "many"}', FinishReason.STOP, OutputParseError),
        ("Four.", FinishReason.STOP, OutputParseError),
        ("", FinishReason.OTHER, OutputParseError),
    ],
)
def test_m8_output_that_cannot_be_used_is_an_error_with_the_paid_answer(
    text: str, finish: FinishReason, expected: Any, way: str
) -> None:
    scene = play(FakeReply(text, finish_reason=finish), "never", fallback_models=["b"])
    with pytest.raises(expected) as caught:
        ask(scene.orchestrator, way, response_format=Sum)
    error = caught.value
    assert (error.provider, error.model, error.request_id) == ("fake", MODEL, "fake-request")
    assert error.response.content == text and error.response.parsed is None
    assert error.response.cost == scene.orchestrator.get_session_cost() > 0
    assert error.attempts == error.response.attempts and len(error.attempts) == 1
    assert (scene.asked, scene.rows) == ([MODEL], ["priced ok final"])
    assert scene.reported == ["attempt ok", "call error"]


def test_m8_a_validator_that_fails_in_its_own_way_loses_no_paid_answer(way: str) -> None:
    class Known(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def known(cls, name: str) -> str:
            return {"Rome": "Roma"}[name]

    scene = play('{"name": "Oslo"}')
    with pytest.raises(OutputParseError, match="not a valid Known") as caught:
        ask(scene.orchestrator, way, response_format=Known)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.response.cost == scene.orchestrator.get_session_cost() > 0
    assert scene.rows == ["priced ok final"]


def test_m8_the_cause_of_a_parse_error_is_the_validation_error() -> None:
    with pytest.raises(OutputParseError, match="not a valid Sum") as caught:
        play("Four.").orchestrator.send_request("Hi", response_format=Sum)
    assert type(caught.value.__cause__).__name__ == "ValidationError"
