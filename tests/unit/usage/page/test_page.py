"""The page as text: what it shows, that nothing in a ledger becomes a part of it, and what it needs."""

from __future__ import annotations

import json
import pickle
import re
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import ConfigurationError, CostTracker
from llm_orchestrator.usage.page import figures
from llm_orchestrator.usage.report import UsageReport
from tests.support.ledgers import made_up, row, write

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
    from llm_orchestrator.usage.page.page import render  # noqa: F401

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


def chart_of(tmp_path: Path, title: str, *rows: Dict[str, str]) -> Dict[str, Any]:
    """The chart of that title, in the page of these rows."""
    page = report_of(write(tmp_path / "costs.csv", iter(rows))).to_html()
    (figure,) = re.findall(rf"<figure><figcaption><h2>{title}</h2>.*?</figure>", page, re.DOTALL)
    return charts_of(figure)[0]


def table_of(page: str) -> List[Dict[str, str]]:
    """The cells of the table by model, by their headings."""
    table = page.partition("<table>")[2].partition("</table>")[0]
    heads = re.findall(r"<button[^>]*>(.*?)</button>", table)
    lines = re.findall(r"<tr>(<td.*?)</tr>", table)
    return [dict(zip(heads, re.findall(r"<td[^>]*>(.*?)</td>", line))) for line in lines]


@pytest.mark.parametrize(
    "costs, sentence",
    [
        (["0"], "Nothing was spent."),
        (["0", "0", ""], "Nothing was spent, as far as known: the price of 1 of 3 calls is unknown."),
        ([""], "What was spent is unknown: no price is known for 1 call."),
        (["", ""], "What was spent is unknown: no price is known for 2 calls."),
    ],
)
def test_where_nothing_was_spent_a_sentence_stands_in_place_of_the_chart(
    tmp_path: Path, costs: List[str], sentence: str
) -> None:
    rows = [row(call_id=number, cost=cost) for number, cost in enumerate(costs)]
    page = report_of(write(tmp_path / "costs.csv", iter(rows))).to_html()

    assert sentence in Page(page).texts
    assert charts_of(page) == [] and len(page) < 20_000, "plotly's script is left out where nothing is drawn"


@pytest.mark.slow
def test_the_axes_of_a_single_hour_of_spend_keep_to_it(tmp_path: Path) -> None:
    rows = [row(cost="0.5"), row(model="free", cost="0")]
    chart = chart_of(tmp_path, "Spend over time by model", *rows)

    (bar,) = chart["data"]
    (hour,) = bar["x"]
    time, money = chart["layout"]["xaxis"], chart["layout"]["yaxis"]
    assert time["tickvals"] == [f"{hour}:00:00"]
    start, end = map(datetime.fromisoformat, time["range"])
    assert end - start == timedelta(hours=3)
    assert money["rangemode"] == "nonnegative"


@pytest.mark.slow
def test_a_few_days_are_all_written_and_many_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_PERIODS", 1)
    for day, written in ((7, [f"2026-11-{day:02}T00:00:00" for day in range(2, 8)]), (20, None)):
        days = [row(timestamp=f"2026-11-{number:02}T12:00:00+00:00", cost=1) for number in (2, 3, day)]
        axis = chart_of(tmp_path, "Spend over time by model", *days)["layout"]["xaxis"]
        assert axis.get("tickvals") == written


def test_a_group_without_any_known_price_is_unknown_and_stands_last(tmp_path: Path) -> None:
    rows = [
        row(model="unpriced", call_id=1, cost=""),
        row(model="free", call_id=2, cost="0"),
        row(model="guessed", call_id=3, cost="0.5", estimated_cost="0.5"),
        row(model="half", call_id=4, cost="0.25"),
        row(model="half", call_id=5, cost=""),
        row(model="in part", call_id=6, cost="0.125", price_status="partial"),
    ]
    table = table_of(report_of(write(tmp_path / "costs.csv", iter(rows))).to_html())

    assert [(line["by model"], line["cost"], line["estimated"], line["unpriced"]) for line in table] == [
        ("half", "$0.25", "", "1"),
        ("in part", "$0.12", "", "1"),
        ("free", "$0.00", "", "0"),
        ("guessed", "$0.00", "$0.50", "0"),
        ("unpriced", "unknown", "", "1"),
    ]


def test_the_totals_are_unknown_too_and_count_in_the_singular(tmp_path: Path) -> None:
    page = report_of(write(tmp_path / "costs.csv", iter([row(cost="")]))).to_html()
    assert "<dt>spent, as reported</dt><dd>unknown</dd>" in page
    assert "<dt>estimated, 0 calls</dt>" in page and "<p>2026-11-01, made" in page

    guessed = row(cost="0.5", estimated_cost="0.5")
    page = report_of(write(tmp_path / "costs.csv", iter([guessed]))).to_html()
    assert "<dt>estimated, 1 call</dt><dd>$0.50</dd>" in page


@pytest.mark.slow
def test_calls_and_requests_are_told_apart_and_a_model_has_one_bar(tmp_path: Path) -> None:
    rows = [
        row(model="a", requested_model="a", attempt=1, final="false", status="error", cost="0"),
        row(model="a", requested_model="a", attempt=2, final="false", status="error", cost="0"),
        row(model="b", requested_model="b", attempt=3, cost="1"),
    ]
    chart = chart_of(tmp_path, "Failures, retries and fallbacks", *rows)
    counts = {bar["name"]: dict(zip(bar["y"], bar["x"])) for bar in chart["data"]}

    assert counts == {
        "failed": {"a": 2, "b": 0},
        "retries": {"a": 1, "b": 0},
        "fallbacks to it": {"a": 0, "b": 1},
    }
    assert chart["layout"]["barmode"] == "stack"
    assert chart["layout"]["xaxis"]["dtick"] == 1, "whole numbers"
    table = table_of(report_of(tmp_path / "costs.csv").to_html())
    assert [(line["by model"], line["calls"], line["requests failed"]) for line in table] == [
        ("b", "1", "0"),
        ("a", "1", "2"),
    ]


@pytest.mark.slow
def test_few_answers_are_counted_in_whole_numbers_and_many_as_plotly_likes(tmp_path: Path) -> None:
    two = chart_of(tmp_path, "Latency of answers", *[row(call_id=number, latency=1) for number in range(2)])
    assert two["layout"]["yaxis"]["dtick"] == 1
    many = chart_of(tmp_path, "Latency of answers", *[row(call_id=number, latency=1) for number in range(11)])
    assert "dtick" not in many["layout"]["yaxis"]


@pytest.mark.parametrize(
    "latencies, note",
    [
        ([1], "1 answer, about 1.1 s."),
        ([1, 1], "2 answers, about 1.1 s."),
        (
            [1, 2],
            "Half of 2 answers within 1.1 s, 95 % within 2.1 s. "
            "Each bar spans 12 % more time than the one before.",
        ),
    ],
)
def test_a_distribution_says_how_it_is_read(tmp_path: Path, latencies: List[int], note: str) -> None:
    rows = [row(call_id=number, latency=seconds) for number, seconds in enumerate(latencies)]
    page = report_of(write(tmp_path / "costs.csv", iter(rows))).to_html()
    assert f"<h2>Latency of answers</h2><p>{note}</p>" in page


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
    with pytest.raises(ConfigurationError, match="Call it on the report that get_usage_report returned"):
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
