"""Reads the two public price collections, genai-prices and litellm, into the shape of our own price table.

Both are read as data and translated rate by rate; nothing is decided here about which of them is right. A
price is ``{"rates": {class: dollars per million tokens}, "long": {"over": tokens, "rates": {...}}}``, with
``long`` only where a long prompt costs more.
"""

from __future__ import annotations

import json
import re
import zipfile
from decimal import Decimal
from typing import Any, Iterator

Price = dict[str, Any]

#: Our name of each provider, and its name in genai-prices.
GENAI_PROVIDERS = {"anthropic": "anthropic", "gemini": "google", "openai": "openai"}

CLASSES = (
    "in",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "cache_write_12h",
    "out",
    "audio_in",
    "audio_cache_read",
    "audio_out",
    "image_in",
    "image_cache_read",
    "image_out",
    "video_in",
    "video_out",
)

GENAI_CLASSES = {
    "input_mtok": "in",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "out",
    "input_audio_mtok": "audio_in",
    "cache_audio_read_mtok": "audio_cache_read",
    "output_audio_mtok": "audio_out",
    "input_image_mtok": "image_in",
    "cache_image_read_mtok": "image_cache_read",
    "output_image_mtok": "image_out",
    "input_video_mtok": "video_in",
    "output_video_mtok": "video_out",
}

LITELLM_PROVIDERS = {
    "anthropic": "anthropic",
    "gemini": "gemini",
    "openai": "openai",
    "text-completion-openai": "openai",
}

LITELLM_CLASSES = {
    "input_cost_per_token": "in",
    "output_cost_per_token": "out",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_12h",
    "input_cost_per_audio_token": "audio_in",
    "output_cost_per_audio_token": "audio_out",
    "cache_read_input_audio_token_cost": "audio_cache_read",
    "input_cost_per_image_token": "image_in",
    "output_cost_per_image_token": "image_out",
    "cache_read_input_image_token_cost": "image_cache_read",
    "input_cost_per_video_token": "video_in",
    "output_cost_per_video_token": "video_out",
}

_LITELLM_FILE = "litellm/model_prices_and_context_window_backup.json"
_LITELLM_KEY = re.compile(
    r"(?P<name>\w+?(?:_above_12hr|_above_1hr)?)"
    r"(?:_above_(?P<over>\d+)k_tokens)?(?:_(?P<tier>batches|flex|priority|ultrafast))?"
)
#: Kinds of models whose calls are priced by tokens and come through the interfaces the library speaks.
LITELLM_MODES = ("chat", "completion", "embedding", "responses")


def text(rate: Decimal) -> str:
    """A rate as the table writes it: plain digits, no trailing zeros."""
    return format(rate.normalize(), "f")


def order(rates: dict[str, str]) -> dict[str, str]:
    """The same rates in the one order the table uses."""
    return {name: rates[name] for name in CLASSES if name in rates}


# --- genai-prices ---


def read_genai(providers: list[Any], provider: str) -> dict[str, dict[str, Any]]:
    """Translate one provider of genai-prices.

    Args:
        providers: ``genai_prices.data.providers``.
        provider: Our name of the provider.

    Returns:
        Entries of the price table by genai-prices' model id; models without a rate per token are left out.
    """
    source = next(entry for entry in providers if entry.id == GENAI_PROVIDERS[provider])
    entries = {}
    for model in source.models:
        periods = list(_genai_periods(model))
        if any(period["rates"] for period in periods):
            verified = re.findall(r"verified on (\d{4}-\d{2}-\d{2})", model.price_comments or "")
            entries[model.id] = {
                "names": sorted({model.id, *_literal_names(model.match)}),
                "verified": max(verified, default=None),
                "periods": _without_repeats(periods),
            }
    return entries


def _genai_periods(model: Any) -> Iterator[Price]:
    conditional = model.prices if isinstance(model.prices, list) else None
    starts: list[tuple[str | None, Any]] = (
        [(_start(entry.constraint), entry.prices) for entry in conditional]
        if conditional
        else [(None, model.prices)]
    )
    for position, (start, prices) in enumerate(starts):
        end = starts[position + 1][0] if position + 1 < len(starts) else None
        tiers = {}
        for variant in model.price_variants or ():
            tier = _tier_name(variant.when)
            # The day a tier was checked is no beginning: it holds for the whole period around that day.
            if tier and tier not in tiers and (end is None or (_start(variant.constraint) or "") < end):
                overrides = {name: rate for name, rate in vars(variant.prices).items() if rate is not None}
                tiers[tier] = _genai_price({**vars(prices), **overrides})
        yield {"from": start, "to": end, **_genai_price(vars(prices)), "tiers": dict(sorted(tiers.items()))}


def _start(constraint: Any) -> str | None:
    return constraint.start_date.isoformat() if constraint is not None else None


def _tier_name(when: dict[str, str]) -> str | None:
    (value,) = when.values()
    # OpenAI answers a request for "fast" with "priority"; genai-prices lists the same rates under both.
    return None if value == "default" or when == {"service_tier": "fast"} else value


def _genai_price(prices: dict[str, Any]) -> Price:
    rates, long_rates, over = {}, {}, None
    for name, cls in GENAI_CLASSES.items():
        rate = prices.get(name)
        if rate is None:
            continue
        tiers = getattr(rate, "tiers", None)
        if tiers and len(tiers) > 1:
            raise ValueError(f"genai-prices has {len(tiers)} thresholds for {name}; the table knows one.")
        rates[cls] = text(rate.base if tiers else rate)
        long_rates[cls] = text(tiers[0].price) if tiers else rates[cls]
        over = tiers[0].start if tiers else over
    price: Price = {"rates": order(rates)}
    if over is not None:
        price["long"] = {"over": over, "rates": order(long_rates)}
    return price


def _literal_names(clause: Any) -> Iterator[str]:
    """The names a matching rule spells out; what it would match beyond them is not taken over."""
    kind = type(clause).__name__
    if kind == "ClauseEquals":
        yield clause.equals
    elif kind == "ClauseStartsWith":
        yield clause.starts_with.rstrip("-@")
    elif kind == "ClauseEndsWith":
        yield clause.ends_with
    elif kind in ("ClauseOr", "ClauseAnd"):
        for part in clause.or_ if kind == "ClauseOr" else clause.and_:
            yield from _literal_names(part)


def _without_repeats(periods: list[Price]) -> list[Price]:
    """Join periods that follow each other at the same price."""
    joined: list[Price] = []
    for period in periods:
        if joined and all(joined[-1].get(key) == period.get(key) for key in ("rates", "long", "tiers")):
            joined[-1] = {**joined[-1], "to": period["to"]}
        else:
            joined.append(period)
    return joined


# --- litellm ---


def read_litellm(wheel: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Translate litellm's price file.

    Args:
        wheel: Path of litellm's package; only its price file is read, nothing of it is installed.

    Returns:
        By provider and model: ``rates``, ``long``, ``tiers``, ``region`` and ``mode`` as of the file's
            release.
    """
    with zipfile.ZipFile(wheel) as package:
        models = json.loads(package.read(_LITELLM_FILE), parse_float=Decimal)
    entries: dict[str, dict[str, dict[str, Any]]] = {provider: {} for provider in GENAI_PROVIDERS}
    for name, model in models.items():
        provider = LITELLM_PROVIDERS.get(model.get("litellm_provider"))
        short = name.removeprefix(f"{provider}/")
        # Where both spellings are listed, the one under the provider's own name is its own price.
        if provider and not short.startswith("ft:") and (short != name or short not in entries[provider]):
            entries[provider][short] = _litellm_entry(model)
    return entries


def _litellm_entry(model: dict[str, Any]) -> dict[str, Any]:
    prices: dict[str | None, Price] = {}
    for key, value in model.items():
        match = _LITELLM_KEY.fullmatch(key)
        if match is None or match["name"] not in LITELLM_CLASSES:
            continue
        tier = "batch" if match["tier"] == "batches" else match["tier"]
        price = prices.setdefault(tier, {"rates": {}})
        rate = text(Decimal(value) * 1_000_000)
        if match["over"]:
            long = price.setdefault("long", {"over": int(match["over"]) * 1000, "rates": {}})
            long["rates"][LITELLM_CLASSES[match["name"]]] = rate
        else:
            price["rates"][LITELLM_CLASSES[match["name"]]] = rate
    uplift = model.get("regional_processing_uplift_multiplier_us")
    geography = model.get("provider_specific_entry", {}).get("us")
    return {
        "mode": model.get("mode"),
        "region": text(Decimal(uplift or geography)) if uplift or geography else None,
        **prices.pop(None, {"rates": {}}),
        "tiers": prices,
    }
