"""Builds the price table's entries: genai-prices first, then the overlay, then what litellm alone has.

Every step is a plain function over entries ``{"names", "verified", "periods"}``; the same inputs give the
same table, byte for byte.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Iterator

from price_sources import order, text

Entry = dict[str, Any]
Entries = dict[str, Entry]
Overlay = dict[str, Any]

_SNAPSHOT = re.compile(r"(\d{4}-\d{2}-\d{2}|-\d{4}|-latest|-\d{2}-\d{2,4}|-\d{3})$")


def build(genai: dict[str, Entries], litellm: dict[str, Entries], overlay: Overlay) -> dict[str, Any]:
    """Build the ``providers`` part of the table.

    Args:
        genai: What ``read_genai`` gave, by provider.
        litellm: What ``read_litellm`` gave.
        overlay: ``overlay.json``.

    Returns:
        The providers with their models, in a fixed order.
    """
    providers = {}
    for provider, facts in overlay["providers"].items():
        providers[provider] = dict(facts)
        if provider in genai:
            entries = dict(genai[provider])
            _drop(provider, entries, overlay)
            _add_models_from_litellm(provider, entries, litellm[provider], overlay)
            _edit(provider, entries, overlay)
            _add_from_litellm(entries, litellm[provider], overlay["from_litellm"][provider])
            _halve_batch(provider, entries, overlay)
            for entry in entries.values():
                _scale_tiers(entry, overlay["scaled_tiers"][provider])
            models = {name: _finish(provider, entries[name]) for name in sorted(entries)}
            providers[provider]["models"] = models
    return providers


def edits(provider: str, overlay: Overlay, part: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The overlay's edits of one provider, one model at a time."""
    for edit in overlay[part]:
        if edit["provider"] == provider:
            for model in edit["models"]:
                yield edit, model


def _drop(provider: str, entries: Entries, overlay: Overlay) -> None:
    for _, pattern in edits(provider, overlay, "drop"):
        for name in [name for name in entries if fnmatchcase(name, pattern)]:
            del entries[name]
        for entry in entries.values():
            entry["names"] = [name for name in entry["names"] if not fnmatchcase(name, pattern)]


def _add_models_from_litellm(provider: str, entries: Entries, litellm: Entries, overlay: Overlay) -> None:
    for edit, model in edits(provider, overlay, "models_from_litellm"):
        prices: Entry = {name: litellm[model][name] for name in ("rates", "long") if name in litellm[model]}
        period = {"from": None, "to": None, **prices, "tiers": {}}
        dated = edit.get("dated", False)
        entries[model] = {"names": [model], "verified": None, "periods": [period], "dated": dated}


def _edit(provider: str, entries: Entries, overlay: Overlay) -> None:
    for edit, model in edits(provider, overlay, "models"):
        if "new" in edit:
            period = {"from": None, "to": None, **edit["new"], "tiers": {}}
            names = entries.get(model, {}).get("names", [model])
            entries[model] = {"names": names, "verified": None, "periods": [period]}
        entry = entries[model]
        if "rename" in edit:
            entries[edit["rename"]] = entries.pop(model)
            entry["names"] = sorted({*entry["names"], edit["rename"]})
        entry["names"] = sorted({*entry["names"], *edit.get("names", ())})
        for key in ("search_tokens", "note"):
            if key in edit:
                entry[key] = edit[key]
        if "region" in edit:
            entry["region"] = {"multiplier": edit["region"]}
        _edit_periods(entry, edit)


def _edit_periods(entry: Entry, edit: dict[str, Any]) -> None:
    for period in entry["periods"]:
        if "period" not in edit or _covers(period, edit["period"]):
            period["rates"].update(edit.get("rates", {}))
            period.get("long", {}).get("rates", {}).update(edit.get("long_rates", {}))
            if "long" in edit:
                period["long"] = edit["long"]
    if "confirmed_until" in edit:
        entry["periods"][-1]["confirmed_until"] = edit["confirmed_until"]
    if "split" in edit:
        last = entry["periods"][-1]
        later = {**_without_long(last), "from": edit["split"]}
        later["tiers"] = {tier: _without_long(price) for tier, price in last["tiers"].items()}
        entry["periods"][-1] = {**last, "to": edit["split"]}
        entry["periods"].append(later)


def _covers(period: dict[str, Any], day: str) -> bool:
    return (period["from"] or "") <= day and (period["to"] is None or day < period["to"])


def _without_long(price: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in price.items() if key != "long"}


def _add_from_litellm(entries: Entries, litellm: Entries, wanted: dict[str, Any]) -> None:
    """Take over what litellm alone has: classes, tiers and regional factors of models both know."""
    for name, entry in entries.items():
        theirs = next((litellm[alias] for alias in (name, *entry["names"]) if alias in litellm), None)
        if theirs is None:
            continue
        if wanted.get("region") and theirs["region"] and "region" not in entry:
            entry["region"] = {"multiplier": theirs["region"]}
        period = next((period for period in reversed(entry["periods"]) if _same_base(period, theirs)), None)
        if period is None:
            continue
        for tier in wanted["tiers"]:
            if tier in theirs["tiers"] and tier not in period["tiers"]:
                period["tiers"][tier] = _only(period, theirs["tiers"][tier])
        for cls in wanted.get("classes", ()):
            _add_class(entry, theirs, cls)
        _lengthen_flex(period)


def _only(period: dict[str, Any], price: dict[str, Any]) -> dict[str, Any]:
    """A tier's price without classes that the standard price does not separate."""
    known = {"rates": {cls: rate for cls, rate in price["rates"].items() if cls in period["rates"]}}
    return {**price, **known}


def _same_base(period: dict[str, Any], theirs: Entry) -> bool:
    return all(period["rates"].get(cls, "0") == theirs["rates"].get(cls, "0") for cls in ("in", "out"))


def _add_class(entry: Entry, theirs: Entry, cls: str) -> None:
    """Add a class to all prices of a model; where litellm has no history, at the same multiple of input."""
    if cls not in theirs["rates"]:
        return
    factor = Decimal(theirs["rates"][cls]) / Decimal(theirs["rates"]["in"])
    for period in entry["periods"]:
        for price in (period, *period["tiers"].values()):
            for rates in (price["rates"], price.get("long", {}).get("rates", {})):
                if "in" in rates:
                    rates.setdefault(cls, text(Decimal(rates["in"]) * factor))


def _lengthen_flex(period: dict[str, Any]) -> None:
    """Flex costs what batch costs, also for long prompts, where only batch's rates are written out."""
    flex, batch = period["tiers"].get("flex", {}), period["tiers"].get("batch", {})
    if flex and "long" not in flex and "long" in batch and flex["rates"] == batch["rates"]:
        flex["long"] = batch["long"]


def _halve_batch(provider: str, entries: Entries, overlay: Overlay) -> None:
    if overlay["half_price_batch"]["provider"] != provider:
        return
    for entry in entries.values():
        for period in entry["periods"]:
            if "cache_write" in period["rates"] and "batch" not in period["tiers"]:
                factors = dict.fromkeys(period["rates"], Decimal("0.5"))
                period["tiers"]["batch"] = _scaled(period, factors)


def _scale_tiers(entry: Entry, tiers: list[str]) -> None:
    """Carry a tier that is a fixed share of the standard rates over to periods without it."""
    for tier in tiers:
        known = next((period for period in reversed(entry["periods"]) if tier in period["tiers"]), None)
        if known is None:
            continue
        rates = known["tiers"][tier]["rates"]
        standard = {cls: Decimal(rate) for cls, rate in known["rates"].items()}
        factors = {cls: Decimal(rates[cls]) / rate for cls, rate in standard.items() if cls in rates and rate}
        if factors.get("in") != factors.get("out"):
            continue
        for period in entry["periods"]:
            if tier not in period["tiers"] and period["rates"].keys() <= factors.keys():
                period["tiers"][tier] = _scaled(period, factors)


def _scaled(price: dict[str, Any], factors: dict[str, Decimal]) -> dict[str, Any]:
    def scale(rates: dict[str, str]) -> dict[str, str]:
        return {cls: text(Decimal(rate) * factors[cls]) for cls, rate in rates.items()}

    scaled: dict[str, Any] = {"rates": scale(price["rates"])}
    if "long" in price:
        scaled["long"] = {"over": price["long"]["over"], "rates": scale(price["long"]["rates"])}
    return scaled


def _finish(provider: str, entry: Entry) -> Entry:
    """The entry with its keys in one order and nothing empty."""
    finished: Entry = {"names": sorted(set(entry["names"]))}
    # Google's versions carry no date in one of the forms that may be taken off.
    undated = any(not _SNAPSHOT.search(alias) for alias in finished["names"])
    if entry.get("dated", provider != "gemini" and undated):
        finished["dated"] = True
    for key in ("region", "search_tokens", "note", "verified"):
        if entry.get(key):
            finished[key] = entry[key]
    finished["periods"] = [_finish_period(period) for period in entry["periods"]]
    return finished


def _finish_period(period: dict[str, Any]) -> dict[str, Any]:
    finished = {"from": period["from"], "to": period["to"], "confirmed_until": period.get("confirmed_until")}
    finished.update(_finish_price(period))
    tiers = {tier: _finish_price(period["tiers"][tier]) for tier in sorted(period.get("tiers", {}))}
    return {**finished, "tiers": tiers} if tiers else finished


def _finish_price(price: dict[str, Any]) -> dict[str, Any]:
    finished: dict[str, Any] = {"rates": order(price["rates"])}
    if "long" in price:
        finished["long"] = {"over": price["long"]["over"], "rates": order(price["long"]["rates"])}
    return finished
