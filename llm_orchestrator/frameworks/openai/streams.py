"""Streams as the SDK has them: iterate over chunks, ``close``, or ``with``."""

from __future__ import annotations

from typing import AsyncIterator, Generic, Iterator, List, Protocol, TypeVar

from llm_orchestrator.frameworks.openai.errors import translated
from llm_orchestrator.streaming import AsyncLLMStream, LLMStream
from llm_orchestrator.types import AnswerEvent, LLMResponse

__all__ = ["AsyncStream", "ChunksOf", "Stream"]

Chunk = TypeVar("Chunk")


class ChunksOf(Protocol[Chunk]):
    """Writes the chunks of one stream."""

    def first(self) -> List[Chunk]:
        """Those before the answer."""

    def of(self, event: AnswerEvent) -> List[Chunk]:
        """Those of an event."""

    def last(self, response: LLMResponse) -> List[Chunk]:
        """Those after the answer."""


class Stream(Generic[Chunk]):
    """A streamed answer in chunks. The request was sent, and the provider has begun to answer.

    Args:
        stream: The library's stream.
        writer: What writes its chunks.

    Attributes:
        llm_stream: The library's stream; its ``response`` has cost and attempts at the end.
    """

    def __init__(self, stream: LLMStream, writer: ChunksOf[Chunk]) -> None:
        self.llm_stream = stream
        with translated():
            self._chunks = _written(stream, stream.events(), writer)

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def __enter__(self) -> Stream[Chunk]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the stream: release the connection and record what is known. Twice is fine."""
        self.llm_stream.close()


class AsyncStream(Generic[Chunk]):
    """A streamed answer in chunks, for ``async for``. See ``Stream``; ``opened`` makes one.

    Args:
        stream: The library's stream.
        writer: What writes its chunks.

    Attributes:
        llm_stream: The library's stream; its ``response`` has cost and attempts at the end.
    """

    def __init__(self, stream: AsyncLLMStream, writer: ChunksOf[Chunk]) -> None:
        self.llm_stream = stream
        self._chunks = _awritten(stream, writer)

    async def opened(self) -> AsyncStream[Chunk]:
        """Send the request, and wait until the provider begins to answer."""
        with translated():
            await self.llm_stream.__aenter__()
        return self

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self._chunks

    async def __anext__(self) -> Chunk:
        return await self._chunks.__anext__()

    async def __aenter__(self) -> AsyncStream[Chunk]:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the stream: release the connection and record what is known. Twice is fine."""
        await self.llm_stream.aclose()

    async def aclose(self) -> None:
        """The same as ``close``."""
        await self.close()


# Not methods: a stream that its chunks refer to would not end when it is dropped.


def _written(stream: LLMStream, events: Iterator[AnswerEvent], writer: ChunksOf[Chunk]) -> Iterator[Chunk]:
    with translated():
        yield from writer.first()
        for event in events:
            yield from writer.of(event)
        yield from writer.last(stream.final_response())


async def _awritten(stream: AsyncLLMStream, writer: ChunksOf[Chunk]) -> AsyncIterator[Chunk]:
    with translated():
        for chunk in writer.first():
            yield chunk
        async for event in stream.events():
            for chunk in writer.of(event):
                yield chunk
        for chunk in writer.last(await stream.final_response()):
            yield chunk
