"""The page on Django, in a real uvicorn: errors before and after the first piece, and clients that hang up."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Iterator

import pytest
import yaml

from tests.docs.test_documents import blocks_of, folder  # noqa: F401 (a fixture)
from tests.support.configs import ROOT
from tests.support.scripted_server import DIALECTS, Reset, ScriptedServer, Stall
from tests.support.waiting import until

django = pytest.importorskip("django", reason="Django is not installed: make test-mcp")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: make test-mcp")

from tests.support.web_service import PIECES, Service, next_event  # noqa: E402 (it needs uvicorn)

pytestmark = pytest.mark.slow

CHAT = DIALECTS["chat"]
PROGRAM = "django_service"


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:  # noqa: F811
    (program,) = [block for block in blocks_of(ROOT / "docs" / "django.md") if block.language == "python"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (entry,) = config["providers"].values()
    entry.update(max_retries=0, fallback_models=["another-model"])
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / f"{PROGRAM}.py").write_text(program.text, encoding="utf-8")
    module = importlib.import_module(PROGRAM)
    service = Service(module.application, module.orchestrator)
    try:
        yield service
    finally:
        service.stop()
        module.orchestrator.close()
        forget_django()


def forget_django() -> None:
    """Django configures a process once; the next test has another program."""
    from django.conf import empty, settings
    from django.urls import clear_url_caches

    settings._wrapped = empty
    clear_url_caches()
    del sys.modules[PROGRAM]


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


@pytest.mark.parametrize("path", ["/answer", "/stream"])
def test_a_client_that_hangs_up_before_the_first_piece(
    service: Service, server: ScriptedServer, path: str
) -> None:
    server.script(CHAT.stream(PIECES).but(fault=Stall(after=0)))
    connection = service.begin(path)
    until(lambda: len(server.requests) == 1)
    connection.close()
    until(lambda: len(service.rows()) == 1)
    assert service.rows()[0]["status"] == "cancelled"
    until(lambda: server.open_connections == 0)
