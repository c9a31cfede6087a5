"""Promise L3 of the page: a server adds it up itself, and it is the page that a file makes, to the last digit."""

from __future__ import annotations

import random
import re
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

from llm_orchestrator import CostTracker
from llm_orchestrator.usage.budgets import make_limits, month_budget
from llm_orchestrator.usage.database import open_database, page_sums
from llm_orchestrator.usage.database.importing import import_csv
from llm_orchestrator.usage.page import cube
from tests.support.ledgers import made_up, row, write

START = datetime(2026, 9, 1, tzinfo=timezone.utc)
CHOICES: Dict[str, List[Any]] = {
    "model": ["m", "n", "", "É"],
    "requested_model": ["", "m", "other"],
    "status": ["ok", "", "error", "interrupted", "cancelled"],
    "cost": ["", "0", "0.25", "0.0000000001"],
    "estimated_cost": ["", "", "0.05"],
    "usage_status": ["reported", "estimated", "missing", ""],
    "price_status": ["priced", "partial", "stale", "", "unpriced"],
    "prompt_tokens": ["", "0", "10", "99"],
    "completion_tokens": ["", "0", "7"],
    "total_tokens": ["", "0", "17"],
    "cached_tokens": ["", "0", "4", "50"],
    "cache_write_tokens": ["", "3"],
    "reasoning_tokens": ["", "2", "9"],
    "latency": ["", "0", "0.1", "1", "12.5", "40000000", "nan"],
    "time_to_first_token": ["", "0.001", "0.5"],
    "counts": [
        *(
            "",
            "in=10",
            "in=3 cache_read=7 out=2",
            "cache_read=7 cache_write=100 cache_write_1h=5 cache_write_12h=1",
        ),
        *("in:long=5 cache_read:long=7", "cache_read=seven", "cache_read=0", "uncache_read=4 cache_reads=2"),
    ],
    "rates": [
        "",
        "in=2 cache_read=0.2 cache_write=2.5 out=8",
        "in:long=4 in=2 cache_read:long=0.4 cache_read=0.1",
    ],
    "multiplier": ["", "1", "1.1"],
    "discount": ["", "1", "0.93"],
    "tags": ["", '{"customer": "acme", "team": "a"}', '{"customer": ""}', '{"a\'b%(x)s": "c:d"}', "{broken"],
}


def odd_rows(number: int) -> Iterator[Dict[str, str]]:
    """Calls with whatever a ledger may hold, one in three of several requests."""
    chance = random.Random(5)
    for place in range(number):
        cells = {name: chance.choice(values) for name, values in CHOICES.items()}
        cells["timestamp"] = (START + place * timedelta(hours=3, minutes=7)).isoformat()
        kinds = [(f"alone-{place}", "1", "true"), ("", "1", ""), ("", "", ""), ("", "", "true")]
        if place // 3 % 3 == 0:  # one call of three requests, which may never end
            kinds = [
                (
                    f"call-{place // 3}",
                    str(place % 3 + 1),
                    chance.choice(["true", ""]) if place % 3 == 2 else "false",
                )
            ]
        cells["call_id"], cells["attempt"], cells["final"] = chance.choice(kinds)
        yield row(**cells)


def in_time(rows: Any) -> Iterator[Dict[str, str]]:
    """The rows at moments of their own, which databases put them in order by."""
    for place, cells in enumerate(sorted(rows, key=lambda cells: cells["timestamp"])):
        whole, zone = cells["timestamp"][: len("2026-11-01T00:00:00")], cells["timestamp"][-6:]
        yield {**cells, "timestamp": f"{whole}.{place:06}{zone}"}


@pytest.fixture
def pages(place: Dict[str, Any], tmp_path: Path) -> Iterator[Any]:
    """Makes the page of some rows from a file, and from a database with the same rows."""
    if not place:
        pytest.skip("a file is what the others are compared with")
    trackers: List[CostTracker] = []

    def make(rows: Any, budget: Any = None, **selection: Any) -> List[str]:
        if not trackers:
            write(tmp_path / "costs.csv", in_time(rows))
            with closing(open_database(place["database_url"], place["spool_path"])) as ledger:
                assert import_csv(ledger.writer, tmp_path / "costs.csv").broken == 0
            trackers.extend([CostTracker(log_path=tmp_path / "costs.csv"), CostTracker(**place)])
        found = [tracker.get_usage_report(**selection).to_html(budget=budget) for tracker in trackers]
        return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "", page) for page in found]

    yield make
    for tracker in trackers:
        tracker.close()


@pytest.mark.parametrize("rows", [lambda: odd_rows(600), lambda: made_up(600, days=60)], ids=["odd", "usual"])
def test_l3_a_page_is_the_same_wherever_it_is_added_up(rows: Any, pages: Any) -> None:
    limits = make_limits({"month": 5, "timezone": "Asia/Tokyo", "month_starts_on": 11}, None)
    of_file, of_database = pages(rows(), month_budget(limits, {}))
    assert of_database == of_file and "saved by caching" in of_file
    for selection in ({"tags": {"customer": "acme"}}, {"start_date": date(2026, 10, 5)}, {"model": "m"}):
        of_file, of_database = pages(None, **selection)
        assert of_database == of_file


def test_l3_a_page_drawn_together_is_the_same_too(pages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cube, "MOST_CELLS", 60)
    monkeypatch.setattr(cube, "MOST_MODELS", 2)
    of_file, of_database = pages(odd_rows(600))
    assert of_database == of_file and '"unit":"day"' not in of_file


def test_a_server_sends_sums_in_place_of_rows(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"database_url": postgres_url, "spool_path": tmp_path}
    path = write(tmp_path / "costs.csv", made_up(300))
    with closing(open_database(**{"url": postgres_url, "spool_path": tmp_path})) as ledger:
        rows = import_csv(ledger.writer, path).rows
    sent: List[Any] = []
    streamed = page_sums.streamed

    def noted(*arguments: Any) -> Any:
        for cells in streamed(*arguments):
            sent.append(cells)
            yield cells

    monkeypatch.setattr(page_sums, "streamed", noted)
    with closing(CostTracker(**place)) as tracker:
        tracker.get_usage_report().to_html()
    assert 0 < len(sent) < rows / 10
