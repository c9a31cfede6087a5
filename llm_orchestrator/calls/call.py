"""One call of an application: has its attempts made, and hands their outcome to its record.

All state of a call is here and in its parts: one orchestrator serves many threads and loops at once.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Iterator,
    Optional,
    Tuple,
    Type,
    Union,
)

from llm_orchestrator.calls.attempts import Attempts, CallSettings
from llm_orchestrator.calls.budget import CallBudget
from llm_orchestrator.calls.continuation import interruption, joined, partial_of, put_before, unfinished
from llm_orchestrator.calls.expected_cost import dearest
from llm_orchestrator.calls.reasking import Misfits, asked_again, reason_of
from llm_orchestrator.calls.reporter import CallReporter
from llm_orchestrator.calls.shared import SharedState
from llm_orchestrator.exceptions import (
    OutputParseError,
    OutputTruncatedError,
    ProviderError,
    StreamInterruptedError,
)
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.request.output import parse_output, wrapped_under
from llm_orchestrator.types import (
    EmbeddingRequest,
    EmbeddingResponse,
    LLMRequest,
    LLMResponse,
    OutputRejected,
    ToolCall,
)
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.calls import embedding
    from llm_orchestrator.calls.tool_report import ToolReport
    from llm_orchestrator.calls.turn import Turn
    from llm_orchestrator.providers import batches
    from llm_orchestrator.providers.base import BaseLLMProvider
    from llm_orchestrator.providers.batch_values import BatchItem, BatchResult
    from llm_orchestrator.providers.embedding import Embedded
    from llm_orchestrator.providers.stream import AsyncProviderStream, ProviderStream
    from llm_orchestrator.streaming import StreamCore
else:
    batches = LazyModule("llm_orchestrator.providers.batches")
    embedding = LazyModule("llm_orchestrator.calls.embedding")

__all__ = ["Call"]

logger = logging.getLogger(__name__)


class Call:
    """One call, from its first attempt to its record; entered while its attempts are made."""

    def __init__(
        self,
        provider: BaseLLMProvider,
        request: LLMRequest,
        settings: CallSettings,
        shared: SharedState,
        *,
        streamed: bool,
        turn: Optional[Turn] = None,
        counting: bool = False,
    ) -> None:
        self._provider = provider
        self._settings = settings
        self._shared = shared
        self._turn = turn
        self._is_streamed = streamed
        self._earlier: Optional[LLMResponse] = None  # the parts of a paused answer so far, as one
        self._continuations = 0
        self._is_unfinished = self._was_bounded = False
        #: What is asked, without the parts of a paused answer; None until the call begins.
        self._question: Optional[LLMRequest] = None
        self._misfits = Misfits(settings.reask)
        self._process = os.getpid()
        self._budget = CallBudget(shared, request.tags)
        self._reporter = CallReporter(
            provider, request, shared, self._budget, streamed=streamed, counting=counting
        )
        self._attempts = Attempts(
            provider, request, settings, shared, self._reporter, streamed=streamed, counting=counting
        )

    # ---------------------------------------------------------------- the four ways

    def send(self) -> LLMResponse:
        """Get a whole answer."""
        with self:
            self._reserve()
            while True:
                part = self._attempts.run(self._provider.send_request)
                answer = None if self.goes_on(part) else self.succeed(part)
                if isinstance(answer, LLMResponse):
                    return answer

    async def asend(self) -> LLMResponse:
        """Get a whole answer, async."""
        with self:
            await self._areserve()
            while True:
                part = await self._attempts.arun(self._provider.asend_request)
                answer = None if self.goes_on(part) else self.succeed(part)
                if isinstance(answer, LLMResponse):
                    return answer

    def open(self) -> ProviderStream:
        """Open a streamed answer, or what follows it; its owner ends the call by a method below."""
        with self:
            self._reserve()
            return self._attempts.run(self._provider.send_streaming_request)

    async def aopen(self) -> AsyncProviderStream:
        """Open a streamed answer, async; see ``open``."""
        with self:
            await self._areserve()
            return await self._attempts.arun(self._provider.asend_streaming_request)

    def _reserve(self) -> None:
        """Reserve what it may cost, once, where a budget in a database asks for it."""
        asked = self._budget.request(self._most_it_costs, self._settings.total_timeout)
        if asked is not None:
            self._budget.hold(asked.take())

    async def _areserve(self) -> None:
        """Reserve what it may cost, async; see ``_reserve``."""
        asked = self._budget.request(self._most_it_costs, self._settings.total_timeout)
        if asked is not None:
            self._budget.hold(await asked.atake())

    def _most_it_costs(self) -> Decimal:
        attempts, known = self._attempts, self._settings.known_model
        return dearest(self._shared.tracker, self._provider, attempts.request, attempts.chain, known)

    def count(self) -> int:
        """Count the tokens of its request instead; that costs nothing, so nothing is recorded."""
        with self:
            count = self._attempts.run(self._provider.count_tokens)
            self._reporter.end_count()
            return count

    async def acount(self) -> int:
        """Count the tokens of its request, async; see ``count``."""
        with self:
            count = await self._attempts.arun(self._provider.acount_tokens)
            self._reporter.end_count()
            return count

    # ---------------------------------------------------------------- in a batch

    def in_batch(self) -> Tuple[LLMRequest, AttemptContext]:
        """The request of a call that is one of a batch, and what is known beside it."""
        _, request, context = self._attempts.in_batch()
        return request, context

    def receive(
        self,
        item: BatchItem,
        result: BatchResult,
        *,
        call_id: str,
        sent_at: datetime,
        is_recorded: bool,
    ) -> LLMResponse:
        """Take what came of a call in a batch: it is one attempt, and neither retried nor continued."""
        with self:
            step, _, context = self._attempts.in_batch()
            self._reporter.sent_earlier(step, context, call_id=call_id, at=sent_at, is_recorded=is_recorded)
            response = batches.answer_of(self._provider, result, item, context)
            continued = self._provider.continuation(item.request, response) is not None
            self._is_unfinished = continued or self._provider.is_unfinished(response)
            self._misfits.left = 0
            answer = self.succeed(response)
            assert isinstance(answer, LLMResponse), "nothing is asked again in the same batch"
            return answer

    # ---------------------------------------------------------------- vectors

    def embed(self) -> EmbeddingResponse:
        """Get the vectors of its texts instead, batch by batch; each is a request with a row of its own."""
        vectors = embedding.Vectors()
        with self:
            self._reserve()
            for batch in self._batches():
                self._take(vectors, self._attempts.run(partial(self._embed, batch, vectors)))
            return self._succeed_with(vectors)

    async def aembed(self, length: Optional[int] = None) -> EmbeddingResponse:
        """Get the vectors of its texts, async; see ``embed``. Others are known to have this length."""
        vectors = embedding.Vectors(length)
        with self:
            await self._areserve()
            for batch in self._batches():
                self._take(vectors, await self._attempts.arun(partial(self._aembed, batch, vectors)))
            return self._succeed_with(vectors)

    def _embed(
        self, batch: EmbeddingRequest, vectors: embedding.Vectors, _: LLMRequest, context: AttemptContext
    ) -> Embedded:
        return self._provider.embed(batch, vectors.told(context))

    async def _aembed(
        self, batch: EmbeddingRequest, vectors: embedding.Vectors, _: LLMRequest, context: AttemptContext
    ) -> Embedded:
        return await self._provider.aembed(batch, vectors.told(context))

    def _batches(self) -> Iterator[EmbeddingRequest]:
        assert isinstance(self.request, EmbeddingRequest), "a call of embed is made of one"
        for batch in embedding.parts_of(self._provider, self.request):
            self._reporter.send(batch)
            yield batch

    def _take(self, vectors: embedding.Vectors, batch: Embedded) -> None:
        self._earlier = vectors.add(batch, self._reporter.end_part(batch.answer))

    def _succeed_with(self, vectors: embedding.Vectors) -> EmbeddingResponse:
        assert self._earlier is not None, "there is at least one batch"
        self._reporter.succeed(self._earlier, "ok")
        return vectors.response(self._earlier)

    # ---------------------------------------------------------------- how it goes on, and how it ends

    @property
    def request(self) -> LLMRequest:
        """What is asked."""
        return self._attempts.request

    @property
    def asks_for_json(self) -> bool:
        """Whether its answer is to be JSON."""
        return self.request.response_format is not None

    @property
    def wrapped_under(self) -> Optional[str]:
        """The key under which the value of its answer stands; None where it is the whole of the JSON."""
        return wrapped_under(self.request)

    def goes_on(self, part: LLMResponse) -> bool:
        """Whether the provider paused its answer and is asked to go on; the part is recorded then."""
        following = self._provider.continuation(self.request, part)
        if following is None:
            self._is_unfinished = self._provider.is_unfinished(part)
            return False
        self._is_unfinished = self._continuations >= self._settings.max_continuations
        if self._is_unfinished:
            self._was_bounded = True
            return False
        self._continuations += 1
        self._earlier = joined(self._provider, self._earlier, self._reporter.end_part(part))
        self._attempts.ask_next(following, (part.requested_model or self.request.model,))
        return True

    def __enter__(self) -> None:
        if self._question is not None:
            return  # it goes on
        if self._turn is not None:
            history = self._turn.begin()
            self._attempts.request = evolve(self.request, messages=history + self.request.messages)
        self._question = self.request
        self._reporter.begin(self.request)

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if isinstance(error, Exception):
            failure = self._failure_of(error)
            self.fail(failure)
            if failure is not error:
                raise failure from error
        elif error is not None:
            self._reporter.cancel()
            if self._turn is not None:
                self._end_failed(self._turn, error)

    def tool_report(self, call: ToolCall) -> ToolReport:
        """What is told of a tool that is run because the answer asks for it."""
        return self._reporter.tool_report(call)

    def succeed(self, response: LLMResponse) -> Union[LLMResponse, OutputRejected]:
        """Record a whole answer, and complete it with its cost, its attempts and the parsed value.

        The mark in its place says that it does not fit, and is asked for again.
        """
        status = "interrupted" if self._is_unfinished else "ok"
        record = self._reporter.end_part if self._misfits.left else self._reporter.record
        response = joined(self._provider, self._earlier, record(response, status))
        try:
            if self._is_unfinished:
                response = unfinished(response, self._continuations, self._was_bounded)
            else:  # after it was recorded: it was paid for, fit or not
                response = parse_output(response, self.request)
        except (OutputParseError, OutputTruncatedError) as error:
            if self._misfits.left and isinstance(error, OutputParseError):
                return self._ask_again(error, response)
            self._misfits.add_paid(error)
            raise
        if self._misfits.last is not None:
            response = self._misfits.with_paid(response) or response
        self._reporter.succeed(response, status)
        if self._turn is not None:
            self._turn.end_with_cost_of(response) if self._is_unfinished else self._turn.keep(response)
        return response

    def _ask_again(self, error: OutputParseError, response: LLMResponse) -> OutputRejected:
        """Send the answer back with what is wrong, to the model that gave it, or those after it."""
        assert self._question is not None, "an answer comes after the call has begun"
        self._misfits.add(error)
        chain, model = self._settings.chain, response.requested_model
        left = chain[chain.index(model) :] if model in chain else chain
        self._attempts.ask_next(asked_again(self._question, error), left)
        self._question = self.request
        self._earlier, self._continuations = None, 0
        self._reporter.ask_again(error, self.request)
        return OutputRejected(reason_of(error), response)

    def _failure_of(self, error: Exception) -> Exception:
        """What a streamed answer that cannot go on ends with: its first parts were delivered."""
        if self._earlier is None or not self._is_streamed or not isinstance(error, ProviderError):
            return error
        return interruption(error)

    def fail(self, error: Exception) -> None:
        """Record that the call failed, and add its attempts to the error."""
        try:
            self._misfits.keep_as_cause(error)
            self._reporter.fail(error)
            if self._earlier is not None and isinstance(error, StreamInterruptedError):
                put_before(self._earlier, error)
        finally:
            if self._turn is not None:
                self._end_failed(self._turn, error)

    def abandon(self, partial: LLMResponse, status: str) -> None:
        """Record an answer that was left early: ``interrupted`` or ``cancelled``."""
        try:
            partial = self._reporter.abandon(partial, status)
        finally:
            if self._turn is not None:
                self._turn.end_with_cost_of(self._misfits.with_paid(partial_of(self._earlier, partial)))

    def opened(self, stream: StreamCore) -> None:
        """Note a stream that was opened, so that it does not go unrecorded when the program ends."""
        self._shared.open_streams.add(stream)

    def defer_abandon(self, source: Union[ProviderStream, AsyncProviderStream]) -> None:
        """Leave an open stream that was dropped to the next call; for finalizers, so it takes no lock."""

        def finish() -> None:
            if os.getpid() != self._process:
                return  # a stream inherited through a fork is the parent's, and so are its socket and its row
            try:
                source.release()
            except Exception as error:  # noqa: BLE001  # it must not cost the call that comes next
                logger.debug("A dropped stream: its connection did not close: %s", type(error).__name__)
            self.abandon(source.partial(), "interrupted")

        if self._turn is not None:
            self._turn.end_with_cost_of(None)
        self._shared.deferred.append(finish)

    def _end_failed(self, turn: Turn, error: BaseException) -> None:
        """End the turn of a call that failed; an answer, or a part of one, that came before was paid for."""
        if isinstance(error, (OutputTruncatedError, OutputParseError)):
            turn.end_with_cost_of(error.response)
        elif isinstance(error, StreamInterruptedError):
            turn.end_with_cost_of(self._misfits.with_paid(error.partial_response))
        elif self._earlier is not None or self._misfits.last is not None:
            turn.end_with_cost_of(self._misfits.with_paid(self._earlier))
        else:
            turn.end()
