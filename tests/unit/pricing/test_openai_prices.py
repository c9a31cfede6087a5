"""What OpenAI's calls cost: every rule that changes a number, with the place it comes from beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict

import pytest

from llm_orchestrator.pricing import CostDetails, price_usage
from llm_orchestrator.pricing.facts import price_facts

PRICES = "developers.openai.com/api/docs/pricing"
TYPES = "docstrings of the openai package's usage types"
LITELLM = "litellm 1.109.1"
GENAI = "genai-prices 0.2.3"


def chat(prompt: int, completion: int, **details: Any) -> Dict[str, Any]:
    output = {
        key: details.pop(key) for key in ("reasoning_tokens", "rejected_prediction_tokens") if key in details
    }
    if "audio_out" in details:
        output["audio_tokens"] = details.pop("audio_out")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": output,
    }


def price(model: str, usage: Any, **known: Any) -> CostDetails:
    return price_usage("openai", model, usage, **known)


MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "usage", "known", "total", "source"),
    [
        # cached input is a share of input that differs by generation, and is part of prompt_tokens
        ("gpt-4o", chat(1000, 0, cached_tokens=1000), {}, "0.00125", f"0.5x: {PRICES}"),
        ("o1", chat(1000, 0, cached_tokens=1000), {}, "0.0075", f"0.5x: {PRICES}"),
        ("gpt-4.1", chat(1000, 0, cached_tokens=1000), {}, "0.0005", f"0.25x: {PRICES}"),
        ("o3", chat(1000, 0, cached_tokens=1000), {}, "0.0005", f"0.25x: {PRICES}"),
        ("gpt-5", chat(1000, 0, cached_tokens=1000), {}, "0.000125", f"0.1x: {PRICES}"),
        ("gpt-6.1-sol", chat(1000, 0, cached_tokens=1000), {}, "0.0001", f"0.05x: {PRICES}"),
        ("gpt-5", chat(1000, 100, cached_tokens=600), {}, "0.001575", f"cached is inside: {TYPES}"),
        ("gpt-5.1", chat(1000, 0, cached_tokens=1000), {}, "0.000125", f"0.1x: {PRICES}"),
        ("gpt-5.4", chat(1000, 0, cached_tokens=1000), {}, "0.00025", f"0.1x: {PRICES}"),
        ("gpt-5.5", chat(1000, 0, cached_tokens=1000), {}, "0.0005", f"0.1x: {PRICES}"),
        ("gpt-5.6-sol", chat(1000, 0, cached_tokens=1000), {}, "0.0004", f"0.1x: {PRICES}"),
        ("gpt-6-sol", chat(1000, 0, cached_tokens=1000), {}, "0.0002", f"0.1x: {PRICES}"),
        (
            "gpt-4o-search-preview",
            chat(1000, 0, cached_tokens=1000),
            {},
            "0.0025",
            f"unknown: no cached rate in {GENAI}, $1.25 in {LITELLM}; full price until OpenAI says one",
        ),
        # cache writes, 30 minutes and 12 hours, since GPT-5.6
        ("gpt-5.6-sol", chat(1000, 0, cache_write_tokens=1000), {}, "0.005", f"1.25x: {PRICES}"),
        (
            "gpt-6.1-sol",
            chat(1000, 0, cached_tokens=300, cache_write_tokens=600),
            {},
            "0.00173",
            f"100 x 2 + 300 x 0.1 + 600 x 2.5, all inside prompt_tokens: {TYPES}",
        ),
        ("gpt-6.1-sol", chat(1000, 0, cache_write_tokens=1000), {}, "0.0025", f"1.25x: {PRICES}"),
        (
            "gpt-6.1-sol",
            chat(1000, 0, cache_write_tokens=1000),
            {"request": {"prompt_cache_options": {"ttl": "12h"}}},
            "0.005",
            f"2.5x, chat tells no split, so the requested lifetime: {LITELLM}",
        ),
        (
            "gpt-6.1-terra",
            {
                "input_tokens": 3000,
                "output_tokens": 0,
                "input_tokens_details": {
                    "cache_write_tokens": 2000,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 500, "ttl_12h_tokens": 1500},
                },
            },
            {},
            "0.005375",
            f"1000 x 1 + 500 x 1.25 + 1500 x 2.5, genai-prices' own note names $2.50: {LITELLM}",
        ),
        # output includes reasoning and rejected predictions
        ("gpt-5", chat(0, 1000, reasoning_tokens=900), {}, "0.01", TYPES),
        ("gpt-4o", chat(0, 1000, rejected_prediction_tokens=400), {}, "0.01", TYPES),
        # audio
        ("gpt-audio", chat(1000, 0, audio_tokens=1000), {}, "0.032", f"12.8x text: {PRICES}"),
        ("gpt-4o-audio-preview", chat(1000, 0, audio_tokens=1000), {}, "0.04", f"not $2.50: {LITELLM}"),
        ("gpt-4o-mini-audio-preview", chat(1000, 0, audio_tokens=1000), {}, "0.01", f"not $0.15: {LITELLM}"),
        ("gpt-audio", chat(0, 1000, audio_out=1000), {}, "0.064", f"$64: {PRICES}"),
        (
            "gpt-audio",
            chat(1000, 1000, audio_tokens=600, audio_out=700),
            {},
            "0.068",
            f"400 x 2.5 + 600 x 32 + 300 x 10 + 700 x 64, audio is inside both counts: {TYPES}",
        ),
        ("gpt-4o-audio-preview", chat(0, 1000, audio_out=1000), {}, "0.08", f"not $10: {LITELLM}"),
        ("gpt-4o-mini-audio-preview", chat(0, 1000, audio_out=1000), {}, "0.02", f"not $0.60: {LITELLM}"),
        # long context: over 272,000 tokens the whole request, exactly 272,000 is short
        ("gpt-5.4", chat(272_000, 1000), {}, "0.695", f"short: {PRICES}"),
        ("gpt-5.4", chat(272_001, 1000), {}, "1.382505", f"2x input, 1.5x output: {PRICES}"),
        ("gpt-6-sol", chat(272_001, 1000, cached_tokens=272_001), {}, "0.1238004", f"2x cached: {PRICES}"),
        ("gpt-5.5", chat(272_000, 1000), {}, "1.39", f"short: {PRICES}"),
        ("gpt-5.5", chat(272_001, 1000), {}, "2.76501", f"2x input, 1.5x output: {PRICES}"),
        ("gpt-5.6-sol", chat(272_001, 1000), {}, "2.206008", f"2x input, 1.5x output: {PRICES}"),
        (
            "gpt-6-sol",
            chat(272_001, 1000, cache_write_tokens=272_001),
            {},
            "1.375005",
            f"2x cache writes, 1.5x output: {PRICES}",
        ),
        ("gpt-5.6-cyber", chat(300_000, 1000), {}, "3.825", f"'-' in the long column: {PRICES}"),
        (
            "gpt-5.5-pro",
            chat(300_000, 1000),
            {"batch": True},
            "4.59",
            f"batch '-' in the long column: {PRICES}",
        ),
        ("gpt-5.5-pro", chat(300_000, 1000), {}, "18.27", f"$60/$270 for the whole request: {PRICES}"),
        # service tiers: what was served
        ("gpt-5", chat(1000, 1000), {"response": {"service_tier": "flex"}}, "0.005625", f"0.5x: {PRICES}"),
        ("gpt-5", chat(1000, 1000), {"response": {"service_tier": "priority"}}, "0.0225", f"2x: {PRICES}"),
        (
            "gpt-4.1",
            chat(1000, 1000),
            {"response": {"service_tier": "priority"}},
            "0.0175",
            f"1.75x: {PRICES}",
        ),
        (
            "gpt-5-mini",
            chat(1000, 1000),
            {"response": {"service_tier": "priority"}},
            "0.00405",
            f"1.8x: {PRICES}",
        ),
        (
            "gpt-5.5",
            chat(1000, 1000),
            {"response": {"service_tier": "priority"}},
            "0.0875",
            f"2.5x: {PRICES}",
        ),
        ("gpt-5", chat(1000, 1000), {"service_tier": "fast"}, "0.0225", f"fast is priority: {PRICES}"),
        ("gpt-6.1-sol", chat(1000, 0), {"service_tier": "ultrafast"}, "0.012", LITELLM),
        ("gpt-5", chat(1000, 1000), {"batch": True}, "0.005625", f"0.5x: {PRICES}"),
        (
            "gpt-4.1",
            chat(1000, 0, cached_tokens=1000),
            {"batch": True},
            "0.0005",
            f"no cached batch rate: {GENAI}",
        ),
        # region
        (
            "gpt-5.4",
            chat(1000, 0),
            {"base_url": "https://eu.api.openai.com/v1"},
            "0.00275",
            f"+10%: {PRICES}",
        ),
        (
            "gpt-5.4",
            chat(1000, 0),
            {"base_url": "https://us.api.openai.com/v1"},
            "0.00275",
            f"+10%: {PRICES}",
        ),
        (
            "gpt-5.4",
            chat(1000, 0),
            {"base_url": "https://api.openai.com/v1"},
            "0.0025",
            f"no surcharge: {PRICES}",
        ),
        ("gpt-5", chat(1000, 0), {"base_url": "https://eu.api.openai.com/v1"}, "0.00125", f"older: {PRICES}"),
        (
            "gpt-6.1-sol",
            chat(1000, 1000, cached_tokens=500),
            {"base_url": "https://eu.api.openai.com/v1"},
            "0.012155",
            f"+10% on every class: {PRICES}",
        ),
        # dates
        (
            "o3",
            chat(1000, 0, cached_tokens=1000),
            {"at": "2025-06-09"},
            "0.0025",
            "old copies of OpenAI's table",
        ),
        ("o3", chat(1000, 1000), {"at": "2025-06-09"}, "0.05", GENAI),
        ("o3", chat(1000, 1000), {"at": "2025-06-10"}, "0.01", GENAI),
        ("gpt-5.6-luna", chat(MILLION // 10, 0), {"at": "2026-07-29"}, "0.1", f"-80% on 07-30: {GENAI}"),
        ("gpt-5.6-luna", chat(MILLION // 10, 0), {"at": "2026-07-30"}, "0.02", f"-80% on 07-30: {GENAI}"),
        ("gpt-5.6-terra", chat(MILLION // 10, 0), {"at": "2026-07-30"}, "0.2", f"-20% on 07-30: {GENAI}"),
        ("gpt-5.6-sol", chat(1000, 1000), {"at": "2026-08-20"}, "0.035", f"until 08-21: {GENAI}"),
        ("gpt-5.6-sol", chat(1000, 1000), {"at": "2026-08-21"}, "0.024", f"from 08-21: {GENAI}"),
        # look-alikes never share a price
        ("gpt-4o-2024-05-13", chat(1000, 0), {}, "0.005", f"2x gpt-4o: {PRICES}"),
        ("gpt-5-pro", chat(1000, 0), {}, "0.015", f"12x gpt-5: {PRICES}"),
        # an embedding has no output to miss
        ("text-embedding-3-small", {"prompt_tokens": 1000, "total_tokens": 1000}, {}, "0.00002", PRICES),
        (
            "text-embedding-3-large",
            {"prompt_tokens": 1000, "total_tokens": 1000},
            {"api": "embeddings"},
            "0.00013",
            PRICES,
        ),
    ],
)
def test_price(model: str, usage: Any, known: Dict[str, Any], total: str, source: str) -> None:
    details = price(model, usage, **{"at": "2026-11-20", **known})
    assert (details.status, details.total) == ("priced", Decimal(total)), source


RESPONSES_USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}


@pytest.mark.parametrize(
    ("model", "response", "fees", "source"),
    [
        ("gpt-5.4", {"tool_usage": {"web_search": {"num_requests": 3}}}, "0.03", f"$10 per 1,000: {PRICES}"),
        (
            "o3-deep-research",
            {"tool_usage": {"web_search": {"num_requests": 1}}},
            "0.01",
            f"all models: {PRICES}",
        ),
        (
            "gpt-4o",
            {
                "output": [
                    {"type": "web_search_call", "status": "completed", "action": {"type": "search"}},
                    {"type": "web_search_call", "status": "completed"},
                    {"type": "web_search_call", "status": "completed", "action": {"type": "open_page"}},
                    {"type": "web_search_call", "status": "failed", "action": {"type": "search"}},
                    {"type": "message"},
                ]
            },
            "0.02",
            "items where tool_usage is missing; opening a page is no search: the web search guide",
        ),
        (
            "gpt-5",
            {"tool_usage": {"web_search": {"num_requests": 0}}, "output": [{"type": "web_search_call"}]},
            "0",
            "num_requests counts the billable ones: docstring of ToolUsage",
        ),
        ("gpt-5", {"output": [{"type": "file_search_call"}] * 4}, "0.01", f"$2.50 per 1,000: {PRICES}"),
    ],
)
def test_fees_of_tools(model: str, response: Dict[str, Any], fees: str, source: str) -> None:
    details = price(model, RESPONSES_USAGE, api="responses", response=response)
    assert (details.status, details.fees) == ("priced", Decimal(fees)), source
    assert details.total == sum(
        [details.input, details.cache_read, details.cache_write, details.output, details.fees]
    )


def test_the_price_of_sol_after_its_promise_is_the_last_known_one_and_stale() -> None:
    # the promotion ($4/$20) is guaranteed to 2026-11-21: developers.openai.com/api/docs/changelog
    details = price("gpt-5.6-sol", chat(1000, 1000), at="2026-11-22")
    assert (details.status, details.total) == ("stale", Decimal("0.024"))


def test_a_search_model_says_that_its_searches_are_not_in_the_price() -> None:
    assert "searches by itself" in price("gpt-4o-search-preview", chat(1000, 10)).notes[0]


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4.1-mini"])
def test_a_search_of_a_mini_model_is_billed_8000_input_tokens(model: str) -> None:
    # https://developers.openai.com/api/docs/pricing, web search
    searched = {"tool_usage": {"web_search": {"num_requests": 2}}}
    plain = price(model, RESPONSES_USAGE, api="responses")
    details = price(model, RESPONSES_USAGE, api="responses", response=searched)
    assert details.counts["search_in"] == 16_000
    assert details.total - plain.total == 16_000 * details.rates["search_in"] / MILLION + Decimal("0.02")


def test_the_image_tool_is_billed_at_its_own_models_rates() -> None:
    response = {
        "tools": [{"type": "image_generation", "model": "gpt-image-1.5"}],
        "tool_usage": {
            "image_gen": {
                "input_tokens": 300,
                "input_tokens_details": {"text_tokens": 100, "image_tokens": 200},
                "output_tokens": 1000,
                "output_tokens_details": {"text_tokens": 0, "image_tokens": 1000},
                "total_tokens": 1300,
            }
        },
    }
    plain = price("gpt-5", RESPONSES_USAGE, api="responses")
    details = price("gpt-5", RESPONSES_USAGE, api="responses", response=response)
    # text in 5, image in 8, image out 32: developers.openai.com/api/docs/pricing, image generation
    assert details.total - plain.total == Decimal("0.0341")
    assert details.counts["gpt-image-1.5:image_out"] == 1000


def test_an_image_whose_model_is_not_told_leaves_the_row_partial() -> None:
    used = {"output": [{"type": "image_generation_call"}]}
    details = price("gpt-5", RESPONSES_USAGE, api="responses", response=used)
    assert (details.status, details.unpriced) == ("partial", ("image_gen",))


def test_containers_are_recorded_and_not_priced() -> None:
    used = {"output": [{"type": "code_interpreter_call"}]}
    details = price("gpt-5", RESPONSES_USAGE, api="responses", response=used)
    assert details.recorded == {"code_execution": 1}
    assert details.total == price("gpt-5", RESPONSES_USAGE, api="responses").total
    assert "not priced" in details.notes[0]


def test_p4_the_served_tier_is_billed_not_the_one_asked_for() -> None:
    asked = {"service_tier": "priority"}
    served = price("gpt-5", chat(1000, 1000), request=asked, response={"service_tier": "default"})
    assert (served.tier, served.total) == ("standard", Decimal("0.01125"))
    untold = price("gpt-5", chat(1000, 1000), request=asked)
    assert untold.tier == "priority" and "assumed" in untold.notes[0]


@pytest.mark.parametrize("tier", ["scale", "flex"])
def test_a_tier_without_a_list_price_is_unpriced(tier: str) -> None:
    # scale is prepaid; gpt-4o has no flex rates
    details = price("gpt-4o", chat(1000, 1000), response={"service_tier": tier})
    assert (details.status, details.total) == ("unpriced", None)


def test_p4_long_context_reprices_the_whole_request_from_the_first_token_past_the_threshold() -> None:
    short = price("gpt-6.1-sol", chat(272_000, 10, cached_tokens=1000))
    long = price("gpt-6.1-sol", chat(272_001, 10, cached_tokens=1000))
    assert (short.long_context, long.long_context) == (False, True)
    assert (long.rates["in"], long.rates["cache_read"], long.rates["out"]) == (4, Decimal("0.2"), 15)


def test_only_the_last_chunk_of_a_chat_stream_carries_usage() -> None:
    whole = price("gpt-5", chat(1000, 100))
    assert price("gpt-5", [None, None, chat(1000, 100)]) == whole
    responses = {"input_tokens": 1000, "output_tokens": 100}
    assert price("gpt-5", [None, responses], api="responses").total == whole.total


@pytest.mark.parametrize("usage", [None, [], [None, None], {}])
def test_usage_that_did_not_come_is_unpriced_never_zero(usage: Any) -> None:
    details = price("gpt-5", usage)
    assert (details.status, details.total, details.unpriced) == ("unpriced", None, ("usage",))


@pytest.mark.parametrize(
    "usage",
    [
        chat(100, 10, cached_tokens=101),
        chat(100, 10, cached_tokens=60, cache_write_tokens=60),
        chat(100, 10, reasoning_tokens=11),
        chat(-1, 10),
        chat(100, -10),
        chat(100, 10, audio_tokens=150),
        {**chat(100, 10), "prompt_tokens": "a hundred"},
        {**chat(100, 10), "completion_tokens": 1.5},
    ],
)
def test_counts_that_contradict_each_other_are_not_priced(usage: Any) -> None:
    details = price("gpt-audio", usage)
    assert (details.status, details.total, details.unpriced) == ("unpriced", None, ("invalid_usage",))


def test_a_missing_side_makes_the_row_partial() -> None:
    details = price("gpt-5", {"prompt_tokens": 1000})
    assert (details.status, details.total, details.unpriced) == ("partial", Decimal("0.00125"), ("out",))


def test_cached_audio_is_taken_from_the_audio_tokens() -> None:
    usage = chat(1000, 0, audio_tokens=800, cached_tokens=500, cached_tokens_details={"audio_tokens": 400})
    details = price("gpt-audio", usage)
    # neither audio nor text has a cached rate: full rate for both
    assert details.counts == {"in": 100, "audio_in": 400, "cache_read": 100, "audio_cache_read": 400}
    assert details.total == Decimal("200") * Decimal("2.5") / MILLION + Decimal("800") * 32 / MILLION


def test_cached_images_cost_what_cached_text_costs() -> None:
    details = price("gpt-5", chat(2000, 0, image_tokens=1500, cached_tokens=1900))
    assert (
        details.total
        == Decimal("100") * Decimal("1.25") / MILLION + Decimal(1900) * Decimal("0.125") / MILLION
    )


def test_a_class_without_a_rate_makes_the_row_partial() -> None:
    details = price("gpt-5", chat(1000, 0, audio_tokens=400))
    assert (details.status, details.unpriced) == ("partial", ("audio_in",))
    assert details.total == Decimal("0.00075")


@pytest.mark.parametrize(("window", "share"), [("2h", "0.7"), ("8h", "0.6"), ("soonest", "1"), (None, "1")])
def test_an_answer_in_the_background_costs_less_the_longer_it_may_take(window: Any, share: str) -> None:
    request = {"background": True, "background_options": {"completion_window": window}}
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    now, later = price("gpt-5", usage), price("gpt-5", usage, request=request)
    assert now.total is not None and later.total == now.total * Decimal(share)
    again = price("gpt-5", usage, request=price_facts(request, {}, {})["request"]) if window else later
    assert again.total == later.total, "the ledger has what the price depends on"


@pytest.mark.parametrize("options", [None, [], "2h", {"completion_window": []}, {"completion_window": "9h"}])
def test_windows_that_nobody_knows_cost_as_usual(options: Any) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    request = {"background": True, "background_options": options}
    assert price("gpt-5", usage, request=request).total == price("gpt-5", usage).total
