"""Streams as the application sees them: objects with an end.

``LLMStream`` and ``AsyncLLMStream`` iterate over text, offer typed events, hold the whole answer once the
provider has said that it is complete, and record what was used exactly once, also when they are left early.
What happens to a stream is written once, in ``StreamCore``; the two wait for it, each in its way.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import partial
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Generic,
    Iterator,
    List,
    NoReturn,
    Optional,
    Protocol,
    Sequence,
    Type,
    Union,
    cast,
)

from llm_orchestrator.exceptions import InvalidRequestError, OrchestratorError
from llm_orchestrator.providers.stream import AsyncProviderStream, ProviderStream
from llm_orchestrator.types import (
    AnswerEvent,
    LLMResponse,
    OutputRejected,
    Parsed_co,
    StreamEvent,
    TextDelta,
    ToolResults,
)
from llm_orchestrator.utils.steps import Steps, arun, run

if TYPE_CHECKING:
    from llm_orchestrator.request.partial_json import PartialJSON

__all__ = ["AsyncLLMStream", "LLMStream", "StreamCore", "StreamedCall"]


#: What stands between two answers.
Mark = Union[OutputRejected, ToolResults]


class StreamedCall(Protocol):
    """The call behind a stream: makes its attempts and keeps its records."""

    @property
    def asks_for_json(self) -> bool:
        """Whether the call has a ``response_format``."""

    @property
    def wrapped_under(self) -> Optional[str]:
        """The key under which the value of the JSON stands; None where it is the whole of it."""

    def open(self) -> ProviderStream:
        """Send the request, with retries and fallbacks, and return the open stream."""

    async def aopen(self) -> AsyncProviderStream:
        """The same for async callers."""

    def opened(self, stream: StreamCore) -> None:
        """Note a stream that was opened, so that it does not go unrecorded when the program ends."""

    def goes_on(self, part: LLMResponse) -> bool:
        """Whether the provider paused its answer and ``open`` continues it; the part is recorded then."""

    def succeed(self, response: LLMResponse) -> Union[LLMResponse, Mark]:
        """Record a whole answer and complete it; the mark says that ``open`` asks for another one."""

    def fail(self, error: Exception) -> None:
        """Record that the stream failed, and add the attempts to the error."""

    def abandon(self, partial: LLMResponse, status: str) -> None:
        """Record an answer that was left early."""

    def defer_abandon(self, source: Union[ProviderStream, AsyncProviderStream]) -> None:
        """Leave an open stream that was dropped to the next call; called from finalizers, takes no lock."""


class Phase(Enum):
    """Where a stream is: NEW -> OPENING -> OPEN -> ENDED, FAILED or CLOSED.

    A refusal leads from OPENING to FAILED, leaving from everywhere before the end to CLOSED. From OPEN on,
    whoever takes the source decides how the stream ends.
    """

    NEW = auto()
    OPENING = auto()
    OPEN = auto()
    ENDED = auto()
    FAILED = auto()
    CLOSED = auto()


_CLOSED = "The stream is closed. Send the request again for another answer."
#: Why a stream cannot be read; one that failed says so with its own error.
_UNREADABLE = {
    Phase.OPENING: "Another reader is opening this stream. Let one thread or task read it.",
    Phase.ENDED: "The stream has been read. Its answer is in .response, its text in .text.",
    Phase.CLOSED: _CLOSED,
}


class StreamCore(Generic[Parsed_co]):
    """What becomes of one stream, for its sync or async reader, and for whoever closes or drops it.

    Threads, tasks and finalizers come at any time, and a finalizer may wait for no lock. So there is none:
    the source is taken in one step, and the one that gets it ends the stream and has it recorded.

    Args:
        call: The call behind the stream.
    """

    #: The open stream; this None of the class shows before it is opened, and again once it was taken.
    _source: Union[ProviderStream, AsyncProviderStream, None] = None

    def __init__(self, call: StreamedCall) -> None:
        self._call = call
        self._phase = Phase.NEW
        self._is_left = False
        self._earlier: List[StreamEvent] = []  # of the parts that the open source continues
        self._delivered: Sequence[StreamEvent] = ()
        self._response: Optional[LLMResponse[Parsed_co]] = None
        self._error: Optional[Exception] = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("A stream has one reader and cannot be copied. Copy its text or its response.")

    @property
    def text(self) -> str:
        """The text delivered so far."""
        pieces = (*self._earlier, *self._delivered)
        return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))

    @property
    def response(self) -> Optional[LLMResponse[Parsed_co]]:
        """The whole answer; None until the stream has ended."""
        return self._response

    def abandon_later(self) -> None:
        """Leave an open stream to the next call, as dropping it does and the end of the program."""
        source = self._take_source()
        if source is not None:
            self._phase = Phase.CLOSED
            source.close_soon()
            self._call.defer_abandon(source)

    def __del__(self) -> None:
        self.abandon_later()

    # ---------------------------------------------------------------- steps

    def _opening(self) -> Steps[Any]:
        """Get the open stream; the request is sent once, whatever becomes of it."""
        self._check_readable()
        if self._phase is Phase.NEW:
            yield from self._sending()
        source = self._source
        if source is None:  # somebody closed it meanwhile
            raise OrchestratorError(_CLOSED)
        return source

    def _sending(self) -> Steps[None]:
        self._phase = Phase.OPENING
        try:
            yield self._open_source
            self._begin()
        except BaseException as error:  # a Ctrl-C or a cancellation ends the stream as well
            self._refuse(error)
            raise
        if self._is_left:  # by another thread or task, while it was opened
            yield from self._leaving("interrupted")

    def _ending(self, end: BaseException) -> Steps[Optional[Mark]]:
        """What reading raised: the answer's end, a failure or an interruption; the mark: another follows."""
        if isinstance(end, GeneratorExit):  # the coroutine that reads was dropped, and nobody can wait for it
            self.abandon_later()
            return None
        if not isinstance(end, Exception):  # Ctrl-C, a cancellation: the connection must go
            yield from self._leaving("cancelled")
            return None
        source = self._take_source()
        if source is None:  # somebody else closed the stream while it was read
            raise OrchestratorError(_CLOSED) from end
        if isinstance(end, (StopIteration, StopAsyncIteration)):
            return (yield from self._finishing(source))
        self._fail(end)  # whatever it is, the stream is over and the ledger has to say so
        return None

    def _finishing(self, source: Union[ProviderStream, AsyncProviderStream]) -> Steps[Optional[Mark]]:
        """End with the whole answer; one that was paused or did not fit is followed by another source."""
        self._phase = Phase.ENDED
        try:
            part = source.response()
            answer = None if self._call.goes_on(part) else self._call.succeed(part)
        except Exception as error:  # an answer that cannot be read is a failed one
            self._fail(error)
            raise error from error.__cause__
        if isinstance(answer, LLMResponse):
            self._response = answer
            return None
        self._earlier = [] if answer is not None else [*self._earlier, *self._delivered]
        self._delivered = ()
        yield from self._sending()
        return answer

    def _leaving(self, status: str) -> Steps[None]:
        """Close the stream; one that is being opened is closed by its opener, which checks ``_is_left``."""
        self._is_left = True
        source = self._take_source()
        if self._phase not in (Phase.ENDED, Phase.FAILED):
            self._phase = Phase.CLOSED
        if source is not None:
            try:
                yield partial(self._close_source, source)
            finally:
                self._call.abandon(source.partial(), status)

    # ---------------------------------------------------------------- what waits, each shell in its way

    def _open_source(self) -> Any:
        """Have the call open the stream, and keep it."""
        raise NotImplementedError

    def _close_source(self, source: Any) -> Any:
        """Release the connection."""
        raise NotImplementedError

    # ---------------------------------------------------------------- single decisions

    def _take_source(self) -> Any:
        """Take the open stream, in order to end it; in one step, so that of several only one gets it."""
        return vars(self).pop("_source", None)

    def _check_readable(self) -> None:
        if self._error is not None:
            raise self._error
        if self._phase not in (Phase.NEW, Phase.OPEN):
            raise OrchestratorError(_UNREADABLE[self._phase])

    def _json_so_far(self) -> PartialJSON:
        """What reads the text as JSON, with the pieces that were read already."""
        from llm_orchestrator.request.partial_json import PartialJSON  # few streams are read so

        self._check_readable()
        if not self._call.asks_for_json:
            raise InvalidRequestError(
                "partial() reads JSON, and the call has no response_format. Pass one, or read the text."
            )
        json = PartialJSON(self._call.wrapped_under)
        json.feed(self.text)
        return json

    def _begin(self) -> None:
        source = self._source
        if source is not None:
            self._delivered = source.delivered
        self._call.opened(self)
        self._phase = Phase.OPEN

    def _refuse(self, error: BaseException) -> None:
        """Keep why the stream was not opened; the call has recorded it already."""
        self._error = error if isinstance(error, Exception) else None
        self._phase = Phase.CLOSED if self._error is None else Phase.FAILED
        self.abandon_later()  # a Ctrl-C may have come just after it was opened

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._phase = Phase.FAILED
        self._call.fail(error)


class LLMStream(StreamCore[Parsed_co]):
    """A streamed answer: iterate over it to get pieces of text.

    The request is sent at the first iteration, ``with``, ``events()`` or ``final_response()``. A stream can
    be read once. Leaving it early, by ``close``, ``with`` or dropping it, releases the connection and records
    what is known.

    Args:
        call: The call behind the stream.
    """

    _source: Optional[ProviderStream] = None

    def __enter__(self) -> LLMStream[Parsed_co]:
        run(self._opening())
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        run(self._leaving(_status_of(error)))

    def __iter__(self) -> LLMStream[Parsed_co]:
        self._check_readable()
        return self

    def __next__(self) -> str:
        while True:
            event = self._next_event()
            if isinstance(event, TextDelta):
                return event.text
            if event is None:
                raise StopIteration

    def events(self) -> Iterator[AnswerEvent]:
        """Read the stream as typed events: text, reasoning, pieces of tool calls, and marks.

        Returns:
            An iterator of the events not read yet.

        Raises:
            ProviderError: The provider refused to start, or every attempt failed.
        """
        run(self._opening())
        return self._read_events()

    def partial(self) -> Iterator[Any]:
        """Read the stream as the JSON value that it becomes, for a call with ``response_format``.

        The request is sent at the first iteration.

        Returns:
            An iterator of the value so far, in plain JSON values, whenever it has changed: strings as far as
            they have come, numbers once they have ended. Finished parts are shared between the values; copy
            what you change. Last comes ``response.parsed``, where it is not None.

        Raises:
            InvalidRequestError: The call has no ``response_format``.
            OrchestratorError: The stream has been read, or is closed. Iterating raises what
                ``final_response`` does.
        """
        return self._read_values(self._json_so_far())

    def final_response(self) -> LLMResponse[Parsed_co]:
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
            while self._next_event() is not None:
                pass
        assert self._response is not None, "a stream ends with its answer or an error"
        return self._response

    def close(self) -> None:
        """Leave the stream: release the connection and record what is known. Twice is fine."""
        run(self._leaving("interrupted"))

    def _read_events(self) -> Iterator[AnswerEvent]:
        while (event := self._next_event()) is not None:
            yield event

    def _read_values(self, json: PartialJSON) -> Iterator[Any]:
        while (event := self._next_event()) is not None:
            if isinstance(event, TextDelta) and json.feed(event.text):
                yield json.value
            elif isinstance(event, (OutputRejected, ToolResults)):
                json = self._json_so_far()
        if self._response is not None and self._response.parsed is not None:
            yield self._response.parsed

    def _next_event(self) -> Optional[AnswerEvent]:
        """The next event, None at the end; taken too often to be a step of a generator."""
        if self._response is not None:
            return None
        source = self._source or cast("ProviderStream", run(self._opening()))
        try:
            return next(source)
        except BaseException as end:  # whatever it is, it ends the stream, and is raised again
            mark = run(self._ending(end))
            if isinstance(end, StopIteration):
                return mark or self._next_event()  # None, unless the answer goes on
            raise

    def _open_source(self) -> None:
        self._source = self._call.open()

    def _close_source(self, source: ProviderStream) -> None:
        source.close()


class AsyncLLMStream(StreamCore[Parsed_co]):
    """A streamed answer for async callers: iterate over it with ``async for`` to get pieces of text.

    The request is sent at the first iteration, ``async with``, the first event or ``final_response()``. A
    stream can be read once. Leaving it early releases the connection and records what is known.

    Args:
        call: The call behind the stream.
    """

    _source: Optional[AsyncProviderStream] = None

    async def __aenter__(self) -> AsyncLLMStream[Parsed_co]:
        await arun(self._opening())
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await arun(self._leaving(_status_of(error)))

    def __aiter__(self) -> AsyncLLMStream[Parsed_co]:
        self._check_readable()
        return self

    async def __anext__(self) -> str:
        while True:
            event = await self._next_event()
            if isinstance(event, TextDelta):
                return event.text
            if event is None:
                raise StopAsyncIteration

    def events(self) -> AsyncIterator[AnswerEvent]:
        """Read the stream as typed events: text, reasoning, pieces of tool calls, and marks.

        Returns:
            An async iterator of the events not read yet; its first step sends the request.
        """
        self._check_readable()
        return self._read_events()

    def partial(self) -> AsyncIterator[Any]:
        """Read the stream as the JSON value that it becomes; see ``LLMStream.partial``.

        Returns:
            An async iterator of the value so far, and last of ``response.parsed``, where it is not None.

        Raises:
            InvalidRequestError: The call has no ``response_format``.
            OrchestratorError: The stream has been read, or is closed.
        """
        return self._read_values(self._json_so_far())

    async def final_response(self) -> LLMResponse[Parsed_co]:
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
            while await self._next_event() is not None:
                pass
        assert self._response is not None, "a stream ends with its answer or an error"
        return self._response

    async def aclose(self) -> None:
        """Leave the stream: release the connection and record what is known. Twice is fine."""
        await arun(self._leaving("interrupted"))

    async def _read_events(self) -> AsyncIterator[AnswerEvent]:
        while (event := await self._next_event()) is not None:
            yield event

    async def _read_values(self, json: PartialJSON) -> AsyncIterator[Any]:
        while (event := await self._next_event()) is not None:
            if isinstance(event, TextDelta) and json.feed(event.text):
                yield json.value
            elif isinstance(event, (OutputRejected, ToolResults)):
                json = self._json_so_far()
        if self._response is not None and self._response.parsed is not None:
            yield self._response.parsed

    async def _next_event(self) -> Optional[AnswerEvent]:
        """The next event, None at the end; see ``LLMStream``."""
        if self._response is not None:
            return None
        source = self._source or cast("AsyncProviderStream", await arun(self._opening()))
        try:
            return await source.__anext__()
        except BaseException as end:  # as in LLMStream
            mark = await arun(self._ending(end))
            if isinstance(end, StopAsyncIteration):
                return mark or await self._next_event()  # None, unless the answer goes on
            raise

    async def _open_source(self) -> None:
        self._source = await self._call.aopen()

    async def _close_source(self, source: AsyncProviderStream) -> None:
        await source.aclose()


def _status_of(error: Optional[BaseException]) -> str:
    """How leaving a ``with`` block is recorded: as the reader's wish, or as Ctrl-C and cancellations are."""
    return "interrupted" if error is None or isinstance(error, Exception) else "cancelled"
