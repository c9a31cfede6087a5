"""Rows and sums for other programs: real types, Arrow tables, Parquet files, and what happens without pyarrow."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Iterator

import pytest

from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.types import TokenUsage
from llm_orchestrator.usage import arrow
from llm_orchestrator.usage.columns import COLUMNS
from tests.support.costs import TOKENS, make, read
from tests.support.ledgers import made_up, row, write

NOON = datetime(2026, 11, 1, 12, 0, 0, 250, tzinfo=timezone.utc)
MISSING = r'need pyarrow\. Run: pip install "llm-orchestrator\[arrow\]"'


@pytest.fixture
def pyarrow() -> Any:
    return pytest.importorskip("pyarrow", reason="Arrow tables are an extra: make environment")


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[CostTracker]:
    """Two calls: one with everything, one of which next to nothing is known."""
    tracker = make(tmp_path / "costs.csv")
    price = Decimal("0.00000000000012345678")
    usage = TokenUsage(10, 5, 15, raw={"in": 10})
    tracker.log_usage("p", "a", usage, cost=price, tags={"customer": "acme"}, timestamp=NOON, latency=0.5)
    tracker.log_usage("p", "b", None)
    yield tracker
    tracker.close()


def test_dicts_hold_what_the_cells_mean(tracker: CostTracker) -> None:
    known, unknown = tracker.to_dicts()

    assert (known["timestamp"], known["timestamp"].tzinfo) == (NOON, timezone.utc)
    assert (known["cost"], type(known["cost"])) == (Decimal("0.00000000000012345678"), Decimal)
    assert (known["total_tokens"], known["latency"], known["final"]) == (15, 0.5, True)
    assert known["tags"] == {"customer": "acme"}
    assert (unknown["cost"], unknown["total_tokens"], unknown["tags"]) == (None, None, None)


def test_a_moment_in_another_zone_is_the_same_in_utc(tmp_path: Path) -> None:
    path = write(
        tmp_path / "costs.csv",
        iter([row(timestamp="2026-11-01T13:00:00+02:00", price_from="2026-01-01"), row(price_from="new")]),
    )
    first, second = CostTracker(log_path=path).to_dicts()

    assert first["timestamp"].isoformat() == "2026-11-01T11:00:00+00:00"
    assert (first["price_from"], second["price_from"]) == (date(2026, 1, 1), "new")


def test_json_lines_write_moments_and_money_as_the_ledger_does(tracker: CostTracker, tmp_path: Path) -> None:
    assert tracker.export_to_jsonl(tmp_path / "costs.jsonl") == 2
    lines = [json.loads(line) for line in (tmp_path / "costs.jsonl").read_text().splitlines()]

    for line, cells in zip(lines, read(tmp_path / "costs.csv")):
        assert (line["timestamp"], line["cost"] or "") == (cells["timestamp"], cells["cost"])


def test_a_row_of_a_table_is_the_row_of_the_ledger(pyarrow: Any, tracker: CostTracker) -> None:
    table = tracker.to_arrow()

    assert tuple(table.column_names) == COLUMNS
    known, unknown = table.to_pylist()
    assert (known["timestamp"], known["cost"]) == (NOON, Decimal("0.00000000000012345678"))
    assert (known["tags"], known["total_tokens"]) == ([("customer", "acme")], 15)
    assert (unknown["cost"], unknown["latency"], unknown["tags"]) == (None, None, None)
    assert tracker.to_arrow(model="a").num_rows == 1
    assert tracker.to_arrow(date(2030, 1, 1)).schema == table.schema, "also where there are no rows"


def test_a_parquet_file_is_the_table(pyarrow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    monkeypatch.setattr(arrow, "BATCH", 7)
    tracker = CostTracker(log_path=write(tmp_path / "costs.csv", made_up(50)))
    rows = tracker.export_to_parquet(tmp_path / "costs.parquet")
    table = parquet.read_table(tmp_path / "costs.parquet")

    assert rows == table.num_rows == tracker.to_arrow().num_rows > 49
    assert table.to_pylist() == tracker.to_arrow().to_pylist()
    assert sum(table["cost"].to_pylist()) == tracker.get_usage_report().total_cost
    assert tracker.export_to_parquet(tmp_path / "costs.parquet", model="nobody's") == 0
    assert parquet.read_table(tmp_path / "costs.parquet").schema.equals(table.schema)


def test_sums_are_a_table_too(pyarrow: Any, tracker: CostTracker) -> None:
    report = tracker.get_usage_report()

    assert report.to_arrow("model").to_pylist() == report.to_dicts("model")
    assert report.to_arrow(["tag:customer", "model"]).to_pylist() == report.to_dicts(
        ["tag:customer", "model"]
    )
    assert report.to_arrow().num_rows == len(report.to_dicts())


def test_what_a_hand_wrote_into_the_file_is_null(pyarrow: Any, tmp_path: Path) -> None:
    wrong = row(latency="long", status_code=10**30, fees="NaN", tags="none", usage_raw="{", discount="1E+90")
    (cells,) = CostTracker(log_path=write(tmp_path / "costs.csv", iter([wrong]))).to_arrow().to_pylist()

    assert {name for name in wrong if wrong[name] and cells[name] is None} == set(
        "latency status_code fees tags discount".split()
    )
    assert cells["usage_raw"] == '"{"'


def test_money_beyond_twenty_places_is_rounded_there(pyarrow: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "costs.csv", iter([row(cost="0.000000000000000000016")]))
    (cells,) = CostTracker(log_path=path).to_arrow().to_pylist()
    assert cells["cost"] == Decimal("0.00000000000000000002")


def test_pandas_and_a_ledger_are_one_line(pyarrow: Any, tracker: CostTracker) -> None:
    pandas = pytest.importorskip("pandas", reason="not an extra of ours")

    frame = pandas.DataFrame(tracker.to_dicts())
    assert str(frame["timestamp"].dtype).endswith("UTC]")
    assert list(tracker.to_arrow().to_pandas()["total_tokens"].dropna()) == [15]


def test_without_pyarrow_the_remedy_is_named(
    tracker: CostTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    for needs_it in (
        tracker.to_arrow,
        tracker.get_usage_report().to_arrow,
        lambda: tracker.export_to_parquet(tmp_path / "costs.parquet"),
    ):
        with pytest.raises(ConfigurationError, match=MISSING):
            needs_it()
    assert not (tmp_path / "costs.parquet").exists()
    assert tracker.to_dicts()[0]["total_tokens"] == TOKENS["total"]
