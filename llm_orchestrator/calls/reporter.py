"""Reports what happens in one call: rows to the ledger, lines to the log, events to the hooks.

Whole and streamed answers are reported alike. A row waits until it is known whether its attempt was the
call's last.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple, Type

from llm_orchestrator.calls.budget import CallBudget
from llm_orchestrator.calls.secrets import with_hidden_headers, without_secrets
from llm_orchestrator.calls.shared import SharedState
from llm_orchestrator.exceptions import (
    ConfigurationError,
    OrchestratorError,
    OutputParseError,
    ProviderError,
    StreamInterruptedError,
    UnsupportedParameterError,
)
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.types import (
    DROPPABLE_PARAMETERS,
    MISSING_USAGE,
    Attempt,
    Exchange,
    LLMRequest,
    LLMResponse,
)
from llm_orchestrator.usage.attempts import (
    UNKNOWN_COST,
    CallFacts,
    may_be_billed,
    may_have_been_sent,
    reported_usage,
    usage_record_of,
)
from llm_orchestrator.usage.estimates import missing_tokens
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.money import ZERO
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.calls import tool_report
    from llm_orchestrator.hooks import Hook, Listeners
    from llm_orchestrator.providers.base import BaseLLMProvider
    from llm_orchestrator.types import CostDetails, ToolCall
else:
    tool_report = LazyModule("llm_orchestrator.calls.tool_report")  # with asyncio; few calls run tools

__all__ = ["CallReporter"]

logger = logging.getLogger(__name__)


class CallReporter:
    """Reports one call, and keeps its attempts.

    A call that is ``counting`` costs nothing: it is logged, and neither recorded nor told to the hooks.
    """

    def __init__(
        self,
        provider: BaseLLMProvider,
        request: LLMRequest,
        shared: SharedState,
        budget: CallBudget,
        *,
        streamed: bool,
        counting: bool = False,
    ) -> None:
        self.id = os.urandom(16).hex()
        self._provider = provider
        self._request = self._sent = request
        self._shared = shared
        self._is_streamed = streamed
        self._is_counting = counting
        self._is_recorded = False
        self._attempts: List[Attempt] = []
        self._facts = CallFacts(shared.session_id, self.id, streamed, request.tags, provider.base_url)
        self._rejections: Dict[Tuple[str, str], FrozenSet[str]] = {}  # by model and name, and beside what
        self._unwritten: Optional[UsageRecord] = None
        self._budget = budget
        self._is_open = False
        self._began = self._started = time.monotonic()
        #: Of the attempt under way: what it is to be, and when it began.
        self._step: Attempt
        self._context: AttemptContext
        self._started_at: datetime
        self._first_piece: Optional[float] = None
        self._listeners = _listeners(shared.hooks) if shared.hooks and not counting else None

    def begin(self, request: LLMRequest) -> None:
        """Note that the call begins, with everything that is sent."""
        self._request = self._sent = request
        self._started = time.monotonic()

    def send(self, part: LLMRequest) -> None:
        """Note what the next attempts send, where it is only a part of what the call is asked."""
        self._sent = part

    def attempt(self, step: Attempt, context: AttemptContext) -> _AttemptReport:
        """Note one attempt: its beginning, and its end when it gives no answer."""
        self._step = step
        self._context = context
        return _AttemptReport(self)

    def begin_attempt(self) -> None:
        """Note that a request is about to be sent, unless its time is over or a budget is spent.

        What refuses it comes before the row of the attempt before: that one was the call's last, then.
        """
        self._check_may_send()
        self._write_row(final=False)
        if self._attempts:
            self._log_next(self._attempts[-1], self._step)
        self._is_open = True
        self._first_piece = None
        self._started_at = datetime.now(timezone.utc)
        self._began = time.monotonic()

    def sent_earlier(
        self, step: Attempt, context: AttemptContext, *, call_id: str, at: datetime, is_recorded: bool
    ) -> None:
        """Note an attempt that was sent at some moment in a batch, and whose outcome is there now.

        Where it ``is_recorded``, its row is in the ledger already.
        """
        self.id = call_id
        self._facts = self._facts._replace(call_id=call_id)
        self._is_recorded = is_recorded
        self._step = step
        self._context = context
        self._is_open = True
        self._started_at = at
        elapsed = (datetime.now(timezone.utc) - at).total_seconds()
        self._began = self._started = time.monotonic() - max(elapsed, 0.0)

    def _check_may_send(self) -> None:
        self._shared.check_open()
        self._context.check_time()
        if self._is_counting:
            return
        self._budget.check(self._unwritten.cost if self._unwritten else None)

    def note_first_piece(self) -> None:
        """Note that the first piece of a streamed answer has arrived."""
        if self._is_streamed:
            self._first_piece = time.monotonic() - self._began

    def fail_attempt(self, error: BaseException) -> None:
        """Note that an attempt ended without an answer; one that sent nothing leaves no trace."""
        self._is_open = False
        if isinstance(error, UnsupportedParameterError):
            self._rejections[self._step.model, error.form or error.parameter] = error.beside
        if not isinstance(error, Exception):
            self._end_without_answer("cancelled", error)
        elif may_have_been_sent(error):
            self._end_without_answer("error", error)

    def end_part(self, response: LLMResponse, status: str = "ok") -> LLMResponse:
        """End an attempt with its answer, which another attempt may continue."""
        self._learn()
        return self._end_with_answer(status, response)

    def end_count(self) -> None:
        """End an attempt with a count."""
        self._learn()
        self._note_end("ok", None, None)
        logger.debug("%s/%s: counted, attempt %d", self._provider.name, self._step.model, len(self._attempts))

    def _learn(self) -> None:
        """Remember what was rejected on the way to an answer."""
        model = self._step.model
        learned = [(name, beside) for (of, name), beside in self._rejections.items() if of == model]
        if learned:
            self._shared.learn(self._provider.name, model, learned, counting=self._is_counting)

    def record(self, response: LLMResponse, status: str) -> LLMResponse:
        """Record the last of an answer: its row, and what only the call knows of it."""
        response = self.end_part(response, status)
        self._write_row(final=True)
        return response

    def ask_again(self, error: OutputParseError, request: LLMRequest) -> None:
        """Note that the answer that has just ended does not fit, and what is sent next."""
        name = type(error).__name__
        self._attempts[-1] = evolve(self._attempts[-1], error=name)
        if self._unwritten is not None:
            self._unwritten = evolve(self._unwritten, error_type=name)
        self._request = evolve(self._request, messages=request.messages)

    def succeed(self, response: LLMResponse, status: str) -> None:
        """Report the answer that the application gets."""
        self._write_row(final=True)  # where it might have been asked for again
        self._tell("call", status, response=response)
        logger.debug(
            "%s/%s: answered, attempt %d (request id %s)",
            response.provider,
            response.model,
            len(self._attempts),
            response.request_id,
        )

    def fail(self, error: Exception) -> None:
        """Record that the call failed, and add its attempts to the error."""
        if self._is_open:
            self._end_open_attempt(error)
        self._write_row(final=True)
        if isinstance(error, OrchestratorError):
            error.attempts = tuple(self._attempts)
        if self._attempts:
            self._log_failure(error)
            self._tell("call", _status_of(error), error=error)

    def _end_open_attempt(self, error: Exception) -> None:
        """End the attempt of an open stream; what it had delivered was used, and costs."""
        status = _status_of(error)
        if isinstance(error, StreamInterruptedError) and error.partial_response is not None:
            error.partial_response = self._end_with_answer(status, error.partial_response, error)
        else:
            self._end_without_answer(status, error)

    def abandon(self, partial: LLMResponse, status: str) -> LLMResponse:
        """Record an answer that was left early."""
        partial = self._end_with_answer(status, partial)
        self._write_row(final=True)
        self._tell("call", status, response=partial)
        return partial

    def cancel(self) -> None:
        """Record that the caller gave up while an attempt was under way or about to be made."""
        self._write_row(final=True)
        if self._attempts:
            self._tell("call", "cancelled")

    # ---------------------------------------------------------------- the end of an attempt

    def _end_with_answer(
        self, status: str, response: LLMResponse, error: Optional[BaseException] = None
    ) -> LLMResponse:
        """End the attempt with its answer, or what came of it, and add what only the call knows."""
        self._note_end(status, response.request_id, error)
        details = self._price(response)
        response = evolve(
            response,
            cost=details.total,
            cost_details=details,
            session_id=self._shared.session_id,
            warnings=response.warnings + self._left_out(),
            latency=time.monotonic() - self._started,
            attempts=tuple(self._attempts),
        )
        self._unwritten = self._record_of(status, response, billed=True)
        self._tell("attempt", status, response=response, error=error)
        return response

    def _end_without_answer(self, status: str, error: BaseException) -> None:
        request_id = error.request_id if isinstance(error, (ProviderError, ConfigurationError)) else None
        self._note_end(status, request_id, error)
        if self._is_counting:
            return
        model = self._step.model
        answer = LLMResponse("", model, self._provider.name, model, usage=reported_usage(error))
        if answer.usage.source == "missing":
            self._context.exchange = Exchange("", self._request.provider_options, {})
        else:  # it failed inside an answer, which is paid for
            answer = evolve(answer, cost_details=self._price(answer))
        self._unwritten = self._record_of(status, answer, billed=may_be_billed(error))
        self._tell("attempt", status, error=error)

    def _note_end(self, status: str, request_id: Optional[str], error: Optional[BaseException]) -> None:
        self._is_open = False
        code = error.status_code if isinstance(error, (ProviderError, ConfigurationError)) else None
        attempt = evolve(
            self._step,
            error=type(error).__name__ if error is not None else None,
            status_code=200 if status == "ok" else code,
            request_id=request_id,
            latency=time.monotonic() - self._began,
            started_at=self._started_at,
            time_to_first_token=self._first_piece,
        )
        self._attempts.append(attempt)

    def _left_out(self) -> Tuple[str, ...]:
        """A warning for each parameter that was left out because the model rejects it."""
        if not self._step.without:
            return ()
        return tuple(
            f"{name} was left out: {self._step.model} rejects it{self._beside(name)}."
            for name in sorted(self._step.without.intersection(DROPPABLE_PARAMETERS))
            if self._provider.asks_for(self._request, name)
        )

    def _beside(self, name: str) -> str:
        """Beside what a parameter was rejected, in words; empty where the model never takes it."""
        provider, model = self._provider, self._step.model
        beside = self._rejections.get((model, name))
        if beside is None:
            names = provider.names_set(self._request, stream=self._is_streamed)
            beside = self._shared.rejected(provider.name, model, names).get(name)
        return f" beside {', '.join(sorted(beside))}" if beside else ""

    def _record_of(self, status: str, answer: LLMResponse, *, billed: bool) -> UsageRecord:
        """Make the record of the attempt that has just ended, without details where they cannot be made."""
        try:
            return self._detailed_record(status, answer, billed=billed)
        except Exception:  # whatever is wrong with a detail, the answer was paid for and has its row
            logger.exception("%s/%s: a row is kept without its details.", answer.provider, answer.model)
        return usage_record_of(
            self._facts,
            self._attempts[-1],
            evolve(answer, usage=MISSING_USAGE),
            number=len(self._attempts),
            status=status,
            details=UNKNOWN_COST,
        )

    def _detailed_record(self, status: str, answer: LLMResponse, *, billed: bool) -> UsageRecord:
        """Make the record with all that is known; what was not reported is estimated."""
        estimated = missing_tokens(answer, self._sent) if billed else None
        return usage_record_of(
            self._facts,
            self._attempts[-1],
            answer,
            number=len(self._attempts),
            status=status,
            details=self._price(answer, estimated) if estimated else answer.cost_details,
            estimated=estimated,
            exchange=self._context.exchange if billed else None,
        )

    def _price(self, response: LLMResponse, estimated: Optional[Mapping[str, int]] = None) -> CostDetails:
        provider = self._provider
        try:
            return self._shared.tracker.price_response(
                response,
                provider.price_provider_of(self._step.model),
                provider.base_url,
                at=self._started_at,
                estimated=estimated,
                exchange=self._context.exchange,
            )
        except Exception:  # an application's own tracker may raise; the answer was paid for and has to arrive
            logger.exception("%s/%s could not be priced.", response.provider, response.model)
            return UNKNOWN_COST

    def _write_row(self, *, final: bool) -> None:
        """Write the row of the last attempt; only what follows it tells whether it ended the call."""
        record, self._unwritten = self._unwritten, None
        if record is not None and not self._is_recorded:
            self._budget.spend(record.cost or ZERO)
            self._keep(record if final else evolve(record, final=False))
        if final:
            self._budget.settle()

    def _keep(self, record: UsageRecord) -> None:
        try:
            record = without_secrets(record, self._provider.redactor_for(self._request))
            self._shared.tracker.add(record)
        except Exception:  # as in _price
            logger.exception("A request could not be recorded. The record: %s", record)

    # ---------------------------------------------------------------- telling others

    def _tell(
        self,
        kind: str,
        status: str,
        *,
        response: Optional[LLMResponse] = None,
        error: Optional[BaseException] = None,
    ) -> None:
        if self._listeners is None:
            return
        from llm_orchestrator.hooks import answer_in  # loaded, where there are hooks

        request = self._sent if kind == "attempt" else self._request
        redactor = self._provider.redactor_for(request)  # a hook writes to logs and traces
        answer = answer_in(response, error)
        raw = {} if answer is None else answer.raw_response or {}
        self._listeners.emit(
            kind=kind,
            call_id=self.id,
            provider=self._provider.name,
            model=self._step.model if kind == "attempt" else self._request.model,
            status=status,
            session_id=self._shared.session_id,
            attempts=redactor.clean(tuple(self._attempts)),
            response=redactor.clean(response),
            error=error,
            streamed=self._is_streamed,
            tags=self._request.tags,
            request=with_hidden_headers(request, redactor),
            service=self._provider.service or self._provider.name,
            base_url=self._provider.base_url,
            response_id=redactor.clean(self._provider.response_id_of(raw)),
        )

    def tool_report(self, call: ToolCall) -> tool_report.ToolReport:
        """Tell hooks of a tool that is run because the answer asks for it."""
        listeners = self._listeners
        if listeners is None or not listeners.hear_tools:
            return tool_report.ToolReport(call, None)
        redactor = self._provider.redactor_for(self._request)
        facts = {
            "call_id": self.id,
            "provider": self._provider.name,
            "session_id": self._shared.session_id,
            "tags": self._request.tags,
        }
        return tool_report.ToolReport(
            call, lambda **went: listeners.emit_tool(**facts, **redactor.clean(went))
        )

    def _log_next(self, last: Attempt, step: Attempt) -> None:
        if last.error is None:
            logger.debug(
                "%s/%s: the provider paused, its answer is continued", self._provider.name, step.model
            )
            return
        action = "retry" if last.model == step.model else f"fallback from {last.model}"
        if last.error == OutputParseError.__name__:
            action = "asked again"
        logger.warning(
            "%s/%s: %s, attempt %d, after %s (status %s, request id %s)",
            self._provider.name,
            step.model,
            action,
            len(self._attempts) + 1,
            last.error,
            last.status_code,
            last.request_id,
        )

    def _log_failure(self, error: Exception) -> None:
        last = self._attempts[-1]
        logger.error(
            "%s/%s: failed with %s, attempt %d was the last (status %s, request id %s)",
            self._provider.name,
            last.model,
            type(error).__name__,
            len(self._attempts),
            last.status_code,
            last.request_id,
        )


class _AttemptReport:
    """Around one attempt: reports its beginning, and its end when there is no answer."""

    __slots__ = ("_reporter",)

    def __init__(self, reporter: CallReporter) -> None:
        self._reporter = reporter

    def __enter__(self) -> None:
        self._reporter.begin_attempt()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if error is not None:
            self._reporter.fail_attempt(error)
        else:
            self._reporter.note_first_piece()


def _listeners(hooks: Sequence[Hook]) -> Listeners:
    from llm_orchestrator.hooks import Listeners

    return Listeners(hooks)


def _status_of(error: Exception) -> str:
    return "interrupted" if isinstance(error, StreamInterruptedError) else "error"
