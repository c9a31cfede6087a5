"""Spans and metrics reach a real receiver: OTLP over HTTP, with OpenTelemetry's own exporters, on loopback."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.tracing import trace_calls
from tests.support.fakes import broken

Received = List[Tuple[str, bytes]]


@pytest.fixture
def receiver() -> Iterator[Tuple[str, Received]]:
    """A collector on loopback, and what it received."""
    received: Received = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def values(attributes: Any) -> Dict[str, Any]:
    """Attributes as they travelled."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@pytest.mark.slow
def test_a_receiver_gets_spans_and_metrics(receiver: Tuple[str, Received], waits: List[float]) -> None:
    url, received = receiver
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

    exported = ExportTraceServiceRequest.FromString(dict(received)["/v1/traces"])
    found = {
        span.name: span
        for resource in exported.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if "error.type" not in values(span.attributes)
    }
    request, call, attempt = found["request"], found["chat asked"], found["attempt asked"]
    assert (call.parent_span_id, attempt.parent_span_id) == (request.span_id, call.span_id)
    assert call.trace_id == attempt.trace_id == request.trace_id
    assert values(call.attributes)["gen_ai.provider.name"] == "fake"
    measured = ExportMetricsServiceRequest.FromString(dict(received)["/v1/metrics"])
    names = {
        metric.name
        for resource in measured.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert names == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
