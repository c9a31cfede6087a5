"""FA2: what a provider has not finished is followed to its end, and never looks finished before."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any, Dict, List

import pytest

from llm_orchestrator import (
    FinishReason,
    InvalidRequestError,
    InvalidResponseError,
    LLMOrchestrator,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llm_orchestrator.providers import background
from tests.support.fixtures import Orchestrate
from tests.support.marks import STREAMED
from tests.support.money import Spend, price
from tests.support.scripted_server import DIALECTS, Close, Dialect, Request, ScriptedServer, Usage
from tests.support.scripted_server.replies import Reply, json_reply
from tests.support.ways import ask

PAUSES = {"anthropic": "pause_turn", "gemini": "CONTINUATION"}
TOKEN = "token-to-go-on-with"
#: Both providers that pause a turn; OpenAI works in the background instead.
PAUSING = pytest.mark.parametrize(
    "dialect", [DIALECTS[name] for name in PAUSES], ids=list(PAUSES), indirect=True
)


@pytest.fixture
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


def part(dialect: Dialect, way: str, text: str, *, paused: bool, **answer: Any) -> Reply:
    """A part of an answer, paused or the last."""
    finish = {"finish": PAUSES[dialect.name]} if paused else {}
    reply = (
        dialect.stream([text], **finish, **answer)
        if way in STREAMED
        else dialect.whole(text, **finish, **answer)
    )
    token = f'"finishReason": "CONTINUATION", "continuationToken": "{TOKEN}"'.encode()

    def with_token(data: bytes) -> bytes:
        return data.replace(b'"finishReason": "CONTINUATION"', token)

    return reply.but(
        body=with_token(reply.body),
        chunks=reply.chunks and tuple(with_token(chunk) for chunk in reply.chunks),
    )


def statuses(orchestrator: LLMOrchestrator) -> List[str]:
    return [f"{row['status']}{' final' * row['final']}" for row in orchestrator.cost_tracker.to_dicts()]


@PAUSING
def test_fa2_a_paused_answer_is_continued_as_one(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(
        part(dialect, way, "One, ", paused=True, reasoning="Hm."),
        part(dialect, way, "two, ", paused=True),
        part(dialect, way, "three.", paused=False),
    )
    orchestrator = orchestrate()

    response = ask(orchestrator, way)

    assert (response.content, response.finish_reason) == ("One, two, three.", FinishReason.STOP)
    assert response.reasoning == "Hm." and response.message.text == "One, two, three."
    assert response.tokens_used == {"prompt": 36, "completion": 18, "total": 54}
    assert len(response.attempts) == len(server.requests) == 3 and response.warnings == ()
    assert statuses(orchestrator) == ["ok", "ok", "ok final"]
    assert orchestrator.cost_tracker.get_usage_report().total_requests == 1
    _check_requests(dialect, server.requests)


def _check_requests(dialect: Dialect, requests: List[Request]) -> None:
    if dialect.name == "gemini":
        assert [request.body.get("continuationToken") for request in requests] == [None, TOKEN, TOKEN]
        assert all(request.body["contents"] == requests[0].body["contents"] for request in requests)
        return
    for request in requests[1:]:
        assert request.body["messages"][-1]["role"] == "assistant"
    turn = requests[2].body["messages"][-1]["content"]
    assert [block.get("text") for block in turn if block["type"] == "text"] == ["One, ", "two, "]


@PAUSING
def test_fa2_each_part_is_paid_once(spend: Spend, server: ScriptedServer, dialect: Dialect, way: str) -> None:
    usage = Usage(prompt=1000, completion=100)
    server.script(
        part(dialect, way, "One, ", paused=True, usage=usage),
        part(dialect, way, "two.", paused=False, usage=usage),
    )
    orchestrator = spend(**price(dialect))

    response = ask(orchestrator, way)

    assert response.cost == orchestrator.get_session_cost() == 2 * Decimal("0.0045")
    assert response.cost_details.output == 2 * Decimal("0.0015")
    assert sum(row["cost"] for row in orchestrator.cost_tracker.to_dicts()) == response.cost


@PAUSING
def test_fa2_what_stays_unfinished_never_looks_finished(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = part(dialect, way, "More, ", paused=True)
    orchestrator = orchestrate(max_continuations=2)
    conversation = orchestrator.start_conversation()

    response = _say(conversation, way)

    assert (response.content, response.finish_reason) == ("More, " * 3, FinishReason.OTHER)
    assert any(
        "not finished" in warning and "max_continuations is 2" in warning for warning in response.warnings
    )
    assert statuses(orchestrator) == ["ok", "ok", "interrupted final"]
    assert conversation.messages == () and conversation.usage.total_tokens == 54


@PAUSING
def test_fa2_a_conversation_keeps_the_whole_turn(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(part(dialect, way, "One, ", paused=True), part(dialect, way, "two.", paused=False))
    conversation = orchestrate().start_conversation()

    _say(conversation, way)

    assert [message.text for message in conversation.messages] == ["Hi", "One, two."]


def _say(conversation: Any, way: str) -> Any:
    if way == "whole":
        return conversation.send("Hi")
    if way == "streamed":
        return conversation.stream("Hi").final_response()
    if way == "async whole":
        return asyncio.run(conversation.asend("Hi"))

    async def stream() -> Any:
        return await conversation.astream("Hi").final_response()

    return asyncio.run(stream())


@PAUSING
def test_fa2_a_part_that_fails_is_tried_again_and_no_text_comes_twice(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    server.script(
        part(dialect, way, "One, ", paused=True), dialect.error(500), part(dialect, way, "two.", paused=False)
    )
    orchestrator = orchestrate(max_retries=1, fallback_models=["another"])

    assert ask(orchestrator, way).content == "One, two."
    assert statuses(orchestrator) == ["ok", "error", "ok final"]


@PAUSING
def test_fa2_a_part_that_cannot_come_ends_the_call(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(part(dialect, way, "One, ", paused=True), dialect.error(500), dialect.error(500))
    orchestrator = orchestrate(fallback_models=["another"])

    with pytest.raises(StreamInterruptedError if way in STREAMED else ServerError) as caught:
        ask(orchestrator, way)

    assert len(server.requests) == 2, "another model cannot go on with it"
    assert len(caught.value.attempts) == 2 and statuses(orchestrator) == ["ok", "error final"]
    if way in STREAMED:
        assert caught.value.partial_text == caught.value.partial_response.content == "One, "


@PAUSING
@pytest.mark.parametrize("way", STREAMED)
def test_fa2_a_stream_that_breaks_in_a_later_part(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(
        part(dialect, way, "One, ", paused=True),
        dialect.stream(["two, "], complete=False).but(fault=Close()),
    )
    orchestrator = orchestrate()

    with pytest.raises(StreamInterruptedError) as caught:
        ask(orchestrator, way)

    assert caught.value.partial_text == caught.value.partial_response.content == "One, two, "
    assert statuses(orchestrator) == ["ok", "interrupted final"]
    assert server.wait_for_connections(0)


@PAUSING
def test_fa2_pieces_come_as_they_are_made_and_leaving_early_records_all(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(part(dialect, "streamed", "One, ", paused=True), dialect.stream(["two, ", "three."]))
    orchestrator = orchestrate()

    with orchestrator.send_streaming_request("Hi") as stream:
        assert [next(stream), next(stream)] == ["One, ", "two, "]
        assert stream.text == "One, two, "

    assert statuses(orchestrator) == ["ok", "interrupted final"]
    orchestrator.close()
    assert server.wait_for_connections(0)


# ---------------------------------------------------------------- OpenAI's background


RESPONSES = pytest.mark.parametrize("dialect", [DIALECTS["responses"]], ids=["responses"], indirect=True)
ASKED = pytest.mark.parametrize("way", ["whole", "async whole"])


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> List[float]:
    """The seconds between two questions, without waiting them."""
    waited: List[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    # First where calls look, so that the real ones are what is put back.
    monkeypatch.setattr("llm_orchestrator.providers.base.background.sleep", waited.append)
    monkeypatch.setattr("llm_orchestrator.providers.base.background.asleep", note)
    monkeypatch.setattr(background, "sleep", waited.append)
    monkeypatch.setattr(background, "asleep", note)
    return waited


def working(state: str) -> Reply:
    document: Dict[str, Any] = json.loads(DIALECTS["responses"].whole().body)
    return json_reply({**document, "id": "resp_1", "status": state, "output": [], "usage": None})


@RESPONSES
@ASKED
def test_fa2_a_background_answer_is_waited_for(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, pauses: List[float]
) -> None:
    usage = Usage(prompt=1000, completion=100)
    server.script(working("queued"), working("in_progress"), dialect.whole("Done.", usage=usage))
    orchestrator = spend(**price(dialect))

    response = ask(orchestrator, way, background=True, extra_headers={"x-trace": "1"})

    assert (response.content, response.finish_reason) == ("Done.", FinishReason.STOP)
    first, *polls = server.requests
    assert (first.method, first.body["background"], first.body["store"]) == ("POST", True, True)
    assert [(poll.method, poll.path, poll.headers["x-trace"]) for poll in polls] == [
        ("GET", "/v1/responses/resp_1", "1")
    ] * 2
    assert pauses == [1, 2] and response.cost == orchestrator.get_session_cost() == Decimal("0.0045")
    assert len(response.attempts) == 1 and statuses(orchestrator) == ["ok final"]


@RESPONSES
@ASKED
def test_fa2_a_question_that_fails_is_asked_again_and_nothing_is_made_twice(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, pauses: List[float]
) -> None:
    server.script(working("queued"), dialect.error(503), dialect.error(500), dialect.whole("Done."))

    assert ask(orchestrate(max_retries=3), way, background=True).content == "Done."
    assert [request.method for request in server.requests] == ["POST", "GET", "GET", "GET"]

    server.script(working("queued"), *[dialect.error(500)] * 5)
    with pytest.raises(ServerError):
        ask(orchestrate(max_retries=3), way, background=True)
    assert [request.method for request in server.requests].count("POST") == 2


@RESPONSES
@ASKED
def test_fa2_a_background_answer_that_is_late_is_an_error_and_its_row_says_so(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, pauses: List[float]
) -> None:
    server.default = working("queued")
    orchestrator = orchestrate(total_timeout=3, max_retries=2)

    with pytest.raises(ProviderTimeoutError, match="resp_1.*total_timeout"):
        ask(orchestrator, way, background=True)

    assert statuses(orchestrator) == ["error final"]
    assert [request.method for request in server.requests].count("POST") == 1


LOST = {
    "without the form of the API": Reply(404, {"content-type": "text/plain"}, b"404 page not found"),
    "in the form of the API": DIALECTS["responses"].error(
        404, "not_found", "Response with id 'resp_1' not found."
    ),
    "as a model would be": DIALECTS["responses"].failure("model_not_found"),
}


@RESPONSES
@ASKED
@pytest.mark.parametrize("lost", LOST)
def test_fa2_a_background_answer_that_is_not_found_again_may_be_billed_and_is_not_made_twice(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    pauses: List[float],
    lost: str,
) -> None:
    server.script(working("queued"), LOST[lost])
    orchestrator = orchestrate(fallback_models=["another"])

    with pytest.raises(InvalidRequestError, match="resp_1.*may be billed") as caught:
        ask(orchestrator, way, "Hi " * 500, background=True)

    assert caught.value.status_code == LOST[lost].status
    assert [request.method for request in server.requests] == ["POST", "GET"]
    (row,) = orchestrator.cost_tracker.to_dicts()
    assert (row["status"], row["usage_status"]) == ("error", "missing")


@RESPONSES
@ASKED
@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_fa2_a_background_answer_that_ends_otherwise(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    pauses: List[float],
    state: str,
) -> None:
    server.script(working("queued"), dialect.whole(finish="failed") if state == "failed" else working(state))
    if state == "failed":
        with pytest.raises(ServerError):
            ask(orchestrate(), way, background=True)
    else:
        assert ask(orchestrate(), way, background=True).finish_reason is FinishReason.OTHER


FAILED_QUESTIONS = {
    "an error": json_reply({"error": {"code": "rate_limit_exceeded", "message": "Slow down."}}),
    "nothing": json_reply({}),
    "another object": json_reply({"id": "resp_1", "status": "completed"}),
}


@RESPONSES
@ASKED
@pytest.mark.parametrize("case", FAILED_QUESTIONS)
def test_fa2_a_question_that_is_answered_with_something_else_makes_nothing_twice(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, pauses: List[float], case: str
) -> None:
    failed = FAILED_QUESTIONS[case]
    orchestrator = spend(**price(dialect), entry={"fallback_models": ["another"], "max_retries": 2})

    server.script(working("queued"), failed, failed, dialect.whole("Done."))
    assert ask(orchestrator, way, background=True).content == "Done."

    server.script(working("queued"), *[failed] * 5)
    with pytest.raises(RateLimitError if case == "an error" else InvalidResponseError) as caught:
        ask(orchestrator, way, background=True)

    assert [request.method for request in server.requests].count("POST") == 2
    assert len(caught.value.attempts) == 1
    row = orchestrator.cost_tracker.to_dicts()[-1]
    assert (row["status"], row["usage_status"]) == ("error", "missing")
    assert row["cost"] > 0, "the prompt, which may be billed"


@RESPONSES
@ASKED
@pytest.mark.parametrize("output", [None, []])
def test_fa2_a_background_answer_that_is_empty_is_paid_and_no_other_model_is_asked(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, pauses: List[float], output: Any
) -> None:
    document = json.loads(dialect.whole("", usage=Usage(prompt=1000, completion=100)).body)
    server.script(working("queued"), json_reply({**document, "output": output}))
    orchestrator = spend(**price(dialect), entry={"fallback_models": ["another"], "max_retries": 2})

    response = ask(orchestrator, way, background=True)

    assert (response.content, response.cost) == ("", Decimal("0.0045"))
    assert "empty" in response.warnings[0] and len(server.requests) == 2
