"""FE8: what a terminal would obey, and what would forge a line of a log, is shown as an escape."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Dict

import pytest

from llm_orchestrator import ProviderError
from llm_orchestrator.utils.text import harmless, one_line
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.ways import ask

FORGED = "x\r\nERROR forged\x1b[2J\x9b31m\u202etxt\u2028y"
#: What none of it may hold.
OBEYED = "\r\n\x1b\x9b\u202e\u2028"


def is_safe(text: str) -> bool:
    return not set(text) & set(OBEYED)


def test_fe8_an_error_of_the_provider_is_one_line(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "llm_orchestrator")
    server.default = dialect.error(400, message=FORGED)
    with pytest.raises(ProviderError) as caught:
        ask(orchestrate(), way)
    assert "ERROR forged" in str(caught.value) and is_safe(str(caught.value))
    assert all(is_safe(record.getMessage()) for record in caplog.records)


def test_fe8_cells_of_an_answer_forge_no_line_of_the_log(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "llm_orchestrator")
    reply = dialect.whole("Hi")
    document: Dict[str, Any] = json.loads(reply.body)
    document.update({"id": FORGED, "model": FORGED, "responseId": FORGED, "modelVersion": FORGED})
    server.default = reply.but(
        body=json.dumps(document).encode(), headers={"content-type": "application/json"}
    )
    response = orchestrate().send_request("Hi")
    assert is_safe(response.model) and is_safe(response.request_id or "")
    assert [record for record in caplog.records if not is_safe(record.getMessage())] == []


def test_fe8_a_text_keeps_what_it_is_made_of() -> None:
    family = "a  b\tc\nd\u200d\u00a0\u05d0\u200f\U0001f468\u200d\U0001f469"
    assert harmless(family) == family
    assert harmless("a\r\nb") == "a\nb"
    assert harmless(FORGED) == "x\nERROR forged\\x1b[2J\\x9b31m\\u202etxt\\u2028y"
    assert is_safe(one_line(FORGED))


def test_fe8_names_that_a_host_lists_stay_in_their_line(
    server: ScriptedServer, dialect: Dialect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pytest.importorskip("typer")
    from llm_orchestrator.cli.terminal import note, say, show_table

    show_table(["Model", "Provider"], [[FORGED, "p"], ["other", "p"]])
    say(FORGED)
    note(FORGED)
    shown = capsys.readouterr()
    assert not set(shown.out + shown.err) & set("\r\x1b\x9b\u202e\u2028")
    assert len(shown.out.splitlines()) == 3 + 2, "a table of two rows, and a text that has its own lines"
