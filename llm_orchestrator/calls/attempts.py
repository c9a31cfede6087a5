"""The attempts of one call: which models take them, what they know, when they begin and must have ended."""

from __future__ import annotations

import math
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Dict,
    FrozenSet,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

from llm_orchestrator import policy
from llm_orchestrator.calls.reporter import CallReporter
from llm_orchestrator.calls.shared import SharedState
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.types import DROPPABLE_PARAMETERS, Attempt, LLMRequest, ModelInfo
from llm_orchestrator.utils.clock import monotonic
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.calls.pace import Pace
    from llm_orchestrator.providers.base import BaseLLMProvider

__all__ = ["Attempts", "CallSettings"]

Result = TypeVar("Result")


class CallSettings(NamedTuple):
    """What one call may do.

    Attributes:
        chain: The models to try, in order, beginning with the request's own.
        max_retries: Retries on each model.
        max_retry_wait: Longest pause in seconds.
        max_continuations: How often an answer that the provider paused is continued.
        drop_unsupported: Leave out a parameter that a model rejects, and ask again.
        reask: How often an answer that does not fit its type is asked for again.
        total_timeout: Seconds the whole call may take; None for no limit.
        known_model: Looks up what the registry knows of a model.
        pace: When its attempts may begin, where it is one of many; None: at once.
    """

    chain: Sequence[str]
    max_retries: int
    max_retry_wait: float
    max_continuations: int
    drop_unsupported: bool
    reask: int
    total_timeout: Optional[float]
    known_model: Callable[[str], Optional[ModelInfo]]
    pace: Optional[Pace] = None


class Attempts:
    """Carries out the plan of a call, as often as it asks; what is asked of the provider is handed in.

    Attributes:
        request: What is asked next.
        chain: The models that may be asked next.
    """

    def __init__(
        self,
        provider: BaseLLMProvider,
        request: LLMRequest,
        settings: CallSettings,
        shared: SharedState,
        reporter: CallReporter,
        *,
        streamed: bool,
        counting: bool,
    ) -> None:
        self.request = request
        self.chain = settings.chain
        self._provider = provider
        self._settings = settings
        self._shared = shared
        self._reporter = reporter
        self._is_streamed = streamed
        self._is_counting = counting
        self._deadline = math.inf

    def run(self, ask: Callable[[LLMRequest, AttemptContext], Result]) -> Result:
        """Ask until there is a result, or the error to raise."""
        return policy.run(self._plan(), partial(self._attempt, ask))

    async def arun(self, ask: Callable[[LLMRequest, AttemptContext], Awaitable[Result]]) -> Result:
        """Ask until there is a result, async, each time in the call's turn where it is one of many."""
        pace = self._settings.pace
        attempt = partial(self._aattempt, ask)
        return await policy.arun(
            self._plan(), attempt if pace is None else partial(self._paced, pace, attempt)
        )

    def ask_next(self, request: LLMRequest, chain: Sequence[str]) -> None:
        """Ask something else from now on, of the first of these models."""
        self.request = evolve(request, model=chain[0])
        self.chain = chain

    def in_batch(self) -> Tuple[Attempt, LLMRequest, AttemptContext]:
        """The one attempt of a call that is one of a batch: its request, and what is known beside it."""
        step = Attempt(self.chain[0], self._rejected_by(self.chain[0]))
        context = self._context_of(step)
        context.batch = True
        return step, self._request_for(step), context

    def _attempt(self, ask: Callable[[LLMRequest, AttemptContext], Result], step: Attempt) -> Result:
        context = self._context_of(step)
        with self._reporter.attempt(step, context):
            return ask(self._request_for(step), context)

    async def _aattempt(
        self, ask: Callable[[LLMRequest, AttemptContext], Awaitable[Result]], step: Attempt
    ) -> Result:
        context = self._context_of(step)
        with self._reporter.attempt(step, context):
            return await ask(self._request_for(step), context)

    async def _paced(self, pace: Pace, attempt: Callable[[Attempt], Awaitable[Any]], step: Attempt) -> Any:
        """Make an attempt in its turn; a refusal of all that wait is no failure of this one."""
        while True:
            self._deadline += await pace.begin(self.request)  # that wait counts for no limit
            try:
                got = await attempt(step)
            except BaseException as error:  # one that is cancelled gives its place back, too
                if not pace.failed(error):
                    raise
            else:
                pace.answered(got.usage)
                return got

    def _plan(self) -> policy.Plan:
        settings = self._settings
        if settings.total_timeout is not None and self._deadline == math.inf:
            self._deadline = monotonic() + settings.total_timeout
        return policy.plan(
            self.chain,
            policy.PolicySettings(
                max_retries=settings.max_retries,
                max_retry_wait=settings.max_retry_wait,
                drop_unsupported=settings.drop_unsupported,
                unsupported=self._unsupported(),
                time_left=self._time_left,
            ),
        )

    def _unsupported(self) -> Dict[str, FrozenSet[str]]:
        """What each model is known to reject of what the call sets."""
        if not (self._shared.unsupported or self._shared.uncounted):
            return {}
        return {model: self._rejected_by(model) for model in self.chain}

    def _rejected_by(self, model: str) -> FrozenSet[str]:
        names = self._provider.names_set(self.request, stream=self._is_streamed)
        known = self._shared.rejected(self._provider.name, model, names, counting=self._is_counting)
        return frozenset(known)

    def _time_left(self) -> float:
        return self._deadline - monotonic()

    def _context_of(self, step: Attempt) -> AttemptContext:
        settings = self._settings
        known = settings.known_model(step.model)
        return AttemptContext(self._deadline, step.without, not settings.drop_unsupported, known)

    def _request_for(self, step: Attempt) -> LLMRequest:
        if step.model == self.request.model and not step.without:
            return self.request
        left_out: Dict[str, Any] = dict.fromkeys(step.without.intersection(DROPPABLE_PARAMETERS))
        return evolve(self.request, model=step.model, **left_out)
