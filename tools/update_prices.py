"""Rebuilds the price table ``llm_orchestrator/pricing/prices.json`` and says what changed.

The table is made from genai-prices (an installed package), completed and corrected by ``overlay.json``, and
checked against litellm (a downloaded package, never installed). Run it monthly and after a launch, on Python
3.11 or newer:

    pip install --upgrade genai-prices
    pip download --no-deps --dest build litellm
    python tools/update_prices.py --litellm build/litellm-*.whl --as-of 2026-11-22           # shows
    python tools/update_prices.py --litellm build/litellm-*.whl --as-of 2026-11-22 --write   # writes

It exits with 1, and writes nothing, when one of them disagrees in a way ``allowed_differences.json`` does not
explain. Closed price periods are never changed. See docs/pricing.md.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from price_build import build
from price_checks import compare, compare_with_genai, describe, exceptions, keep_history, unexplained
from price_sources import GENAI_PROVIDERS, read_genai, read_litellm

TOOLS = Path(__file__).resolve().parent
TABLE = TOOLS.parent / "llm_orchestrator" / "pricing" / "prices.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; see the module's text. Returns the exit status."""
    options = _options(arguments)
    old = json.loads(options.table.read_text(encoding="utf-8")) if options.table.exists() else None
    litellm = read_litellm(options.litellm)
    overlay = _read(TOOLS / "overlay.json")
    genai = _genai()
    providers = build(copy.deepcopy(genai), litellm, overlay)
    complaints: list[str] = []
    if old is not None:
        providers, complaints = keep_history(old["providers"], providers, options.as_of)
    before = old["providers"] if old else {}
    for line in [*describe(before, providers), *complaints]:
        print(line)
    surprises = _compared(providers, genai, litellm, options.as_of)
    for difference in surprises:
        print("unexplained:", json.dumps(difference))
    if surprises:
        print("Explain each in allowed_differences.json, or correct the overlay; nothing was written.")
        return 1
    if options.write:
        options.table.write_text(dump(_table(old, providers, options)), encoding="utf-8")
        print(f"Wrote {options.table.name}.")
    return 0


def _compared(
    providers: dict[str, Any], genai: dict[str, Any], litellm: dict[str, Any], day: str
) -> list[dict[str, Any]]:
    """Print how the table agrees with both sources; return the differences that nothing explains."""
    allowed = _read(TOOLS / "allowed_differences.json")
    differences, same, left_out = compare_with_genai(providers, genai, day)
    differing = len(differences)
    print(f"genai-prices: {same} rates agree, {differing} differ, {len(left_out)} models are left out.")
    others, same, only_ours = compare(providers, litellm, day)
    differing = len(others)
    print(f"litellm: {same} rates agree, {differing} differ or are missing here, {only_ours} are only here.")
    differences += others
    for line in exceptions(differences, allowed):
        print(line)
    for edit in _read(TOOLS / "overlay.json")["drop"]:
        print(f"left out: {edit['provider']}/{', '.join(edit['models'])}: {edit['why']}")
    return unexplained(differences, allowed)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Rebuild the price table and say what changed.")
    parser.add_argument("--litellm", required=True, help="litellm's wheel, downloaded")
    parser.add_argument("--as-of", required=True, help="day of the new table, YYYY-MM-DD")
    parser.add_argument("--write", action="store_true", help="write the table if nothing is unexplained")
    parser.add_argument("--table", type=Path, default=TABLE, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _genai() -> dict[str, Any]:
    from genai_prices.data import providers

    return {provider: read_genai(providers, provider) for provider in GENAI_PROVIDERS}


def _table(
    old: dict[str, Any] | None, providers: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    table = {
        "schema": 1,
        "version": options.as_of.replace("-", "."),
        "as_of": options.as_of,
        "currency": "USD",
        "sources": {
            "genai-prices": version("genai-prices"),
            "litellm": Path(options.litellm).name.split("-")[1],
        },
        "providers": providers,
    }
    if old is not None and old["as_of"] == options.as_of:
        table["version"] = old["version"]
        if table != old:  # a second table of one day: its rows must be told apart
            first, _, count = old["version"].partition("-")
            table["version"] = f"{first}-{int(count or 1) + 1}"
    return table


def dump(table: dict[str, Any]) -> str:
    """The table as text: one line for each price, so that a diff of two tables reads as a price list."""
    return _dump(table, "") + "\n"


def _dump(value: Any, indent: str) -> str:
    if not isinstance(value, (dict, list)) or _is_line(value):
        return json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + _dump(item, inner) for item in value) + f"\n{indent}]"
    items = (f"{inner}{json.dumps(key)}: {_dump(item, inner)}" for key, item in value.items())
    return "{\n" + ",\n".join(items) + f"\n{indent}}}"


def _is_line(value: Any) -> bool:
    """A value without a container inside, or a price with its rates and long-context rates."""
    items = value if isinstance(value, list) else value.values()
    is_price = isinstance(value, dict) and value.keys() <= {"rates", "long"}
    return is_price or not any(isinstance(item, (dict, list)) for item in items)


if __name__ == "__main__":
    sys.exit(main())
