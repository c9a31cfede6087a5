"""Tracing with OpenTelemetry (the extra ``otel``): a hook that makes spans and metrics of finished calls.

Names follow OpenTelemetry's semantic conventions for generative AI. Nothing here is loaded, and no call takes
longer, unless an application uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from llm_orchestrator.exceptions import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from llm_orchestrator.hooks import Hook

__all__ = ["trace_calls"]


def trace_calls(
    *,
    content: bool = False,
    tracer_provider: Optional[TracerProvider] = None,
    meter_provider: Optional[MeterProvider] = None,
) -> Hook:
    """Make a hook that traces calls: ``LLMOrchestrator(config, hooks=[trace_calls()])``.

    Every call becomes a span, a child of the span that was current when the call was made, and every request
    it sent becomes a child of the call's span. All are made when the call has ended.

    Args:
        content: Whether spans include prompts, answers and tools; whoever can read the traces can read them.
        tracer_provider: Where spans go; None is OpenTelemetry's global one.
        meter_provider: Where metrics go; None is OpenTelemetry's global one.

    Returns:
        The hook; one may serve several orchestrators.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError as error:
        raise ConfigurationError(
            'Tracing needs opentelemetry-api. Run: pip install "llm-orchestrator[otel]".'
        ) from error
    from llm_orchestrator import __version__
    from llm_orchestrator.tracing.tracer import CallTracer

    return CallTracer(
        trace.get_tracer("llm_orchestrator", __version__, tracer_provider),
        metrics.get_meter("llm_orchestrator", __version__, meter_provider),
        content=content,
    )
