"""Streams as an application reads them, sync and async: when they send, what they give, how they fail."""

from __future__ import annotations

from dataclasses import replace
from typing import List

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    AllFallbacksFailedError,
    AuthenticationError,
    FinishReason,
    InvalidMessagesError,
    InvalidRequestError,
    OrchestratorError,
    OutputTruncatedError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from llm_orchestrator.testing import FakeReply
from tests.support.fakes import ANSWER, MODEL, Scene, broken, play, warm  # noqa: F401 (warm is a fixture)
from tests.support.streams import PIECES, Open, Perform, performer  # noqa: F401 (performer is a fixture)

# ---------------------------------------------------------------- when the request is sent


def test_a_stream_that_never_starts_sends_and_records_nothing(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        stream = open_stream()
        assert stream.stream.response is None and stream.stream.text == ""
        del stream
        closed = open_stream()
        await closed.close()
        scene.orchestrator.close()
        assert (scene.asked, scene.rows, scene.reported) == ([], [], [])
        with pytest.raises(OrchestratorError, match="The stream is closed"):
            await closed.pieces()
        assert scene.asked == []

    perform(scenario)


@pytest.mark.parametrize("start", ["piece", "pieces", "events", "final", "__aenter__"])
def test_each_way_to_begin_sends_one_request(start: str, perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        assert scene.asked == []
        await getattr(reader, start)()
        assert scene.asked == [MODEL]
        await reader.close()

    perform(scenario)


def test_sync_events_send_at_the_call() -> None:
    scene = play()
    events = scene.orchestrator.send_streaming_request("Hi").events()
    assert scene.asked == [MODEL]
    assert [type(event) for event in events] == [TextDelta] * 3


def test_arguments_are_checked_at_the_call(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        with pytest.raises(InvalidMessagesError):
            open_stream([])
        with pytest.raises(InvalidRequestError):
            open_stream(temperature="hot")
        assert (scene.asked, scene.rows) == ([], [])

    perform(scenario)


def test_a_stream_of_a_closed_orchestrator_does_not_start(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        scene.orchestrator.close()
        with pytest.raises(OrchestratorError, match="The orchestrator is closed"):
            await reader.pieces()
        assert (scene.asked, scene.rows) == ([], [])

    perform(scenario)


# ---------------------------------------------------------------- what it gives


def test_pieces_text_and_the_whole_answer(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        stream = reader.stream
        assert await reader.piece() == "Four"
        assert stream.text == "Four" and stream.response is None
        assert await reader.pieces() == [", of", " course."]
        assert stream.text == ANSWER
        assert stream.response is not None

        whole = await scene.orchestrator.asend_request("What is 2+2?")
        own = ("latency", "request_id", "attempts", "cost_details")
        same = {name: getattr(whole, name) for name in own}
        assert replace(stream.response, **same, raw_response=None) == replace(whole, raw_response=None)
        assert [attempt.error for attempt in stream.response.attempts] == [None]
        assert scene.rows == ["priced ok final"] * 2
        assert [row.streamed for row in scene.tracker.records] == [True, False]

    perform(scenario)


def test_the_final_response_reads_the_rest(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        await reader.piece()
        response = await reader.final()
        assert response.content == reader.stream.text == ANSWER
        assert await reader.final() is reader.stream.response is response
        assert scene.asked == [MODEL]

    perform(scenario)


def test_events_are_typed_and_text_is_text_alone(perform: Perform) -> None:
    calls = (ToolCall("1", "add", {"a": 2}, '{"a": 2}'), ToolCall("2", "now", {}, "{}"))
    reply = FakeReply(chunks=["I ", "add."], reasoning="Sums.", tool_calls=calls)

    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        assert await reader.events() == [
            ReasoningDelta("Sums."),
            TextDelta("I "),
            TextDelta("add."),
            ToolCallDelta(0, "1", "add", '{"a": 2}'),
            ToolCallDelta(1, "2", "now", "{}"),
        ]
        assert reader.stream.text == "I add."
        response = await reader.final()
        assert response.tool_calls == calls and response.reasoning == "Sums."
        assert response.finish_reason is FinishReason.TOOL_CALLS
        assert await open_stream().pieces() == ["I ", "add."]

    perform(scenario, reply)


def test_a_stream_is_read_once(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        await reader.pieces()
        for again in (reader.pieces, reader.events, reader.__aenter__):
            with pytest.raises(OrchestratorError, match=r"has been read. Its answer is in .response"):
                await again()
        with pytest.raises((StopIteration, StopAsyncIteration, RuntimeError)):
            await reader.piece()
        assert scene.asked == [MODEL]

    perform(scenario)


def test_an_answer_without_text_is_an_answer(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        assert await reader.pieces() == []
        assert (await reader.final()).content == ""
        assert scene.rows == ["priced ok final"]

    perform(scenario, FakeReply(""))


def test_the_price_and_the_hooks_of_a_stream(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        response = await open_stream(tags={"job": "sums"}).final()
        assert response.cost == scene.orchestrator.get_session_cost() > 0
        assert scene.reported == ["attempt ok", "call ok"]
        assert scene.events[-1].response == response
        assert all(event.streamed and event.tags == {"job": "sums"} for event in scene.events)

    perform(scenario)


# ---------------------------------------------------------------- refusals to start


def test_s4_a_refusal_to_start_retries_and_falls_back(perform: Perform, waits: List[float]) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        assert await reader.pieces() == ["From ", "b."]
        assert scene.asked == [MODEL, MODEL, "b"]
        assert scene.rows == ["priced error", "priced error", "b ok final"]
        assert reader.stream.response is not None
        assert [attempt.error for attempt in reader.stream.response.attempts] == ["OverloadedError"] * 2 + [
            None
        ]

    perform(scenario, broken(), broken(), FakeReply(chunks=["From ", "b."]), fallback_models=["b"])


@pytest.mark.parametrize("start", ["piece", "pieces", "events", "final", "__aenter__"])
def test_a_refusal_shows_at_the_start_and_stays(start: str, perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        with pytest.raises(AuthenticationError) as caught:
            await getattr(reader, start)()
        assert [attempt.status_code for attempt in caught.value.attempts] == [401]
        with pytest.raises(AuthenticationError):
            await reader.pieces()
        await reader.close()
        assert (scene.asked, scene.rows) == ([MODEL], ["priced error final"])
        assert scene.reported == ["attempt error", "call error"]
        assert reader.stream.response is None

    perform(scenario, AuthenticationError("No.", status_code=401))


def test_all_models_may_refuse(perform: Perform, waits: List[float]) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        with pytest.raises(AllFallbacksFailedError) as caught:
            await open_stream().pieces()
        assert [attempt.model for attempt in caught.value.attempts] == [MODEL, MODEL, "b", "b"]
        assert caught.value.__cause__ is not None

    perform(scenario, broken(), fallback_models=["b"])


# ---------------------------------------------------------------- errors after text


def test_s3_an_error_after_text_keeps_the_text_and_repeats_nothing(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        assert await reader.piece() == "Four"
        with pytest.raises(StreamInterruptedError) as caught:
            await reader.pieces()
        error = caught.value
        assert error.partial_text == reader.stream.text == "Four, of"
        assert (error.provider, error.model, error.status_code) == ("fake", MODEL, 529)
        assert isinstance(error.__cause__, ServerError)
        partial = error.partial_response
        assert partial is not None and partial.content == "Four, of"
        assert partial.usage.source != "reported"
        assert partial.attempts == error.attempts and error.attempts[0].error == "StreamInterruptedError"
        assert reader.stream.response is None
        assert (scene.asked, scene.rows) == ([MODEL], ["priced interrupted final"])
        assert scene.reported == ["attempt interrupted", "call interrupted"]

        with pytest.raises(StreamInterruptedError):
            await reader.final()
        await reader.close()
        assert scene.rows == ["priced interrupted final"]

    perform(scenario, FakeReply(chunks=PIECES[:2], error=broken()), "never", fallback_models=["b"])


def test_an_interrupted_stream_without_a_partial_answer_is_recorded(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        with pytest.raises(StreamInterruptedError):
            await open_stream().pieces()
        assert scene.rows == ["priced interrupted final"]

    perform(scenario, FakeReply(chunks=PIECES, error=StreamInterruptedError("Cut.")))


def test_a_fault_that_is_no_error_of_ours_shows_as_itself_and_is_recorded(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        with pytest.raises(ZeroDivisionError):
            await open_stream().pieces()
        assert scene.rows == ["priced error final"]

    perform(scenario, FakeReply(chunks=PIECES, error=ZeroDivisionError()))


class Sum(BaseModel):
    total: int


def test_structured_output_of_a_stream(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        response = await open_stream(response_format=Sum).final()
        assert response.parsed == Sum(total=4)

    perform(scenario, FakeReply(chunks=['{"tot', 'al": 4}']))


def test_an_answer_that_cannot_be_used_is_an_error_and_paid(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream(response_format=Sum)
        with pytest.raises(OutputTruncatedError) as caught:
            await reader.pieces()
        assert caught.value.response is not None and caught.value.response.content == '{"tot'
        assert reader.stream.response is None and reader.stream.text == '{"tot'
        with pytest.raises(OutputTruncatedError):
            await reader.final()
        assert (scene.asked, scene.rows) == ([MODEL], ["priced ok final"])
        assert scene.orchestrator.get_session_cost() > 0

    perform(scenario, FakeReply(chunks=['{"tot'], finish_reason=FinishReason.LENGTH))
