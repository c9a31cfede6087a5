"""Streams that are left before their end: each is recorded once, and its connection released."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from typing import Any, Callable, List, Union

import pytest

from llm_orchestrator import (
    AsyncLLMStream,
    LLMStream,
    OrchestratorError,
    StreamInterruptedError,
)
from llm_orchestrator.testing import FakeReply
from tests.support.fakes import ANSWER, MODEL, Scene, broken, play, warm  # noqa: F401 (warm is a fixture)
from tests.support.streams import (
    PIECES,
    Open,
    Perform,
    TrackingProvider,
    connections,
    performer,  # noqa: F401 (a fixture)
)


def test_close_releases_and_records_once(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        await reader.piece()
        assert connections(scene) == 1
        await reader.close()
        await reader.close()
        assert connections(scene) == 0
        assert scene.rows == ["priced interrupted final"]
        assert scene.reported == ["attempt interrupted", "call interrupted"]
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


Next = Callable[[Scene], Any]


@pytest.mark.parametrize(
    "come_next",
    [
        lambda scene: scene.orchestrator.send_request("Next"),
        lambda scene: scene.orchestrator.get_session_cost(),
        lambda scene: scene.orchestrator.cost_tracker.get_usage_report(),
        lambda scene: scene.orchestrator.close(),
        lambda scene: asyncio.run(scene.orchestrator.aclose()),
    ],
    ids=["next call", "session cost", "report", "close", "aclose"],
)
def test_c2_break_and_drop_is_recorded_once_by_what_comes_next(come_next: Next) -> None:
    scene = play(FakeReply(chunks=PIECES), provider_class=TrackingProvider)
    for _ in scene.orchestrator.send_streaming_request("Hi"):
        break
    assert scene.rows == [], "a finalizer takes no lock and writes nothing"
    come_next(scene)
    assert connections(scene) == 0
    scene.orchestrator.close()
    assert scene.rows.count("priced interrupted final") == 1
    assert scene.reported.count("call interrupted") == 1


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
    assert scene.reported == ["attempt cancelled", "call cancelled"]
    with pytest.raises(OrchestratorError, match="The stream is closed"):
        asyncio.run(stream.final_response())
    assert scene.asked == [MODEL], "a cancelled stream never asks again"


def test_r7_an_interrupt_from_the_keyboard_ends_a_sync_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = play(FakeReply(chunks=PIECES, delay=0.001), provider_class=TrackingProvider)
    stream = scene.orchestrator.send_streaming_request("Hi")
    assert next(stream) == "Four"

    def press(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llm_orchestrator.testing.scripted_reply.time.sleep", press)
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


def test_r7_an_interrupt_just_after_the_opening_leaves_the_stream_to_the_next_call(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(call: Any, stream: Any) -> None:
        raise KeyboardInterrupt

    async def scenario(scene: Scene, open_stream: Open) -> None:
        monkeypatch.setattr("llm_orchestrator.calls.call.Call.opened", press)
        reader = open_stream()
        with pytest.raises(KeyboardInterrupt):
            await reader.piece()
        with pytest.raises(OrchestratorError, match="The stream is closed"):
            await reader.piece()
        scene.orchestrator.close()
        await asyncio.sleep(0.01)  # turns of the loop, in which it closes the connection
        assert (scene.asked, scene.rows) == ([MODEL], ["priced interrupted final"])

    perform(scenario)


def test_r7_a_coroutine_that_is_dropped_while_it_reads_waits_for_nothing() -> None:
    scene = play(FakeReply(chunks=PIECES, delay=0.001), provider_class=TrackingProvider)

    async def main() -> None:
        stream = scene.orchestrator.asend_streaming_request("Hi")
        assert await stream.__anext__() == "Four"
        reading: Any = stream.__anext__()
        reading.send(None)
        reading.close()
        assert (
            scene.rows == []
        ), "it may be a finalizer that closes it, which takes no lock and writes nothing"
        await asyncio.sleep(0.01)
        assert connections(scene) == 0
        with pytest.raises(OrchestratorError, match="The stream is closed"):
            await stream.__anext__()

    asyncio.run(main())
    scene.orchestrator.close()
    assert scene.rows == ["priced interrupted final"]


# ---------------------------------------------------------------- two at one stream


def close_now(stream: Union[LLMStream, AsyncLLMStream]) -> None:
    """Close a stream that is not open yet, which waits for nothing."""
    if isinstance(stream, LLMStream):
        stream.close()
    else:
        with suppress(StopIteration):
            stream.aclose().send(None)


def test_c2_a_stream_that_is_closed_while_it_is_opened(perform: Perform) -> None:
    readers: List[Any] = []

    def answer(request: Any) -> FakeReply:
        close_now(readers[0].stream)
        return FakeReply(chunks=PIECES)

    async def scenario(scene: Scene, open_stream: Open) -> None:
        readers.append(open_stream())
        for _ in range(2):
            with pytest.raises(OrchestratorError, match="The stream is closed"):
                await readers[0].piece()
        assert (scene.asked, scene.rows) == ([MODEL], ["priced interrupted final"])

    perform(scenario, answer)


def test_c2_who_reads_a_stream_that_just_ends_does_not_ask_again(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        parse_reply = scene.provider.parse_reply

        def read_meanwhile(*arguments: Any) -> Any:
            with pytest.raises(OrchestratorError, match="has been read"):
                if isinstance(reader.stream, LLMStream):
                    next(reader.stream)
                else:
                    reader.stream.__anext__().send(None)
            return parse_reply(*arguments)

        monkeypatch.setattr(scene.provider, "parse_reply", read_meanwhile)
        assert (await reader.final()).content == ANSWER
        assert (scene.asked, scene.rows) == ([MODEL], ["priced ok final"])

    perform(scenario)


def test_a_stream_that_has_ended_holds_its_text_but_no_connection(perform: Perform) -> None:
    async def scenario(scene: Scene, open_stream: Open) -> None:
        reader = open_stream()
        await reader.piece()
        source = weakref.ref(reader.stream._source)
        await reader.pieces()
        await asyncio.sleep(0)  # the loop lets go of the task that closed the connection
        assert source() is None
        assert reader.stream.text == ANSWER

    perform(scenario)
