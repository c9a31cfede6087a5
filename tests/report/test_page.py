"""The page as text: what it shows, that nothing in a ledger becomes a part of it, and what it needs."""

from __future__ import annotations

import json
import pickle
import re
import sys
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import ConfigurationError, CostTracker
from llm_orchestrator.usage_report import UsageReport
from tests.report.ledgers import made_up, row, write

pytest.importorskip("plotly", reason="the page is an extra: make environment")

TITLES = [
    "Spend over time by model",
    "Tokens by class",
    "What caching saved",
    "Failures, retries and fallbacks",
    "Latency of answers",
    "Time to first token of streamed answers",
]
NASTY = "</script><script>alert(1)</script><img src=http://leak.invalid/x.png onerror=alert(2)>&amp;\"'"


@pytest.fixture(scope="module", autouse=True)
def drawn() -> None:
    """Load plotly once, outside the tests."""
    from llm_orchestrator.report.page import render  # noqa: F401

    CostTracker(log_path=None).get_usage_report().to_html()


class Page(HTMLParser):
    """What a browser would find in a page, its scripts left out."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: List[str] = []
        self.texts: List[str] = []
        self.links: List[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def report_of(path: Path) -> UsageReport:
    return CostTracker(log_path=path).get_usage_report()


def charts_of(page: str) -> List[Dict[str, Any]]:
    found = re.findall(r'<script type="application/json" id="figure-\d+">(.*?)</script>', page, re.DOTALL)
    return [json.loads(text) for text in found]


def without_library(page: str) -> str:
    """The page without plotly's script, which is four megabytes of other people's text."""
    return re.sub(r"<script>/\*\*\n\* plotly.*?</script>", "", page, flags=re.DOTALL)


@pytest.mark.slow
def test_a_page_shows_all_there_is(tmp_path: Path) -> None:
    path = write(tmp_path / "costs.csv", made_up(2000))
    report = report_of(path)
    page = report.to_html(tmp_path / "page.html")

    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert re.findall(r"<h2>(.*?)</h2>", page) == TITLES
    spend = charts_of(page)[0]["data"]
    assert len(spend) == 5
    assert sum(sum(bar["y"]) for bar in spend) == pytest.approx(float(report.total_cost))
    found = Page(without_library(page))
    assert "2,000" in found.texts and "By session (50)" in found.texts
    assert found.links == ["data:,"], "nothing is loaded"


@pytest.mark.slow
def test_one_row_and_none_make_a_page_too(tmp_path: Path) -> None:
    empty = report_of(write(tmp_path / "empty.csv", iter([]))).to_html()
    one = report_of(write(tmp_path / "one.csv", iter([row(cost="0.5", latency="1")]))).to_html()

    assert "There are no calls in this report yet." in empty
    assert charts_of(empty) == [] and len(empty) < 10_000
    assert re.findall(r"<h2>(.*?)</h2>", one) == ["Spend over time by model", "Latency of answers"]


@pytest.mark.slow
def test_nothing_in_a_ledger_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    cells = {"provider": NASTY, "model": NASTY, "requested_model": NASTY, "session_id": NASTY}
    tags = json.dumps({"team": NASTY})
    rows = [row(**cells, tags=tags, cost="1", latency="1", prompt_tokens=5, status="error")]
    page = report_of(write(tmp_path / "costs.csv", iter(rows))).to_html()

    found = Page(without_library(page))
    assert "img" not in found.tags and found.links == ["data:,"]
    assert found.tags.count("script") == 2 + len(charts_of(page)) - 1  # the library's was taken out
    assert NASTY in found.texts
    (bar,) = charts_of(page)[0]["data"]
    assert "<" not in bar["name"]
    assert "default-src 'none'" in page


def test_many_models_share_the_last_colour(tmp_path: Path) -> None:
    rows = [row(model=f"m{number:02}", cost=number + 1) for number in range(30)]
    page = report_of(write(tmp_path / "costs.csv", iter(rows))).to_html()

    bars = charts_of(page)[0]["data"]
    assert [bar["name"] for bar in bars] == ["m29", "m28", "m27", "m26", "m25", "m24", "m23", "all others"]
    assert len({bar["marker"]["color"] for bar in bars}) == 8
    assert sum(bars[-1]["y"]) == sum(range(1, 24))


def test_rows_that_came_since_are_not_part_of_the_page() -> None:
    tracker = CostTracker(log_path=None)
    tracker.log_usage("p", "before", {"prompt": 1, "completion": 1}, cost=Decimal(1))
    report = tracker.get_usage_report()
    tracker.log_usage("p", "later", {"prompt": 1, "completion": 1}, cost=Decimal(1))

    page = report.to_html()

    assert "before" in page and "later" not in without_library(page)


def test_a_report_copied_to_another_process_says_that_it_cannot_draw() -> None:
    report = pickle.loads(pickle.dumps(CostTracker(log_path=None).get_usage_report()))

    assert report.total_requests == 0
    with pytest.raises(ConfigurationError, match="Call to_html on the report that get_usage_report returned"):
        report.to_html()


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)

    with pytest.raises(ConfigurationError, match=r'pip install "llm-orchestrator\[report\]"'):
        CostTracker(log_path=None).get_usage_report().to_html()


def test_a_page_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        CostTracker(log_path=None).get_usage_report().to_html(tmp_path / "no" / "page.html")
    (tmp_path / "page.html").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        CostTracker(log_path=None).get_usage_report().to_html(tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
