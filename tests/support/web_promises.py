"""What every page with a web service promises; a test of a page imports them and has the fixture ``service``."""

from __future__ import annotations

import json

import pytest

from tests.support.scripted_server import DIALECTS, Reset, ScriptedServer, Stall
from tests.support.waiting import until
from tests.support.web_service import PIECES, Service, next_event

__all__ = [
    "test_a_client_that_hangs_up_leaves_nothing_open",
    "test_an_answer_comes_whole_and_as_events",
    "test_an_error_after_the_first_piece_is_the_last_event",
    "test_an_error_before_the_first_piece_is_a_status",
]

CHAT = DIALECTS["chat"]


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
