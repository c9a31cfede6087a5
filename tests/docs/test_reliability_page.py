"""The table of ``docs/reliability.md`` is true: every row is run against the code, for each provider."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import pytest
from pydantic import BaseModel

from llm_orchestrator import AllFallbacksFailedError, LLMOrchestrator, Message
from tests.support.configs import ROOT
from tests.support.costs import read
from tests.support.raw_replies import shaped
from tests.support.scripted_server import (
    BEFORE_HEAD,
    MODEL,
    Close,
    Dialect,
    Reply,
    Reset,
    ScriptedServer,
    Stall,
    broken_json,
    empty,
    html,
    redirect,
    refusing_url,
)
from tests.support.ways import ask

RETRIES = {1: "no", 2: "once", 3: "yes"}
SECONDS = 0.4  # a busy machine has sent a first piece by then
#: Enough to send the request before it is over, also on a busy machine.
TOTAL_SECONDS = 0.5


class Row(NamedTuple):
    """A row of the table."""

    fault: str
    outcome: str
    retried: str
    falls_back: str
    ledger: str


def rows() -> List[Row]:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|")]
    return [Row(*cells) for cells in lines[2:]]


class Country(BaseModel):
    """A structured output."""

    capital: str


class Scenario(NamedTuple):
    """How a fault is provoked.

    Attributes:
        replies: Makes what the server always answers; None for no server at all.
        way: How the orchestrator is called.
        settings: Settings of the provider's entry.
        arguments: Arguments of the call.
        perform: Calls, where a plain call does not do.
        url: Where the server is said to be.
    """

    replies: Optional[Callable[[Dialect], Reply]] = None
    way: str = "whole"
    settings: Dict[str, Any] = {}  # noqa: RUF012 (never changed)
    arguments: Dict[str, Any] = {}  # noqa: RUF012
    perform: Optional[Callable[[LLMOrchestrator, ScriptedServer], Any]] = None
    url: Callable[[str], str] = str


def status(number: int, **keywords: Any) -> Scenario:
    return Scenario(lambda dialect: dialect.error(number, **keywords))


def streamed(replies: Callable[[Dialect], Reply], **settings: Any) -> Scenario:
    return Scenario(replies, "streamed", settings)


def of_another_provider(orchestrator: LLMOrchestrator, server: ScriptedServer) -> Any:
    turn = Message("assistant", "I am another.", provider="another")
    return orchestrator.send_request(
        [{"role": "user", "content": "Hi"}, turn, {"role": "user", "content": "Go"}]
    )


def leave_early(orchestrator: LLMOrchestrator, server: ScriptedServer) -> str:
    with orchestrator.send_streaming_request("Hi") as stream:
        next(iter(stream))
    return "the text you read" if stream.text == "Hel" else stream.text


def close_elsewhere(orchestrator: LLMOrchestrator, server: ScriptedServer) -> Any:
    async def main() -> Any:
        stream = orchestrator.asend_streaming_request("Hi")
        reading = asyncio.ensure_future(stream.final_response())
        while not stream.text:
            await asyncio.sleep(0.001)
        await stream.aclose()
        return await reading

    return asyncio.run(main())


def cancel(orchestrator: LLMOrchestrator, server: ScriptedServer) -> Any:
    async def main() -> Any:
        task = asyncio.ensure_future(orchestrator.asend_request("Hi"))
        while not server.requests:
            await asyncio.sleep(0.001)
        task.cancel()
        return await task

    return asyncio.run(main())


def refused_as_final(dialect: Dialect) -> Reply:
    refusal = dialect.error(500)
    return refusal.but(headers={**refusal.headers, "x-should-retry": "false"})


def half_a_body(dialect: Dialect) -> Reply:
    return dialect.whole().but(piece_size=20, fault=Reset(after=1))


#: A fault of the table, then the scenarios it stands for.
SCENARIOS: Dict[str, List[Scenario]] = {
    "a message that cannot be sent": [
        Scenario(arguments={"messages": [{"role": "nobody", "content": "Hi"}]})
    ],
    "a history that belongs to another provider": [Scenario(perform=of_another_provider)],
    "a fine-tuned model, or one of another provider": [Scenario(arguments={"model": "ft:own:team::id"})],
    "a header that HTTP cannot carry": [
        Scenario(arguments={"extra_headers": {"x-name": "J\u00fcrgen"}}),
        Scenario(arguments={"extra_headers": {"X Title": "Ada"}}),
        Scenario(arguments={"extra_headers": {"": "Ada"}}),
    ],
    "a setting of a client (`api_key`, `base_url` ...) in a call": [
        Scenario(arguments={"api_key": "sk-mine"})
    ],
    "nobody listens at the address": [Scenario(url=lambda url: "refusing")],
    "TLS to a server without it": [Scenario(url=lambda url: url.replace("http:", "https:"))],
    "the connection breaks before the reply": [
        Scenario(lambda dialect: dialect.whole().but(fault=Reset(BEFORE_HEAD))),
        Scenario(lambda dialect: dialect.whole().but(fault=Close(BEFORE_HEAD))),
    ],
    "the connection breaks inside a whole answer": [
        Scenario(half_a_body),
        Scenario(lambda dialect: dialect.whole().but(length_error=5)),
    ],
    "no reply for `timeout` seconds": [
        Scenario(lambda dialect: dialect.whole().but(fault=Stall(BEFORE_HEAD)), settings={"timeout": SECONDS})
    ],
    "`total_timeout` is over": [
        Scenario(
            lambda dialect: dialect.whole().but(fault=Stall(BEFORE_HEAD)),
            settings={"total_timeout": TOTAL_SECONDS},
        )
    ],
    "status 400": [status(400)],
    "status 400: the prompt is too long": [Scenario(lambda dialect: dialect.failure("context_length"))],
    "status 400: the account has no credit": [status(400, message="Your credit balance is too low.")],
    "status 401": [status(401)],
    "status 402": [status(402)],
    "status 403": [status(403)],
    "status 404": [status(404)],
    "status 404 of a server that does not know the path": [
        Scenario(lambda dialect: html(404)),
        Scenario(lambda dialect: Reply(404, {}, b"404 page not found")),
    ],
    "status 408, 409, 500, 502, 504": [status(code) for code in (408, 409, 500, 502, 504)],
    "status 413": [status(413)],
    "status 422, or another 4xx": [status(422), status(418)],
    "status 429": [status(429)],
    "status 429 with a wait longer than `max_retry_wait`": [status(429, retry_after=61)],
    "status 503, 529": [status(503, code="nothing-special"), status(529, code="nothing-special")],
    "status 5xx with `x-should-retry: false`": [Scenario(refused_as_final)],
    "a redirect, which is never followed": [Scenario(lambda dialect: redirect("http://127.0.0.1:9/"))],
    "status 200 with an HTML page": [Scenario(lambda dialect: html()), streamed(lambda dialect: html())],
    "status 200 with nothing": [Scenario(lambda dialect: empty()), streamed(lambda dialect: empty())],
    "status 200 with half a JSON document": [Scenario(lambda dialect: broken_json())],
    "status 200 with an answer in a form that cannot be read": [
        Scenario(lambda dialect: shaped(dialect, "whole", 42)),
        streamed(lambda dialect: shaped(dialect, "streamed", 42)),
    ],
    "an answer without any text": [
        Scenario(lambda dialect: dialect.whole("")),
        streamed(lambda dialect: dialect.stream([])),
    ],
    "a refusal or a safety block": [
        Scenario(lambda dialect: dialect.whole("", refusal="No.")),
        streamed(lambda dialect: dialect.stream([], refusal="No.")),
    ],
    "the answer reaches the token limit": [
        Scenario(lambda dialect: dialect.whole("Half", finish="length")),
        streamed(lambda dialect: dialect.stream(["Half"], finish="length")),
    ],
    "structured output reaches the token limit": [
        Scenario(
            lambda dialect: dialect.whole('{"capital": "Par', finish="length"),
            arguments={"response_format": Country},
        )
    ],
    "structured output does not fit its class": [
        Scenario(lambda dialect: dialect.whole('{"capital": 7}'), arguments={"response_format": Country})
    ],
    "a stream ends or breaks before its first piece": [
        streamed(lambda dialect: dialect.stream(["Hi"]).but(fault=Close(0))),
        streamed(lambda dialect: dialect.stream(["Hi"]).but(fault=Reset(0))),
    ],
    "a stream's first event is an error": [streamed(lambda dialect: dialect.stream_error())],
    "a stream is silent for `timeout` seconds before its first piece": [
        streamed(lambda dialect: dialect.stream(["Hi"]).but(fault=Stall(0)), timeout=SECONDS)
    ],
    "a stream ends cleanly without its last event, after text": [
        streamed(lambda dialect: dialect.stream(["Hel", "lo"], complete=False))
    ],
    "a stream's connection breaks after text": [
        streamed(lambda dialect: dialect.stream(["Hel", "lo"], complete=False).but(fault=Close())),
        streamed(lambda dialect: dialect.stream(["Hel", "lo"], complete=False).but(fault=Reset())),
    ],
    "an error event in a stream, after text": [streamed(lambda dialect: dialect.stream_error(["Hel", "lo"]))],
    "broken JSON in a stream, after text": [
        streamed(lambda dialect: dialect.stream_broken_json(["Hel", "lo"]))
    ],
    "a stream falls silent for `timeout` seconds, after text": [
        streamed(
            lambda dialect: dialect.stream(["Hel", "lo"], complete=False).but(fault=Stall()), timeout=SECONDS
        )
    ],
    "you leave a stream early": [
        Scenario(
            lambda dialect: dialect.stream(["Hel", "lo"], complete=False).but(fault=Stall()),
            perform=leave_early,
        )
    ],
    "another thread or task closes the stream you read": [
        Scenario(
            lambda dialect: dialect.stream(["Hel", "lo"], complete=False).but(fault=Stall()),
            perform=close_elsewhere,
        )
    ],
    "the task that waits is cancelled": [
        Scenario(lambda dialect: dialect.whole().but(fault=Stall(BEFORE_HEAD)), perform=cancel)
    ],
}


def test_the_table_has_a_scenario_for_each_row() -> None:
    assert [row.fault for row in rows()] == list(SCENARIOS)


def run(scenario: Scenario, orchestrator: LLMOrchestrator, server: ScriptedServer) -> str:
    """What a caller gets, in the words of the table."""
    try:
        if scenario.perform is not None:
            return str(scenario.perform(orchestrator, server))
        arguments = {"messages": "Hi", **scenario.arguments}
        response = ask(orchestrator, scenario.way, **arguments)
    except AllFallbacksFailedError as error:
        return f"`{type(error.__cause__).__name__}`"
    except asyncio.CancelledError:
        return "`asyncio.CancelledError`"
    except Exception as error:
        return f"`{type(error).__name__}`"
    return f"the answer, `finish_reason` `{response.finish_reason.value}`"


def cases() -> List[Any]:
    """Each row with each of its scenarios; some cannot do without waiting."""
    found = []
    for row in rows():
        for number, scenario in enumerate(SCENARIOS.get(row.fault, ())):
            marks = (
                [pytest.mark.real_clock] if {SECONDS, TOTAL_SECONDS} & set(scenario.settings.values()) else []
            )
            found.append(pytest.param(row, scenario, marks=marks, id=f"{row.fault} {number or ''}".strip()))
    return found


@pytest.mark.parametrize(("row", "scenario"), cases())
def test_the_row_is_what_happens(
    row: Row,
    scenario: Scenario,
    server: ScriptedServer,
    dialect: Dialect,
    tmp_path: Path,
    waits: List[float],
) -> None:
    if scenario.replies is not None:
        server.default = scenario.replies(dialect)
    ledger = tmp_path / "usage.csv"
    with refusing_url() as nowhere:
        url = scenario.url(server.url).replace("refusing", nowhere)
        config = dialect.config(url, max_retries=2, fallback_models=["second"], **scenario.settings)
        config["cost_tracking"] = {"log_path": str(ledger)}
        with LLMOrchestrator(config) as orchestrator:
            outcome = run(scenario, orchestrator, server)

    written = read(ledger) if ledger.exists() else []
    asked = [entry["requested_model"] for entry in written]
    assert outcome == row.outcome
    assert RETRIES[max(asked.count(MODEL), 1)] == row.retried
    assert ("yes" if "second" in asked else "no") == row.falls_back
    assert ({f"`{entry['status']}`" for entry in written} or {"nothing"}) == {row.ledger}
    if scenario.url is str:
        assert len(server.requests) == len(written), "a row for each request that was sent"
