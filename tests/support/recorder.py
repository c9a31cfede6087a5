"""OpenTelemetry's SDK with exporters in memory, and what a test wants to know of what they got."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv import attributes as stable
from opentelemetry.semconv._incubating import attributes as incubating
from opentelemetry.semconv._incubating import metrics as incubating_metrics

from llm_orchestrator.hooks import Hook
from llm_orchestrator.tracing import trace_calls

__all__ = ["Recorder", "attributes_of", "identifier", "known_names"]


class Recorder:
    """Everything that a traced program said."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider([self._reader])
        self.tracer = self.tracer_provider.get_tracer("the application")

    def hook(self, *, content: bool = False) -> Hook:
        """A hook that reports to this recorder."""
        return trace_calls(
            content=content, tracer_provider=self.tracer_provider, meter_provider=self.meter_provider
        )

    @property
    def spans(self) -> Tuple[ReadableSpan, ...]:
        """Every span that has ended."""
        return self._exporter.get_finished_spans()

    @property
    def calls(self) -> List[ReadableSpan]:
        """The spans of calls."""
        return [span for span in self.spans if span.name.startswith("chat ")]

    def call(self) -> ReadableSpan:
        """The span of the one call."""
        (span,) = self.calls
        return span

    def attempts(self, call: Optional[ReadableSpan] = None) -> List[ReadableSpan]:
        """The children of a call's span, in order."""
        parent = identifier(call or self.call())
        children = [span for span in self.spans if span.parent and span.parent.span_id == parent]
        return sorted(children, key=lambda span: span.start_time or 0)

    def points(self, metric: str) -> List[Any]:
        """The data points of a metric."""
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
        ]

    def shown(self) -> str:
        """All of the spans as text."""
        return "\n".join(span.to_json() for span in self.spans)


def identifier(span: ReadableSpan) -> int:
    """A span's id."""
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    """A span's attributes, or none."""
    return span.attributes or {}


@functools.cache
def known_names() -> Set[str]:
    """The names of all attributes and metrics in the installed package of the conventions."""
    names: Set[str] = set()
    for package in (stable, incubating, incubating_metrics):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            constants: Dict[str, Any] = vars(importlib.import_module(module.name))
            names |= {value for name, value in constants.items() if name.isupper() and isinstance(value, str)}
    return names
