"""One streamed answer, from the open reply to its last piece: every test runs sync and async."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any, Awaitable, List, Optional, Type, TypeVar, Union

import pytest

from llm_orchestrator.exceptions import (
    InvalidResponseError,
    ProviderConnectionError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
)
from llm_orchestrator.providers.http import deadlines
from llm_orchestrator.providers.stream import DRAIN_CHUNKS, AsyncProviderStream, ProviderStream
from llm_orchestrator.types import LLMResponse, StreamEvent
from tests.support.small_adapter import DROP, END, HELLO, REQUEST, SmallAdapter, event

Result = TypeVar("Result")
Open = Union[ProviderStream, AsyncProviderStream]

ERROR = event(error="overloaded")
BROKEN = b"data: <html>\n\n"


class Reader:
    """Opens, reads and closes streams, sync or async, in the same words."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async

    async def open(self, adapter: SmallAdapter) -> Open:
        if self.is_async:
            return await adapter.asend_streaming_request(REQUEST)
        return adapter.send_streaming_request(REQUEST)

    async def next(self, stream: Any) -> Optional[StreamEvent]:
        """The next piece; None at the end."""
        try:
            return await stream.__anext__() if self.is_async else next(stream)
        except (StopIteration, StopAsyncIteration):
            return None

    async def close(self, stream: Any) -> None:
        if self.is_async:
            await stream.aclose()
        else:
            stream.close()

    async def texts(self, stream: Open, into: List[str]) -> None:
        """Read to the end, noting the pieces as they come."""
        while True:
            piece: Any = await self.next(stream)
            if piece is None:
                return
            into.append(piece.text)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def reader(request: pytest.FixtureRequest) -> Reader:
    return Reader(request.param)


def run(work: Awaitable[Result]) -> Result:
    async def main() -> Result:
        return await work

    return asyncio.run(main())


def read(reader: Reader, adapter: SmallAdapter, into: Optional[List[str]] = None) -> LLMResponse:
    """Read a whole stream and return its answer; its pieces go into a list, also when it fails."""

    async def work() -> LLMResponse:
        stream = await reader.open(adapter)
        await reader.texts(stream, [] if into is None else into)
        return stream.response()

    return run(work())


def interruption(reader: Reader, adapter: SmallAdapter) -> StreamInterruptedError:
    """The error of a stream that delivers "Hello." and breaks off."""
    texts: List[str] = []
    with pytest.raises(StreamInterruptedError) as caught:
        read(reader, adapter, texts)
    assert texts == ["Hel", "lo."], "everything that came before the failure is delivered first"
    return caught.value


def test_a_stream_read_to_its_end(reader: Reader) -> None:
    adapter, texts = SmallAdapter(*HELLO, END), []  # type: ignore[var-annotated]
    response = read(reader, adapter, texts)
    assert texts == ["Hel", "lo."]
    assert (response.content, response.usage.prompt_tokens, response.usage.source) == (
        "Hello.",
        7,
        "reported",
    )
    assert (response.model, response.requested_model, response.request_id) == (
        "model-1",
        "model-1",
        "request-1",
    )
    assert response.raw_response == {"text": "Hello.", "usage": 7}
    assert adapter.replies[0].closed, "the connection is released"


@pytest.mark.parametrize(
    "chunks", [[HELLO[0] + HELLO[1] + END], [HELLO[0] + HELLO[1][:9], HELLO[1][9:] + END[:-1]]]
)
def test_how_the_bytes_are_cut_does_not_matter(reader: Reader, chunks: List[bytes]) -> None:
    assert read(reader, SmallAdapter(*chunks)).content == "Hello."


def test_opening_reads_until_the_first_piece_and_no_further(reader: Reader) -> None:
    adapter = SmallAdapter(b": comment\n\n", event(started=1), *HELLO, END)

    async def work() -> None:
        stream = await reader.open(adapter)
        assert adapter.replies[0].read == 3 or reader.is_async
        assert await reader.next(stream) is not None
        assert not adapter.replies[0].closed
        await reader.close(stream)

    run(work())


def test_an_answer_without_text_is_an_answer(reader: Reader) -> None:
    texts: List[str] = []
    assert read(reader, SmallAdapter(END), texts).content == ""
    assert texts == []


FAULTS = [
    ([DROP], ProviderConnectionError),
    ([ERROR], ServerError),
    ([BROKEN], InvalidResponseError),
    ([], ProviderConnectionError),  # a clean end that nobody announced
    ([b"data: [DONE]\n\n"], ProviderConnectionError),
]
IDS = ["a drop", "an error event", "broken JSON", "a clean end", "done without an end"]


@pytest.mark.parametrize(("chunks", "expected"), FAULTS, ids=IDS)
def test_a_failure_after_text_is_an_interruption(
    reader: Reader, chunks: List[Any], expected: Type[ProviderError]
) -> None:
    adapter = SmallAdapter(*HELLO, *chunks)
    error = interruption(reader, adapter)
    assert type(error.__cause__) is expected
    assert (error.partial_text, error.provider, error.model) == ("Hello.", "small", "model-1")
    assert error.request_id == "request-1"
    assert adapter.replies[0].closed


@pytest.mark.parametrize(("chunks", "expected"), FAULTS[1:3], ids=IDS[1:3])
def test_a_failure_in_the_same_chunk_as_text_comes_after_it(
    reader: Reader, chunks: List[bytes], expected: Type[ProviderError]
) -> None:
    error = interruption(reader, SmallAdapter(b"".join([*HELLO, *chunks])))
    assert type(error.__cause__) is expected


@pytest.mark.parametrize(("chunks", "expected"), FAULTS[:3], ids=IDS[:3])
def test_a_failure_before_the_first_piece_is_raised_as_itself_at_opening(
    reader: Reader, chunks: List[Any], expected: Type[ProviderError]
) -> None:
    adapter = SmallAdapter(event(started=1), *chunks)
    with pytest.raises(ProviderError) as caught:
        run(reader.open(adapter))
    assert type(caught.value) is expected
    assert (caught.value.provider, caught.value.model) == ("small", "model-1")
    assert adapter.replies[0].closed


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], InvalidResponseError),
        ([b"<html></html>"], InvalidResponseError),
        ([event(started=1)], ProviderConnectionError),
        ([b"data: [DONE]\n\n"], ProviderConnectionError),
    ],
    ids=["nothing", "HTML", "no text", "only done"],
)
def test_an_end_before_the_first_piece_is_a_refusal_to_start(
    reader: Reader, chunks: List[bytes], expected: Type[ProviderError]
) -> None:
    with pytest.raises(ProviderError) as caught:
        run(reader.open(SmallAdapter(*chunks)))
    assert type(caught.value) is expected


def test_a_host_that_never_says_complete_can_be_allowed(reader: Reader) -> None:
    adapter = SmallAdapter(*HELLO, allow_missing_finish_reason=True)
    assert read(reader, adapter).content == "Hello."
    with pytest.raises(StreamInterruptedError):
        read(reader, SmallAdapter(*HELLO, DROP, allow_missing_finish_reason=True))


@pytest.mark.parametrize("after", [DROP, BROKEN, ERROR], ids=["a drop", "broken JSON", "an error event"])
@pytest.mark.parametrize("done", [False, True])
def test_a_failure_after_the_answer_is_complete_is_none(
    reader: Reader, after: Any, done: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    adapter = SmallAdapter(*HELLO, event(end=done, usage=7), after)
    assert read(reader, adapter).content == "Hello."
    assert adapter.replies[0].closed
    if not done or after is DROP:
        assert "small" in caplog.text, "it is only noted"


def test_nothing_is_delivered_after_the_end(reader: Reader) -> None:
    texts: List[str] = []
    read(reader, SmallAdapter(*HELLO, END + event(text="late"), event(text="later")), texts)
    assert texts == ["Hel", "lo."]


def test_what_follows_a_complete_answer_is_read_for_the_connections_sake(reader: Reader) -> None:
    adapter = SmallAdapter(*HELLO, END, b"data: [DONE]\n\n")
    read(reader, adapter)
    assert list(adapter.replies[0]._chunks) == []


def test_a_server_that_goes_on_after_the_end_is_left(reader: Reader) -> None:
    more = DRAIN_CHUNKS * 2
    adapter = SmallAdapter(*HELLO, END, *[b": more\n"] * more)
    read(reader, adapter)
    assert len(list(adapter.replies[0]._chunks)) == more - DRAIN_CHUNKS
    assert adapter.replies[0].closed


def test_reading_on_after_the_end_or_a_failure(reader: Reader) -> None:
    async def after_the_end() -> None:
        stream = await reader.open(SmallAdapter(*HELLO, END))
        await reader.texts(stream, [])
        assert await reader.next(stream) is None

    async def after_a_failure() -> None:
        stream = await reader.open(SmallAdapter(*HELLO, DROP))
        for _ in range(2):
            with pytest.raises(StreamInterruptedError):
                await reader.texts(stream, [])

    run(after_the_end())
    run(after_a_failure())


def test_leaving_early_releases_the_connection_and_keeps_what_is_known(reader: Reader) -> None:
    adapter = SmallAdapter(event(text="Hel", usage=3), *HELLO)

    async def work() -> LLMResponse:
        stream = await reader.open(adapter)
        await reader.close(stream)
        await reader.close(stream)
        return stream.partial()

    partial = run(work())
    assert adapter.replies[0].closed
    assert (partial.content, partial.usage.prompt_tokens, partial.usage.source) == ("Hel", 3, "partial")


def test_a_usage_that_was_not_told_stays_missing_in_a_partial_answer(reader: Reader) -> None:
    error = interruption(reader, SmallAdapter(*HELLO, DROP))
    assert error.partial_response is not None
    assert error.partial_response.usage.source == "missing"


def test_the_text_survives_a_partial_document_that_cannot_be_read(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(self: SmallAdapter, body: Any, headers: Any) -> LLMResponse:
        raise InvalidResponseError("half a document")

    monkeypatch.setattr(SmallAdapter, "parse_reply", unreadable)
    error = interruption(reader, SmallAdapter(*HELLO, DROP))
    assert error.partial_text == "Hello."
    assert error.partial_response is not None
    assert (error.partial_response.content, error.partial_response.model) == ("Hello.", "model-1")


def test_a_fault_of_an_adapter_shows_as_what_it_is(reader: Reader) -> None:
    with pytest.raises(KeyError, match="oops"):
        run(reader.open(SmallAdapter(event(bug="oops"))))
    with pytest.raises(KeyError, match="oops"):
        read(reader, SmallAdapter(*HELLO, event(bug="oops")))


def test_a_cancellation_while_opening_releases_the_connection(reader: Reader) -> None:
    adapter = SmallAdapter(asyncio.CancelledError())

    async def work() -> None:
        with pytest.raises(asyncio.CancelledError):
            await reader.open(adapter)

    run(work())
    assert adapter.replies[0].closed


def test_ctrl_c_while_opening_releases_the_connection() -> None:
    adapter = SmallAdapter(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        adapter.send_streaming_request(REQUEST)
    assert adapter.replies[0].closed


def test_no_watch_is_left_running(reader: Reader) -> None:
    before = set(deadlines._Watchdog.running()._watches)

    async def work() -> int:
        loop: Any = asyncio.get_running_loop()
        await reader.texts(await reader.open(SmallAdapter(*HELLO, END)), [])
        with pytest.raises(ServerError):
            await reader.open(SmallAdapter(ERROR))
        await reader.close(await reader.open(SmallAdapter(*HELLO)))
        return sum(not handle.cancelled() for handle in loop._scheduled)

    assert run(work()) == 0
    assert deadlines._Watchdog.running()._watches == before


def test_a_failed_opening_leaves_no_watch() -> None:
    def refuse(wire: Any) -> Any:
        raise ConnectionRefusedError("nobody listens")

    async def work() -> int:
        loop: Any = asyncio.get_running_loop()
        with pytest.raises(ProviderConnectionError, match="nobody listens"):
            await SmallAdapter(answer=refuse).asend_streaming_request(REQUEST)
        return sum(not handle.cancelled() for handle in loop._scheduled)

    assert run(work()) == 0


def test_a_dropped_sync_stream_is_released_by_whoever_finds_it() -> None:
    adapter = SmallAdapter(*HELLO)
    stream = adapter.send_streaming_request(REQUEST)
    stream.release()
    assert adapter.replies[0].closed


@pytest.mark.slow  # a full collection looks at everything that the session holds
def test_a_dropped_async_stream_is_closed_by_its_loop() -> None:
    adapter = SmallAdapter(*HELLO)

    async def work() -> AsyncProviderStream:
        stream = await adapter.asend_streaming_request(REQUEST)
        await asyncio.get_running_loop().run_in_executor(None, stream.close_soon)
        stream.release()
        for _ in range(5):
            await asyncio.sleep(0)
        assert adapter.replies[0].closed
        return stream

    stream = run(work())
    stream.close_soon()  # its loop is closed: nothing to do, nothing to say
    del stream
    gc.collect()


def test_iterating_a_stream_is_the_stream_itself(reader: Reader) -> None:
    async def work() -> None:
        stream: Any = await reader.open(SmallAdapter(*HELLO, END))
        assert (stream.__aiter__() if reader.is_async else iter(stream)) is stream
        await reader.close(stream)

    run(work())
