"""K2: what guards a key: no redirect is followed, and a filter on the loggers of SDKs and HTTP libraries."""

from __future__ import annotations

import gc
import json
import logging
from typing import Any, Callable, Dict, List
from urllib.parse import quote

import pytest

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.http import redaction
from llm_orchestrator.providers.http.redaction import LOGGERS, REDACTED, Redactor, redact_logs
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import KEY, Dialect, ScriptedServer, redirect
from tests.support.ways import ask, run_async


@pytest.mark.parametrize("status", [302, 307])  # one that HTTP libraries follow with GET, one with POST
def test_k2_no_credential_follows_a_redirect(
    orchestrate: Orchestrate, server: ScriptedServer, status: int, dialect: Dialect, way: str
) -> None:
    with ScriptedServer() as elsewhere:
        server.default = lambda request: redirect(elsewhere.url + request.path, status)

        with pytest.raises(InvalidResponseError):
            ask(orchestrate(), way)

        assert (elsewhere.connections_opened, len(server.requests)) == (0, 1)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_k2_no_credential_follows_a_redirect_of_a_listing(
    orchestrate: Orchestrate, server: ScriptedServer, asynchronous: bool
) -> None:
    orchestrator = orchestrate()
    calls: List[Callable[[], Any]] = [orchestrator.refresh_models, lambda: orchestrator.validate_model("m")]
    if asynchronous:
        calls = [
            lambda: run_async(orchestrator, orchestrator.arefresh_models),
            lambda: run_async(orchestrator, lambda: orchestrator.avalidate_model("m")),
        ]
    with ScriptedServer() as elsewhere:
        server.default = lambda request: redirect(elsewhere.url + request.path, 302)
        for call in calls:
            with pytest.raises(InvalidResponseError):
                call()

        assert [request.method for request in server.requests] == ["GET", "GET"]
        assert elsewhere.connections_opened == 0


@pytest.fixture
def own_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that no orchestrator of another test, closed or not, has touched."""
    monkeypatch.setattr(redaction, "_log_filter", redaction._LogFilter())


def filters() -> Dict[str, List[Any]]:
    """The filters of all loggers there are."""
    loggers = logging.Logger.manager.loggerDict
    found = {name: logger.filters for name, logger in loggers.items() if isinstance(logger, logging.Logger)}
    return {name: list(filters) for name, filters in found.items() if filters}


def test_k2_closing_takes_the_filter_off_all_loggers(
    orchestrate: Orchestrate, server: ScriptedServer, way: str, own_filter: None
) -> None:
    before = filters()
    orchestrator = orchestrate()
    assert filters() == before, "construction touches no logger"

    ask(orchestrator, way, extra_headers={"x-call-token": "call-token-of-one-call"})
    if "async" not in way:  # a loop's client is closed with its loop
        touched = {name.partition(".")[0] for name, found in filters().items() if found != before.get(name)}
        assert touched and touched <= set(LOGGERS)
    orchestrator.close()

    assert filters() == before


def test_k2_one_orchestrator_that_closes_leaves_the_keys_of_others_guarded(
    orchestrate: Orchestrate, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = orchestrate(api_key="first-" + KEY), orchestrate(api_key="second-" + KEY)
    for orchestrator in (first, second):
        orchestrator.send_request("Hi")
    first.close()

    logging.getLogger("llm_orchestrator").warning("said second-%s", KEY)

    assert caplog.messages[-1] == f"said {REDACTED}"


def test_k2_a_redactor_that_is_dropped_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    redactor = Redactor([KEY])
    redact_logs(redactor)
    logging.getLogger("llm_orchestrator").warning("kept %s", KEY)

    del redactor
    gc.collect()
    logging.getLogger("llm_orchestrator").warning("dropped %s", KEY)

    assert caplog.messages == [f"kept {REDACTED}", f"dropped {KEY}"]


def test_k2_an_exception_in_the_log_and_a_broken_log_call(caplog: pytest.LogCaptureFixture) -> None:
    redactor, logger = Redactor([KEY]), logging.getLogger("llm_orchestrator")
    redact_logs(redactor)
    try:
        raise ValueError(f"bad {KEY}")
    except ValueError:
        logger.exception("failed")
    assert KEY not in caplog.text and f"bad {REDACTED}" in caplog.text

    unwritable = logger.makeRecord(logger.name, logging.DEBUG, __file__, 1, "%d %d", (1,), None)
    assert logger.filter(unwritable), "logging itself reports it"


# ------------------------------------------------------------------------------- what counts as a key


@pytest.mark.parametrize("written", [str, repr, json.dumps, lambda key: quote(key, safe="")])
def test_k2_a_key_is_found_however_it_is_written(written: Callable[[str], str]) -> None:
    key = "sk/\"quoted\"+'both'\\and/more=="

    text = Redactor([key]).redact(f"the key {written(key)} is wrong")

    assert REDACTED in text and "quoted" not in text and "more" not in text


def test_k2_keys_that_begin_alike_are_all_found() -> None:
    keys = ["sk-vendor-api03-first-and-longer", "sk-vendor-api03-second"]

    for known in (keys, keys[::-1]):
        assert Redactor(known).redact(" ".join(keys)) == f"{REDACTED} {REDACTED}"


def test_k2_a_page_full_of_keys_is_read_in_bounded_time() -> None:
    assert Redactor([KEY]).redact(KEY * 2000) == REDACTED * 2000


def test_k2_the_fields_of_an_error_are_cleaned_however_deep() -> None:
    deep: Any = KEY
    for _ in range(5000):
        deep = [deep]
    untouched = {"status": [200]}
    error = ValueError({KEY: (KEY, KEY.encode(), 7)})
    vars(error).update(body=deep, other=untouched)

    Redactor([KEY]).scrub(error)

    assert error.args == ({REDACTED: (REDACTED, REDACTED.encode(), 7)},)
    body = vars(error)["body"]
    while isinstance(body, list):
        (body,) = body
    assert body == REDACTED
    assert vars(error)["other"] is untouched, "what holds no key is not even copied"
