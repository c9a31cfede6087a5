"""Messages as dicts for JSON, and tool calls: their arguments as instances, their results as messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llm_orchestrator import InvalidMessagesError, InvalidRequestError, Message, OutputParseError, ToolCall

CALL = ToolCall("c1", "forecast", {"city": "Rome"}, '{"city": "Rome"}')
TEXTS = st.text(st.characters(), min_size=1)  # lone surrogates, too: streams may cut an emoji in two
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=3)
CALLS = st.builds(ToolCall, id=TEXTS, name=TEXTS, arguments=st.none() | OBJECTS, raw_arguments=st.text())
ASSISTANT = st.builds(
    Message,
    st.just("assistant"),
    st.none() | st.text(),
    tool_calls=st.lists(CALLS, max_size=2).map(tuple),
    provider=st.none() | TEXTS,
    provider_state=st.none() | OBJECTS.filter(bool),
)
PARTS = st.lists(st.fixed_dictionaries({"type": TEXTS, "text": TEXTS}), max_size=3)
OTHERS = st.builds(Message, st.sampled_from(["system", "user"]), st.text() | PARTS, name=st.none() | TEXTS)


class Forecast(BaseModel):
    city: str
    days: int = 3


@dataclass
class Weather:
    day: date
    warmth: float


# ---------------------------------------------------------------- JSON


@pytest.mark.slow
@given(ASSISTANT | OTHERS)
def test_a_message_survives_json(message: Message) -> None:
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message


def test_a_dict_says_only_what_is_set() -> None:
    assert Message("user", "Hi").to_dict() == {"role": "user", "content": "Hi"}
    document = Message(
        "assistant", None, (CALL,), provider="p", provider_state={"signature": "+/="}
    ).to_dict()
    assert document == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c1",
                "name": "forecast",
                "arguments": {"city": "Rome"},
                "raw_arguments": '{"city": "Rome"}',
            }
        ],
        "provider": "p",
        "provider_state": {"signature": "+/="},
    }


def test_the_openai_form_is_read_too() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "forecast", "arguments": '{"city": "Rome"}'}}
    document = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert Message.from_dict(document) == Message("assistant", None, (CALL,))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("Hi", "is a str"),
        ({"role": "user"}, "has no content"),
        ({"role": "assistant", "content": "Hi", "provider": 1}, "invalid provider"),
        ({"role": "assistant", "content": "Hi", "provider_state": "x"}, "invalid provider"),
        ({"role": "assistant", "tool_calls": [{"raw_arguments": "{}", "name": "x"}]}, "without id or name"),
    ],
)
def test_what_is_no_message_is_refused(document: Any, problem: str) -> None:
    with pytest.raises(InvalidMessagesError, match=problem):
        Message.from_dict(document)


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "call",
    [CALL, ToolCall("c1", "forecast", {"city": "Rome"}), ToolCall("c1", "f", None, ' {"city": "Rome"}')],
)
def test_arguments_become_an_instance(call: ToolCall) -> None:
    assert call.parse(Forecast) == Forecast(city="Rome", days=3)


@pytest.mark.parametrize("raw", ["", " ", "{}"])
def test_no_arguments_are_an_empty_object(raw: str) -> None:
    class Nothing(BaseModel):
        limit: Optional[int] = None

    assert ToolCall("c1", "now", {}, raw).parse(Nothing) == Nothing()


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("{}", "city: Field required"),
        ('{"city": "Rome", "days": "many"}', "days: Input should be a valid integer"),
        ('{"city": "Ro', "Invalid JSON"),
        ("[1]", "Input should be an object"),
    ],
)
def test_arguments_that_do_not_fit_say_where(raw: str, problem: str) -> None:
    call = ToolCall("c1", "forecast", None, raw)
    with pytest.raises(OutputParseError, match=problem) as caught:
        call.parse(Forecast)
    assert "'forecast' are not a valid Forecast" in str(caught.value)
    assert caught.value.response is None
    assert call.result(str(caught.value)).text == str(caught.value)


# ---------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("21 degrees", "21 degrees"),
        ("", ""),
        (None, "null"),
        (21, "21"),
        ({"city": "Zürich", "warm": True}, '{"city":"Zürich","warm":true}'),
        ([1, 2.5], "[1,2.5]"),
        (Forecast(city="Rome"), '{"city":"Rome","days":3}'),
        ([Weather(date(2026, 1, 2), 3.5)], '[{"day":"2026-01-02","warmth":3.5}]'),
    ],
)
def test_a_result_is_a_message(value: Any, content: str) -> None:
    assert CALL.result(value) == Message("tool", content, tool_call_id="c1", name="forecast")


def test_a_result_that_is_no_data_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="result of 'forecast' is a object .* Pass a string"):
        CALL.result(object())
