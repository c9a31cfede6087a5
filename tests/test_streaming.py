"""Streams as an application uses them, sync and async alike: when they send, what they give, how they end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, AsyncIterator, Awaitable, Callable, Iterator, List, Mapping, Union

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    AllFallbacksFailedError,
    AsyncLLMStream,
    AuthenticationError,
    FinishReason,
    InvalidMessagesError,
    InvalidRequestError,
    LLMResponse,
    LLMStream,
    OrchestratorError,
    OutputTruncatedError,
    ReasoningDelta,
    ServerError,
    StreamInterruptedError,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from llm_orchestrator.testing import FakeProvider, FakeReply
from tests.fakes import ANSWER, MODEL, Scene, broken, play, warm  # noqa: F401 (warm is a fixture)

PIECES = ["Four", ", of", " course."]


class TrackedReply:
    """An open reply that notes whether it was closed."""

    status_code = 200

    def __init__(self, reply: Any, provider: TrackingProvider) -> None:
        self.headers: Mapping[str, str] = reply.headers
        self._reply = reply
        self._open = provider.open_replies
        self._fault = provider.fault_on_close
        self._open.append(self)

    def iter_bytes(self) -> Iterator[bytes]:
        return self._reply.iter_bytes()  # type: ignore[no-any-return]

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        return self._reply.aiter_bytes()  # type: ignore[no-any-return]

    def close(self) -> None:
        if self in self._open:
            self._open.remove(self)
        if self._fault:
            raise self._fault

    async def aclose(self) -> None:
        self.close()


class TrackingProvider(FakeProvider):
    """A provider that knows which of its connections are open."""

    fault_on_close: Any = None

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.open_replies: List[TrackedReply] = []

    def open_call(self, wire: Any, limits: Any) -> Any:
        return TrackedReply(super().open_call(wire, limits), self)

    async def aopen_call(self, wire: Any, limits: Any) -> Any:
        return TrackedReply(await super().aopen_call(wire, limits), self)


class Reader:
    """A sync or an async stream behind one interface, so that a scenario is written once."""

    def __init__(self, stream: Union[LLMStream, AsyncLLMStream]) -> None:
        self.stream = stream

    async def piece(self) -> str:
        return next(self.stream) if isinstance(self.stream, LLMStream) else await self.stream.__anext__()

    async def pieces(self) -> List[str]:
        if isinstance(self.stream, LLMStream):
            return list(self.stream)
        return [piece async for piece in self.stream]

    async def events(self) -> List[Any]:
        if isinstance(self.stream, LLMStream):
            return list(self.stream.events())
        return [event async for event in self.stream.events()]

    async def final(self) -> LLMResponse:
        if isinstance(self.stream, LLMStream):
            return self.stream.final_response()
        return await self.stream.final_response()

    async def close(self) -> None:
        if isinstance(self.stream, LLMStream):
            self.stream.close()
        else:
            await self.stream.aclose()

    async def __aenter__(self) -> Reader:
        stream = self.stream
        entered = stream.__enter__() if isinstance(stream, LLMStream) else await stream.__aenter__()
        assert entered is stream
        return self

    async def __aexit__(self, *raised: Any) -> None:
        if isinstance(self.stream, LLMStream):
            self.stream.__exit__(*raised)
        else:
            await self.stream.__aexit__(*raised)


Open = Callable[..., Reader]
Scenario = Callable[[Scene, Open], Awaitable[Any]]
Perform = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def perform(request: pytest.FixtureRequest) -> Perform:
    """Runs a scenario on sync and on async streams; afterwards no connection may be open."""

    def run(scenario: Scenario, *script: Any, **settings: Any) -> Any:
        scene = play(
            *(script or [FakeReply(chunks=PIECES)]),
            provider_class=TrackingProvider,
            max_retries=1,
            **settings,
        )

        def open_stream(messages: Any = "What is 2+2?", **arguments: Any) -> Reader:
            if request.param == "sync":
                return Reader(scene.orchestrator.send_streaming_request(messages, **arguments))
            return Reader(scene.orchestrator.asend_streaming_request(messages, **arguments))

        async def main() -> Any:
            return await scenario(scene, open_stream)

        result = asyncio.run(main())
        assert connections(scene) == 0
        return result

    return run


def connections(scene: Scene) -> int:
    assert isinstance(scene.provider, TrackingProvider)
    return len(scene.provider.open_replies)


# ---------------------------------------------------------------- when the request is sent


def test_a_stream_that_never_starts_sends_and_records_nothing(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        stream = open_stream()
        assert stream.stream.response is None and stream.stream.text == ""
        del stream
        closed = open_stream()
        await closed.close()
        scene.orchestrator.close()
        assert (scene.asked, scene.rows, scene.told) == ([], [], [])
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
        assert stream.response.exchange is None
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
        assert scene.told == ["attempt ok", "call ok"]
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
        assert scene.told == ["attempt error", "call error"]
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
        assert partial.usage.source != "reported" and partial.exchange is None
        assert partial.attempts == error.attempts and error.attempts[0].error == "StreamInterruptedError"
        assert reader.stream.response is None
        assert (scene.asked, scene.rows) == ([MODEL], ["priced interrupted final"])
        assert scene.told == ["attempt interrupted", "call interrupted"]

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


# ---------------------------------------------------------------- leaving early


def test_close_releases_and_records_once(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        await reader.piece()
        assert connections(scene) == 1
        await reader.close()
        await reader.close()
        assert connections(scene) == 0
        assert scene.rows == ["priced interrupted final"]
        assert scene.told == ["attempt interrupted", "call interrupted"]
        assert scene.tracker.records[0].usage_status == "missing" and scene.tracker.records[0].cost is None
        assert reader.stream.text == "Four" and reader.stream.response is None
        for read in (reader.pieces, reader.events, reader.final, reader.piece, reader.__aenter__):
            with pytest.raises(OrchestratorError, match="The stream is closed"):
                await read()
        assert scene.asked == [MODEL]

    perform(scenario)


def test_close_after_the_end_changes_nothing(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        response = await reader.final()
        await reader.close()
        assert await reader.final() is response
        assert scene.rows == ["priced ok final"]

    perform(scenario)


def test_close_while_another_reads_on_is_an_error(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        stream = reader.stream
        with pytest.raises(OrchestratorError, match="closed"):
            if isinstance(stream, LLMStream):
                for _ in stream.events():
                    stream.close()
            else:
                async for _ in stream.events():
                    await stream.aclose()
        assert scene.rows == ["priced interrupted final"]

    perform(scenario)


def test_a_connection_that_cannot_be_closed_is_recorded_all_the_same(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        assert isinstance(scene.provider, TrackingProvider)
        scene.provider.fault_on_close = OSError("gone")
        reader = open_stream()
        await reader.piece()
        with pytest.raises(OSError, match="gone"):
            await reader.close()
        assert scene.rows == ["priced interrupted final"]

    perform(scenario)


@pytest.mark.parametrize(
    ("raised", "status"),
    [(None, "interrupted"), (ValueError, "interrupted"), (KeyboardInterrupt, "cancelled")],
)
def test_leaving_the_with_block(raised: Any, status: str, perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        try:
            async with open_stream() as reader:
                await reader.piece()
                if raised:
                    raise raised()
        except (ValueError, KeyboardInterrupt) as error:
            assert raised is type(error)
        assert scene.rows == [f"priced {status} final"]
        assert connections(scene) == 0

    perform(scenario)


def test_a_with_block_that_reads_to_the_end_is_a_success(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        async with open_stream() as reader:
            assert await reader.pieces() == PIECES
        assert reader.stream.response is not None
        assert scene.rows == ["priced ok final"]

    perform(scenario)


Settle = Callable[[Scene], Any]


@pytest.mark.parametrize(
    "settle",
    [
        lambda scene: scene.orchestrator.send_request("Next"),
        lambda scene: scene.orchestrator.get_session_cost(),
        lambda scene: scene.orchestrator.cost_tracker.get_usage_report(),
        lambda scene: scene.orchestrator.close(),
        lambda scene: asyncio.run(scene.orchestrator.aclose()),
    ],
    ids=["next call", "session cost", "report", "close", "aclose"],
)
def test_c2_break_and_drop_is_recorded_once_by_what_comes_next(settle: Settle) -> None:
    scene = play(FakeReply(chunks=PIECES), provider_class=TrackingProvider)
    for _ in scene.orchestrator.send_streaming_request("Hi"):
        break
    assert scene.rows == [], "a finalizer takes no lock and writes nothing"
    settle(scene)
    assert connections(scene) == 0
    scene.orchestrator.close()
    assert scene.rows.count("priced interrupted final") == 1
    assert scene.told.count("call interrupted") == 1


def test_c2_an_async_stream_that_is_dropped_releases_its_connection_at_once() -> None:
    scene = play(FakeReply(chunks=PIECES), provider_class=TrackingProvider)

    async def main() -> None:
        async for _ in scene.orchestrator.asend_streaming_request("Hi"):
            break
        assert scene.rows == []
        for _ in range(3):  # turns of the loop, in which it closes the connection
            await asyncio.sleep(0)
        assert connections(scene) == 0

    asyncio.run(main())
    scene.orchestrator.close()
    assert scene.rows == ["priced interrupted final"]


def test_c2_an_async_stream_may_outlive_its_loop() -> None:
    scene = play(FakeReply(chunks=PIECES))

    async def main() -> None:
        streams.append(scene.orchestrator.asend_streaming_request("Hi"))
        await streams[0].__anext__()

    streams: List[AsyncLLMStream] = []
    asyncio.run(main())
    streams.clear()
    scene.orchestrator.close()
    assert scene.rows == ["priced interrupted final"]


def test_c2_a_dropped_stream_whose_connection_cannot_be_closed_is_recorded() -> None:
    scene = play(FakeReply(chunks=PIECES), provider_class=TrackingProvider)
    scene.provider.fault_on_close = OSError("gone")  # type: ignore[attr-defined]
    for _ in scene.orchestrator.send_streaming_request("Hi"):
        break
    scene.orchestrator.close()
    assert scene.rows == ["priced interrupted final"]


def test_a_finished_or_failed_stream_leaves_nothing_to_the_finalizer(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        await open_stream().final()
        with pytest.raises(StreamInterruptedError):
            await open_stream().final()
        scene.orchestrator.close()
        assert scene.rows == ["priced ok final", "priced interrupted final"]

    perform(scenario, FakeReply(chunks=PIECES), FakeReply(chunks=PIECES, error=broken()))


# ---------------------------------------------------------------- cancellation


@pytest.mark.parametrize("read_first", [False, True], ids=["before the first piece", "between pieces"])
def test_r7_a_cancelled_task_ends_at_once(read_first: bool) -> None:
    reply = FakeReply(chunks=PIECES, delay=0.005 if read_first else 60)
    scene = play(reply, provider_class=TrackingProvider)
    stream = scene.orchestrator.asend_streaming_request("Hi")

    async def read() -> None:
        async for _ in stream:
            started.append(True)

    async def main() -> None:
        task = asyncio.ensure_future(read())
        while not (started if read_first else scene.asked):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started: List[bool] = []
    asyncio.run(main())
    assert connections(scene) == 0
    assert (scene.asked, scene.rows) == ([MODEL], ["priced cancelled final"])
    assert scene.told == ["attempt cancelled", "call cancelled"]
    with pytest.raises(OrchestratorError, match="The stream is closed"):
        asyncio.run(stream.final_response())
    assert scene.asked == [MODEL], "a cancelled stream never asks again"


def test_r7_an_interrupt_from_the_keyboard_ends_a_sync_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = play(FakeReply(chunks=PIECES, delay=0.001), provider_class=TrackingProvider)
    stream = scene.orchestrator.send_streaming_request("Hi")
    assert next(stream) == "Four"

    def press(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llm_orchestrator.testing.time.sleep", press)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert connections(scene) == 0
    assert scene.rows == ["priced cancelled final"]
    with pytest.raises(OrchestratorError, match="The stream is closed"):
        next(stream)


def test_r7_an_interrupt_before_the_first_piece_never_asks_again(perform: Perform) -> None:
    def press(request: Any) -> str:
        raise KeyboardInterrupt

    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        try:
            await reader.piece()
        except KeyboardInterrupt:
            pass
        else:
            pytest.fail("the interrupt was swallowed")
        with pytest.raises(OrchestratorError, match="The stream is closed"):
            await reader.pieces()
        assert (scene.asked, scene.rows) == ([MODEL], ["priced cancelled final"])

    perform(scenario, press)
