"""The script that renews the price table: what it keeps, what it refuses, and that its output is here."""

from __future__ import annotations

import copy
import json
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict

import price_build
import price_checks
import price_sources
import pytest
import update_prices

TOOLS = Path(update_prices.__file__).parent
TABLE = json.loads(update_prices.TABLE.read_text(encoding="utf-8"))
OVERLAY = json.loads((TOOLS / "overlay.json").read_text(encoding="utf-8"))


def period(start: Any, end: Any, rate: str, **more: Any) -> Dict[str, Any]:
    return {"from": start, "to": end, "confirmed_until": None, "rates": {"in": rate, "out": "9"}, **more}


def providers(*periods: Dict[str, Any]) -> Dict[str, Any]:
    return {"openai": {"models": {"m": {"names": ["m"], "periods": list(periods)}}}}


def joined(old: Dict[str, Any], new: Dict[str, Any]) -> Any:
    kept, complaints = price_checks.keep_history(copy.deepcopy(old), copy.deepcopy(new), "2026-12-22")
    return kept["openai"]["models"]["m"]["periods"], complaints


def test_closed_periods_stay_byte_for_byte() -> None:
    past = period(None, "2026-01-01", "7", note="as it was")
    periods, complaints = joined(
        providers(past, period("2026-01-01", None, "2")),
        providers(period(None, "2026-01-01", "8"), period("2026-01-01", None, "2")),
    )
    assert json.dumps(periods[0]) == json.dumps(past)
    assert periods[1] == period("2026-01-01", None, "2")
    assert "another past" in complaints[0]


def test_a_new_price_without_a_date_begins_on_the_tables_day() -> None:
    periods, _ = joined(providers(period(None, None, "2")), providers(period(None, None, "1")))
    assert periods == [period(None, "2026-12-22", "2"), period("2026-12-22", None, "1")]


def test_a_new_price_with_a_date_begins_on_it() -> None:
    new = providers(period(None, "2026-12-01", "2"), period("2026-12-01", None, "1"))
    periods, complaints = joined(providers(period(None, None, "2")), new)
    assert periods == [period(None, "2026-12-01", "2"), period("2026-12-01", None, "1")]
    assert complaints == []


def test_an_unchanged_price_keeps_its_beginning() -> None:
    old = providers(period(None, "2026-05-01", "3"), period("2026-05-01", None, "2"))
    periods, _ = joined(old, providers(period(None, None, "2")))
    assert periods == old["openai"]["models"]["m"]["periods"]


def test_a_model_the_sources_drop_is_kept() -> None:
    old = providers(period(None, None, "2"))
    kept, complaints = price_checks.keep_history(old, {"openai": {"models": {}}}, "2026-12-22")
    assert kept == old and "no longer list" in complaints[0]


def test_a_difference_is_explained_only_with_its_exact_values() -> None:
    theirs = {
        "m": {"mode": "chat", "rates": {"in": "3"}, "tiers": {}},
        "n": {"mode": "chat", "rates": {"in": "1"}, "tiers": {}},
    }
    found, same, only_ours = price_checks.compare(
        providers(period(None, None, "2")), {"openai": theirs}, "2026-11-22"
    )
    assert [(entry["model"], entry["class"]) for entry in found] == [("m", "in"), ("n", "*")]
    assert (same, only_ours) == (0, 1)
    allowed = [{**found[0], "why": "known"}, {**found[1], "litellm": "2", "why": "known at another price"}]
    assert price_checks.unexplained(found, allowed) == [found[1]]
    assert list(price_checks.exceptions(found, allowed)) == [
        "no longer a difference, remove it: openai/n *",
        "known: openai/m in: known",
    ]


def test_another_threshold_or_surcharge_is_a_difference() -> None:
    def with_long(over: int) -> Dict[str, Any]:
        return {"mode": "chat", "rates": {}, "long": {"over": over, "rates": {"in": "4"}}, "tiers": {}}

    ours = providers(period(None, None, "2", long=with_long(200_000)["long"]))
    ours["openai"]["models"]["m"]["region"] = {"multiplier": "1.1"}
    theirs = {**with_long(272_000), "region": "1.2"}
    found, same, _ = price_checks.compare(ours, {"openai": {"m": theirs}}, "2026-11-22")
    assert [(entry["class"], entry["ours"], entry["litellm"]) for entry in found] == [
        ("region", "1.1", "1.2"),
        ("in", None, "4"),
    ]
    assert (found[1]["length"], same) == ("over 272000", 0)


def test_every_period_is_compared_with_genai_prices() -> None:
    ours = providers(period(None, "2026-05-01", "3"), period("2026-05-01", None, "2"))
    told = {"periods": [period(None, "2026-05-01", "7"), period("2026-05-01", None, "2")]}
    found, same, left_out = price_checks.compare_with_genai(
        ours, {"openai": {"m": told, "gone": told}}, "2026-11-22"
    )
    assert found == [
        {"provider": "openai", "model": "m", "class": "in", "ours": "3", "genai-prices": "7", "from": None}
    ]
    assert (same, left_out) == (3, ["openai/gone"])


def wheel(folder: Path, models: Dict[str, Any]) -> str:
    path = folder / "litellm-9.9.9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("litellm/model_prices_and_context_window_backup.json", json.dumps(models))
    return str(path)


def test_litellms_keys_become_classes_tiers_and_long_rates(tmp_path: Path) -> None:
    model = {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 2e-06,
        "cache_creation_input_token_cost_above_12hr_above_272k_tokens_flex": 5e-06,
        "output_cost_per_token_batches": 6.25e-07,
        "regional_processing_uplift_multiplier_us": 1.1,
    }
    models = {"m": model, "ft:m": model, "x": {"litellm_provider": "cohere"}}
    assert price_sources.read_litellm(wheel(tmp_path, models))["openai"] == {
        "m": {
            "mode": "chat",
            "region": "1.1",
            "rates": {"in": "2"},
            "tiers": {
                "flex": {"rates": {}, "long": {"over": 272000, "rates": {"cache_write_12h": "5"}}},
                "batch": {"rates": {"out": "0.625"}},
            },
        }
    }


def test_genai_prices_periods_carry_the_tiers_checked_in_them() -> None:
    def prices(**rates: str) -> SimpleNamespace:
        return SimpleNamespace(**{f"{name}_mtok": Decimal(rate) for name, rate in rates.items()})

    def since(day: str) -> SimpleNamespace:
        return SimpleNamespace(start_date=SimpleNamespace(isoformat=lambda: day))

    long = SimpleNamespace(base=Decimal(2), tiers=[SimpleNamespace(start=1000, price=Decimal(4))])
    model = SimpleNamespace(
        id="m",
        match=SimpleNamespace(),
        price_comments=None,
        prices=[
            SimpleNamespace(constraint=None, prices=prices(input="3", output="9")),
            SimpleNamespace(
                constraint=since("2026-05-01"),
                prices=SimpleNamespace(input_mtok=long, output_mtok=Decimal(9)),
            ),
        ],
        price_variants=[
            SimpleNamespace(
                when={"processing": "batch"}, constraint=since("2026-10-14"), prices=prices(input="1")
            )
        ],
    )
    entry = price_sources.read_genai([SimpleNamespace(id="openai", models=[model])], "openai")["m"]
    assert entry["periods"] == [
        {"from": None, "to": "2026-05-01", "rates": {"in": "3", "out": "9"}, "tiers": {}},
        {
            "from": "2026-05-01",
            "to": None,
            "rates": {"in": "2", "out": "9"},
            "long": {"over": 1000, "rates": {"in": "4", "out": "9"}},
            "tiers": {"batch": {"rates": {"in": "1", "out": "9"}}},
        },
    ]


def test_every_edit_and_every_allowed_difference_says_why() -> None:
    allowed = json.loads((TOOLS / "allowed_differences.json").read_text(encoding="utf-8"))
    parts = [*OVERLAY["models"], *OVERLAY["drop"], *OVERLAY["models_from_litellm"], *allowed]
    assert all(part["why"] for part in parts)


def test_the_committed_table_is_what_the_script_writes() -> None:
    assert update_prices.dump(TABLE) == update_prices.TABLE.read_text(encoding="utf-8")
    assert TABLE["version"].startswith(TABLE["as_of"].replace("-", "."))


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="the script runs on 3.11 or newer")
def test_a_rebuild_gives_the_committed_table_again(tmp_path: Path) -> None:
    data = pytest.importorskip("genai_prices.data")
    from importlib.metadata import version

    if version("genai-prices") != TABLE["sources"]["genai-prices"]:
        pytest.skip("another release of genai-prices than the table's is installed")
    genai = {name: price_sources.read_genai(data.providers, name) for name in price_sources.GENAI_PROVIDERS}
    once, again = (
        price_build.build(copy.deepcopy(genai), _litellm_of_the_table(), OVERLAY) for _ in range(2)
    )
    assert once == again
    kept, complaints = price_checks.keep_history(TABLE["providers"], again, TABLE["as_of"])
    assert complaints == []
    for provider, entries in genai.items():
        shared = entries.keys() & kept[provider]["models"].keys()
        assert len(shared) > 20
        for name in shared:
            ours = kept[provider]["models"][name]["periods"][-1]["rates"]
            told = entries[name]["periods"][-1]["rates"]
            if not _corrected(provider, name):
                assert {cls: ours[cls] for cls in told} == told, name


def _litellm_of_the_table() -> Dict[str, Any]:
    """What litellm told, read back from the committed table: tests install no litellm."""
    entries: Dict[str, Any] = {}
    for provider in price_sources.GENAI_PROVIDERS:
        entries[provider] = {}
        for entry in TABLE["providers"][provider]["models"].values():
            current = next(p for p in reversed(entry["periods"]) if (p["from"] or "") <= TABLE["as_of"])
            region = entry.get("region", {}).get("multiplier")
            told = {"mode": "chat", "region": region, "tiers": {}, **copy.deepcopy(current)}
            entries[provider].update((name, copy.deepcopy(told)) for name in entry["names"])
    return entries


def _corrected(provider: str, name: str) -> bool:
    edits = price_build.edits(provider, OVERLAY, "models")
    return any(model == name and ("rates" in edit or "new" in edit) for edit, model in edits)


def test_the_script_refuses_what_it_cannot_explain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(update_prices, "_genai", dict)
    built = {"anthropic": {"models": {}}, "gemini": {"models": {}}, **providers(period(None, None, "2"))}
    monkeypatch.setattr(update_prices, "build", lambda *_: copy.deepcopy(built))
    monkeypatch.setattr(update_prices, "version", lambda _: "1")
    told = {"m": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 3e-06}}
    table = tmp_path / "prices.json"
    options = ["--litellm", wheel(tmp_path, told), "--as-of", "2026-11-22", "--write", "--table", str(table)]
    assert update_prices.main(options) == 1
    assert not table.exists() and "unexplained" in capsys.readouterr().out
    told["m"]["input_cost_per_token"] = 2e-06
    wheel(tmp_path, told)
    assert update_prices.main(options) == 0
    assert "+ openai/m" in capsys.readouterr().out
    written = table.read_text(encoding="utf-8")
    assert json.loads(written)["version"] == "2026.11.22"
    assert update_prices.main(options) == 0 and table.read_text(encoding="utf-8") == written


def test_a_second_table_of_one_day_has_its_own_version() -> None:
    options = SimpleNamespace(as_of="2026-11-22", litellm="litellm-1.0-py3-none-any.whl")
    old = {"as_of": "2026-11-22", "version": "2026.11.22", "providers": {}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update_prices, "version", lambda _: "1")
        assert update_prices._table(old, providers(), options)["version"] == "2026.11.22-2"
