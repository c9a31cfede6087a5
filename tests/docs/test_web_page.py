"""The page on FastAPI, in a real uvicorn: errors before and after the first piece, and clients that hang up."""

from __future__ import annotations

import importlib
import sys
from http.client import HTTPResponse
from pathlib import Path
from typing import Iterator

import pytest
import yaml

from tests.docs.test_documents import blocks_of, folder  # noqa: F401 (a fixture)
from tests.support.configs import ROOT
from tests.support.scripted_server import DIALECTS, ScriptedServer, Stall
from tests.support.waiting import until

pytest.importorskip("fastapi", reason="FastAPI is not installed: make environment")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: make environment")

from tests.support.web_promises import (  # noqa: F401 (tests)
    test_a_client_that_hangs_up_leaves_nothing_open,
    test_an_answer_comes_whole_and_as_events,
    test_an_error_after_the_first_piece_is_the_last_event,
    test_an_error_before_the_first_piece_is_a_status,
)
from tests.support.web_service import PIECES, Service, next_event

pytestmark = pytest.mark.slow

CHAT = DIALECTS["chat"]


PROGRAMS = [block.text for block in blocks_of(ROOT / "docs" / "web.md") if block.language == "python"]


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:  # noqa: F811
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (entry,) = config["providers"].values()
    entry.update(max_retries=0, fallback_models=["another-model"])
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for name, program in zip(("service", "chat"), PROGRAMS):
        (folder / f"{name}.py").write_text(program, encoding="utf-8")
    service = Service(importlib.import_module("chat").app)
    try:
        yield service
    finally:
        service.stop()
        sys.modules["chat"].store.close()
        del sys.modules["chat"], sys.modules["service"]


def read_turn(response: HTTPResponse) -> str:
    """The text of a turn that ends well."""
    text = ""
    while True:
        name, value = next_event(response)
        if name != "text":
            assert (name, value) == ("end", "stop")
            return text
        text += value


def test_a_chat_goes_on_with_what_was_said(service: Service, server: ScriptedServer) -> None:
    server.script(CHAT.stream(["One."]), CHAT.stream(["Two."]), CHAT.stream(["Other."]))
    assert [read_turn(service.ask(f"/chat/{name}")) for name in ("ada", "ada", "bob")] == [
        "One.",
        "Two.",
        "Other.",
    ]
    assert [len(request.body["messages"]) for request in server.requests] == [2, 4, 2]


def test_two_questions_in_one_session_wait_for_each_other(service: Service, server: ScriptedServer) -> None:
    server.default = CHAT.stream(["Well."]).but(delay=0.1)
    asked = [service.begin("/chat/ada") for _ in range(3)]
    assert [read_turn(connection.getresponse()) for connection in asked] == ["Well."] * 3
    assert [len(request.body["messages"]) for request in server.requests] == [2, 4, 6]


def test_a_turn_whose_client_hangs_up_is_as_if_it_had_not_been(
    service: Service, server: ScriptedServer
) -> None:
    stalled = CHAT.stream(PIECES, cut="recorded").but(fault=Stall(after=2))
    server.script(CHAT.stream(["One."]), stalled, CHAT.stream(["Two."]))
    read_turn(service.ask("/chat/ada"))
    response = service.ask("/chat/ada")
    assert next_event(response) == ("text", PIECES[0])
    response.close()
    until(lambda: len(service.rows()) == 2)
    assert read_turn(service.ask("/chat/ada")) == "Two."
    assert [len(request.body["messages"]) for request in server.requests] == [2, 4, 4]
