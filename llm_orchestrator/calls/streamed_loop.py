"""A loop of tools as the call behind a stream: one turn after the other, with a mark between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional, Union

from llm_orchestrator.calls.tool_loop import ToolLoop
from llm_orchestrator.types import LLMResponse, Message, OutputRejected, ToolResults

if TYPE_CHECKING:
    from llm_orchestrator.providers.stream import AsyncProviderStream, ProviderStream
    from llm_orchestrator.streaming import StreamCore

__all__ = ["StreamedLoop"]


class StreamedLoop:
    """Hands a stream the turns of a loop; opening one that is not the first makes the calls before it.

    Args:
        loop: The loop.
    """

    def __init__(self, loop: ToolLoop) -> None:
        self._loop = loop
        #: Of the calls that are to be made before the next turn; None where none are.
        self._results: Optional[List[Message]] = None
        self._ended_with: Optional[BaseException] = None

    @property
    def asks_for_json(self) -> bool:
        """Whether the answer is to be JSON."""
        return self._loop.call.asks_for_json

    @property
    def wrapped_under(self) -> Optional[str]:
        """The key under which the value of the JSON stands."""
        return self._loop.call.wrapped_under

    def open(self) -> ProviderStream:
        """Open the next turn."""
        self._loop.held.__enter__()
        try:
            if self._results is not None:
                self._results += self._loop.use_tools()
                self._results = None
            return self._loop.call.open()
        except BaseException:  # a Ctrl-C, too, must leave a history to go on with
            self._end()
            raise

    async def aopen(self) -> AsyncProviderStream:
        """Open the next turn, async."""
        self._loop.held.__enter__()
        try:
            if self._results is not None:
                self._results += await self._loop.ause_tools()
                self._results = None
            return await self._loop.call.aopen()
        except BaseException:  # also when it is cut: the history is given back
            self._end()
            raise

    def opened(self, stream: StreamCore) -> None:
        """Note a stream that was opened."""
        self._loop.call.opened(stream)

    def goes_on(self, part: LLMResponse) -> bool:
        """Whether the provider paused its answer."""
        return self._loop.call.goes_on(part)

    def succeed(self, response: LLMResponse) -> Union[LLMResponse, OutputRejected, ToolResults]:
        """Take a whole answer; the mark in its place is filled when the next turn is open."""
        ended = self._loop.call.succeed(response)
        if isinstance(ended, OutputRejected):
            return ended
        try:
            answer = self._loop.took(ended)
        except BaseException as error:  # also when it is cut: the history is given back
            self._ended_with = error
            self._end()
            raise
        if answer is not None:
            self._end()
            return answer
        self._results = []
        return ToolResults(ended, self._results)

    def fail(self, error: Exception) -> None:
        """Record that a turn failed; what the loop itself ends with comes after the end of a call."""
        if error is not self._ended_with:
            self._loop.call.fail(error)
        self._end()

    def abandon(self, partial: LLMResponse, status: str) -> None:
        """Record a turn that was left early."""
        try:
            self._loop.call.abandon(partial, status)
        finally:
            self._end()

    def defer_abandon(self, source: Union[ProviderStream, AsyncProviderStream]) -> None:
        """Leave a stream that was dropped to the next call; for finalizers."""
        self._loop.call.defer_abandon(source)
        self._end()

    def _end(self) -> None:
        self._loop.held.__exit__()
