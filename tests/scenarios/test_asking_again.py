"""X2: an answer that does not fit goes back with what is wrong; each is an attempt, a row, and paid for once."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from pydantic import BaseModel, model_validator

from llm_orchestrator import (
    BudgetExceededError,
    Conversation,
    InvalidRequestError,
    LLMOrchestrator,
    LLMResponse,
    OutputParseError,
    OutputRejected,
    OutputTruncatedError,
    ProviderTimeoutError,
    RateLimitError,
    StreamInterruptedError,
    TextDelta,
)
from llm_orchestrator.utils import clock
from tests.support.fixtures import Orchestrate
from tests.support.marks import STREAMED, anthropic, chat, streamed
from tests.support.money import Spend, answer, price, rows
from tests.support.scripted_server import Call, Dialect, ScriptedServer, Usage
from tests.support.scripted_server.replies import Reply


class Address(BaseModel):
    city: str
    zip: int


class Person(BaseModel):
    name: str
    address: Address


WRONG = '{"name": "Ann", "address": {"zip": "none"}}'
HALF_RIGHT = '{"name": "Ann", "address": {"city": "Rome", "zip": "none"}}'
RIGHT = '{"name": "Ann", "address": {"city": "Rome", "zip": 100}}'
ANN = Person(name="Ann", address=Address(city="Rome", zip=100))
USAGE = Usage(prompt=1000, completion=100)
#: What one of these answers costs.
COST = Decimal("0.0045")


def says(dialect: Dialect, way: str, text: str, **keywords: Any) -> Reply:
    """An answer of this text, in two pieces where it is streamed."""
    half = len(text) // 2
    content = {"pieces": [text[:half], text[half:]]} if way in STREAMED else {"text": text}
    return answer(dialect, way, **content, **{"usage": USAGE, **keywords})


def get(orchestrator: LLMOrchestrator, way: str, messages: Any = "Who?", **arguments: Any) -> LLMResponse:
    """Get an answer in one of the four ways, of a stream its last."""
    arguments = {"response_format": Person, **arguments}
    if way == "whole":
        return orchestrator.send_request(messages, **arguments)
    if way == "streamed":
        return orchestrator.send_streaming_request(messages, **arguments).final_response()

    async def main() -> LLMResponse:
        if way == "async whole":
            return await orchestrator.asend_request(messages, **arguments)
        return await orchestrator.asend_streaming_request(messages, **arguments).final_response()

    return asyncio.run(main())


def turns(dialect: Dialect, server: ScriptedServer) -> List[List[str]]:
    """The texts that were sent, by request."""
    asked = [dialect.read_request(request.body, request.path) for request in server.requests]
    return [[text for _, text in each["messages"]] for each in asked]


def test_x2_an_answer_that_does_not_fit_is_asked_for_again(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    server.script(*(says(dialect, way, text) for text in (WRONG, HALF_RIGHT, RIGHT)))
    orchestrator = spend(**price(dialect))

    response = get(orchestrator, way, reask=2)

    assert (response.parsed, response.content) == (ANN, RIGHT)
    assert [attempt.error for attempt in response.attempts] == ["OutputParseError"] * 2 + [None]
    assert response.cost == orchestrator.get_session_cost() == 3 * COST
    assert response.usage.total_tokens == 3300
    kept = [(row["status"], row["error_type"], row["final"], row["total_tokens"]) for row in rows(path)]
    wrong = ("ok", "OutputParseError", "false", "1100")
    assert kept == [wrong, wrong, ("ok", "", "true", "1100")]
    assert orchestrator.cost_tracker.get_usage_report().total_requests == 1


def test_x2_the_next_turn_names_each_field_and_why(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(*(says(dialect, way, text) for text in (WRONG, HALF_RIGHT, RIGHT)))

    get(orchestrate(), way, reask=2)

    first, second, third = turns(dialect, server)
    assert first == ["Who?"] and second[:2] == ["Who?", WRONG] and len(second) == 3
    assert "address.city: Field required; address.zip: Input should be a valid integer" in second[2]
    assert third[:4] == [*second, HALF_RIGHT] and len(third) == 5
    assert "address.zip: " in third[4] and "address.city" not in third[4]
    wishes = [dialect.read_wishes(request.body).output for request in server.requests]
    assert wishes[0] is not None and wishes[1:] == wishes[:1] * 2, "the schema is sent each time"


def test_x2_in_the_end_the_error_keeps_every_answer(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    server.script(says(dialect, way, WRONG), says(dialect, way, HALF_RIGHT))
    orchestrator = spend(entry={"fallback_models": ["never"], "max_retries": 2}, **price(dialect))

    with pytest.raises(OutputParseError, match=r"address\.zip: Input should be") as caught:
        get(orchestrator, way, reask=1)

    error = pickle.loads(pickle.dumps(caught.value))
    assert [each.content for each in error.responses] == [WRONG, HALF_RIGHT]
    assert [each.cost for each in error.responses] == [COST, COST]
    assert error.response.content == HALF_RIGHT
    assert error.response.cost == orchestrator.get_session_cost() == 2 * COST
    assert len(error.attempts) == len(server.requests) == 2
    assert [row["final"] for row in rows(path)] == ["false", "true"]


def test_x2_without_it_nothing_is_asked_again(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, WRONG))

    with pytest.raises(OutputParseError) as caught:
        get(orchestrate(), way)

    assert len(server.requests) == 1 and caught.value.responses == (caught.value.response,)


def test_x2_an_answer_that_fits_is_asked_for_once(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, RIGHT))
    orchestrator = orchestrate()

    assert get(orchestrator, way, reask=5).parsed == ANN

    assert len(server.requests) == 1
    assert [row["final"] for row in orchestrator.cost_tracker.to_dicts()] == [True]


@pytest.mark.parametrize(
    "said",
    [{"refusal": "I will not."}, {"tool_calls": [Call("add", {})], "finish": "tool_calls", "text": ""}],
)
def test_x2_a_refusal_and_a_tool_call_are_answers(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, said: Dict[str, Any]
) -> None:
    server.script(dialect.whole(**said))

    assert get(orchestrate(), "whole", reask=2).parsed is None

    assert len(server.requests) == 1


def test_x2_a_cut_answer_is_not_asked_for_again(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, WRONG), says(dialect, way, RIGHT[:9], finish="length"))
    orchestrator = orchestrate()

    with pytest.raises(OutputTruncatedError) as caught:
        get(orchestrator, way, reask=3)

    assert [each.content for each in caught.value.responses] == [WRONG, RIGHT[:9]]
    assert [row["final"] for row in orchestrator.cost_tracker.to_dicts()] == [False, True]


def test_x2_an_empty_answer_is_not_sent_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole(""), dialect.whole(RIGHT))

    assert get(orchestrate(), "whole", reask=1).parsed == ANN

    again = dialect.read_request(server.requests[1].body, server.requests[1].path)["messages"]
    assert "Invalid JSON" in again[-1][1] and "assistant" not in [role for role, _ in again]


# ---------------------------------------------------------------- streams


@streamed
def test_x2_each_try_is_streamed_and_the_wrong_ones_are_marked(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, WRONG), says(dialect, way, RIGHT))
    orchestrator = orchestrate()

    events, text = asyncio.run(_events_and_text(orchestrator, way))

    (mark,) = [at for at, event in enumerate(events) if isinstance(event, OutputRejected)]
    texts = [
        "".join(e.text for e in part if isinstance(e, TextDelta)) for part in (events[:mark], events[mark:])
    ]
    assert texts == [WRONG, RIGHT] and text == RIGHT
    assert events[mark].reason.startswith("address.city: Field required; address.zip: ")
    assert events[mark].response.content == WRONG


async def _events_and_text(orchestrator: LLMOrchestrator, way: str) -> Any:
    arguments: Dict[str, Any] = {"response_format": Person, "reask": 1}
    if way == "streamed":
        stream = orchestrator.send_streaming_request("Who?", **arguments)
        return list(stream.events()), stream.text
    astream = orchestrator.asend_streaming_request("Who?", **arguments)
    return [event async for event in astream.events()], astream.text


@streamed
def test_x2_partial_objects_begin_anew(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, WRONG), says(dialect, way, RIGHT))
    orchestrator = orchestrate()

    async def main() -> List[Any]:
        arguments: Dict[str, Any] = {"response_format": Person, "reask": 1}
        if way == "streamed":
            return list(orchestrator.send_streaming_request("Who?", **arguments).partial())
        stream = orchestrator.asend_streaming_request("Who?", **arguments)
        return [value async for value in stream.partial()]

    values = asyncio.run(main())

    assert json.loads(WRONG) in values and values[-2:] == [json.loads(RIGHT), ANN]
    beginnings = [
        at for at, value in enumerate(values[:-1]) if "address" not in value or not value["address"]
    ]
    assert beginnings[0] == 0 and beginnings[-1] > values.index(json.loads(WRONG))


def test_x2_a_second_try_that_breaks_off_and_one_that_is_left_are_recorded(
    spend: Spend, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = spend(**price(dialect))
    for _ in range(2):
        server.script(says(dialect, "streamed", WRONG), dialect.stream([RIGHT[:9]], complete=False))
    conversation = orchestrator.start_conversation(response_format=Person, reask=1)

    with pytest.raises(StreamInterruptedError) as caught:
        conversation.stream("Who?").final_response()
    assert caught.value.partial_text == RIGHT[:9]

    with conversation.stream("Who?") as stream:
        for event in stream.events():
            if isinstance(event, OutputRejected):
                break
    assert conversation.messages == () and conversation.cost is not None and conversation.cost >= 2 * COST
    statuses = [row["status"] for row in orchestrator.cost_tracker.to_dicts()]
    assert statuses == ["ok", "interrupted"] * 2


# ---------------------------------------------------------------- with what else a call can do


def test_x2_a_conversation_keeps_the_question_and_the_answer_that_fits(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, WRONG), says(dialect, way, RIGHT))
    conversation = spend(**price(dialect)).start_conversation(response_format=Person, reask=1)

    assert _say(conversation, way).parsed == ANN

    assert [message.text for message in conversation.messages] == ["Who?", RIGHT]
    assert conversation.cost == 2 * COST and conversation.usage.total_tokens == 2200


def _say(conversation: Conversation, way: str) -> LLMResponse:
    if way == "whole":
        return conversation.send("Who?")
    if way == "streamed":
        return conversation.stream("Who?").final_response()

    async def main() -> LLMResponse:
        if way == "async whole":
            return await conversation.asend("Who?")
        return await conversation.astream("Who?").final_response()

    return asyncio.run(main())


def test_x2_a_conversation_pays_for_answers_that_never_fit(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, WRONG), says(dialect, way, WRONG))
    conversation = spend(**price(dialect)).start_conversation(response_format=Person, reask=1)

    with pytest.raises(OutputParseError):
        _say(conversation, way)

    assert conversation.messages == () and conversation.cost == 2 * COST


def test_x2_what_ends_asking_again_has_the_paid_answers_among_its_causes(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, WRONG), dialect.error(429, message="Slow down."))

    with pytest.raises(RateLimitError) as caught:
        get(orchestrate(), way, reask=1)

    cause: Optional[BaseException] = caught.value
    while cause is not None and not isinstance(cause, OutputParseError):
        cause = cause.__cause__
    assert cause is not None and [each.content for each in cause.responses] == [WRONG]
    assert [attempt.error for attempt in caught.value.attempts] == ["OutputParseError", "RateLimitError"]


def test_x2_the_second_try_is_retried_and_falls_back_like_the_first(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(
        dialect.error(529, message="Overloaded."),
        says(dialect, way, WRONG),
        dialect.error(529, message="Overloaded."),
        says(dialect, way, RIGHT),
    )

    response = get(orchestrate(fallback_models=["second", "third"]), way, reask=1)

    asked = [dialect.read_request(request.body, request.path)["model"] for request in server.requests]
    assert response.parsed == ANN and asked[1:] == ["second", "second", "third"]


def test_x2_a_budget_ends_it_before_it_is_passed(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, WRONG))
    orchestrator = spend(**price(dialect), budget={"session": "0.004"})

    with pytest.raises(BudgetExceededError) as caught:
        get(orchestrator, way, reask=3)

    assert isinstance(caught.value.__cause__, OutputParseError) and len(server.requests) == 1
    assert orchestrator.get_session_cost() == COST


def test_x2_total_timeout_counts_from_the_first_try(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.default = says(dialect, way, WRONG)
    orchestrator = orchestrate()

    class Late(Person):
        """Checking it takes an hour."""

        @model_validator(mode="before")
        @classmethod
        def wait(cls, value: Any) -> Any:
            monkeypatch.setitem(clock._behind, threading.get_ident(), -3600.0)
            return value

    with pytest.raises(ProviderTimeoutError, match="total_timeout was over"):
        get(orchestrator, way, response_format=Late, reask=9, total_timeout=3000)

    assert len(server.requests) == 1


def test_x2_rows_of_a_run_are_asked_again_too(spend: Spend, server: ScriptedServer, dialect: Dialect) -> None:
    texts = (WRONG, RIGHT, WRONG, HALF_RIGHT)
    server.script(*(says(dialect, "whole", text) for text in texts))

    run = spend(**price(dialect)).map(
        ["Who?", "And who?"], messages=None, response_format=Person, reask=1, concurrency=1, order="input"
    )
    first, second = run

    assert (first.parsed, first.cost, first.error) == (ANN, 2 * COST, None)
    assert isinstance(second.error, OutputParseError) and second.cost == 2 * COST
    assert (run.summary.requests, run.summary.cost) == (4, 4 * COST)


@anthropic
def test_x2_a_paused_answer_that_does_not_fit_is_asked_for_again_as_one(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(
        says(dialect, way, WRONG[:20], finish="pause_turn"),
        says(dialect, way, WRONG[20:]),
        says(dialect, way, RIGHT),
    )

    response = get(orchestrate(), way, reask=1)

    assert (response.parsed, response.content) == (ANN, RIGHT) and response.usage.total_tokens == 3300
    assert turns(dialect, server)[2][0] == "Who?" and len(turns(dialect, server)[2]) == 3


# ---------------------------------------------------------------- wrong calls


@chat
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"reask": -1}, "reask is -1"),
        ({"reask": "2"}, "reask is '2'"),
        ({"reask": True}, "reask is True"),
        ({"reask": 1001}, "at most 1000"),
        ({"reask": 1, "response_format": {"type": "json_object"}}, "Pass a pydantic class"),
    ],
)
def test_x2_what_cannot_be_asked_again_is_refused(
    orchestrate: Orchestrate, server: ScriptedServer, way: str, arguments: Dict[str, Any], expected: str
) -> None:
    with pytest.raises(InvalidRequestError, match=expected):
        get(orchestrate(), way, **arguments)
    assert server.requests == []
