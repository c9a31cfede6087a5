"""What must hold before a new price table is accepted: it agrees with its sources, its past is unchanged."""

from __future__ import annotations

import re
from typing import Any, Iterator

from price_sources import LITELLM_MODES

Rates = dict[tuple[str, str, str], str]
Difference = dict[str, Any]

_DATE_SUFFIX = re.compile(r"-\d{8}$|-\d{4}-\d{2}-\d{2}$")


def compare(
    providers: dict[str, Any], litellm: dict[str, Any], day: str
) -> tuple[list[Difference], int, int]:
    """Compare every rate of one day with litellm's.

    Args:
        providers: The ``providers`` part of the new table.
        litellm: What ``read_litellm`` gave.
        day: The day whose prices are compared, ``YYYY-MM-DD``.

    Returns:
        The differences (a rate missing on our side is ``None``; a model is one with ``class: "*"``), the
        number of rates that agree, and the number of rates that litellm does not have.
    """
    differences, same, only_ours = [], 0, 0
    for provider, models in litellm.items():
        names = _names(providers[provider])
        for model, theirs in models.items():
            entry = names.get(model) or _dated(names, model)
            if entry is None:
                if theirs["mode"] in LITELLM_MODES and theirs["rates"]:
                    rate = theirs["rates"].get("in")
                    differences.append(_difference(provider, model, ("", "", "*"), None, rate))
                continue
            ours, told = _flat(_on(entry, day), entry.get("region")), _flat(theirs, theirs.get("region"))
            same += sum(1 for key, rate in told.items() if ours.get(key) == rate)
            only_ours += len(ours.keys() - told.keys())
            for key in sorted(told):
                if ours.get(key) != told[key] and not _is_implied(key, ours, told):
                    differences.append(_difference(provider, model, key, ours.get(key), told[key]))
    return differences, same, only_ours


def compare_with_genai(
    providers: dict[str, Any], genai: dict[str, Any], day: str
) -> tuple[list[Difference], int, list[str]]:
    """Compare every rate of every period with genai-prices'.

    Args:
        providers: The ``providers`` part of the new table.
        genai: What ``read_genai`` gave, by provider.
        day: The day of the new table, ``YYYY-MM-DD``.

    Returns:
        The differences, the number of rates that agree, and the models the table leaves out.
    """
    differences, same, left_out = [], 0, []
    for provider, models in genai.items():
        names = _names(providers[provider])
        for model, theirs in models.items():
            if model not in names:
                left_out.append(f"{provider}/{model}")
                continue
            for period in theirs["periods"]:
                ours = _flat(_on(names[model], day if _covers(period, day) else period["from"] or ""))
                for key, rate in sorted(_flat(period).items()):
                    same += ours.get(key) == rate
                    if ours.get(key) != rate:
                        found = _difference(provider, model, key, ours.get(key), rate)
                        found["genai-prices"] = found.pop("litellm")
                        differences.append({**found, "from": period["from"]})
    return differences, same, left_out


def _names(data: dict[str, Any]) -> dict[str, Any]:
    return {name: entry for entry in data["models"].values() for name in entry["names"]}


def _dated(names: dict[str, Any], model: str) -> dict[str, Any] | None:
    entry = names.get(_DATE_SUFFIX.sub("", model))
    return entry if entry and entry.get("dated") else None


def _on(entry: dict[str, Any], day: str) -> dict[str, Any]:
    return next(period for period in reversed(entry["periods"]) if _covers(period, day))


def _covers(period: dict[str, Any], day: str) -> bool:
    return (period["from"] or "") <= day and (period["to"] is None or day < period["to"])


def _flat(price: dict[str, Any], region: Any = None) -> Rates:
    """Every rate of a price by tier, prompt length and class, the surcharge of its regions among them."""
    rates: Rates = {}
    if region:
        rates["", "", "region"] = region["multiplier"] if isinstance(region, dict) else region
    for tier, part in [("", price), *price.get("tiers", {}).items()]:
        for cls, rate in part["rates"].items():
            rates[tier, "", cls] = rate
        for cls, rate in part.get("long", {}).get("rates", {}).items():
            rates[tier, f"over {part['long']['over']}", cls] = rate
    return rates


def _is_implied(key: tuple[str, str, str], ours: Rates, told: Rates) -> bool:
    """Tell whether litellm spells out what our table leaves to the rate of plain tokens."""
    tier, length, cls = key
    plain = ours.get((tier, length, "out" if cls.endswith("out") else "in"), "0")
    return key not in ours and told[key] == plain


def _difference(
    provider: str, model: str, key: tuple[str, str, str], ours: str | None, theirs: str | None
) -> Difference:
    tier, length, cls = key
    place = {"tier": tier, "length": length} if tier or length else {}
    return {"provider": provider, "model": model, **place, "class": cls, "ours": ours, "litellm": theirs}


def unexplained(differences: list[Difference], allowed: list[dict[str, Any]]) -> list[Difference]:
    """The differences no entry of the allow-list explains, exact values included.

    Args:
        differences: What ``compare`` and ``compare_with_genai`` found.
        allowed: ``allowed_differences.json``: differences with a ``why``.
    """
    explained = [_without_why(entry) for entry in allowed]
    return [entry for entry in differences if entry not in explained]


def exceptions(differences: list[Difference], allowed: list[dict[str, Any]]) -> Iterator[str]:
    """Tell a person which differences are known and why, and which are no longer there."""
    by_reason: dict[str, list[str]] = {}
    for entry in allowed:
        if _without_why(entry) in differences:
            by_reason.setdefault(entry["why"], []).append(_place(entry))
        else:
            yield f"no longer a difference, remove it: {_place(entry)}"
    for why, places in by_reason.items():
        yield f"known: {', '.join(places)}: {why}"


def _without_why(entry: dict[str, Any]) -> Difference:
    return {key: value for key, value in entry.items() if key != "why"}


def _place(entry: dict[str, Any]) -> str:
    details = [entry[key] for key in ("tier", "length", "class") if entry.get(key)]
    return f"{entry['provider']}/{entry['model']} {' '.join(details)}"


def keep_history(old: dict[str, Any], new: dict[str, Any], day: str) -> tuple[dict[str, Any], list[str]]:
    """Carry the past of the committed table into the new one.

    Closed periods stay as they are, byte for byte. Where the sources give a new price without saying since
    when, the old price ends and the new one begins on ``day``. Models the sources dropped stay.

    Args:
        old: The ``providers`` part of the committed table.
        new: The ``providers`` part just built.
        day: Day the new table is made, ``YYYY-MM-DD``.

    Returns:
        The new ``providers`` with the past in it, and a sentence for each place where the sources disagree
        with it.
    """
    complaints: list[str] = []
    for provider, data in old.items():
        models = new[provider].get("models", {})
        for name, entry in data.get("models", {}).items():
            if name not in models:
                models[name] = entry
                complaints.append(f"{provider}/{name}: the sources no longer list it; kept.")
            else:
                where = f"{provider}/{name}"
                periods = models[name]["periods"]
                models[name]["periods"] = _join(entry["periods"], periods, day, where, complaints)
        if models:
            new[provider]["models"] = dict(sorted(models.items()))
    return new, complaints


def _join(
    old: list[dict[str, Any]], new: list[dict[str, Any]], day: str, where: str, complaints: list[str]
) -> list[dict[str, Any]]:
    closed = [period for period in old if period["to"] is not None and period["to"] <= day]
    current = next((period for period in old if period not in closed), None)
    begin = closed[-1]["to"] if closed else None
    told_before = [period for period in new if period["to"] is not None and (begin or "") >= period["to"]]
    if told_before and told_before != closed:  # sources that tell no past contradict none
        complaints.append(f"{where}: the sources tell another past; the committed one is kept.")
    rest = [dict(period) for period in new if period not in told_before]
    if current is None or _price(current) == _price(rest[0]):
        rest[0]["from"] = begin if current is None else current["from"]
        return closed + rest
    # The price changed. Without a date from the sources the change is the day of this table.
    if rest[0]["from"] is None or rest[0]["from"] <= (current["from"] or ""):
        rest[0]["from"] = day
    return [*closed, {**current, "to": rest[0]["from"]}, *rest]


def _price(period: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in period.items() if key not in ("from", "to", "confirmed_until")}


def describe(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Tell a person what changed between two ``providers`` parts, one line for each change."""
    for provider, data in new.items():
        before, after = old.get(provider, {}).get("models", {}), data.get("models", {})
        for name in sorted(before.keys() | after.keys()):
            if name not in before:
                yield f"+ {provider}/{name}: {_summary(after[name])}"
            elif name not in after:
                yield f"- {provider}/{name}"
            elif before[name] != after[name]:
                yield f"~ {provider}/{name}: {_summary(before[name])} -> {_summary(after[name])}"


def _summary(entry: dict[str, Any]) -> str:
    parts = []
    for period in entry["periods"]:
        rates = ", ".join(f"{cls} {rate}" for cls, rate in period["rates"].items())
        tiers = f" [{', '.join(period['tiers'])}]" if "tiers" in period else ""
        parts.append(f"{period['from'] or '...'}: {rates}{tiers}")
    return "; ".join(parts)
