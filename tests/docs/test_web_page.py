"""The page on FastAPI, in a real uvicorn: errors before and after the first piece, and clients that hang up."""

from __future__ import annotations

import importlib
import json
import socket
import sys
import threading
import time
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest
import yaml

from tests.docs.test_documents import blocks_of, folder  # noqa: F401 (a fixture)
from tests.support.configs import ROOT
from tests.support.scripted_server import DIALECTS, Reset, ScriptedServer, Stall

pytest.importorskip("fastapi", reason="FastAPI is not installed: make environment")
uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed: make environment")

pytestmark = pytest.mark.slow

CHAT = DIALECTS["chat"]
PIECES = [f"{number} " for number in range(11)]
BODY = json.dumps({"text": "Count.", "customer": "acme"})


class Service:
    """The page's program while uvicorn serves it."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()
        until(lambda: bool(self._server.started))

    def ask(self, path: str) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self._socket.getsockname()[1], timeout=60)
        connection.request("POST", path, BODY, {"Content-Type": "application/json", "Connection": "close"})
        return connection.getresponse()

    def rows(self) -> List[Any]:
        return list(self.app.state.orchestrator.cost_tracker.to_dicts())

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._socket.close()


def until(true: Callable[[], bool]) -> None:
    """Wait for what other threads do; far longer than it can take on a busy machine."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:  # noqa: F811
    (program,) = [block for block in blocks_of(ROOT / "docs" / "web.md") if block.language == "python"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (entry,) = config["providers"].values()
    entry.update(max_retries=0, fallback_models=["another-model"])
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "service.py").write_text(program.text, encoding="utf-8")
    service = Service(importlib.import_module("service").app)
    try:
        yield service
    finally:
        service.stop()
        del sys.modules["service"]


def next_event(response: HTTPResponse) -> Tuple[str, Any]:
    name, data, _ = (response.readline().decode().rstrip("\n") for _ in range(3))
    return name[len("event: ") :], json.loads(data[len("data: ") :])


def test_an_answer_comes_whole_and_as_events(service: Service, server: ScriptedServer) -> None:
    server.script(CHAT.whole("Seven."), CHAT.stream(PIECES))
    assert json.loads(service.ask("/answer").read()) == {"text": "Seven.", "finish_reason": "stop"}
    response = service.ask("/stream")
    shown = [next_event(response) for _ in [*PIECES, "end"]]
    assert shown == [*(("text", piece) for piece in PIECES), ("end", "stop")]
    assert response.read() == b""
    assert [row["tags"] for row in service.rows()] == [{"customer": "acme"}] * 2


@pytest.mark.parametrize("path", ["/answer", "/stream"])
@pytest.mark.parametrize(
    ("failure", "status", "name"),
    [
        ("bad_key", 502, "AuthenticationError"),
        ("rate_limit", 503, "AllFallbacksFailedError"),
        ("context_length", 422, "AllFallbacksFailedError"),
    ],
)
def test_an_error_before_the_first_piece_is_a_status(
    service: Service, server: ScriptedServer, path: str, failure: str, status: int, name: str
) -> None:
    server.default = CHAT.failure(failure)
    response = service.ask(path)
    assert (response.status, response.headers.get_content_type()) == (status, "application/json")
    assert json.loads(response.read()) == {"error": name}


def test_an_error_after_the_first_piece_is_the_last_event(service: Service, server: ScriptedServer) -> None:
    server.script(CHAT.stream(PIECES[:2], complete=False).but(fault=Reset()))
    response = service.ask("/stream")
    assert response.status == 200
    assert [next_event(response)[0] for _ in range(3)] == ["text", "text", "error"]
    assert response.read() == b""


@pytest.mark.parametrize("place", range(1, 11))
def test_a_client_that_hangs_up_leaves_nothing_open(
    service: Service, server: ScriptedServer, place: int
) -> None:
    stream = CHAT.stream(PIECES, cut="recorded")  # the first event has no text
    server.script(stream.but(fault=Stall(after=place + 1)))
    response = service.ask("/stream")
    assert [next_event(response)[1] for _ in range(place)] == PIECES[:place]
    response.close()
    until(lambda: len(service.rows()) == 1)
    assert service.rows()[0]["status"] in ("interrupted", "cancelled")
    until(lambda: server.open_connections == 0)
