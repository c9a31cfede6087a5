"""A program of a page while a real uvicorn serves it, and clients that may hang up."""

from __future__ import annotations

import json
import socket
import threading
from http.client import HTTPConnection, HTTPResponse
from typing import Any, List, Tuple

import uvicorn

from llm_orchestrator import LLMOrchestrator
from tests.support.waiting import until

__all__ = ["PIECES", "Service", "next_event"]

PIECES = [f"{number} " for number in range(11)]
BODY = json.dumps({"text": "Count.", "customer": "acme"})


class Service:
    """The program.

    Args:
        app: Its ASGI application.
        orchestrator: Its orchestrator; None where the application keeps it in its state.
    """

    def __init__(self, app: Any, orchestrator: Any = None) -> None:
        self._app, self._orchestrator = app, orchestrator
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()
        until(lambda: bool(self._server.started))

    def begin(self, path: str) -> HTTPConnection:
        """Send a request, and do not wait for its answer."""
        connection = HTTPConnection("127.0.0.1", self._socket.getsockname()[1], timeout=60)
        connection.request("POST", path, BODY, {"Content-Type": "application/json", "Connection": "close"})
        return connection

    def ask(self, path: str) -> HTTPResponse:
        """Send a request; its answer as it begins."""
        return self.begin(path).getresponse()

    def rows(self) -> List[Any]:
        """The ledger's rows."""
        orchestrator: LLMOrchestrator = self._orchestrator or self._app.state.orchestrator
        return list(orchestrator.cost_tracker.to_dicts())

    def stop(self) -> None:
        """Stop it, which must not hang."""
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._socket.close()


def next_event(response: HTTPResponse) -> Tuple[str, Any]:
    """Read one server-sent event: its name and its value."""
    name, data, _ = (response.readline().decode().rstrip("\n") for _ in range(3))
    return name[len("event: ") :], json.loads(data[len("data: ") :])
