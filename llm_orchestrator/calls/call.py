"""One call of an application: plans its attempts, makes them, and hands their outcome to its record.

All state of a call lives here and in its record, so that one orchestrator can serve many threads and loops at
once.
"""

from __future__ import annotations

import logging
import os
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, Type, Union

from llm_orchestrator import policy
from llm_orchestrator.calls.record import CallRecord
from llm_orchestrator.calls.shared import SharedState
from llm_orchestrator.types import DROPPABLE_PARAMETERS, Attempt, LLMRequest, LLMResponse, Message, ModelInfo
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.providers.base import BaseLLMProvider
    from llm_orchestrator.providers.stream import AsyncProviderStream, ProviderStream
    from llm_orchestrator.streaming import StreamCore

__all__ = ["Call"]

logger = logging.getLogger(__name__)


class Call(CallRecord):
    """One call, from its first attempt to its record."""

    def __init__(
        self,
        *,
        provider: BaseLLMProvider,
        request: LLMRequest,
        chain: Sequence[str],
        settings: policy.PolicySettings,
        total_timeout: Optional[float],
        known_model: Callable[[str], Optional[ModelInfo]],
        shared: SharedState,
        tags: Mapping[str, str],
        streamed: bool,
    ) -> None:
        super().__init__(provider=provider, request=request, shared=shared, tags=tags, streamed=streamed)
        self._chain = chain
        self._settings = settings
        self._total_timeout = total_timeout
        self._known_model = known_model
        self._process = os.getpid()

    def follow(self, history: Tuple[Message, ...]) -> None:
        """Put the earlier turns of a conversation before what is asked; before anything is sent."""
        self._request = evolve(self._request, messages=history + self._request.messages)

    def send(self) -> LLMResponse:
        """Get a whole answer."""
        with _Outcome(self):
            return self.succeed(policy.run(self._plan(), self._attempt))

    async def asend(self) -> LLMResponse:
        """Get a whole answer, async; see ``send``."""
        with _Outcome(self):
            return self.succeed(await policy.arun(self._plan(), self._aattempt))

    def open(self) -> ProviderStream:
        """Open a streamed answer, its first piece read."""
        with _Outcome(self):
            return policy.run(self._plan(), self._open_attempt)

    async def aopen(self) -> AsyncProviderStream:
        """Open a streamed answer, async; see ``open``."""
        with _Outcome(self):
            return await policy.arun(self._plan(), self._aopen_attempt)

    def _attempt(self, step: Attempt) -> LLMResponse:
        with _Attempting(self, step):
            return self._provider.send_request(self._request_for(step))

    async def _aattempt(self, step: Attempt) -> LLMResponse:
        with _Attempting(self, step):
            return await self._provider.asend_request(self._request_for(step))

    def _open_attempt(self, step: Attempt) -> ProviderStream:
        with _Attempting(self, step):
            return self._provider.send_streaming_request(self._request_for(step))

    async def _aopen_attempt(self, step: Attempt) -> AsyncProviderStream:
        with _Attempting(self, step):
            return await self._provider.asend_streaming_request(self._request_for(step))

    def _plan(self) -> policy.Plan:
        self._started = time.monotonic()
        if self._total_timeout is not None:
            self._request = evolve(self._request, deadline=self._started + self._total_timeout)
        known = self._shared.unsupported
        unsupported = {model: known.get((self._provider.name, model), frozenset()) for model in self._chain}
        settings = evolve(self._settings, unsupported=unsupported, time_left=self._time_left)
        return policy.plan(self._chain, settings)

    def _time_left(self) -> float:
        deadline = self._request.deadline
        return float("inf") if deadline is None else deadline - time.monotonic()

    def _request_for(self, step: Attempt) -> LLMRequest:
        fields: Dict[str, Any] = dict.fromkeys(step.without.intersection(DROPPABLE_PARAMETERS))
        known = self._known_model(step.model)
        if known is not None:
            fields.update(max_output_tokens=known.max_output_tokens, capabilities=known.capabilities)
        return evolve(self._request, model=step.model, without=step.without, **fields)

    def opened(self, stream: StreamCore) -> None:
        """Note a stream that was opened, so that it does not go unrecorded when the program ends."""
        self._shared.open_streams.add(stream)

    def hand_over(self, source: Union[ProviderStream, AsyncProviderStream]) -> None:
        """Leave an open stream that was dropped to the next call; for finalizers, so it takes no lock."""

        def finish() -> None:
            if os.getpid() != self._process:
                return  # a stream inherited through a fork is the parent's, and so are its socket and its row
            try:
                source.release()
            except Exception as error:  # noqa: BLE001  # it must not cost the call that comes next
                logger.debug("A dropped stream: its connection did not close: %s", type(error).__name__)
            self.abandon(source.partial(), "interrupted")

        self._shared.dropped_streams.append(finish)


class _Attempting:
    """Around one attempt: notes its beginning, and its end when there is no answer."""

    __slots__ = ("_call", "_step")

    def __init__(self, call: Call, step: Attempt) -> None:
        self._call = call
        self._step = step

    def __enter__(self) -> None:
        self._call.begin_attempt(self._step)

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if error is not None:
            self._call.fail_attempt(error)
        elif self._call.is_streamed:
            self._call.note_first_piece()


class _Outcome:
    """Around the attempts of a call: records its failure."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if isinstance(error, Exception):
            self._call.fail(error)
        elif error is not None:
            self._call.cancel()
