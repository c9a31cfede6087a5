"""Promises P1 to P5: what a call cost, for every provider, whole and streamed, against the real SDKs."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from llm_orchestrator import (
    BudgetExceededError,
    ConfigurationError,
    CostTracker,
    LLMOrchestrator,
    LLMResponse,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    StreamInterruptedError,
    price_usage,
)
from llm_orchestrator.calls import reporter
from llm_orchestrator.pricing import PriceTable
from llm_orchestrator.usage import attempts, billing
from tests.support.money import Spend, answer, price, rows
from tests.support.scripted_server import (
    BEFORE_HEAD,
    KEY,
    MODEL,
    Close,
    Dialect,
    Request,
    ScriptedServer,
    Stall,
    Usage,
    broken_json,
)
from tests.support.scripted_server.replies import Reply, json_reply
from tests.support.scripted_server.wire_base import Answer
from tests.support.ways import ask, run_async

USAGE = Usage(prompt=1110, completion=3, cached=1000, cache_write=100)


def test_p1_every_token_is_counted_once(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    """10 uncached, 100 written, 1000 read, 3 out at 3 / 3.75 / 0.3 / 15 dollars a million: 0.000750."""
    has_writes = dialect.provider != "gemini"  # Gemini reports no cache writes: those tokens are plain input
    usage = USAGE if has_writes else Usage(prompt=1010, completion=3, cached=1000)
    server.script(answer(dialect, way, usage=usage))
    orchestrator = spend(**price(dialect))

    response = ask(orchestrator, way)

    expected = Decimal("0.000750") if has_writes else Decimal("0.000375")
    assert response.cost == expected
    details = response.cost_details
    assert details is not None and details.status == "priced"
    parts = (details.input, details.cache_read, details.cache_write, details.output, details.fees)
    assert sum(part for part in parts if part is not None) == expected
    assert all(part is not None and part >= 0 for part in parts)
    assert response.usage.prompt_tokens == sum(
        count for name, count in details.counts.items() if name != "out"
    )
    assert orchestrator.get_session_cost() == expected
    (row,) = rows(path)
    assert (Decimal(row["cost"]), row["usage_status"], row["estimated"]) == (expected, "reported", "false")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (str(usage.prompt), "3")
    assert Decimal(row["input_cost"]) == Decimal("0.00003")
    assert "in=10" in row["counts"].split()
    assert orchestrator.cost_tracker.recompute(row) == expected


def test_p1_the_published_example_costs_what_it_costs() -> None:
    """Rates of Claude Sonnet 4.6: platform.claude.com/docs/en/about-claude/pricing."""
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 1000,
        "output_tokens": 3,
    }
    assert price_usage("anthropic", "claude-sonnet-4-6", usage).total == Decimal("0.000750")


def test_p2_an_unknown_price_is_none_everywhere_and_never_zero(
    spend: Spend,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.script(answer(dialect, way), answer(dialect, way))
    orchestrator = spend()

    assert [ask(orchestrator, way).cost for _ in range(2)] == [None, None]

    assert [(row["cost"], row["price_status"]) for row in rows(path)] == [("", "unpriced")] * 2
    report = orchestrator.cost_tracker.get_usage_report()
    assert (report.total_cost, report.unpriced_requests, report.total_requests) == (0, 2, 2)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([text for text in warnings if "unknown" in text]) == 1


def test_p2_strict_pricing_refuses_before_anything_is_sent(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    strict = spend(strict_pricing=True)
    with pytest.raises(
        ConfigurationError, match=rf"price of {dialect.provider}/{MODEL} is not known"
    ) as caught:
        ask(strict, way)
    assert "price_overrides" in str(caught.value)
    fallback = spend(strict_pricing=True, entry={"fallback_models": ["other"]}, **price(dialect))
    with pytest.raises(ConfigurationError, match="other is not known"):
        ask(fallback, way)
    assert server.requests == []

    server.script(answer(dialect, way))
    assert ask(spend(strict_pricing=True, **price(dialect)), way).cost is not None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_p3_usage_is_asked_for_and_its_absence_is_no_zero(
    spend: Spend, server: ScriptedServer, dialect: Dialect, asynchronous: bool, path: Path
) -> None:
    server.script(dialect.stream(["x" * 40], usage=None))
    orchestrator = spend(**price(dialect))

    response = ask(orchestrator, "async streamed" if asynchronous else "streamed", "y" * 80)

    if dialect.name == "chat":
        assert server.requests[0].body["stream_options"] == {"include_usage": True}
    assert (response.usage.source, response.cost, response.usage.total_tokens) == ("missing", None, None)
    (row,) = rows(path)
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == ("", "", "")
    assert (row["status"], row["usage_status"], row["estimated"]) == ("ok", "missing", "true")
    assert row["estimated_counts"] == "in=20 out=10"
    assert row["cost"] == row["estimated_cost"] == "0.000210"
    report = orchestrator.cost_tracker.get_usage_report()
    assert (report.total_cost, report.estimated_cost) == (0, Decimal("0.00021"))
    assert orchestrator.get_session_cost() == 0
    assert "reported $0.00 + estimated $0.00021 (1 call) + unpriced 0" in str(report)


#: What is known of a stream of 1110 tokens that was cut: only what the provider told before.
KNOWN_BEFORE_THE_END = {
    "anthropic": Decimal("0.000705"),  # input and cache from message_start; its output is a placeholder
    "openai": Decimal(0),
    "gemini": Decimal("0.00063"),  # 110 x 3 + 1000 x 0.3, and 15 for each token of output told so far
}


@pytest.mark.parametrize("way_out", ["broken off", "closed", "cancelled"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_p3_an_aborted_stream_is_recorded_with_what_is_known(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way_out: str, asynchronous: bool, path: Path
) -> None:
    server.script(dialect.stream(["Hello wo", "rld"], usage=USAGE, complete=False, cut="recorded"))
    orchestrator = spend(**price(dialect))

    if asynchronous:
        run_async(orchestrator, lambda: _leave_async(orchestrator, way_out))
    else:
        _leave(orchestrator, way_out)

    (row,) = rows(path)
    status = "cancelled" if way_out == "cancelled" else "interrupted"
    assert (row["status"], row["final"]) == (status, "true")
    assert row["usage_status"] == ("missing" if dialect.provider == "openai" else "partial")
    cost, estimate = Decimal(row["cost"]), Decimal(row["estimated_cost"] or 0)
    known = KNOWN_BEFORE_THE_END[dialect.provider]
    if dialect.provider == "gemini":  # every event tells the counts so far: nothing is left to estimate
        told = row["completion_tokens"]  # left early: that of the first event, or of those that came with it
        assert told == "3" if way_out == "broken off" else told in {"1", "3"}
        assert row["estimated"] == "false"
        assert cost == known + int(told) * Decimal("0.000015")
    else:
        assert cost - estimate == known
        assert (row["completion_tokens"], row["estimated"]) == (
            "",
            "true",
        ), "no estimate among reported tokens"
        assert estimate > 0
        assert row["estimator"] == "characters-1"
    report = orchestrator.cost_tracker.get_usage_report()
    assert (report.total_cost, report.estimated_cost) == (cost - estimate, estimate)
    assert orchestrator.cost_tracker.recompute(row) == cost


@pytest.mark.parametrize("asynchronous", [False, True])
def test_p3_wherever_a_stream_ends_its_row_its_answer_and_the_provider_agree(
    spend: Spend, server: ScriptedServer, dialect: Dialect, asynchronous: bool, path: Path
) -> None:
    told = Answer(("Hello wo", "rld"), usage=USAGE)
    events = list(dialect.events(told, True))
    orchestrator = spend(**price(dialect))
    whole = 0
    for count in range(1, len(events) + 1):
        server.script(dialect._stream_reply(events[:count], "recorded"))
        answer = (
            run_async(orchestrator, lambda: _aread(orchestrator)) if asynchronous else _read(orchestrator)
        )
        row = rows(path)[-1]
        if answer is None:  # before the first text it is a failed attempt
            assert row["status"] == "error"
            continue
        usage = answer.usage
        assert row["usage_status"] == usage.source
        kept = [
            row[name]
            for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens")
        ]
        counts = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cache_write_tokens)
        assert kept == ["" if known is None else str(known) for known in counts]
        estimate = Decimal(row["estimated_cost"] or 0)
        assert (answer.cost or 0) == Decimal(row["cost"]) - estimate, "an estimate is in the ledger alone"
        if usage.source == "reported":
            whole += 1
            assert counts[:2] == (1110, 3)
            assert row["estimated"] == "false" and answer.cost is not None
    behind = dialect.name == "anthropic"  # its last counts come before its last event
    assert whole >= 1 + behind, "the whole stream is one of them"
    assert row["status"] == "ok"


def _read(orchestrator: LLMOrchestrator) -> Optional[LLMResponse]:
    stream = orchestrator.send_streaming_request("Hi")
    try:
        return stream.final_response()
    except StreamInterruptedError as error:
        return error.partial_response
    except ProviderError:
        return None


async def _aread(orchestrator: LLMOrchestrator) -> Optional[LLMResponse]:
    stream = orchestrator.asend_streaming_request("Hi")
    try:
        return await stream.final_response()
    except StreamInterruptedError as error:
        return error.partial_response
    except ProviderError:
        return None


class Stop(BaseException):
    """What a task is cancelled with, without a task."""


def _leave(orchestrator: LLMOrchestrator, way_out: str) -> None:
    stream = orchestrator.send_streaming_request("Hi")
    if way_out == "broken off":
        with pytest.raises(StreamInterruptedError):
            list(stream)
    elif way_out == "closed":
        next(iter(stream))
        stream.close()
    else:
        with pytest.raises(Stop), stream:
            raise Stop


async def _leave_async(orchestrator: LLMOrchestrator, way_out: str) -> None:
    stream = orchestrator.asend_streaming_request("Hi")
    if way_out == "broken off":
        with pytest.raises(StreamInterruptedError):
            async for _ in stream:
                pass
    elif way_out == "closed":
        await stream.__anext__()
        await stream.aclose()
    else:
        with pytest.raises(Stop):
            async with stream:
                raise Stop


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_p3_a_refused_request_costs_nothing(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path, status: int
) -> None:
    """Failed requests are not charged, as far as providers say.

    Anthropic help centre: "Failed requests aren't charged"; Gemini billing FAQ, 2026-09-20: 400 and 500 are
    not; OpenAI's guide to flex processing: "You will not be charged" for a 429.
    """
    server.script(dialect.error(status))
    orchestrator = spend(**price(dialect))
    with pytest.raises(ProviderError) as caught:
        ask(orchestrator, way)
    (row,) = rows(path)
    assert (row["cost"], row["status"], row["usage_status"], row["estimated"]) == (
        "0",
        "error",
        "none",
        "false",
    )
    assert (row["error_type"], row["status_code"]) == (type(caught.value).__name__, str(status))
    assert orchestrator.cost_tracker.recompute(row) == 0


@pytest.mark.parametrize("ending", ["refusal", "length"])
def test_p3_an_answer_that_was_refused_or_cut_by_a_limit_is_billed(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path, ending: str
) -> None:
    """Anthropic bills a refusal's output; OpenAI an incomplete answer, all of which reasoning may have used."""
    how = {"refusal": "No."} if ending == "refusal" else {"finish": "length"}
    usage = Usage(1000, 200)
    reply = (
        dialect.stream([], usage=usage, **how) if "streamed" in way else dialect.whole("", usage=usage, **how)
    )
    server.script(reply)
    response = ask(spend(**price(dialect)), way)
    assert response.content == ""
    (row,) = rows(path)
    assert (row["status"], row["usage_status"], row["estimated"]) == ("ok", "reported", "false")
    is_prompt_block = dialect.provider == "gemini" and ending == "refusal"  # nothing was written
    assert response.cost == Decimal(row["cost"]) == Decimal("0.003" if is_prompt_block else "0.006")


@pytest.mark.real_clock
def test_p3_a_request_that_timed_out_may_be_billed_and_is_flagged(
    spend: Spend, server: ScriptedServer, dialect: Dialect, path: Path
) -> None:
    """Anthropic help centre: a request that was on track to succeed when its client timed out is charged."""
    server.script(dialect.whole().but(fault=Stall(BEFORE_HEAD)))
    with pytest.raises(ProviderTimeoutError):
        spend(entry={"timeout": 0.2}, **price(dialect)).send_request("y" * 80)
    (row,) = rows(path)
    assert (row["status"], row["usage_status"], row["estimated_counts"]) == (
        "error",
        "missing",
        "in=20 out=0",
    )
    assert row["cost"] == row["estimated_cost"] == "0.000060"


def test_p3_a_request_that_got_no_answer_may_be_billed_and_is_flagged(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    server.script(answer(dialect, way).but(fault=Close(BEFORE_HEAD)))
    orchestrator = spend(**price(dialect))
    with pytest.raises(ProviderConnectionError):
        ask(orchestrator, way, "y" * 80)
    (row,) = rows(path)
    assert (row["status"], row["usage_status"], row["estimated_counts"]) == (
        "error",
        "missing",
        "in=20 out=0",
    )
    assert row["cost"] == row["estimated_cost"] == "0.000060"
    assert orchestrator.cost_tracker.recompute(row) == Decimal("0.00006")


def test_p3_an_unreachable_provider_costs_nothing(
    dialect: Dialect, path: Path, way: str, tmp_path: Path
) -> None:
    config = dialect.config("http://127.0.0.1:9", max_retries=0)
    config["cost_tracking"] = {"log_path": str(path), **price(dialect)}
    with LLMOrchestrator(config) as orchestrator, pytest.raises(ProviderConnectionError):
        ask(orchestrator, way)
    assert [(row["cost"], row["estimated"]) for row in rows(path)] in ([("0", "false")], [])


class Clock:
    """Stands in for ``datetime`` where a call asks what time it is."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self, zone: Any = None) -> datetime:
        return self.time


BEFORE = datetime(2026, 3, 12, 23, 59, 59, tzinfo=timezone.utc)
AFTER = BEFORE + timedelta(seconds=2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(BEFORE)
    for module in (attempts, billing, reporter):
        monkeypatch.setattr(module, "datetime", clock)
    return clock


def rise(dialect: Dialect) -> Dict[str, Any]:
    """A price that doubles at midnight."""
    first, second = (price(dialect, {"in": rate, "out": 0})["price_overrides"][0] for rate in (1, 2))
    return {"price_overrides": [first, {**second, "from": "2026-03-13"}]}


def test_p5_a_call_is_priced_by_the_moment_its_request_was_sent(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path, clock: Clock
) -> None:
    def reply(request: Request) -> Reply:
        clock.time = AFTER  # midnight passes while the model works
        return answer(dialect, way, usage=Usage(1000, 10))

    server.script(reply)
    orchestrator = spend(**rise(dialect))

    response = ask(orchestrator, way)

    assert response.cost == Decimal("0.001"), "the price of the day it was sent"
    (row,) = rows(path)
    assert Decimal(row["cost"]) == orchestrator.cost_tracker.recompute(row) == response.cost
    assert [datetime.fromisoformat(row[name]) for name in ("started_at", "timestamp")] == [BEFORE, AFTER]


def test_p5_each_attempt_has_the_price_of_its_own_start(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, clock: Clock, waits: List[float]
) -> None:
    def refuse(request: Request) -> Reply:
        clock.time = AFTER
        return dialect.error(503)

    server.script(refuse, answer(dialect, way, usage=Usage(1000, 10)))
    assert ask(spend(entry={"max_retries": 1}, **rise(dialect)), way).cost == Decimal("0.002")


#: Fields of a whole reply that tell the tier that served it, and what its request asked for.
SERVED = {
    "chat": ("gpt-6-luna", {"service_tier": "default"}, {"service_tier": "priority"}),
    "responses": ("gpt-6-luna", {"service_tier": "default"}, {"service_tier": "priority"}),
    "anthropic": ("claude-opus-5", {"usage": {"speed": "standard"}}, {"speed": "fast"}),
    "gemini": ("gemini-3.5-flash", {}, {"service_tier": "priority"}),
}


def test_p4_the_served_tier_is_billed_and_not_the_one_asked_for(
    spend: Spend, server: ScriptedServer, dialect: Dialect, path: Path
) -> None:
    model, told, asked = SERVED[dialect.name]
    reply = dialect.whole(usage=Usage(1000, 100), model=model)
    document = reply.json()
    document["usage"] = {**document.get("usage", {}), **told.get("usage", {})}
    document.update({name: value for name, value in told.items() if name != "usage"})
    headers = {**reply.headers, "x-gemini-service-tier": "standard"}
    server.script(json_reply(document, headers=headers), reply)
    orchestrator = spend(model)

    served = orchestrator.send_request("Hi", **asked)
    standard = orchestrator.send_request("Hi")

    assert served.cost is not None and served.cost == standard.cost
    assert [row["service_tier"] for row in rows(path)] == ["standard"] * 2
    assert orchestrator.cost_tracker.recompute(rows(path)[0]) == served.cost


@pytest.mark.parametrize(
    ("provider", "model", "over", "short", "long"),
    [  # dollars a million for the whole prompt: developers.openai.com/api/docs/pricing, ai.google.dev/pricing
        ("openai", "gpt-6.1-sol", 272_000, "2", "4"),
        ("gemini", "gemini-2.5-pro", 200_000, "1.25", "2.5"),
        ("anthropic", "claude-haiku-5-5", 100_000, None, None),
    ],
)
def test_p4_a_threshold_reprices_the_whole_request_one_token_above_it(
    provider: str, model: str, over: int, short: Optional[str], long: Optional[str]
) -> None:
    name = {"openai": "prompt_tokens", "gemini": "promptTokenCount", "anthropic": "input_tokens"}[provider]
    output = {"openai": "completion_tokens", "gemini": "candidatesTokenCount", "anthropic": "output_tokens"}
    at, above = (
        price_usage(provider, model, {name: count, output[provider]: 0}) for count in (over, over + 1)
    )
    assert (at.long_context, above.long_context) == (False, True)
    assert at.total is not None and above.total is not None
    ratio = 5 if provider == "anthropic" else 2  # Haiku 5.5: five times
    assert above.total / (over + 1) == ratio * at.total / over
    if short and long:
        assert at.total == Decimal(short) * over / 1_000_000
        assert above.total == Decimal(long) * (over + 1) / 1_000_000


def test_a_tracker_of_ones_own_puts_the_files_prices_aside_and_says_so(
    server: ScriptedServer, dialect: Dialect, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(dialect.whole(usage=Usage(1000, 10)))
    mine = {**price(dialect)["price_overrides"][0], "rates": {"in": 1, "out": 0}}
    tracker = CostTracker(log_path=None, price_table=PriceTable([mine]))
    config = dialect.config(server.url)
    config["cost_tracking"] = {"log_path": str(path), "discount": 0.5, **price(dialect)}
    with LLMOrchestrator(config, cost_tracker=tracker) as orchestrator:
        assert orchestrator.send_request("Hi").cost == Decimal("0.001")
    assert not path.exists()
    assert "settings discount, price_overrides of cost_tracking are not used" in caplog.text
    caplog.clear()
    config["cost_tracking"] = {"log_path": str(path)}
    LLMOrchestrator(config, cost_tracker=tracker).close()
    assert not caplog.records


def test_p5_the_served_models_price_comes_first(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    server.script(answer(dialect, way, model="served-1"), answer(dialect, way, model="unknown-1"))
    overrides: List[Any] = [
        *price(dialect, {"in": "1", "out": "1"}, "served-1")["price_overrides"],
        *price(dialect, {"in": "2", "out": "2"})["price_overrides"],
    ]
    orchestrator = spend(price_overrides=overrides)

    costs = [ask(orchestrator, way).cost for _ in range(2)]

    assert costs == [Decimal("0.000018"), Decimal("0.000036")]
    first, second = rows(path)
    assert (first["model"], first["requested_model"]) == ("served-1", MODEL)
    assert (first["priced_model"], first["match"]) == ("served-1", "override")
    assert (second["priced_model"], second["match"]) == (MODEL, "requested")
    assert [orchestrator.cost_tracker.recompute(row) for row in (first, second)] == costs


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-2030-01-01-extra"),
        ("openai", "gpt-5-pro-unheard-of"),
        ("anthropic", "claude-opus-4-99"),
        ("gemini", "gemini-2.5-pro-unheard-of"),
    ],
)
def test_p5_a_prefix_never_matches_another_family(provider: str, model: str) -> None:
    details = price_usage(provider, model, {"prompt_tokens": 1, "completion_tokens": 1}, api="chat")
    assert (details.status, details.total) == ("unpriced", None)


def test_no_prompt_answer_or_key_is_in_the_ledger(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    server.script(answer(dialect, way))
    ask(spend(**price(dialect)), way, "A secret question")
    text = path.read_text()
    assert "secret" not in text and "Hello" not in text and KEY not in text


def test_the_rows_of_a_call_with_a_retry_are_told_apart(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path, waits: List[float]
) -> None:
    server.script(broken_json(), dialect.error(503), answer(dialect, way, usage=Usage(100, 10)))
    orchestrator = spend(entry={"max_retries": 3}, **price(dialect))
    ask(orchestrator, way, "y" * 80, tags={"team": "docs"})

    found = rows(path)
    assert [(row["attempt"], row["final"]) for row in found] == [
        ("1", "false"),
        ("2", "false"),
        ("3", "true"),
    ]
    assert [row["status"] for row in found] == ["error", "error", "ok"]
    assert len({row["call_id"] for row in found}) == 1
    assert [row["cost"] for row in found] == ["0.000060", "0", "0.000450"]
    assert [row["estimated"] for row in found] == ["true", "false", "false"], "half a reply may be billed"
    assert json.loads(found[0]["tags"]) == {"team": "docs"}
    assert bool(found[2]["time_to_first_token"]) == ("streamed" in way)
    report = orchestrator.cost_tracker.get_usage_report()
    assert (report.total_requests, report.total_cost) == (1, Decimal("0.00045"))
    assert (report.estimated_requests, report.estimated_cost) == (1, Decimal("0.00006"))
    assert report.by_tag["team=docs"].requests == 1


def test_a_spent_budget_stops_the_next_attempt_before_it_is_sent(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path, waits: List[float]
) -> None:
    """A lost request counts by its estimate, so that even its own retry is not sent."""
    server.script(answer(dialect, way).but(fault=Close(BEFORE_HEAD)), answer(dialect, way))
    orchestrator = spend(entry={"max_retries": 3}, budget={"session": "0.00006"}, **price(dialect))
    with pytest.raises(BudgetExceededError, match=r"\$0\.00006 of \$0\.00006") as caught:
        ask(orchestrator, way, "y" * 80)
    assert len(server.requests) == 1
    assert len(caught.value.attempts) == 1
    assert [row["final"] for row in rows(path)] == ["true"]
