"""``CallTracer``, the hook that makes spans and metrics of a finished call.

It runs in the context in which the call was made, so the span that was current there becomes the parent, also
for a stream that ends in another context.
"""

from __future__ import annotations

import time
from typing import Optional

from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from llm_orchestrator.hooks import CallEvent, ToolEvent
from llm_orchestrator.tracing.attributes import (
    EXECUTE_TOOL,
    answer_of,
    attempt_attributes,
    call_attributes,
    error_type,
    identity,
    operation_of,
    time_to_first_chunk,
    tool_attributes,
)
from llm_orchestrator.tracing.content import content_attributes, tool_content
from llm_orchestrator.types import Attempt

__all__ = ["CallTracer"]

#: The bucket boundaries of the conventions, in seconds and in tokens.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))


class CallTracer:
    """Makes the spans and metrics of calls; it has no state of a call.

    Args:
        tracer: Makes the spans.
        meter: Makes the metrics.
        content: Whether spans include prompts and answers.
    """

    def __init__(self, tracer: Tracer, meter: Meter, *, content: bool) -> None:
        self._tracer = tracer
        self._content = content
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time to receive the first chunk of a streamed answer.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )

    def __call__(self, event: CallEvent) -> None:
        """Trace a call once it has ended.

        Args:
            event: The call; events of attempts are ignored, because each call has them all.
        """
        if event.kind != "call":
            return
        span = self._tracer.start_span(
            f"{operation_of(event)} {event.model}",
            kind=SpanKind.CLIENT,
            start_time=_began(event.attempts[0]),
            attributes=call_attributes(event),
        )
        if self._content and span.is_recording():
            span.set_attributes(content_attributes(event))
        parent = set_span_in_context(span)
        for resent, attempt in enumerate(event.attempts):
            self._trace_attempt(event, attempt, resent, parent)
        ended = max(time.time_ns(), _ended(event.attempts[-1]))
        _end(span, error_type(event), ended)
        self._measure(event, (ended - _began(event.attempts[0])) / 1e9, parent)

    def on_tool(self, event: ToolEvent) -> None:
        """Trace a tool that a loop ran, beside the calls of its turns.

        Args:
            event: The tool, once it has ended.
        """
        began = int(event.started_at.timestamp() * 1_000_000) * 1000
        span = self._tracer.start_span(
            f"{EXECUTE_TOOL} {event.tool_call.name}",
            kind=SpanKind.INTERNAL,
            start_time=began,
            attributes=tool_attributes(event),
        )
        if self._content and span.is_recording():
            span.set_attributes(tool_content(event))
        _end(span, event.error, began + int(event.seconds * 1e9))

    def _trace_attempt(self, event: CallEvent, attempt: Attempt, resent: int, parent: Context) -> None:
        span = self._tracer.start_span(
            f"attempt {attempt.model}",
            parent,
            kind=SpanKind.CLIENT,
            start_time=_began(attempt),
            attributes=attempt_attributes(event, attempt, resent),
        )
        _end(span, attempt.error, _ended(attempt))

    def _measure(self, event: CallEvent, seconds: float, context: Context) -> None:
        attributes = identity(event, event.model)
        answer = answer_of(event)
        if answer is not None:
            attributes["gen_ai.response.model"] = answer.model
            counts = {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}
            for kind, count in counts.items():
                if count is not None:
                    self._tokens.record(count, {**attributes, "gen_ai.token.type": kind}, context)
        first_chunk = time_to_first_chunk(event)
        if first_chunk is not None:
            self._first_chunk.record(first_chunk, attributes, context)
        error = error_type(event)
        if error is not None:
            attributes["error.type"] = error
        self._duration.record(seconds, attributes, context)


def _began(attempt: Attempt) -> int:
    """When an attempt began, in nanoseconds since 1970."""
    assert attempt.started_at is not None, "an attempt that was sent has a time"
    return int(attempt.started_at.timestamp() * 1_000_000) * 1000


def _ended(attempt: Attempt) -> int:
    return _began(attempt) + int((attempt.latency or 0) * 1e9)


def _end(span: Span, error: Optional[str], ended: int) -> None:
    """End a span. Its status has no description, because a provider's message may repeat the prompt."""
    if error is not None:
        span.set_status(Status(StatusCode.ERROR))
    span.end(ended)
