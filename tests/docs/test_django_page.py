"""The page on Django, in a real uvicorn: errors before and after the first piece, and clients that hang up."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Iterator

import pytest
import yaml

from tests.docs.test_documents import blocks_of, folder  # noqa: F401 (a fixture)
from tests.support.configs import ROOT
from tests.support.scripted_server import DIALECTS, ScriptedServer, Stall
from tests.support.waiting import until

django = pytest.importorskip("django", reason="Django is not installed: make test-mcp")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: make test-mcp")

from tests.support.web_promises import (  # noqa: E402, F401 (tests, which need uvicorn)
    test_a_client_that_hangs_up_leaves_nothing_open,
    test_an_answer_comes_whole_and_as_events,
    test_an_error_after_the_first_piece_is_the_last_event,
    test_an_error_before_the_first_piece_is_a_status,
)
from tests.support.web_service import PIECES, Service  # noqa: E402 (it needs uvicorn)

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
