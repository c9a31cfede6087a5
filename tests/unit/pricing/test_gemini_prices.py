"""What Gemini's calls cost: every rule that changes a number, with the place it comes from beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, List

import pytest

from llm_orchestrator.pricing import CostDetails, price_usage

PRICES = "ai.google.dev/gemini-api/docs/pricing"
REFERENCE = "GenerateContentResponse.UsageMetadata in the API reference"
LITELLM = "litellm 1.109.1"
GENAI = "genai-prices 0.2.3"


def usage(prompt: int = 0, candidates: int = 0, **more: Any) -> Dict[str, Any]:
    return {"promptTokenCount": prompt, "candidatesTokenCount": candidates, **more}


def kinds(**counts: int) -> List[Dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in counts.items()]


def price(model: str, used: Any, **known: Any) -> CostDetails:
    return price_usage("gemini", model, used, **known)


def header(tier: str) -> Dict[str, Any]:
    return {"headers": {"X-Gemini-Service-Tier": tier}}


@pytest.mark.parametrize(
    ("model", "used", "known", "total", "source"),
    [
        # input includes cached tokens; tool prompts are outside
        ("gemini-2.5-pro", usage(1000, 0, cachedContentTokenCount=1000), {}, "0.000125", f"0.1x: {PRICES}"),
        ("gemini-4-argon", usage(1000, 0, cachedContentTokenCount=1000), {}, "0.0001", f"0.05x: {PRICES}"),
        ("gemini-2.5-pro", usage(1000, 0, cachedContentTokenCount=400), {}, "0.0008", REFERENCE),
        ("gemini-2.5-pro", usage(1000, 0, toolUsePromptTokenCount=500), {}, "0.001875", REFERENCE),
        # thoughts are outside candidates
        ("gemini-2.5-pro", usage(0, 100, thoughtsTokenCount=900), {}, "0.01", REFERENCE),
        (
            "gemini-2.5-pro",
            {"promptTokenCount": 1000, "thoughtsTokenCount": 900},
            {},
            "0.01025",
            "no candidates",
        ),
        (
            "gemini-2.5-pro",
            {"promptTokenCount": 1000, "thoughtsTokenCount": 900, "totalTokenCount": 2000},
            {},
            "0.01125",
            "candidates told by the total alone",
        ),
        (
            "gemini-2.5-pro",
            {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 2000},
            {},
            "0.01125",
            "thoughts told by the total alone",
        ),
        (
            "gemini-2.5-pro",
            {"candidatesTokenCount": 1000, "totalTokenCount": 2000},
            {},
            "0.01125",
            "a prompt told by the total alone",
        ),
        # modalities
        (
            "gemini-2.5-flash",
            usage(1000, promptTokensDetails=kinds(audio=1000)),
            {},
            "0.001",
            f"3.3x: {PRICES}",
        ),
        (
            "gemini-3-flash-preview",
            usage(1000, promptTokensDetails=kinds(audio=1000)),
            {},
            "0.001",
            f"2x: {PRICES}",
        ),
        (
            "gemini-3.1-flash-lite",
            usage(1000, promptTokensDetails=kinds(audio=1000)),
            {},
            "0.0005",
            f"2x: {PRICES}",
        ),
        (
            "gemini-3.5-flash",
            usage(1000, promptTokensDetails=kinds(audio=1000)),
            {},
            "0.0015",
            f"one rate: {PRICES}",
        ),
        (
            "gemini-2.5-flash",
            usage(1000, promptTokensDetails=kinds(text=400, image=600)),
            {},
            "0.0003",
            PRICES,
        ),
        (
            "gemini-2.5-flash",
            usage(
                1000,
                cachedContentTokenCount=500,
                promptTokensDetails=kinds(text=200, audio=800),
                cacheTokensDetails=kinds(text=100, audio=400),
            ),
            {},
            "0.000473",
            f"100 x 0.3 + 400 x 1 + 100 x 0.03 + 400 x 0.1: {PRICES}",
        ),
        (
            "gemini-2.5-flash-image",
            usage(0, 1290, candidatesTokensDetails=kinds(image=1290)),
            {},
            "0.0387",
            PRICES,
        ),
        (
            "gemini-3-pro-image-preview",
            usage(0, 1220, candidatesTokensDetails=kinds(image=1120), thoughtsTokenCount=100),
            {},
            "0.1368",
            f"1120 x 120 + 200 x 12, image out 10x text: {PRICES}",
        ),
        # long context
        ("gemini-2.5-pro", usage(200_000, 1000), {}, "0.26", f"exactly 200,000 is short: {PRICES}"),
        ("gemini-2.5-pro", usage(200_001, 1000), {}, "0.5150025", f"all tokens: {PRICES}"),
        ("gemini-3.1-pro-preview", usage(200_000, 1000), {}, "0.412", f"exactly 200,000 is short: {PRICES}"),
        ("gemini-3.1-pro-preview", usage(200_001, 1000), {}, "0.818004", f"all tokens: {PRICES}"),
        (
            "gemini-2.5-pro",
            usage(200_000, 0, toolUsePromptTokenCount=10),
            {},
            "0.2500125",
            "promptTokenCount alone",
        ),
        # tiers
        ("gemini-2.5-flash", usage(1000, 1000), header("flex"), "0.0014", f"0.5x: {LITELLM}, {PRICES}"),
        ("gemini-2.5-flash", usage(1000, 1000), header("priority"), "0.00504", f"1.8x: {LITELLM}, {PRICES}"),
        ("gemini-3.7-flash", usage(1000, 1000), header("priority"), "0.0081", f"1.8x: {LITELLM}, {PRICES}"),
        ("gemini-2.5-flash", usage(1000, 1000, trafficType="ON_DEMAND_PRIORITY"), {}, "0.00504", "Vertex"),
        ("gemini-2.5-flash", usage(1000, 1000, trafficType="ON_DEMAND"), {}, "0.0028", "Vertex"),
        ("gemini-2.5-flash", usage(1000, 1000, serviceTier="standard"), {}, "0.0028", "told in the usage"),
        # batch
        ("gemini-2.5-pro", usage(1000, 1000), {"batch": True}, "0.005625", f"0.5x: {PRICES}"),
        (
            "gemini-2.5-pro",
            usage(1000, 0, cachedContentTokenCount=1000),
            {"batch": True},
            "0.000125",
            f"cached as standard: {GENAI}",
        ),
        (
            "gemini-3.1-flash-lite",
            usage(1000, 0, cachedContentTokenCount=1000),
            {"batch": True},
            "0.0000125",
            f"cached halved: {GENAI}",
        ),
        ("gemini-3.5-flash", usage(1000, 1000), {"batch": True}, "0.00525", LITELLM),
        ("gemini-3.7-flash", usage(1000, 1000), {"batch": True}, "0.00225", LITELLM),
        ("gemini-robotics-er-2-preview", usage(1000, 1000), {"batch": True}, "0.003", LITELLM),
        # scheduled rises
        ("gemini-4-argon", usage(1000, 1000), {"at": "2026-11-30"}, "0.012", f"introductory: {GENAI}"),
        ("gemini-4-argon", usage(1000, 1000), {"at": "2026-12-01"}, "0.024", f"from 2026-12-01: {GENAI}"),
        (
            "gemini-4-argon",
            usage(1000, 1000),
            {"at": "2026-12-01", **header("flex")},
            "0.012",
            "0.5x then too",
        ),
        (
            "gemini-1.5-flash",
            usage(1000, 0, cachedContentTokenCount=1000),
            {},
            "0.00001875",
            f"finest rate: {GENAI}",
        ),
        ("gemini-embedding-001", {"promptTokenCount": 1000}, {"api": "embeddings"}, "0.00015", GENAI),
    ],
)
def test_price(model: str, used: Any, known: Dict[str, Any], total: str, source: str) -> None:
    details = price(model, used, **known)
    assert (details.status, details.total) == ("priced", Decimal(total)), source


@pytest.mark.parametrize("model", ["gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash"])
def test_a_rise_that_is_announced_holds_from_its_day(model: str) -> None:
    # $0.75/$3.75 to the end of 2026, then $1.50/$7.50: genai-prices 0.2.3; litellm 1.109.1 has today's only
    last, first = (price(model, usage(1000, 1000), at=day) for day in ("2026-12-31", "2027-01-01"))
    assert (last.total, first.total) == (Decimal("0.0045"), Decimal("0.009"))


def test_p1_a_stream_is_billed_by_its_last_usage_alone() -> None:
    # every chunk carries a running total, and a later count can be smaller
    last = usage(1000, 90, thoughtsTokenCount=10)
    assert price("gemini-2.5-pro", [usage(1000, 5), None, usage(1000, 120), last]) == price(
        "gemini-2.5-pro", last
    )


def test_p4_a_priority_request_that_was_downgraded_is_billed_as_standard() -> None:
    asked = {"service_tier": "priority"}
    details = price("gemini-2.5-flash", usage(1000, 1000), request=asked, **header("standard"))
    assert (details.tier, details.total) == ("standard", Decimal("0.0028"))


def test_grounding_is_recorded_and_not_billed() -> None:
    # $14 or $35 per 1,000 after an allowance of the whole account: ai.google.dev/gemini-api/docs/pricing
    response = {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}]}
    details = price("gemini-2.5-pro", usage(1000, 10), response=response)
    assert details.recorded == {"grounding": 2} and "not priced" in details.notes[0]
    assert details.total == price("gemini-2.5-pro", usage(1000, 10)).total


def test_provisioned_throughput_is_prepaid() -> None:
    details = price("gemini-2.5-pro", usage(1000, 10, trafficType="PROVISIONED_THROUGHPUT"))
    assert (details.status, details.total) == ("unpriced", None)


def test_a_free_model_is_free_not_unpriced() -> None:
    details = price("gemma-3-27b-it", usage(1000, 10))
    assert (details.status, details.total) == ("free", Decimal(0))


def test_images_of_a_model_without_an_image_rate_are_unpriced() -> None:
    details = price("gemini-2.5-pro", usage(0, 100, candidatesTokensDetails=kinds(image=100)))
    assert (details.status, details.unpriced) == ("unpriced", ("image_out",))


@pytest.mark.parametrize(
    "used",
    [
        usage(100, 0, cachedContentTokenCount=101),
        usage(100, 10, candidatesTokensDetails=kinds(image=11)),
        usage(100, 0, promptTokensDetails=kinds(audio=101)),
        usage(100, 0, promptTokensDetails=kinds(audio=10), cacheTokensDetails=kinds(audio=20)),
        usage(100, -1),
    ],
)
def test_counts_that_contradict_each_other_are_not_priced(used: Any) -> None:
    details = price("gemini-2.5-flash", used)
    assert (details.status, details.total, details.unpriced) == ("unpriced", None, ("invalid_usage",))
