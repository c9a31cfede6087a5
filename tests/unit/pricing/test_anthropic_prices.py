"""What Anthropic's calls cost: every rule that changes a number, with the place it comes from beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict

import pytest

from llm_orchestrator.pricing import CostDetails, price_usage

PRICES = "platform.claude.com/docs/en/about-claude/pricing"
CACHING = "platform.claude.com/docs/en/build-with-claude/prompt-caching"
TYPES = "docstrings of the anthropic package's usage types"
LITELLM = "litellm 1.109.1"
GENAI = "genai-prices 0.2.3"


def usage(
    fresh: int = 0, output: int = 0, *, read: int = 0, write: int = 0, one_hour: int = 0, **more: Any
) -> Any:
    return {
        "input_tokens": fresh,
        "output_tokens": output,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write + one_hour,
        "cache_creation": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": one_hour},
        **more,
    }


def price(model: str, used: Any, **known: Any) -> CostDetails:
    return price_usage("anthropic", model, used, **known)


THOUSAND_SEARCHES = {"server_tool_use": {"web_search_requests": 1000, "web_fetch_requests": 50}}


@pytest.mark.parametrize(
    ("model", "used", "known", "total", "source"),
    [
        # P1's figures
        (
            "claude-sonnet-4-6",
            usage(10, 3, read=1000, write=100),
            {},
            "0.00075",
            f"10, 100, 1000, 3: {PRICES}",
        ),
        # cache reads: a table, never a rule
        ("claude-opus-5", usage(read=1000), {}, "0.0005", f"0.1x: {PRICES}"),
        ("claude-opus-5-5", usage(read=1000), {}, "0.0002", f"0.05x: {PRICES}"),
        ("claude-sonnet-5-5", usage(read=1000), {}, "0.0001", f"0.05x: {PRICES}"),
        ("claude-fable-5-1", usage(read=1000), {}, "0.00025", f"0.025x: {PRICES}"),
        ("claude-fable-5-2", usage(read=1000), {}, "0.0002", f"0.025x: {PRICES}"),
        # cache writes
        ("claude-opus-5", usage(write=1000), {}, "0.00625", f"1.25x: {CACHING}"),
        ("claude-opus-5", usage(one_hour=1000), {}, "0.01", f"2x: {CACHING}"),
        (
            "claude-opus-5",
            {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 1000},
            {},
            "0.00625",
            f"no split is 5 minutes: {CACHING}",
        ),
        (
            "claude-3-haiku-20240307",
            usage(write=10_000),
            {},
            "0.003",
            f"published $0.30, not 1.25x: {PRICES}",
        ),
        ("claude-3-haiku-20240307", usage(read=10_000), {}, "0.0003", f"published $0.03, not 0.1x: {PRICES}"),
        # output includes thinking
        ("claude-opus-5", usage(0, 1000, output_tokens_details={"thinking_tokens": 900}), {}, "0.025", TYPES),
        # tools
        ("claude-opus-5", usage(**THOUSAND_SEARCHES), {}, "10", f"$10 per 1,000, fetches free: {PRICES}"),
        (
            "claude-opus-5",
            usage(**THOUSAND_SEARCHES, inference_geo="us"),
            {},
            "10",
            f"no surcharge: {PRICES}",
        ),
        (
            "claude-opus-5",
            usage(**THOUSAND_SEARCHES, service_tier="batch"),
            {},
            "10",
            f"no discount: {PRICES}",
        ),
        # batch
        ("claude-opus-5", usage(1000, 1000, service_tier="batch"), {}, "0.015", f"0.5x: {PRICES}"),
        ("claude-opus-5", usage(1000, 1000), {"batch": True}, "0.015", f"0.5x: {PRICES}"),
        (
            "claude-opus-5",
            usage(one_hour=1000, service_tier="batch"),
            {},
            "0.005",
            f"stacks with 1 h: {PRICES}",
        ),
        (
            "claude-opus-5",
            usage(read=1000, write=1000, service_tier="batch"),
            {},
            "0.003375",
            f"stacks with reads and 5 m: {PRICES}",
        ),
        ("claude-3-5-haiku-20241022", usage(1000, 0), {"batch": True}, "0.0004", f"retired too: {PRICES}"),
        # code execution: hours of containers after 1,550 free ones, which no reply tells
        (
            "claude-opus-5",
            usage(1000, server_tool_use={"code_execution_requests": 3}),
            {},
            "0.005",
            f"recorded, not priced: {PRICES}",
        ),
        # fast mode
        ("claude-opus-4-8", usage(1000, 1000, speed="fast"), {}, "0.06", f"2x: {PRICES}#fast-mode-pricing"),
        ("claude-opus-5", usage(1000, 1000, speed="fast"), {}, "0.06", f"2x: {PRICES}#fast-mode-pricing"),
        ("claude-opus-5-5", usage(1000, 1000, speed="fast"), {}, "0.048", f"2x: {PRICES}#fast-mode-pricing"),
        ("claude-fable-5-2", usage(1000, 1000, speed="fast"), {}, "0.096", f"2x: {PRICES}#fast-mode-pricing"),
        (
            "claude-opus-5",
            usage(read=1000, speed="fast", inference_geo="us"),
            {},
            "0.0011",
            f"stacks: {PRICES}",
        ),
        (
            "claude-opus-5",
            usage(1000, speed="standard"),
            {"request": {"speed": "fast"}},
            "0.005",
            "the served speed",
        ),
        # region
        ("claude-opus-4-6", usage(1000, 1000, inference_geo="us"), {}, "0.033", f"1.1x: {LITELLM}, {PRICES}"),
        (
            "claude-opus-5",
            usage(0, 0, read=1000, inference_geo="us"),
            {},
            "0.00055",
            f"all classes: {PRICES}",
        ),
        (
            "claude-opus-5",
            usage(1000, 1000, read=1000, write=1000, one_hour=1000, inference_geo="us"),
            {},
            "0.051425",
            f"1.1 x (5 + 25 + 0.5 + 6.25 + 10): {PRICES}",
        ),
        ("claude-opus-5", usage(1000, inference_geo="global"), {}, "0.005", f"1x: {PRICES}"),
        ("claude-opus-5", usage(1000, inference_geo="not_available"), {}, "0.005", f"1x: {PRICES}"),
        ("claude-haiku-4-5", usage(1000, inference_geo="us"), {}, "0.001", f"before 4.6: {PRICES}"),
        # long context
        ("claude-haiku-5-5", usage(100_000, 1000), {}, "0.0105", f"exactly 100,000 is short: {PRICES}"),
        ("claude-haiku-5-5", usage(100_001, 1000), {}, "0.0525005", f"5x: {PRICES}#long-context-pricing"),
        (
            "claude-haiku-5-5",
            usage(1, 0, read=60_000, write=40_000),
            {},
            "0.0280005",
            f"reads and writes count: {PRICES}#long-context-pricing",
        ),
        ("claude-sonnet-4-5", usage(200_000, 0), {"at": "2026-04-29"}, "0.6", f"exactly 200,000: {GENAI}"),
        ("claude-sonnet-4-5", usage(200_001, 0), {"at": "2026-04-29"}, "1.200006", f"$6: {GENAI}"),
        ("claude-sonnet-4-5", usage(200_001, 1000), {"at": "2026-04-29"}, "1.222506", f"$22.50: {GENAI}"),
        ("claude-opus-4-6", usage(1_000_000, 0), {}, "5", f"flat to 1M: {PRICES}"),
        ("claude-sonnet-4-6", usage(1_000_000, 0), {}, "3", f"flat to 1M: {PRICES}"),
        (
            "claude-sonnet-4-5",
            usage(200_001, 0),
            {"at": "2026-04-30"},
            "0.600003",
            "the beta ended: release notes",
        ),
        ("claude-opus-4-6", usage(200_001, 0), {"at": "2026-03-12"}, "2.00001", f"dated: {GENAI}"),
        ("claude-opus-4-6", usage(200_001, 0), {"at": "2026-03-13"}, "1.000005", f"flat to 1M: {GENAI}"),
        ("claude-sonnet-4-6", usage(200_001, 1000), {"at": "2026-03-12"}, "1.222506", f"dated: {GENAI}"),
        # look-alikes
        ("claude-opus-4-5-20251101", usage(3000), {}, "0.015", f"a third of Opus 4: {PRICES}"),
        ("claude-opus-4-20250514", usage(1000), {}, "0.015", PRICES),
    ],
)
def test_price(model: str, used: Any, known: Dict[str, Any], total: str, source: str) -> None:
    details = price(model, used, **known)
    assert (details.status, details.total) == ("priced", Decimal(total)), source


def test_p1_the_parts_of_the_bill() -> None:
    details = price("claude-sonnet-4-6", usage(10, 3, read=1000, write=100))
    assert details.total == Decimal("0.000750")
    assert (details.input, details.cache_read) == (Decimal("0.00003"), Decimal("0.0003"))
    assert (details.cache_write, details.output) == (Decimal("0.000375"), Decimal("0.000045"))
    assert details.counts == {"in": 10, "cache_read": 1000, "cache_write": 100, "out": 3}


START = usage(10, 1, read=1000, one_hour=100, service_tier="standard", inference_geo="us", speed="fast")


def test_p1_a_stream_costs_what_the_whole_answer_costs() -> None:
    whole = price("claude-opus-5", {**START, "output_tokens": 300})
    cumulative = [START, None, {"output_tokens": 120}, {"output_tokens": 300, "input_tokens": None}]
    assert price("claude-opus-5", cumulative) == whole
    assert (
        whole.multiplier == Decimal("1.1") and whole.tier == "fast" and whole.counts["cache_write_1h"] == 100
    )


def test_a_later_input_count_replaces_the_first() -> None:
    # a server tool's results grow the input: 702 at the start, 1591 at the end
    told = [usage(702, 1), {"input_tokens": 1591, "output_tokens": 175, "cache_creation_input_tokens": 0}]
    details = price("claude-haiku-4-5", told)
    assert details.counts == {"in": 1591, "out": 175}


def test_a_cache_write_that_grew_keeps_its_lifetime() -> None:
    told = [usage(10, 1, one_hour=100), {"output_tokens": 5, "cache_creation_input_tokens": 250}]
    assert price("claude-haiku-4-5", told).counts == {"in": 10, "cache_write_1h": 250, "out": 5}


def test_a_stream_cut_after_its_start_has_input_but_no_output() -> None:
    # message_start's output_tokens is a placeholder: docs, streaming messages
    details = price("claude-opus-5", [usage(1000, 2), None])
    assert (details.status, details.total, details.unpriced) == ("partial", Decimal("0.005"), ("out",))


def test_priority_is_committed_spend_and_has_no_list_price() -> None:
    details = price("claude-opus-5", usage(1000, 10, service_tier="priority"))
    assert (details.status, details.total, details.tier) == ("unpriced", None, "prepaid")


def iteration(kind: str, fresh: int, output: int, **more: Any) -> Dict[str, Any]:
    return {"type": kind, **usage(fresh, output), **more}


def test_compaction_is_billed_on_top() -> None:
    # platform.claude.com/docs/en/build-with-claude/compaction: 23,000/1,000 shown, 203,000/4,500 billed
    used = usage(
        23_000,
        1000,
        iterations=[iteration("compaction", 180_000, 3500), iteration("message", 23_000, 1000)],
    )
    details = price("claude-opus-4-6", used)
    assert details.total == Decimal("1.1275")  # rounded: $1.13 instead of $0.14
    assert (details.counts["in"], details.counts["out"]) == (203_000, 4500)
    assert price("claude-opus-4-6", usage(23_000, 1000)).total == Decimal("0.14")


def test_an_advisor_is_billed_at_its_own_rates() -> None:
    used = usage(
        2390,
        121,
        iterations=[
            iteration("message", 1128, 110),
            iteration("advisor_message", 2518, 22, model="claude-opus-4-8"),
            iteration("message", 1262, 11),
        ],
    )
    details = price("claude-haiku-4-5", used)
    own, advice = 2390 * 1 + 121 * 5, 2518 * 5 + 22 * 25
    assert details.total == Decimal(own + advice) / 1_000_000
    assert details.counts["claude-opus-4-8:in"] == 2518


def test_long_context_is_decided_for_each_iteration_not_for_their_sum() -> None:
    messages = [iteration("message", 60_000, 10), iteration("message", 60_000, 10)]
    summed = price("claude-haiku-5-5", usage(120_000, 20, iterations=messages))
    assert not summed.long_context and summed.total == Decimal("0.01201")
    mixed = [iteration("message", 60_000, 10), iteration("message", 100_001, 10)]
    details = price("claude-haiku-5-5", usage(160_001, 20, iterations=mixed))
    assert details.long_context
    assert details.total == Decimal("0.006005") + Decimal("0.0500255")


def test_a_fallback_is_billed_attempt_by_attempt() -> None:
    # docstring of BetaFallbackMessageIterationUsage; an attempt declined before any output is not billed
    attempts = [
        iteration("message", 400, 0, model="claude-fable-5"),
        iteration("fallback_message", 412, 264, model="claude-opus-4-8"),
    ]
    details = price("claude-opus-4-8", usage(412, 264, iterations=attempts), requested_model="claude-fable-5")
    assert details.total == Decimal(412 * 5 + 264 * 25) / 1_000_000
    attempts[0] = iteration("message", 400, 100)
    details = price("claude-opus-4-8", usage(412, 264, iterations=attempts), requested_model="claude-fable-5")
    assert details.total == Decimal(412 * 5 + 264 * 25 + 400 * 10 + 100 * 50) / 1_000_000


def test_a_redeemed_fallback_credit_makes_the_price_an_upper_bound() -> None:
    credit = {"status": {"type": "redeemed"}}
    details = price("claude-opus-4-8", usage(100, 10, fallback_credit=credit))
    assert (details.status, details.unpriced) == ("partial", ("fallback_credit",))


def test_an_unknown_kind_of_iteration_is_not_ignored() -> None:
    details = price("claude-opus-5", usage(100, 10, iterations=[iteration("dream", 5, 5)]))
    assert (details.status, details.unpriced) == ("partial", ("iterations:dream",))


@pytest.mark.parametrize(
    "used",
    [
        {**usage(10, 5, write=100), "cache_creation_input_tokens": 50},
        usage(10, 5, output_tokens_details={"thinking_tokens": 6}),
        usage(-10, 5),
    ],
)
def test_counts_that_contradict_each_other_are_not_priced(used: Any) -> None:
    details = price("claude-opus-5", used)
    assert (details.status, details.total, details.unpriced) == ("unpriced", None, ("invalid_usage",))
