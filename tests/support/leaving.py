"""Every way in which an application leaves a stream early, sync and async, and what the ledger calls it."""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable, Dict, Iterator, Tuple

import pytest

from llm_orchestrator import AsyncLLMStream, LLMStream

INTERRUPTED, CANCELLED = "interrupted", "cancelled"


class OwnError(Exception):
    """An error of the application."""


# ---------------------------------------------------------------- sync

Leave = Callable[[LLMStream], Any]


def close(stream: LLMStream) -> None:
    next(stream)
    stream.close()
    stream.close()


def end_with_block(stream: LLMStream) -> None:
    with stream:
        for _ in stream:
            break


def drop(stream: LLMStream) -> None:
    for _ in stream:
        break


def fail_in_with_block(stream: LLMStream) -> None:
    with pytest.raises(OwnError), stream:
        for _ in stream:
            raise OwnError


def fail(stream: LLMStream) -> None:
    with pytest.raises(OwnError):
        for _ in stream:
            raise OwnError


def drop_events(stream: LLMStream) -> None:
    for _ in stream.events():
        break


def close_generator(stream: LLMStream) -> None:
    """As a web framework does when the browser has gone."""

    def answer() -> Iterator[str]:
        with stream:
            for piece in stream:  # noqa: UP028 (``yield from`` would close the stream before the block ends)
                yield piece

    pieces = answer()
    next(pieces)
    pieces.close()


def exit_program(stream: LLMStream) -> None:
    with pytest.raises(SystemExit), stream:
        next(stream)
        raise SystemExit


SYNC: Dict[str, Tuple[Leave, str]] = {
    "close": (close, INTERRUPTED),
    "with": (end_with_block, INTERRUPTED),
    "drop": (drop, INTERRUPTED),
    "exception": (fail, INTERRUPTED),
    "exception in with": (fail_in_with_block, INTERRUPTED),
    "drop events": (drop_events, INTERRUPTED),
    "generator": (close_generator, CANCELLED),
    "exit": (exit_program, CANCELLED),
}


# ---------------------------------------------------------------- async

AsyncLeave = Callable[[AsyncLLMStream], Awaitable[Any]]


async def aclose(stream: AsyncLLMStream) -> None:
    await stream.__anext__()
    await stream.aclose()
    await stream.aclose()


async def end_async_with_block(stream: AsyncLLMStream) -> None:
    async with stream:
        async for _ in stream:
            break


async def drop_async(stream: AsyncLLMStream) -> None:
    async for _ in stream:
        break


async def fail_in_async_with_block(stream: AsyncLLMStream) -> None:
    with pytest.raises(OwnError):
        async with stream:
            async for _ in stream:
                raise OwnError


async def drop_async_events(stream: AsyncLLMStream) -> None:
    async for _ in stream.events():
        break


async def close_async_generator(stream: AsyncLLMStream) -> None:
    async def answer() -> Any:
        async with stream:
            async for piece in stream:
                yield piece

    pieces = answer()
    await pieces.__anext__()
    await pieces.aclose()


async def cancel(stream: AsyncLLMStream) -> None:
    task = asyncio.ensure_future(stream.final_response())
    while stream.text != "One two":
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def wait_not_long_enough(stream: AsyncLLMStream) -> None:
    await stream.__anext__()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(stream.final_response(), 0.01)


async def end_the_loop(stream: AsyncLLMStream) -> None:
    async def read() -> None:
        await stream.final_response()

    reading = asyncio.ensure_future(read())
    while stream.text != "One two":
        await asyncio.sleep(0.001)
    assert not reading.done()


ASYNC: Dict[str, Tuple[AsyncLeave, str]] = {
    "aclose": (aclose, INTERRUPTED),
    "async with": (end_async_with_block, INTERRUPTED),
    "drop": (drop_async, INTERRUPTED),
    "exception in async with": (fail_in_async_with_block, INTERRUPTED),
    "drop events": (drop_async_events, INTERRUPTED),
    "generator": (close_async_generator, CANCELLED),
    "cancel": (cancel, CANCELLED),
    "wait_for": (wait_not_long_enough, CANCELLED),
    "end of the loop": (end_the_loop, CANCELLED),
}
