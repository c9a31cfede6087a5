"""FA1 to FA5, FC11 and FD10: failures inside answers are paid for, and text is found where hosts put it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict

import pytest

from llm_orchestrator import FinishReason, InvalidResponseError, ProviderError, ServerError
from llm_orchestrator.exceptions import StreamInterruptedError
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic, chat, gemini, responses, streamed
from tests.support.money import Spend, price
from tests.support.raw_replies import (
    WHOLE_ITEM,
    choice,
    chunk,
    completion,
    ended,
    events_of,
    message,
    raw,
    raw_stream,
    response_json,
    shaped,
)
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.scripted_server.replies import json_reply
from tests.support.ways import ask

Json = Dict[str, Any]


# ---------------------------------------------------------------- FC11: what a failure inside an answer costs

CHAT_USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
USAGE = {"input_tokens": 1000, "output_tokens": 100}
GEMINI_USAGE = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
BROKEN = {"code": 500, "message": "Broken."}
TEXTS: Dict[str, Json] = {
    "chat": chunk({"content": "Half"}),
    "responses": {"type": "response.output_text.delta", "output_index": 0, "delta": "Half"},
    "anthropic": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Half"}},
    "gemini": {"candidates": [{"content": {"parts": [{"text": "Half"}]}}]},
}


def failed(dialect: Dialect, way: str, *before: Json) -> Any:
    """An answer that ends with a failure and tells its usage."""
    if dialect.name == "chat":
        whole = completion(choice(message(content="Half"), "error", error=BROKEN), usage=CHAT_USAGE)
        last = {**chunk({}, "error", error=BROKEN), "usage": CHAT_USAGE}
    elif dialect.name == "responses":
        whole = response_json(status="failed", error={"code": "server_error", "message": "x"}, usage=USAGE)
        last = {"type": "response.failed", "response": whole}
    elif dialect.name == "anthropic":
        head = {"type": "message", "role": "assistant", "model": "m", "usage": USAGE}
        whole = {**head, "content": [{"type": "text", "text": "Half"}], "stop_reason": "error"}
        last = {"type": "message_delta", "delta": {"stop_reason": "error"}, "usage": USAGE}
    else:
        error = {"code": 503, "status": "UNAVAILABLE", "message": "x"}
        whole = last = {**TEXTS["gemini"], "error": error, "usageMetadata": GEMINI_USAGE}
    return raw(way, whole, [*before, last])


def check_paid(orchestrator: Any, status: str) -> None:
    (row,) = orchestrator.cost_tracker.to_dicts()
    assert (row["status"], row["prompt_tokens"], row["completion_tokens"]) == (status, 1000, 100)
    assert row["cost"] == orchestrator.get_session_cost() == Decimal("0.0045")
    assert row["usage_status"] in ("reported", "partial") and not row["estimated"]


def test_fc11_a_failure_inside_an_answer_keeps_its_usage_and_cost(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(failed(dialect, way))
    orchestrator = spend(**price(dialect))

    with pytest.raises(ServerError):
        ask(orchestrator, way)

    check_paid(orchestrator, "error")


@streamed
def test_fc11_a_failure_after_text_keeps_its_usage_and_cost(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(failed(dialect, way, TEXTS[dialect.name]))
    orchestrator = spend(**price(dialect))

    with pytest.raises(StreamInterruptedError) as caught:
        ask(orchestrator, way)

    assert caught.value.partial_text == "Half"
    check_paid(orchestrator, "interrupted")


def test_fc11_each_failed_attempt_counts_beside_the_answer(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, waits: Any
) -> None:
    server.script(failed(dialect, way), failed(dialect, way))
    orchestrator = spend(entry={"max_retries": 1}, **price(dialect))

    with pytest.raises(ProviderError):
        ask(orchestrator, way)

    assert [row["cost"] for row in orchestrator.cost_tracker.to_dicts()] == [Decimal("0.0045")] * 2


@chat
def test_fc11_an_answer_that_cannot_be_read_keeps_its_usage(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = completion(choice(message(content=5)), usage=CHAT_USAGE)
    server.script(raw(way, whole, [chunk({"content": 5}), {**chunk({}, "stop"), "usage": CHAT_USAGE}]))
    orchestrator = spend(**price(dialect))

    with pytest.raises(InvalidResponseError):
        ask(orchestrator, way)

    check_paid(orchestrator, "error")


def test_fc11_a_refusal_still_costs_nothing(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(json_reply({"error": {"message": "No."}}, status=400))
    orchestrator = spend(**price(dialect))

    with pytest.raises(ProviderError):
        ask(orchestrator, way)

    (row,) = orchestrator.cost_tracker.to_dicts()
    assert (row["cost"], row["usage_status"]) == (0, "none")


# ---------------------------------------------------------------- FA1: an error in the message


@chat
def test_fa1_an_error_in_the_message_is_the_error_of_its_code(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = completion(choice(message(content="", error=BROKEN)))
    server.script(raw(way, whole, [chunk({"error": BROKEN}), chunk({}, "stop")], "[DONE]"))

    with pytest.raises(ServerError) as caught:
        ask(orchestrate(max_retries=0), way)

    assert (caught.value.status_code, caught.value.code) == (500, "500")


@chat
@streamed
def test_fa1_an_error_in_a_delta_after_text_is_an_interruption(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(raw_stream([chunk({"content": "Half"}), chunk({"error": BROKEN}), chunk({}, "stop")]))

    with pytest.raises(StreamInterruptedError) as caught:
        ask(orchestrate(), way)

    assert (caught.value.partial_text, caught.value.status_code) == ("Half", 500)


# ---------------------------------------------------------------- FA2: what is not finished

UNFINISHED = ("paused", "cancelled", "in_progress")


def check_unfinished(orchestrator: Any, server: ScriptedServer) -> None:
    conversation = orchestrator.start_conversation()
    response = conversation.send("Hi")

    assert response.finish_reason is FinishReason.OTHER and response.content == "Hello."
    assert any("not finished" in warning for warning in response.warnings)
    assert conversation.messages == () and len(server.requests) == 1


@gemini
def test_fa2_a_pause_without_a_token_is_not_finished(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = {"candidates": [{"content": {"parts": [{"text": "Hello."}]}, "finishReason": "CONTINUATION"}]}
    server.script(raw(way, whole, [whole]), json_reply(whole))

    assert any("not finished" in warning for warning in ask(orchestrate(), way).warnings)
    server.requests.clear()
    check_unfinished(orchestrate(), server)


@responses
@pytest.mark.parametrize("status", UNFINISHED)
def test_fa2_a_response_left_in_the_middle_is_not_finished(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, status: str
) -> None:
    whole = response_json(WHOLE_ITEM, status=status)
    if status == "in_progress":
        whole.pop("id")  # there is nothing to ask for
    server.script(raw(way, whole, [{"type": "response.completed", "response": whole}]), json_reply(whole))

    response = ask(orchestrate(), way)

    assert response.finish_reason is FinishReason.OTHER
    assert any("not finished" in warning for warning in response.warnings)
    server.requests.clear()
    check_unfinished(orchestrate(), server)


# ---------------------------------------------------------------- FA3 and FA5: where a stream holds its text


@responses
def test_fa3_reasoning_that_comes_only_with_its_end_is_read(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    thought = {"type": "response.reasoning_summary_text.done", "text": "So.", "output_index": 0}
    said = {"type": "response.output_text.done", "text": "Hello.", "output_index": 1}
    server.script(raw_stream([thought, said, ended()]))

    _, response = events_of(orchestrate())

    assert (response.content, response.reasoning) == ("Hello.", "So.")


@responses
@streamed
def test_fa5_a_response_that_was_whole_when_it_was_created_is_the_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    created = {"type": "response.created", "response": response_json(WHOLE_ITEM, status="in_progress")}
    server.script(raw_stream([created, ended()]))

    assert ask(orchestrate(), way).content == "Hello."


# ---------------------------------------------------------------- FA4: shapes


@anthropic
@pytest.mark.parametrize("block", [{"text": "Hello."}, {"type": "output_text", "text": "Hello."}])
def test_fa4_a_block_of_text_under_another_name_is_text(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, block: Json
) -> None:
    server.script(shaped(dialect, way, [block]))

    response = ask(orchestrate(), way)

    assert (response.content, response.message.text) == ("Hello.", "Hello.")


@anthropic
@streamed
@pytest.mark.parametrize("kind", [{}, {"type": "output_text"}])
def test_fa4_such_a_block_may_come_in_pieces(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, kind: Json
) -> None:
    delta = {"type": f"{kind['type']}_delta"} if kind else {}
    events = [
        {"type": "message_start", "message": {"type": "message", "role": "assistant", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {**kind, "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {**delta, "text": "lo."}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
    server.script(raw_stream(events))

    assert ask(orchestrate(), way).content == "Hello."


@chat
def test_fa4_a_part_with_its_text_in_content_is_read(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(shaped(dialect, way, [{"type": "text", "content": "Hello."}]))

    assert ask(orchestrate(), way).content == "Hello."


@responses
def test_fa4_text_beside_an_empty_output_is_read(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    fields = {"output_text": "Hello."}
    server.script(raw(way, response_json(**fields), [ended(**fields)]))

    response = ask(orchestrate(), way)

    assert (response.content, response.message.text) == ("Hello.", "Hello.")


@gemini
def test_fa4_a_part_may_say_of_what_type_it_is(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(shaped(dialect, way, [{"type": "text", "content": "Hello."}]))

    assert ask(orchestrate(), way).content == "Hello."


# ---------------------------------------------------------------- FD10: a stray field


@chat
def test_fd10_a_stray_output_hides_no_completion(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = completion(choice(message(content="Hello.")), output=[])
    server.script(raw(way, whole, [{**chunk({"content": "Hello."}), "output": []}, chunk({}, "stop")]))

    assert ask(orchestrate(), way).content == "Hello."
