"""The sums behind the charts: each number from rows whose sum a person can do."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.usage.columns import COLUMNS, DETAIL_COLUMNS
from llm_orchestrator.usage.ledger import Ledger
from llm_orchestrator.usage.page.figures import Durations, Figures
from tests.support.costs import EIGHT
from tests.support.ledgers import made_up, row, write


def sums(*rows: Dict[str, str]) -> Figures:
    return Figures.of([[cells[name] for name in DETAIL_COLUMNS] for cells in rows])


def test_what_caching_saved_is_the_difference_to_new_input() -> None:
    cells = {
        "counts": "in=10 cache_read=1000000 cache_write=1000000 out=5",
        "rates": "in=2 cache_read=0.5 cache_write=2.25 out=9",
    }
    found = sums(row(**cells), row(**cells, multiplier="1.1", discount="0.5"))
    assert found.models["m"].saved == Decimal("1.25") + Decimal("1.25") * Decimal("0.55")


@pytest.mark.parametrize(
    "cells",
    [
        {"counts": "cache_read=5", "rates": "cache_read=1"},
        {"counts": "cache_read=5", "rates": ""},
        {"counts": "cache_read=many", "rates": "in=2 cache_read=1"},
        {"counts": "cache_read", "rates": "in=NaN cache_read=1"},
    ],
)
def test_what_cannot_be_known_was_not_saved(cells: Dict[str, str]) -> None:
    assert sums(row(**cells)).models["m"].saved == 0


def test_a_long_prompt_is_held_against_the_rates_of_long_prompts() -> None:
    cells = {
        "counts": "in=1 cache_read:long=1000000",
        "rates": "in=1 in:long=4 cache_read:long=2",
    }
    assert sums(row(**cells)).models["m"].saved == 2


def test_failures_retries_and_fallbacks_are_told_apart_also_when_calls_interleave() -> None:
    def attempt(call: str, number: int, model: str, status: str, final: bool) -> Dict[str, str]:
        cells = {"call_id": call, "attempt": number, "requested_model": model, "model": model}
        return row(**cells, status=status, final="true" if final else "false")

    found = sums(
        attempt("one", 1, "a", "error", False),
        attempt("two", 1, "a", "ok", True),
        attempt("one", 2, "a", "error", False),
        attempt("three", 1, "b", "interrupted", True),
        attempt("one", 3, "b", "ok", True),
        attempt("four", 1, "b", "cancelled", True),
    )
    a, b = found.models["a"], found.models["b"]
    assert (a.answered, a.failed, a.left, a.retries, a.fallbacks) == (1, 2, 0, 1, 0)
    assert (b.answered, b.failed, b.left, b.retries, b.fallbacks) == (1, 0, 2, 0, 1)


def test_a_request_counts_for_the_model_that_was_asked() -> None:
    found = sums(row(model="m-2026-01-01", requested_model="m", cost="0.5"))
    assert found.models["m"].answered == 1 and found.models["m-2026-01-01"].answered == 0


def test_prices_out_of_date_and_usage_that_was_not_reported_are_noted() -> None:
    found = sums(
        row(model="old", price_status="stale", cost="0.5", total_tokens=5),
        row(model="new", price_status="unpriced", total_tokens=5),
        row(model="silent", price_status="unpriced"),
    )
    assert {name: (model.stale, model.lacks_usage) for name, model in found.models.items()} == {
        "old": (1, False),
        "new": (0, False),
        "silent": (0, True),
    }


def test_quantiles_are_right_within_a_bin() -> None:
    durations = Durations()
    for hundredth in range(1, 1001):
        durations.add(Durations.bin_of(str(hundredth / 100)))
    for share in (0.05, 0.5, 0.95, 1):
        assert durations.quantile(share) == pytest.approx(10 * share, rel=0.13)


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "0.000000", "nan", "inf", "1e999"])
def test_what_is_no_duration_is_not_counted(text: str) -> None:
    durations = Durations()
    durations.add(Durations.bin_of(text))
    assert (durations.count, durations.bins, durations.quantile(0.5)) == (0, {}, None)


def test_the_fast_reader_reads_what_the_careful_one_reads(tmp_path: Path) -> None:
    awkward: List[Dict[str, Any]] = [
        {"tags": '{"a": "x, \\"y\\""}', "finish_reason": "a,b", "latency": 1},
        {"finish_reason": "=sum()", "latency": 2},
        {"request_id": 'a"b', "latency": 3},
        {"tags": "", "price_facts": '{"a": 1}', "latency": 4},
    ]
    rows = [*made_up(50), *(row(**cells) for cells in awkward)]
    ledger = Ledger(write(tmp_path / "costs.csv", iter(rows)))
    quick = list(ledger.cells(DETAIL_COLUMNS))
    assert quick == [[cells[name] for name in DETAIL_COLUMNS] for cells in ledger.rows()]
    assert len(quick) == len(rows)


def test_a_ledger_of_an_older_version_has_fewer_figures(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(f"{EIGHT}\n2026-11-01T06:00:00+00:00,p,m,10,5,15,0.5,s\n")
    found = Figures.of(Ledger(path).cells(DETAIL_COLUMNS)).models["m"]
    assert (found.answered, found.latency.count, found.saved) == (1, 0, 0)


def test_the_records_of_a_process_without_a_ledger_are_summed_up_too() -> None:
    tracker = CostTracker(log_path=None)
    tracker.log_usage("p", "m", {"prompt": 3, "completion": 4}, cost=Decimal(1), latency=0.5, status="ok")
    cells = tracker._recorder.store.cells(wanted=DETAIL_COLUMNS)
    found = Figures.of(cells).models["m"]
    assert (found.answered, found.latency.count) == (1, 1)


def test_the_columns_of_a_page_are_the_first_ones() -> None:
    assert COLUMNS[: len(DETAIL_COLUMNS)] == DETAIL_COLUMNS
