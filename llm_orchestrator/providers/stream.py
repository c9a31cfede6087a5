"""One streamed answer of one provider, from the open reply to its last piece, sync and async.

What becomes of the bytes is written once, in ``StreamReader``. The two streams wait for them, and close the
connection each in its way: a sync stream does it itself, an async one has a task on its loop that does, as
neither a finalizer nor another thread can await it. A stream is complete only when the provider said so:
what ends it before becomes ``StreamInterruptedError`` once a piece has been delivered, else the plain error.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    Collection,
    ContextManager,
    Deque,
    Dict,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Set,
)

from llm_orchestrator.exceptions import (
    ProviderConnectionError,
    ProviderError,
    StreamInterruptedError,
    forget_frames,
)
from llm_orchestrator.providers.answers import warning_of_streamed
from llm_orchestrator.providers.context import AttemptContext, SentRequest
from llm_orchestrator.providers.halves import HalfCharacters
from llm_orchestrator.providers.http.deadlines import Watch
from llm_orchestrator.providers.http.reader import EventReader, next_chunk
from llm_orchestrator.providers.wire import RawReply, StreamState, WireRequest, abody_of, body_of, close_reply
from llm_orchestrator.types import (
    JSON,
    MISSING_USAGE,
    LLMRequest,
    LLMResponse,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
)
from llm_orchestrator.utils.steps import Steps, arun, run
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncProviderStream", "ProviderStream", "StreamReader", "StreamingProvider"]

logger = logging.getLogger(__name__)

#: What is read after the answer is complete, so that its connection can serve the next call.
DRAIN_SECONDS = 1.0
DRAIN_CHUNKS = 10

#: The tasks that close streams, by their loops, which hold tasks only weakly: were a dropped stream collected
#: together with the task that closes it, it would not be closed but taken apart.
_closing_tasks: Dict[asyncio.AbstractEventLoop, Set[asyncio.Task[None]]] = {}


class StreamingProvider(Protocol):
    """What a stream needs of the provider that opened it; see ``Adapter`` and ``BaseLLMProvider``."""

    name: str
    allow_missing_finish_reason: bool

    @property
    def keep_alive_events(self) -> Collection[str]:
        """Types of events that only say that the connection is alive."""

    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        """Translate one event."""

    def assemble_reply(self, state: StreamState) -> JSON:
        """Put the reply together."""

    def response_of(
        self,
        body: JSON,
        headers: Mapping[str, str],
        request: LLMRequest,
        wire: WireRequest,
        context: Optional[AttemptContext] = None,
        *,
        may_hold_halves: bool = True,
    ) -> LLMResponse:
        """Make the response of a reply that was put together."""

    def errors(
        self, request: Optional[LLMRequest] = None, wire: Optional[WireRequest] = None
    ) -> ContextManager[Any]:
        """A context in which every error becomes one of ours."""


class StreamReader:
    """Bytes in, pieces out, the judgement whether the answer is whole, and the steps of both streams."""

    def __init__(
        self,
        provider: StreamingProvider,
        sent: SentRequest,
        reply: RawReply,
        watch: Watch,
    ) -> None:
        #: The pieces that the stream's reader was given: the one place where they are kept.
        self.delivered: List[StreamEvent] = []
        self._ready: Deque[StreamEvent] = deque()  # those that come next
        self._is_over = False
        self._failure: Optional[Exception] = None  # raised after the last piece that is ready
        self._provider = provider
        self._sent = sent
        self._reply = reply
        self._watch = watch
        self._state = StreamState(reply.headers)
        self._reader = EventReader()
        self._halves = HalfCharacters()

    def response(self) -> LLMResponse:
        """The whole answer, once the stream has finished."""
        with self._provider.errors(self._sent.request, self._sent.wire):
            document = self._reader.document
            body = self._provider.assemble_reply(self._state) if document is None else document
            response = self._provider.response_of(
                body, self._state.headers, *self._sent, may_hold_halves=self._reader.may_hold_halves
            )
        if document is not None or not self._state.complete:
            return response
        pieces = [*self.delivered, *self._ready]
        warning = warning_of_streamed(pieces, response, self._sent.request)
        return response if warning is None else evolve(response, warnings=(*response.warnings, warning))

    def partial(self) -> LLMResponse:
        """What is known of an answer that did not become whole."""
        try:
            response = self.response()
        except Exception as error:  # half a document may be unreadable to its adapter, the text is there
            logger.debug("%s: half an answer cannot be read", self._provider.name, exc_info=True)
            model = self._sent.request.model
            told = (error.usage if isinstance(error, ProviderError) else None) or MISSING_USAGE
            response = LLMResponse("", model, self._provider.name, model, usage=told)
        known = response.usage.source != "missing"
        source = "reported" if self._state.is_counted else "partial"
        usage = replace(response.usage, source=source) if known else MISSING_USAGE
        pieces = [*self.delivered, *self._ready]
        text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
        return replace(response, content=text, usage=usage)

    # ---------------------------------------------------------------- steps

    def _beginning(self) -> Steps[None]:
        """Read until the first piece or the end; a stream that cannot begin is closed: nobody gets it."""
        try:
            yield self._get_ready
            while not (self._ready or self._is_over):
                yield self._read
            if not self._ready:
                self._check_answer()
        except GeneratorExit:  # the caller was interrupted or dropped, and nobody is left to wait
            self.close_soon()
            self.release()
            raise
        except BaseException:  # a cancellation or a Ctrl-C, too: nobody gets the stream
            yield self._close
            raise

    def _check_answer(self) -> None:
        """Raise what is wrong with an answer without any piece while it can still be tried again."""
        if self._failure is not None:
            raise self._failure_to_raise(delivered=False)
        self.response()

    def _ending(self) -> Steps[None]:
        """Release the connection when nothing is left to deliver; raise why, unless the answer is whole."""
        if self._failure is None:
            yield from self._draining()
        yield self._close
        if self._failure is not None:
            raise self._failure_to_raise(delivered=True)

    def _draining(self) -> Steps[None]:
        self._watch.allow(DRAIN_SECONDS)
        try:
            with self._watch:
                for _ in range(DRAIN_CHUNKS):
                    if (yield self._next_chunk) is None:
                        break
        except Exception as error:  # noqa: BLE001 (the answer is complete: only the connection is lost)
            logger.debug("%s: connection not reusable: %s", self._provider.name, type(error).__name__)

    # ---------------------------------------------------------------- what each stream does in its way

    def close_soon(self) -> None:
        """Have the loop release the connection; for finalizers, so it takes no lock and waits for nothing."""

    def release(self) -> None:
        """Release the connection of a stream that its reader dropped, where no loop does."""

    def _get_ready(self) -> Any:
        """Wait for whatever has to begin before the first read."""

    def _read(self) -> Any:
        """Wait until something came; what goes wrong is kept."""
        raise NotImplementedError

    def _next_chunk(self) -> Any:
        raise NotImplementedError

    def _close(self) -> Any:
        raise NotImplementedError

    # ---------------------------------------------------------------- what becomes of the bytes

    def _feed(self, chunk: Optional[bytes]) -> bool:
        """Read the events of a chunk of the body, None at its end; whether the wait for a sign is over."""
        came, state, ready = False, self._state, self._ready
        parse_event, keep_alive = self._provider.parse_event, self._provider.keep_alive_events
        for event in self._reader.end() if chunk is None else self._reader.feed(chunk):
            came = came or event.get("type") not in keep_alive
            pieces = parse_event(event, state)
            ready += self._halves.joined(pieces) if self._reader.may_hold_halves else pieces
            if state.done:
                break
        if chunk is None or state.done or self._reader.done:
            self._end_of_body()
        return came or self._is_over

    def _end_of_body(self) -> None:
        if self._reader.document is not None:  # the server does not stream, and the answer is whole and paid
            self._ready += _pieces_of(self.response())
            self._state.complete = True
        if not self._state.complete and not self._provider.allow_missing_finish_reason:
            raise ProviderConnectionError(
                "The stream ended before the provider said that the answer is complete. Try again; "
                "for a host that never says so, set allow_missing_finish_reason."
            )
        self._ready += self._halves.rest()
        self._is_over = True

    def _fail(self, error: Exception) -> None:
        """Keep a failure until the pieces before it are delivered; after the answer's end none counts."""
        self._is_over = True
        if self._ready:
            forget_frames(error)  # they would keep the stream when its reader drops it before the failure
        if self._state.complete:
            logger.debug("%s: %s after a complete answer", self._provider.name, type(error).__name__)
        else:
            self._failure = error

    def _failure_to_raise(self, *, delivered: bool) -> Exception:
        failure = self._failure
        assert failure is not None
        try:
            with self._provider.errors(self._sent.request, self._sent.wire):
                raise failure
        except ProviderError as error:
            if not delivered:
                error.usage = self.partial().usage
                return error
            return self._interruption(error)
        except Exception as error:  # noqa: BLE001 (a fault of an adapter must show as what it is)
            return error

    def _interruption(self, error: ProviderError) -> StreamInterruptedError:
        partial = self.partial()
        interruption = StreamInterruptedError(
            f"The answer broke off: {error}",
            partial_text=partial.content,
            partial_response=partial,
            provider=error.provider,
            model=error.model,
            status_code=error.status_code,
            code=error.code,
            request_id=error.request_id or partial.request_id,
            retry_after=error.retry_after,
        )
        interruption.__cause__ = error
        return interruption


def _pieces_of(response: LLMResponse) -> List[StreamEvent]:
    """The pieces of an answer that came at once."""
    calls = [
        ToolCallDelta(index, call.id, call.name, call.raw_arguments)
        for index, call in enumerate(response.tool_calls)
    ]
    thought = [ReasoningDelta(response.reasoning)] if response.reasoning else []
    return [*thought, *([TextDelta(response.content)] if response.content else []), *calls]


class ProviderStream(StreamReader):
    """A streamed answer for sync callers: an iterator of its pieces."""

    def __init__(self, provider: StreamingProvider, sent: SentRequest, reply: RawReply, watch: Watch) -> None:
        super().__init__(provider, sent, reply, watch)
        self._chunks = body_of(reply)

    def __iter__(self) -> ProviderStream:
        return self

    def __next__(self) -> StreamEvent:
        while not self._ready:
            if self._is_over:
                run(self._ending())
                raise StopIteration
            self._read()
        piece = self._ready.popleft()
        self.delivered.append(piece)
        return piece

    def read_first(self) -> None:
        """Read until the first piece or the end, so that a refusal to start is raised here."""
        run(self._beginning())

    def close(self) -> None:
        """Release the connection; twice is fine. A thread that is reading wakes up and releases it itself."""
        if self._watch.is_waiting:
            self._watch.interrupt()
            return
        self._watch.stop()
        self._reply.close()

    def close_soon(self) -> None:
        """Release a connection of our own at once; a vendor's library takes locks, so ``release`` does it."""
        if getattr(self._reply, "closes_without_lock", False):
            self.close()

    def release(self) -> None:
        """Release the connection of a dropped stream; it may take a lock, so not in finalizers."""
        self.close()

    def _read(self) -> None:
        try:
            with self._watch:
                while not self._feed(next(self._chunks, None)):
                    pass
        except Exception as error:  # noqa: BLE001 (raised once the pieces before it are delivered)
            self._fail(error)

    def _next_chunk(self) -> Optional[bytes]:
        return next(self._chunks, None)

    _close = close


class AsyncProviderStream(StreamReader):
    """A streamed answer for async callers: an async iterator of its pieces."""

    def __init__(self, provider: StreamingProvider, sent: SentRequest, reply: RawReply, watch: Watch) -> None:
        import asyncio

        super().__init__(provider, sent, reply, watch)
        self._chunks = abody_of(reply)
        self._loop = asyncio.get_running_loop()
        self._left = self._loop.create_future()
        self._close_failure: Optional[Exception] = None
        self._closing = self._loop.create_task(self._close_when_left())
        # A loop may be thrown away with its streams open; there is nothing to tell the user then.
        self._closing._log_destroy_pending = False  # type: ignore[attr-defined]
        _keep(self._closing, self._loop)

    def __aiter__(self) -> AsyncProviderStream:
        return self

    async def __anext__(self) -> StreamEvent:
        while not self._ready:
            if self._is_over:
                await arun(self._ending())
                raise StopAsyncIteration
            await self._read()
        piece = self._ready.popleft()
        self.delivered.append(piece)
        return piece

    async def read_first(self) -> None:
        """Read until the first piece or the end, so that a refusal to start is raised here."""
        await arun(self._beginning())

    async def aclose(self) -> None:
        """Release the connection; twice is fine. It is finished even if the caller is cancelled meanwhile."""
        import asyncio

        if asyncio.get_running_loop() is not self._loop:
            self.close_soon()
            return
        self._leave()
        await asyncio.shield(self._closing)
        failure, self._close_failure = self._close_failure, None
        if failure is not None:
            raise failure

    def close_soon(self) -> None:
        """Have the loop release the connection; for finalizers, so it takes no lock and waits for nothing."""
        with suppress(RuntimeError):  # the loop is closed, and its connections with it
            self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        if not self._left.done():
            self._left.set_result(None)

    async def _close_when_left(self) -> None:
        """Release the connection when the stream is done with or dropped, or when the loop ends.

        A loop cancels its tasks at its end and then closes the generators of the HTTP library, which get in
        each other's way and print errors when their connection is still open.
        """
        import asyncio

        with suppress(asyncio.CancelledError):
            await self._left
        self._watch.stop()
        try:
            await close_reply(self._reply, self._chunks)
        except Exception as error:  # noqa: BLE001 (for ``aclose`` to raise, where there is somebody to tell)
            self._close_failure = error

    async def _get_ready(self) -> None:
        import asyncio

        await asyncio.sleep(0)  # a task that has not begun would be cancelled without closing anything

    async def _read(self) -> None:
        try:
            with self._watch:
                while not self._feed(await next_chunk(self._chunks)):
                    pass
        except Exception as error:  # noqa: BLE001 (raised once the pieces before it are delivered)
            self._fail(error)

    async def _next_chunk(self) -> Optional[bytes]:
        return await next_chunk(self._chunks)

    _close = aclose


def _keep(task: asyncio.Task[None], loop: asyncio.AbstractEventLoop) -> None:
    """Hold a closing task until it has ended, or its loop was thrown away and another one comes."""
    if loop not in _closing_tasks:
        for other in list(_closing_tasks):
            if other.is_closed():
                _closing_tasks.pop(other, None)  # another thread may have been faster
    tasks = _closing_tasks.setdefault(loop, set())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
