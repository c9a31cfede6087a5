"""Streams as the application sees them: objects with an end.

``LLMStream`` and ``AsyncLLMStream`` iterate over text, offer typed events, hold the whole answer once the
provider has said that it is complete, and record what was used exactly once, also when they are left early.
They share everything but the lines that wait.
"""

from __future__ import annotations

from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Iterator,
    List,
    NoReturn,
    Optional,
    Protocol,
    Type,
    Union,
)

from llm_orchestrator.exceptions import OrchestratorError
from llm_orchestrator.types import LLMResponse, StreamEvent, TextDelta

if TYPE_CHECKING:
    from llm_orchestrator.providers.stream import AsyncProviderStream, ProviderStream

__all__ = ["AsyncLLMStream", "LLMStream", "StreamAccumulator", "StreamedCall"]

_CLOSED = "The stream is closed. Send the request again for another answer."


class StreamedCall(Protocol):
    """The call behind a stream: makes its attempts and keeps its records."""

    def open(self) -> ProviderStream:
        """Send the request, with retries and fallbacks, and return the open stream."""

    async def aopen(self) -> AsyncProviderStream:
        """The same for async callers."""

    def opened(self, stream: StreamAccumulator) -> None:
        """Note a stream that was opened, so that it does not go unrecorded when the program ends."""

    def succeed(self, response: LLMResponse) -> LLMResponse:
        """Record a whole answer and complete it with cost and attempts."""

    def fail(self, error: Exception) -> None:
        """Record that the stream failed, and add the attempts to the error."""

    def abandon(self, partial: LLMResponse, status: str) -> None:
        """Record an answer that was left early."""

    def hand_over(self, source: Union[ProviderStream, AsyncProviderStream]) -> None:
        """Leave an open stream that was dropped to the next call; called from finalizers, takes no lock."""


class StreamAccumulator:
    """What a stream has delivered so far, and how it ended; shared by the sync and the async stream.

    Args:
        call: The call behind the stream.
    """

    _source: Union[ProviderStream, AsyncProviderStream, None] = None
    _is_opening = False

    def __init__(self, call: StreamedCall) -> None:
        self._call = call
        self._pieces: List[StreamEvent] = []
        self._response: Optional[LLMResponse] = None
        self._error: Optional[Exception] = None
        self._closed = False

    def __reduce__(self) -> NoReturn:
        raise TypeError("A stream has one reader and cannot be copied. Copy its text or its response.")

    @property
    def text(self) -> str:
        """The text delivered so far."""
        return "".join(piece.text for piece in self._pieces if isinstance(piece, TextDelta))

    @property
    def response(self) -> Optional[LLMResponse]:
        """The whole answer; None until the stream has ended."""
        return self._response

    def hand_off(self) -> None:
        """Leave an open stream to the next call, as dropping it does and the end of the program."""
        source = self._take_source()
        if source is not None:
            self._closed = True
            source.close_soon()
            self._call.hand_over(source)

    def __del__(self) -> None:
        self.hand_off()

    def _take_source(self) -> Any:
        """Take the open stream, in order to end it; in one step, so that of several only one gets it."""
        return vars(self).pop("_source", None)

    def _take_over(self, end: BaseException) -> None:
        """Take the open stream at its end, unless somebody else closed it while it was read."""
        if self._take_source() is None:
            raise OrchestratorError(_CLOSED) from end

    def _check_readable(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise OrchestratorError(_CLOSED)
        if self._is_opening:
            raise OrchestratorError("Another reader is opening this stream. Let one thread or task read it.")
        if self._response is not None:
            raise OrchestratorError(
                "The stream has been read. Its answer is in .response, its text in .text."
            )

    def _finish(self, source: Union[ProviderStream, AsyncProviderStream]) -> None:
        try:
            self._response = self._call.succeed(source.response())
        except Exception as error:  # an answer that cannot be read is a failed one
            self._failed(error)
            raise error from error.__cause__

    def _not_opened(self, error: BaseException) -> None:
        """Never send the request again; the call has recorded the error already."""
        self._closed = True
        self._error = error if isinstance(error, Exception) else None

    def _failed(self, error: Exception) -> None:
        self._error = error
        self._call.fail(error)


class LLMStream(StreamAccumulator):
    """A streamed answer: iterate over it to get pieces of text.

    The request is sent at the first iteration, ``with``, ``events()`` or ``final_response()``. A stream can
    be read once. Leaving it early, by ``close``, ``with`` or dropping it, releases the connection and records
    what is known.

    Args:
        call: The call behind the stream.
    """

    _source: Optional[ProviderStream] = None

    def __enter__(self) -> LLMStream:
        self._open()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._leave("interrupted" if error is None or isinstance(error, Exception) else "cancelled")

    def __iter__(self) -> LLMStream:
        self._check_readable()
        return self

    def __next__(self) -> str:
        while True:
            event = self._next_event()
            if isinstance(event, TextDelta):
                return event.text

    def events(self) -> Iterator[StreamEvent]:
        """Read the stream as typed events: text, reasoning and pieces of tool calls.

        Returns:
            An iterator of the events not read yet.

        Raises:
            ProviderError: The provider refused to start, or every attempt failed.
        """
        self._check_readable()
        self._open()
        return self._read_events()

    def final_response(self) -> LLMResponse:
        """Read the rest of the stream.

        Returns:
            The whole answer.

        Raises:
            StreamInterruptedError: The answer broke off; the text so far is in ``partial_text``.
            ProviderError: The provider refused to start, or every attempt failed.
            OrchestratorError: The stream was closed before its end.
        """
        if self._response is None:
            self._check_readable()
            for _ in self._read_events():
                pass
        assert self._response is not None, "a stream ends with its answer or an error"
        return self._response

    def close(self) -> None:
        """Leave the stream: release the connection and record what is known. Twice is fine."""
        self._leave("interrupted")

    def _read_events(self) -> Iterator[StreamEvent]:
        while True:
            try:
                event = self._next_event()
            except StopIteration:
                return
            yield event

    def _open(self) -> ProviderStream:
        self._check_readable()
        if self._source is None:
            self._is_opening = True
            try:
                self._source = self._call.open()
                self._call.opened(self)
            except BaseException as error:  # a Ctrl-C or a cancellation ends the stream as well
                self._not_opened(error)
                raise
            finally:
                self._is_opening = False
            if self._closed:  # by another thread, meanwhile
                self._leave("interrupted")
                self._check_readable()
        return self._source

    def _next_event(self) -> StreamEvent:
        source = self._source
        if source is None:
            if self._response is not None:
                raise StopIteration
            source = self._open()
        try:
            event = next(source)
        except StopIteration as end:
            self._take_over(end)
            self._finish(source)
            raise
        except Exception as error:  # whatever it is, the stream is over and the ledger has to say so
            self._take_over(error)
            self._failed(error)
            raise
        except BaseException:  # Ctrl-C: the connection must go, and the ledger tell
            self._leave("cancelled")
            raise
        self._pieces.append(event)
        return event

    def _leave(self, status: str) -> None:
        self._closed = self._closed or self._response is None
        source = self._take_source()
        if source is not None:
            try:
                source.close()
            finally:
                self._call.abandon(source.partial(), status)


class AsyncLLMStream(StreamAccumulator):
    """A streamed answer for async callers: iterate over it with ``async for`` to get pieces of text.

    The request is sent at the first iteration, ``async with``, the first event or ``final_response()``. A
    stream can be read once. Leaving it early releases the connection and records what is known.

    Args:
        call: The call behind the stream.
    """

    _source: Optional[AsyncProviderStream] = None

    async def __aenter__(self) -> AsyncLLMStream:
        await self._open()
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self._leave("interrupted" if error is None or isinstance(error, Exception) else "cancelled")

    def __aiter__(self) -> AsyncLLMStream:
        self._check_readable()
        return self

    async def __anext__(self) -> str:
        while True:
            event = await self._next_event()
            if isinstance(event, TextDelta):
                return event.text

    def events(self) -> AsyncIterator[StreamEvent]:
        """Read the stream as typed events: text, reasoning and pieces of tool calls.

        Returns:
            An async iterator of the events not read yet; its first step sends the request.
        """
        self._check_readable()
        return self._read_events()

    async def final_response(self) -> LLMResponse:
        """Read the rest of the stream.

        Returns:
            The whole answer.

        Raises:
            StreamInterruptedError: The answer broke off; the text so far is in ``partial_text``.
            ProviderError: The provider refused to start, or every attempt failed.
            OrchestratorError: The stream was closed before its end.
        """
        if self._response is None:
            self._check_readable()
            async for _ in self._read_events():
                pass
        assert self._response is not None, "a stream ends with its answer or an error"
        return self._response

    async def aclose(self) -> None:
        """Leave the stream: release the connection and record what is known. Twice is fine."""
        await self._leave("interrupted")

    async def _read_events(self) -> AsyncIterator[StreamEvent]:
        while True:
            try:
                event = await self._next_event()
            except StopAsyncIteration:
                return
            yield event

    async def _open(self) -> AsyncProviderStream:
        self._check_readable()
        if self._source is None:
            self._is_opening = True
            try:
                self._source = await self._call.aopen()
                self._call.opened(self)
            except BaseException as error:  # a Ctrl-C or a cancellation ends the stream as well
                self._not_opened(error)
                raise
            finally:
                self._is_opening = False
            if self._closed:  # by another task, meanwhile
                await self._leave("interrupted")
                self._check_readable()
        return self._source

    async def _next_event(self) -> StreamEvent:
        source = self._source
        if source is None:
            if self._response is not None:
                raise StopAsyncIteration
            source = await self._open()
        try:
            event = await source.__anext__()
        except StopAsyncIteration as end:
            self._take_over(end)
            self._finish(source)
            raise
        except Exception as error:  # whatever it is, the stream is over and the ledger has to say so
            self._take_over(error)
            self._failed(error)
            raise
        except BaseException:  # a cancellation: the connection must go, and the ledger tell
            await self._leave("cancelled")
            raise
        self._pieces.append(event)
        return event

    async def _leave(self, status: str) -> None:
        self._closed = self._closed or self._response is None
        source = self._take_source()
        if source is not None:
            try:
                await source.aclose()
            finally:
                self._call.abandon(source.partial(), status)
