"""Finding a price: names, dates, overrides, staleness; and what must hold for any call."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import threading
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.pricing import CostDetails, PriceTable, PricingQuery, price_usage
from llm_orchestrator.pricing import table as price_table
from llm_orchestrator.pricing.book import COMPONENTS, load
from llm_orchestrator.types import TokenUsage

CHAT = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
TABLE = load()


@pytest.fixture(autouse=True)
def _fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_table, "_warned", set())


def openai(model: str, **known: Any) -> CostDetails:
    return price_usage("openai", model, CHAT, **known)


# --- matching ---


@pytest.mark.parametrize(
    ("provider", "model", "priced", "how"),
    [
        ("openai", "gpt-4o", "gpt-4o", "exact"),
        ("openai", "GPT-4o", "gpt-4o", "exact"),
        ("openai", "openai/gpt-4o", "gpt-4o", "exact"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13", "exact"),
        ("openai", "gpt-4o-2031-01-01", "gpt-4o", "dated"),
        ("anthropic", "claude-opus-4-5-20251101", "claude-opus-4-5", "dated"),
        ("anthropic", "claude-haiku-4-5@20251001", "claude-haiku-4-5", "dated"),
        ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4-0", "dated"),
        ("gemini", "models/gemini-2.5-pro", "gemini-2.5-pro", "exact"),
        ("gemini", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro", "exact"),
    ],
)
def test_a_model_is_found_by_its_name(provider: str, model: str, priced: str, how: str) -> None:
    details = price_usage(provider, model, {"input_tokens": 1, "output_tokens": 1})
    assert (details.model, details.match) == (priced, how)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4"[:-1]),
        ("openai", "gpt-5-pro-max"),
        ("openai", "gpt-4o-2024-05-13-preview"),
        ("openai", "my-gpt-4o"),
        ("openai", "claude-opus-5"),
        ("openai", "ft:gpt-4o-2024-08-06:acme::abc"),
        ("anthropic", "claude-opus-4-5-thinking"),
        ("anthropic", "claude-opus-5-5-5"),
        ("gemini", "gemini-2.5-pro-20260101"),
        ("gemini", "gemini-2.5-pro-experimental"),
        ("somebody", "gpt-4o"),
        ("azure", "gpt-4o"),
    ],
)
def test_p5_a_prefix_never_matches_another_family(provider: str, model: str) -> None:
    details = price_usage(provider, model, CHAT)
    assert (details.status, details.total, details.unpriced) == ("unpriced", None, ("model",))


def test_p5_the_served_models_price_comes_first_then_the_asked_ones() -> None:
    served = openai("gpt-4o-2024-08-06", requested_model="gpt-5")
    assert (served.model, served.match) == ("gpt-4o", "exact")
    asked = openai("gpt-unheard-of", requested_model="gpt-5")
    assert (asked.model, asked.match) == ("gpt-5", "requested")
    assert "requested model's" in asked.notes[0]
    assert openai("gpt-unheard-of", request={"model": "gpt-5"}).match == "requested"


def test_the_local_provider_is_free() -> None:
    for usage in (CHAT, None):
        details = price_usage("local", "any.gguf", usage)
        assert (details.status, details.total, details.fees) == ("free", Decimal(0), Decimal(0))


# --- dates ---


@pytest.mark.parametrize(
    ("at", "input_rate"),
    [
        (date(2026, 8, 20), "5"),
        (date(2026, 8, 21), "4"),
        (datetime(2026, 8, 21, tzinfo=timezone.utc), "4"),
        (datetime(2026, 8, 20, 23, 59, 59, tzinfo=timezone.utc), "5"),
        (datetime(2026, 8, 21, 1, tzinfo=timezone(timedelta(hours=2))), "5"),
        ("2026-08-20T23:00:00-02:00", "4"),
        ("2026-08-20T23:00:00Z", "5"),
        ("2026-08-20", "5"),
    ],
)
def test_the_price_is_that_of_the_utc_day(at: Any, input_rate: str) -> None:
    assert openai("gpt-5.6-sol", at=at).rates["in"] == Decimal(input_rate)


@pytest.mark.parametrize("at", ["22.11.2026", "yesterday!", "2026-13-01", "today"])
def test_a_time_that_is_none_is_refused(at: str) -> None:
    with pytest.raises(ValueError):
        openai("gpt-5", at=at)


def test_without_a_time_the_price_is_that_of_the_tables_day() -> None:
    details = price_usage("gemini", "gemini-4-argon", {"promptTokenCount": 1000, "candidatesTokenCount": 0})
    assert (
        details.total
        == price_usage("gemini", "gemini-4-argon", {"promptTokenCount": 1000}, at=TABLE["as_of"]).total
    )


# --- staleness ---


def test_prices_are_stale_31_days_after_the_table_and_warn_once(caplog: pytest.LogCaptureFixture) -> None:
    made = date.fromisoformat(TABLE["as_of"])
    last, first = made + timedelta(days=30), made + timedelta(days=31)
    with caplog.at_level(logging.WARNING):
        assert openai("gpt-5", at=last).status == "priced"
        stale = openai("gpt-5", at=first)
        openai("gpt-4o", at=first)
    assert (stale.status, stale.total) == ("stale", Decimal("0.00225"))
    assert len(caplog.records) == 1 and TABLE["as_of"] in caplog.text
    for never in (None, 99_999_999):
        assert (
            PriceTable(stale_after_days=never).price(PricingQuery("openai", "gpt-5", CHAT, at=first)).status
            == "priced"
        )


def test_the_staleness_of_a_model_is_told_without_a_call() -> None:
    mine = {"provider": "openai", "model": "mine", "rates": {"in": "1"}}
    table = PriceTable(overrides=[mine])
    old, own = table.find("openai", "gpt-5", "2026-11-23"), table.find("openai", "mine", "2026-11-23")
    assert old is not None and own is not None
    assert (table.staleness(old, "2031-01-01") or "").startswith("The price table is of ")
    assert table.staleness(old, "2026-11-23") is None
    assert table.staleness(own, "2031-01-02") is None
    assert PriceTable(stale_after_days=None).staleness(old, "2031-01-01") is None


def test_a_price_confirmed_to_a_day_is_stale_after_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert openai("gpt-5.6-sol", at="2026-11-21").status == "priced"
        for _ in range(2):
            assert openai("gpt-5.6-sol", at="2026-11-22").status == "stale"
    assert len(caplog.records) == 1 and "gpt-5.6-sol" in caplog.text


# --- overrides and discount ---

MINE = {"provider": "openai", "model": "gpt-5", "rates": {"in": "1", "out": 8, "cache_read": 0.1}}


def test_an_override_comes_before_the_table() -> None:
    details = PriceTable([MINE], discount="0.5").price(PricingQuery("openai", "gpt-5", CHAT))
    assert (details.match, details.source, details.total) == ("override", "user", Decimal("0.0018"))
    assert details.discount == 1


def test_an_override_of_the_requested_name_covers_its_snapshots() -> None:
    table = PriceTable([MINE])
    for served in ("gpt-5-2025-08-07", "gpt-5-2030-01-01"):
        details = table.price(PricingQuery("openai", served, CHAT, requested_model="gpt-5"))
        assert (details.match, details.source) == ("override", "user")
    other = table.price(PricingQuery("openai", "gpt-4o", CHAT, requested_model="gpt-5"))
    assert (other.model, other.source) == ("gpt-4o", "table")


def test_an_override_holds_from_its_day_on() -> None:
    later = {**MINE, "from": date(2026, 6, 1), "rates": {"in": "0.5", "out": "4"}}
    table = PriceTable([{**later}, {**MINE, "from": "2026-03-01"}])
    rates = [
        table.price(PricingQuery("openai", "gpt-5", CHAT, at=day)).rates["in"]
        for day in ("2026-02-28", "2026-03-01", "2026-06-01")
    ]
    assert rates == [Decimal("1.25"), Decimal(1), Decimal("0.5")]


def test_an_override_prices_somebody_elses_host() -> None:
    mine = {"provider": "ollama", "model": "llama", "rates": {"in": "0.1", "out": "0.2"}}
    table = PriceTable([mine])
    assert table.price(PricingQuery("ollama", "llama", CHAT)).total == Decimal("0.00012")
    cached = {**CHAT, "prompt_tokens_details": {"cached_tokens": 1000}}
    assert table.price(PricingQuery("ollama", "llama", cached)).total == Decimal("0.00012")
    assert table.price(PricingQuery("ollama", "llama-2", CHAT)).status == "unpriced"


def test_an_override_at_zero_is_free() -> None:
    mine = {"provider": "ollama", "model": "llama", "rates": {"in": 0, "out": 0}}
    details = PriceTable([mine]).price(PricingQuery("ollama", "llama", CHAT))
    assert (details.status, details.total) == ("free", Decimal(0))


def test_an_override_covers_every_tier() -> None:
    details = PriceTable([MINE]).price(PricingQuery("openai", "gpt-5", CHAT, batch=True))
    assert (details.status, details.tier, details.total) == ("priced", "batch", Decimal("0.0018"))


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"rates": {"input": "1"}}, "'input' is not a rate"),
        ({"rates": {"in": "-1"}}, "'-1' is not a price"),
        ({"rates": {"in": "a"}}, "'a' is not a price"),
        ({"rates": {"in": None}}, "None is not a price"),
        ({"rates": {"in": True}}, "True is not a price"),
        ({"rates": {}}, "lacks 'rates'"),
        ({"model": ""}, "lacks 'model'"),
        ({"from": "01.02.2026"}, "'01.02.2026' is not a date"),
    ],
)
def test_an_override_that_is_not_a_price_is_refused(odd: Dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        PriceTable([{**MINE, **odd}])


def test_two_overrides_from_one_day_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="openai/gpt-5: two prices begin on the same day"):
        PriceTable([{**MINE, "from": "2026-01-01"}, {**MINE, "from": date(2026, 1, 1)}])


@pytest.mark.parametrize("discount", [0, -1, "NaN", "a", None])
def test_a_discount_that_is_not_a_factor_is_refused(discount: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"not a factor above 0\. Write 0\.9"):
        PriceTable(discount=discount)


def test_a_discount_takes_its_share_of_every_part() -> None:
    response = {"tool_usage": {"web_search": {"num_requests": 1}}}
    full = PriceTable().price(PricingQuery("openai", "gpt-5", CHAT, response=response))
    less = PriceTable(discount=0.9).price(PricingQuery("openai", "gpt-5", CHAT, response=response))
    assert less.discount == Decimal("0.9")
    assert [less.total, less.input, less.fees] == [
        part * Decimal("0.9") for part in (full.total, full.input, full.fees)
    ]


# --- usage of any shape ---

SHAPES: List[Any] = [5, "x", [1], {"a": 1}, ["x"], [None], True, 1.5, -1, float("nan")]


@pytest.mark.parametrize("odd", SHAPES, ids=repr)
def test_a_usage_of_any_shape_is_unpriced_and_never_an_error_or_a_gift(odd: Any) -> None:
    openai_usage = {"prompt_tokens": 10, "completion_tokens": 5}
    anthropic_usage = {"input_tokens": 10, "output_tokens": 5}
    calls = [("openai", "gpt-5", odd, {})]
    calls += [
        ("openai", "gpt-5", {**openai_usage, f"{name}_tokens_details": odd}, {})
        for name in ("prompt", "completion")
    ]
    calls += [("openai", "gpt-5", {"prompt_tokens": odd, "completion_tokens": odd}, {})]
    for response in (
        {"service_tier": odd},
        {"tool_usage": odd},
        {"tool_usage": {"web_search": {"num_requests": odd}}},
    ):
        calls.append(("openai", "gpt-5", openai_usage, {"response": response}))
    for name in ("cache_creation", "server_tool_use", "iterations", "speed"):
        calls.append(("anthropic", "claude-opus-5", {**anthropic_usage, name: odd}, {}))
    searches = {"server_tool_use": {"web_search_requests": odd}}
    calls.append(("anthropic", "claude-opus-5", {**anthropic_usage, **searches}, {}))
    for name in ("promptTokensDetails", "candidatesTokensDetails", "cachedContentTokenCount"):
        calls.append(
            ("gemini", "gemini-2.5-pro", {"promptTokenCount": 10, "candidatesTokenCount": 5, name: odd}, {})
        )
    for provider, model, used, known in calls:
        details = price_usage(provider, model, used, **known)
        assert details.total is None or details.total >= 0, (used, known)
        assert details.status in ("unpriced", "partial", "priced", "stale")


def test_a_negative_number_of_searches_is_no_discount() -> None:
    for response in ({"tool_usage": {"web_search": {"num_requests": -3}}},):
        assert openai("gpt-5", response=response).unpriced == ("invalid_usage",)
    usage = {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": -3}}
    assert price_usage("anthropic", "claude-opus-5", usage).unpriced == ("invalid_usage",)


# --- normalized counts ---


def test_normalized_counts_are_priced_like_raw_ones() -> None:
    usage = TokenUsage(prompt_tokens=1110, completion_tokens=3, cached_tokens=1000, cache_write_tokens=100)
    details = PriceTable().price(PricingQuery("anthropic", "claude-sonnet-4-6", usage))
    assert details.total == Decimal("0.000750")
    assert (details.counts, details.unpriced) == (
        {"cache_write": 100, "in": 10, "cache_read": 1000, "out": 3},
        (),
    )


@pytest.mark.parametrize(
    ("usage", "status", "unpriced"),
    [
        (TokenUsage(source="missing"), "unpriced", ("usage",)),
        (TokenUsage(cached_tokens=5), "unpriced", ("usage",)),
        (TokenUsage(prompt_tokens=10), "partial", ("out",)),
        (TokenUsage(completion_tokens=10), "partial", ("in",)),
        (TokenUsage(prompt_tokens=10, completion_tokens=1, cached_tokens=11), "unpriced", ("invalid_usage",)),
        (TokenUsage(prompt_tokens=-1, completion_tokens=1), "unpriced", ("invalid_usage",)),
    ],
)
def test_normalized_counts_may_be_incomplete_or_wrong(
    usage: TokenUsage, status: str, unpriced: Tuple[str, ...]
) -> None:
    details = PriceTable().price(PricingQuery("openai", "gpt-5", usage))
    assert (details.status, details.unpriced) == (status, unpriced)


def test_normalized_cache_writes_live_as_long_as_was_requested() -> None:
    usage = TokenUsage(prompt_tokens=1110, completion_tokens=3, cache_write_tokens=100)
    request = {"prompt_cache_options": {"ttl": "12h"}}
    details = PriceTable().price(PricingQuery("openai", "gpt-5.6-sol", usage, request=request))
    assert details.counts["cache_write_12h"] == 100


# --- what holds for any call ---


def entries() -> Iterator[Tuple[str, str, Dict[str, Any]]]:
    for provider, data in TABLE["providers"].items():
        for name, entry in data.get("models", {}).items():
            yield provider, name, entry


def prices(period: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
    for price in [period, *period.get("tiers", {}).values()]:
        yield price
        if "long" in price:
            yield price["long"]


def test_the_table_is_well_formed() -> None:
    for provider, name, entry in entries():
        where = f"{provider}/{name}"
        periods = entry["periods"]
        assert name in entry["names"], where
        assert [period["to"] for period in periods[:-1]] == [period["from"] for period in periods[1:]], where
        assert periods[-1]["to"] is None, where
        for price in (price for period in periods for price in prices(period)):
            assert price["rates"] and set(price["rates"]) <= set(COMPONENTS), where
            assert all(
                isinstance(rate, str) and Decimal(rate) >= 0 for rate in price["rates"].values()
            ), where


def test_no_name_belongs_to_two_models_and_none_is_fine_tuned() -> None:
    for provider, data in TABLE["providers"].items():
        names: List[str] = [name for entry in data.get("models", {}).values() for name in entry["names"]]
        assert len(names) == len(set(names)), provider
        assert not [name for name in names if name.startswith("ft") or name != name.lower()]


def test_p1_the_parts_of_a_prompt_add_up_to_it() -> None:
    usages = {
        "openai": {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 300},
        },
        "anthropic": {
            "input_tokens": 100,
            "output_tokens": 50,
            "cache_read_input_tokens": 600,
            "cache_creation_input_tokens": 300,
        },
    }
    for provider, model in (("openai", "gpt-6-sol"), ("anthropic", "claude-opus-5")):
        counts = price_usage(provider, model, usages[provider]).counts
        assert counts == {"in": 100, "cache_read": 600, "cache_write": 300, "out": 50}


def test_prices_are_exact_whatever_the_applications_decimal_context() -> None:
    usage = {"prompt_tokens": 123_456_789, "completion_tokens": 987_654_321}
    expected = price_usage("openai", "gpt-5.4", usage, base_url="https://eu.api.openai.com/v1").total
    with localcontext() as context:
        context.prec = 4
        details = price_usage("openai", "gpt-5.4", usage, base_url="https://eu.api.openai.com/v1")
        assert str(details.total) == str(expected)
    assert expected == Decimal(123_456_789 * 550 + 987_654_321 * 2475) / 10**8


def test_one_token_costs_an_exact_fraction_of_a_cent() -> None:
    details = price_usage("gemini", "gemini-1.5-flash", {"promptTokenCount": 1, "cachedContentTokenCount": 1})
    assert format(details.total, "f") == "0.00000001875"


def test_details_pickle_copy_and_compare() -> None:
    details = openai("gpt-5")
    assert pickle.loads(pickle.dumps(details)) == details == copy.deepcopy(details)
    assert details != openai("gpt-4o")
    with pytest.raises(AttributeError):
        details.total = Decimal(0)  # type: ignore[misc]


def test_one_table_serves_many_threads() -> None:
    table, totals = PriceTable(), []

    def work() -> None:
        totals.extend(
            table.price(PricingQuery("openai", model, CHAT)).total for model in ("gpt-5", "gpt-4o", "o3") * 20
        )

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(totals) == 480 and len(set(totals)) == 3


def test_another_table_can_be_used(tmp_path: Path) -> None:
    rates = {"in": "1", "out": "2"}
    entry = {"names": ["mine"], "periods": [{"from": None, "to": None, "rates": rates}]}
    table = {"version": "7", "as_of": "2026-01-01", "providers": {"me": {"models": {"mine": entry}}}}
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(table))
    details = PriceTable(path=str(file)).price(PricingQuery("me", "mine", CHAT))
    assert (details.total, details.price_version) == (Decimal("0.0012"), "7")
