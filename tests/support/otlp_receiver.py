"""A receiver of OTLP over HTTP on loopback, as Langfuse, Logfire or a collector would be."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Dict, Iterator, List, NamedTuple

import pytest

__all__ = ["Export", "Receiver", "receiver", "spans_in", "values"]


class Export(NamedTuple):
    """One request of an exporter."""

    path: str
    authorization: str
    body: bytes


class Receiver(NamedTuple):
    """Where it listens, and what it received."""

    url: str
    received: List[Export]

    def body(self, path: str) -> bytes:
        """What was sent to a path."""
        (body,) = [export.body for export in self.received if export.path == path]
        return body


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A collector, until the end of the test."""
    received: List[Export] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.append(Export(self.path, self.headers.get("Authorization", ""), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield Receiver(f"http://127.0.0.1:{server.server_port}", received)
    server.shutdown()
    thread.join()
    server.server_close()


def values(attributes: Any) -> Dict[str, Any]:
    """Attributes as they travelled."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def spans_in(body: bytes) -> List[Any]:
    """The spans of a request."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    exported = ExportTraceServiceRequest.FromString(body)
    return [
        span for resource in exported.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]
