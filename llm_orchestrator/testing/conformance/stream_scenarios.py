"""What can go wrong only in a stream: late pieces, a cut taken for the end, a connection that stays open."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any, List, Sequence

import pytest

from llm_orchestrator.exceptions import ProviderError, ProviderTimeoutError, StreamInterruptedError
from llm_orchestrator.testing.conformance.answer import Answer
from llm_orchestrator.testing.conformance.bench import SHORT_TIMEOUT, Bench, Scenarios, stream_of
from llm_orchestrator.testing.reply_server import Reply
from llm_orchestrator.types import FinishReason

__all__ = ["StreamScenarios"]

#: Seconds in which the server must notice that its client has disconnected.
SOON = 5.0


class StreamScenarios(Scenarios):
    """How a stream arrives, is cut and is closed early; every scenario runs sync and async."""

    def test_a_piece_comes_when_it_was_sent(self, bench: Bench, streamed_way: str) -> None:
        """The first piece arrives while the server has not sent the rest."""
        bench.server.script(self._held())
        first, rest = _first_and_rest(streamed_way, bench)
        assert first and Answer().text.startswith(first)
        assert first + rest == Answer().text

    @pytest.mark.parametrize("broken", [False, True], ids=["clean end", "broken connection"])
    def test_a_cut_stream_is_no_answer(self, bench: Bench, streamed_way: str, broken: bool) -> None:
        """A stream that is cut anywhere ends in an error; after text, in StreamInterruptedError."""
        answer = Answer()
        events = self.stream(answer)
        asked = bench.orchestrator()
        interrupted = 0
        for sent in range(len(events)):
            bench.server.script(stream_of(events[:sent], broken=broken))
            try:
                response = bench.ask(streamed_way, orchestrator=asked)
            except StreamInterruptedError as error:
                interrupted += 1
                assert answer.text.startswith(
                    error.partial_text or "?"
                ), "the error must have the text so far"
            except ProviderError:
                assert not interrupted, "after text, the error must be StreamInterruptedError"
            else:
                whole = (response.content, response.finish_reason) == (answer.text, FinishReason.STOP)
                assert (
                    whole
                ), f"after {sent} of {len(events)} events, {response.content!r} was returned as complete"
        assert interrupted, "no cut was noticed: set state.complete only when the provider reports it"

    def test_silence_in_a_stream_ends_it(self, bench: Bench, streamed_way: str) -> None:
        """A stream that pauses for ``timeout`` seconds is interrupted."""
        bench.server.script(self._held())
        with pytest.raises(StreamInterruptedError) as caught:
            bench.ask(streamed_way, orchestrator=bench.orchestrator(timeout=SHORT_TIMEOUT))
        assert isinstance(caught.value.__cause__, ProviderTimeoutError)

    def test_leaving_early_releases_the_connection(self, bench: Bench, streamed_way: str) -> None:
        """Closing a stream early closes its connection, so that the server can stop."""
        bench.server.script(self._held())
        _leave_after_first_piece(streamed_way, bench)
        assert bench.server.client_left.wait(SOON), "the connection is still open: close must reach the reply"

    def test_two_streams_do_not_mix(self, bench: Bench, streamed_way: str) -> None:
        """Two streams of one provider can be read in turn: the provider has no state of a call."""
        answers = Answer(("one ", "two ", "three")), Answer(("un ", "deux ", "trois"))
        bench.answers(streamed_way, *answers)
        texts = _read_in_turn(streamed_way, bench)
        assert texts == [answer.text for answer in answers]

    def _held(self) -> Reply:
        """A stream in which the server waits after the second piece of the text."""
        events = self.stream(Answer())
        shown = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
        second = Answer().pieces[1].encode()
        until = next((n for n, event in enumerate(shown, start=1) if second in event), len(events) // 2)
        return stream_of(events, held=until)


def _first_and_rest(way: str, bench: Bench) -> List[str]:
    asked = bench.orchestrator()
    if way == "streamed":
        with asked.send_streaming_request("Hi") as stream:
            first = next(stream)
            bench.server.go_on()
            return [first, "".join(stream)]

    async def read() -> List[str]:
        async with asked.asend_streaming_request("Hi") as stream:
            first = await stream.__anext__()
            bench.server.go_on()
            return [first, "".join([piece async for piece in stream])]

    return bench.run(read())


def _leave_after_first_piece(way: str, bench: Bench) -> None:
    asked = bench.orchestrator()
    if way == "streamed":
        stream = asked.send_streaming_request("Hi")
        next(stream)
        stream.close()
        return

    async def leave() -> None:
        stream = asked.asend_streaming_request("Hi")
        await stream.__anext__()
        await stream.aclose()

    bench.run(leave())


def _read_in_turn(way: str, bench: Bench) -> List[str]:
    """Read two streams piece by piece in turn; returns their texts."""
    asked = bench.orchestrator()
    if way == "streamed":
        streams: List[Any] = [asked.send_streaming_request("Hi") for _ in range(2)]
        return _texts(list(zip_longest(*streams, fillvalue="")), streams)

    async def read() -> List[str]:
        streams = [asked.asend_streaming_request("Hi") for _ in range(2)]
        turns: List[Sequence[str]] = []
        while not turns or any(turns[-1]):
            turns.append([await _next(stream) for stream in streams])
        return _texts(turns, streams)

    return bench.run(read())


async def _next(stream: Any) -> str:
    try:
        piece: str = await stream.__anext__()
    except StopAsyncIteration:
        return ""
    return piece


def _texts(turns: Sequence[Sequence[str]], streams: Sequence[Any]) -> List[str]:
    texts = ["".join(pieces) for pieces in zip(*turns)]
    wholes = [stream.response.content for stream in streams]
    assert wholes == texts, "each response must be made of its own stream's pieces"
    return texts
