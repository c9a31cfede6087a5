"""Spans and metrics reach a real receiver: OTLP over HTTP, with OpenTelemetry's own exporters, on loopback."""

from __future__ import annotations

from typing import List

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.tracing import trace_calls
from tests.support.fakes import broken
from tests.support.otlp_receiver import Receiver, receiver, spans_in, values  # noqa: F401 (a fixture)


@pytest.mark.slow
def test_a_receiver_gets_spans_and_metrics(receiver: Receiver, waits: List[float]) -> None:  # noqa: F811
    url = receiver.url
    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), 3_600_000)
    meters = MeterProvider([reader])
    config = {"active_provider": "fake", "active_model": "asked", "providers": {}}
    provider = FakeProvider([broken(), "Hello."], name="fake")
    hook = trace_calls(tracer_provider=spans, meter_provider=meters)
    with LLMOrchestrator(config, providers={"fake": provider}, hooks=[hook]) as orchestrator:
        with spans.get_tracer("the application").start_as_current_span("request"):
            orchestrator.send_request("Hi")
    spans.shutdown()
    meters.shutdown()

    found = {
        span.name: span
        for span in spans_in(receiver.body("/v1/traces"))
        if "error.type" not in values(span.attributes)
    }
    request, call, attempt = found["request"], found["chat asked"], found["attempt asked"]
    assert (call.parent_span_id, attempt.parent_span_id) == (request.span_id, call.span_id)
    assert call.trace_id == attempt.trace_id == request.trace_id
    assert values(call.attributes)["gen_ai.provider.name"] == "fake"
    measured = ExportMetricsServiceRequest.FromString(receiver.body("/v1/metrics"))
    names = {
        metric.name
        for resource in measured.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert names == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
