"""K1 and K2: a key never shows, whoever says it, and never follows a redirect.

Every test looks at everything a person may read: the error with its traceback, its causes and their fields,
all log records of all libraries at DEBUG, what hooks are told, and the ledger.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from llm_orchestrator import CallEvent, ConfigurationError, InvalidRequestError, LLMOrchestrator
from llm_orchestrator.exceptions import OrchestratorError, ProviderError
from llm_orchestrator.providers.http.redaction import REDACTED
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import (
    BEFORE_HEAD,
    DIALECTS,
    KEY,
    Dialect,
    Garbage,
    Reply,
    Request,
    ScriptedServer,
    echo_key,
    redirect,
    refusing_url,
)
from tests.support.scripted_server.replies import json_reply
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.ways import ask

#: Credentials that are no api_key: in a header of the entry, and in a header of one call.
GATEWAY_TOKEN = "gateway-5f4dcc3b5aa765d61d83"
CALL_TOKEN = "call-e99a18c428cb38d5f260"
SECRETS = (KEY, GATEWAY_TOKEN, CALL_TOKEN)


class Witness:
    """Collects whatever of a call could be read by a person."""

    def __init__(self, log: pytest.LogCaptureFixture, ledger: Path) -> None:
        self.events: List[CallEvent] = []
        self._log = log
        self._ledger = ledger

    def seen(self) -> str:
        """Everything but errors that left the call."""
        ledger = self._ledger.read_text(encoding="utf-8") if self._ledger.exists() else ""
        return "\n".join([*self.logged(), *map(repr, self.events), ledger])

    def logged(self) -> List[str]:
        """All records as handlers see them: the text, the traceback, and the arguments."""
        formatter = logging.Formatter("%(name)s %(message)s")
        return [formatter.format(record) + repr(vars(record)) for record in self._log.records]


@pytest.fixture
def witness(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Witness:
    caplog.set_level(logging.DEBUG)
    return Witness(caplog, tmp_path / "usage.csv")


@pytest.fixture
def watched(witness: Witness, dialect: Dialect, tmp_path: Path) -> Iterator[Callable[..., LLMOrchestrator]]:
    """Makes orchestrators that a witness watches, with a ledger file and secrets of every kind."""
    made: List[LLMOrchestrator] = []

    def make(url: str) -> LLMOrchestrator:
        config = dialect.config(url, max_retries=0, headers={"x-gateway-token": GATEWAY_TOKEN})
        config["cost_tracking"] = {"log_path": str(tmp_path / "usage.csv")}
        made.append(LLMOrchestrator(config, hooks=[witness.events.append]))
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.close()


def ask_with_secret(orchestrator: LLMOrchestrator, way: str) -> Any:
    return ask(orchestrator, way, extra_headers={"x-call-token": CALL_TOKEN})


def shown(error: BaseException) -> str:
    """An error as text, with its traceback and the fields of all it was caused by."""
    texts = [str(error), repr(error), *traceback.format_exception(type(error), error, error.__traceback__)]
    waiting: List[Any] = [error]
    seen: List[Any] = []
    while waiting:
        cause = waiting.pop()
        if cause is not None and cause not in seen:
            seen.append(cause)
            texts.append(repr(vars(cause)))
            waiting += [cause.__cause__, cause.__context__]
    return "\n".join(texts)


def assert_no_secret(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []


# ------------------------------------------------------------------------------- what nobody provoked


def test_k1_a_call_that_succeeds_shows_no_key(
    watched: Callable[..., LLMOrchestrator], witness: Witness, server: ScriptedServer, way: str
) -> None:
    orchestrator = watched(server.url)

    ask_with_secret(orchestrator, way)

    (request,) = server.requests
    for secret in SECRETS:
        assert secret in str(request.headers), "it was sent, so there was something to show"
    seen = witness.seen()
    assert_no_secret(seen)
    if TRANSPORT == "sdk":
        assert "httpcore" in seen and "receive_response_headers.complete" in seen, "the HTTP library logged"
    assert len(witness.events) == 2 and "call_id" in seen, "the ledger has a row"


def test_k1_a_call_without_an_answer_shows_no_key(
    watched: Callable[..., LLMOrchestrator], witness: Witness, way: str
) -> None:
    with refusing_url() as url, pytest.raises(ProviderError) as caught:
        ask_with_secret(watched(url), way)

    assert_no_secret(shown(caught.value) + witness.seen())


def test_k1_configuration_and_objects_show_no_key(
    watched: Callable[..., LLMOrchestrator], server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = watched(server.url)
    orchestrator.send_request("Hi")
    config = orchestrator.config
    provider = orchestrator._providers[dialect.provider]

    texts = [repr(config), str(config), config.model_dump_json(), repr(config.model_dump())]
    texts += [
        repr(orchestrator),
        repr(provider),
        str(provider),
        repr(provider.redactor),
        repr(vars(orchestrator)),
    ]

    assert_no_secret("\n".join(texts))


@pytest.mark.parametrize("broken", ["\n", "\r\nx-more: 1", "ü", "\x00"], ids=ascii)
def test_k1_a_header_that_cannot_be_sent_is_not_shown(
    orchestrate: Orchestrate, server: ScriptedServer, witness: Witness, way: str, broken: str
) -> None:
    with pytest.raises(InvalidRequestError, match="x-call-token") as caught:
        ask(orchestrate(), way, extra_headers={"x-call-token": CALL_TOKEN + broken + "more"})

    assert_no_secret(shown(caught.value) + witness.seen())
    assert server.requests == []


@pytest.mark.parametrize("broken", ["\n", "\r\nx-more: 1", "ü", "\x00"], ids=ascii)
@pytest.mark.parametrize("place", ["api_key", "headers"])
def test_k1_a_configured_secret_that_cannot_be_sent_is_not_shown(
    orchestrate: Orchestrate, server: ScriptedServer, witness: Witness, place: str, broken: str
) -> None:
    secret = GATEWAY_TOKEN + broken + "more"
    settings: Dict[str, Any] = {"api_key": secret} if place == "api_key" else {"headers": {"x-auth": secret}}

    with pytest.raises(OrchestratorError) as caught:
        orchestrate(**settings).send_request("Hi")

    assert isinstance(caught.value, (ConfigurationError, InvalidRequestError))
    assert_no_secret(shown(caught.value) + witness.seen())
    assert server.requests == []


# ------------------------------------------------------------------------------- what a server provokes


def all_of(request: Request) -> str:
    """Everything a server was told, as careless error pages repeat it."""
    return ", ".join(f"{name}: {value}" for name, value in request.headers.items())


def everywhere(dialect: Dialect, request: Request) -> Dict[str, str]:
    """Headers of a reply that repeat secrets, those with the id of the request included."""
    key = request.api_key or ""
    return {"x-request-id": key, "request-id": key, "x-echo": all_of(request), "set-cookie": f"key={key}"}


def refusal(dialect: Dialect, request: Request) -> Reply:
    return echo_key(dialect)(request)


def refusal_in_every_field(dialect: Dialect, request: Request) -> Reply:
    key = request.api_key
    error = {
        "message": all_of(request),
        "code": key,
        "type": key,
        "status": key,
        "param": [key, {"key": key}],
    }
    return json_reply({"error": error, "headers": dict(request.headers)}, 400, everywhere(dialect, request))


def refusal_with_status_200(dialect: Dialect, request: Request) -> Reply:
    key = request.api_key
    error = {"message": all_of(request), "code": key, "type": key, "status": key}
    return json_reply({"error": error}, 200, everywhere(dialect, request))


def error_event(dialect: Dialect, request: Request) -> Reply:
    reply = dialect.stream_error(["Hel", "lo"], request.api_key, all_of(request))
    return reply.but(headers={**reply.headers, **everywhere(dialect, request)})


def error_as_first_event(dialect: Dialect, request: Request) -> Reply:
    reply = dialect.stream_error([], request.api_key, all_of(request))
    return reply.but(headers={**reply.headers, **everywhere(dialect, request)})


def broken_event(dialect: Dialect, request: Request) -> Reply:
    return Reply(
        200, {"content-type": "text/event-stream"}, chunks=(f'data: {{"a": "{all_of(request)}\n\n'.encode(),)
    )


def undecodable(dialect: Dialect, request: Request) -> Reply:
    return Reply(200, {"content-type": "application/json"}, f'{{"a": "{all_of(request)}'.encode() + b'\xff"}')


def error_page(dialect: Dialect, request: Request) -> Reply:
    return Reply(
        502, {"content-type": "text/html", "x-echo": all_of(request)}, f"<p>{all_of(request)}</p>".encode()
    )


def page_cut_inside_a_key(status: int, shown: int) -> Callable[[Dialect, Request], Reply]:
    """A page of which so many bytes are shown, the last of them being most of a key."""

    def reply(dialect: Dialect, request: Request) -> Reply:
        page = "x" * (shown - len(KEY) + 1) + KEY + ", which is too much to show" * 5
        return Reply(status, {"content-type": "text/html"}, page.encode())

    return reply


def malformed_header(dialect: Dialect, request: Request) -> Reply:
    head = f"HTTP/1.1 200 OK\r\n{all_of(request)} \r\n\x00{KEY}\r\n\r\n".encode()
    return Reply(fault=Garbage(BEFORE_HEAD, head))


def redirection(dialect: Dialect, request: Request) -> Reply:
    return redirect(f"http://127.0.0.1:9/?key={request.api_key}&all={KEY}")


ECHOES = [
    refusal,
    refusal_in_every_field,
    refusal_with_status_200,
    error_event,
    error_as_first_event,
    broken_event,
    undecodable,
    error_page,
    pytest.param(page_cut_inside_a_key(502, 500), id="error_page_cut_inside_the_key"),
    pytest.param(page_cut_inside_a_key(200, 200), id="page_cut_inside_the_key"),
    malformed_header,
    redirection,
]


@pytest.mark.parametrize("echo", ECHOES)
def test_k2_a_server_that_repeats_secrets_makes_nobody_show_them(
    watched: Callable[..., LLMOrchestrator],
    witness: Witness,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    echo: Callable[[Dialect, Request], Reply],
) -> None:
    server.default = lambda request: echo(dialect, request)

    with pytest.raises(ProviderError) as caught:
        ask(watched(server.url), way)

    text = shown(caught.value) + witness.seen()
    assert_no_secret(text)
    assert KEY[:-1] not in text, "nor all but its end"
    assert len(witness.events) == 2


@pytest.mark.parametrize("echo", [refusal_in_every_field, malformed_header, redirection])
def test_k2_a_server_that_repeats_the_secret_of_one_call(
    watched: Callable[..., LLMOrchestrator],
    witness: Witness,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    echo: Callable[[Dialect, Request], Reply],
) -> None:
    server.default = lambda request: echo(dialect, request)

    with pytest.raises(ProviderError) as caught:
        ask_with_secret(watched(server.url), way)

    assert_no_secret(shown(caught.value) + witness.seen())


@pytest.mark.parametrize("way", ["whole", "async whole"])
def test_k2_a_failed_response_that_repeats_the_key(
    way: str, server: ScriptedServer, witness: Witness
) -> None:
    """The Responses API reports failures with status 200, in the answer itself."""
    failed = {"id": KEY, "object": "response", "status": "failed", "model": KEY, "output": []}
    server.default = json_reply({**failed, "error": {"code": KEY, "message": f"No access for {KEY}."}})

    config = DIALECTS["responses"].config(server.url, max_retries=0)
    with (
        LLMOrchestrator(config, hooks=[witness.events.append]) as orchestrator,
        pytest.raises(ProviderError) as caught,
    ):
        ask(orchestrator, way)

    assert REDACTED in str(caught.value)
    assert_no_secret(shown(caught.value) + "\n".join(witness.logged()) + repr(caught.value.attempts))


def test_k2_an_answer_whose_headers_repeat_the_key_is_recorded_without_it(
    watched: Callable[..., LLMOrchestrator],
    witness: Witness,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
) -> None:
    def answer(request: Request) -> Reply:
        pieces = dialect.stream(["Hi"], model=KEY) if "streamed" in way else dialect.whole("Hi", model=KEY)
        return pieces.but(headers={**pieces.headers, **everywhere(dialect, request)})

    server.default = answer

    response = ask_with_secret(watched(server.url), way)

    assert response.content == "Hi"
    assert (response.model, KEY in str(response.request_id)) == (REDACTED, False)
    logged_and_recorded = "\n".join(witness.logged()) + witness._ledger.read_text(encoding="utf-8")
    assert_no_secret(logged_and_recorded)


def test_k2_a_listing_that_repeats_the_key(
    watched: Callable[..., LLMOrchestrator], witness: Witness, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = lambda request: refusal_in_every_field(dialect, request)
    orchestrator = watched(server.url)

    for call in (orchestrator.refresh_models, lambda: orchestrator.validate_model("m")):
        with pytest.raises(ProviderError) as caught:
            call()
        assert_no_secret(shown(caught.value) + witness.seen())
