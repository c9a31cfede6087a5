"""X6 and X7: what an answer tells beside its text: the reply's headers, and itself as JSON."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from llm_orchestrator import FinishReason, LLMResponse, TokenUsage
from tests.support.fixtures import Orchestrate
from tests.support.marks import STREAMED
from tests.support.money import Spend, answer, price
from tests.support.scripted_server import Call, Dialect, Reply, ScriptedServer
from tests.support.ways import ask

TOLD = {
    "X-RateLimit-Remaining-Tokens": "149984",
    "anthropic-ratelimit-requests-reset": "2026-11-29T12:00:00Z",
    "cf-ray": "8f1-FRA",
    "traceparent": "00-1-2-01",
}


def test_x6_the_headers_about_limits_and_tracing_are_in_the_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    reply = answer(dialect, way)
    others = {"set-cookie": "session=secret", "x-organization": "acme"}
    server.script(reply.but(headers={**reply.headers, **TOLD, **others}))

    headers = ask(orchestrate(), way).headers

    assert {name.lower(): value for name, value in TOLD.items()}.items() <= headers.items()
    assert not {"set-cookie", "x-organization", "content-type"} & headers.keys()


def test_x6_a_key_in_a_header_and_a_value_without_end_are_not_kept(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    reply = answer(dialect, way)
    key = dialect.config(server.url)["providers"][dialect.provider]["api_key"]
    server.script(reply.but(headers={**reply.headers, "x-trace-of": f"by {key}", "x-trace-id": "a" * 5000}))

    response = ask(orchestrate(), way)

    assert (response.headers["x-trace-of"], response.headers["x-trace-id"]) == ("by [redacted]", "a" * 500)
    assert pickle.loads(pickle.dumps(response)).headers == response.headers


def said(dialect: Dialect, way: str, text: str, **more: Any) -> Reply:
    return dialect.stream([text], **more) if way in STREAMED else dialect.whole(text, **more)


class City(BaseModel):
    """A structured answer."""

    name: str
    area: Decimal


def test_x7_an_answer_is_json_with_money_as_text(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(said(dialect, way, '{"name": "Köln", "area": "405.15"}'))

    response = ask(spend(**price(dialect)), way, response_format=City)
    told = json.loads(response.to_json())

    assert told == response.to_dict()
    assert Decimal(told["cost"]) == response.cost and isinstance(told["cost_details"]["total"], str)
    assert (told["parsed"], told["finish_reason"]) == ({"name": "Köln", "area": "405.15"}, "stop")
    assert told["usage"] == json.loads(response.usage.to_json()) == response.usage.to_dict()
    assert told["attempts"][0]["started_at"].startswith("20")
    assert told["raw_response"] == response.raw_response and "Köln" in response.to_json()


def test_x7_a_call_is_json_and_its_turn_can_be_read_again(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(said(dialect, way, "", tool_calls=[Call("clock", {"zone": "UTC"})]))

    response = ask(orchestrate(), way)
    told = json.loads(response.to_json())

    assert told["tool_calls"][0]["arguments"] == {"zone": "UTC"}
    assert type(response.message).from_dict(told["message"]) == response.message


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("1E-7"), "0.0000001"),
        (float("nan"), None),
        (float("inf"), None),
        (10**5000, "a number of many digits"),
        (FinishReason.OTHER, "other"),
        (frozenset({"b", "a"}), ["a", "b"]),
        (b"hi", "aGk="),
        ({1: (2, None)}, {"1": [2, None]}),
        (object, "<class 'object'>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_x7_whatever_an_answer_holds_can_be_written(value: Any, written: Any) -> None:
    response = LLMResponse("", "m", "p", parsed=value)
    assert json.loads(response.to_json())["parsed"] == written


def test_x7_unknown_is_null() -> None:
    assert set(TokenUsage(source="missing").to_dict().values()) == {None, "missing"}
