"""The four ways of calling as one function: a scenario runs whole and streamed, sync and async."""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable, List, TypeVar

from llm_orchestrator import LLMOrchestrator, LLMResponse
from llm_orchestrator.types import Messages

__all__ = ["WAYS", "aask", "ask", "run_async"]

WAYS = ("whole", "streamed", "async whole", "async streamed")

Result = TypeVar("Result")


def ask(orchestrator: LLMOrchestrator, way: str, messages: Messages = "Hi", **arguments: Any) -> LLMResponse:
    """Get an answer in one of the four ways; the pieces of a streamed one are checked against its whole."""
    if way == "whole":
        return orchestrator.send_request(messages, **arguments)
    if way == "streamed":
        stream = orchestrator.send_streaming_request(messages, **arguments)
        return _checked(list(stream), stream.response)
    return run_async(orchestrator, lambda: aask(orchestrator, way, messages, **arguments))


def run_async(orchestrator: LLMOrchestrator, work: Callable[[], Awaitable[Result]]) -> Result:
    """Run async work on a loop of its own, at whose end the orchestrator's connections are gone."""

    async def main() -> Result:
        return await work()

    return asyncio.run(main())


async def aask(orchestrator: LLMOrchestrator, way: str, messages: Messages, **arguments: Any) -> LLMResponse:
    """Get an answer in one of the two async ways, on the running loop."""
    if way == "async whole":
        return await orchestrator.asend_request(messages, **arguments)
    stream = orchestrator.asend_streaming_request(messages, **arguments)
    pieces = [piece async for piece in stream]
    return _checked(pieces, stream.response)


def _checked(pieces: List[str], response: Any) -> LLMResponse:
    assert isinstance(response, LLMResponse)
    assert "".join(pieces) == response.content
    return response
