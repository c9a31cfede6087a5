"""The page as text: what it says and holds, that nothing in a ledger becomes a part of it, and its size."""

from __future__ import annotations

import json
import pickle
import random
import re
from datetime import date
from decimal import Context, Decimal, Inexact, localcontext
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Tuple

import pytest

from llm_orchestrator import ConfigurationError, CostTracker
from llm_orchestrator.usage.page.cube import Level
from llm_orchestrator.usage.report import UsageReport
from tests.support.ledgers import made_up, row, write

NASTY = "</script ><!--<script ><script>alert(1)</script><img src=http://leak.invalid/x.png onerror=alert(2)>&amp;\"'"
#: Bytes of a page without a ledger's content: Chart.js has 210,000 of them.
BARE = 260_000


class Page(HTMLParser):
    """What a browser would find in a page."""

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


def page_of(tmp_path: Path, rows: Iterable[Dict[str, str]], **options: Any) -> str:
    return report_of(write(tmp_path / "costs.csv", iter(rows))).to_html(**options)


def data_of(page: str) -> Dict[str, Any]:
    """What the page's script is given."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return dict(json.loads(text))


def answers_of(page: str) -> Dict[str, Tuple[str, str]]:
    """The answers at the top, figure and notes, by their question."""
    found = re.findall(
        r'<div class="answer [a-z]*"><h2>(.*?)</h2><p class="figure">(.*?)</p><p>(.*?)</p></div>', page
    )
    return {question: (figure, notes) for question, figure, notes in found}


def unknown_of(page: str) -> Tuple[str, str, List[str]]:
    """What is said of calls without a price: how loudly, the heading, the lines below it."""
    ((loud, title, rest),) = re.findall(
        r'<div class="unknown(| loud)"><h2>(.*?)</h2>(.*?)</div>', page, re.DOTALL
    )
    return loud.strip(), title, re.findall(r"<li>(.*?)</li>", rest)


@pytest.fixture(autouse=True)
def middle_of_november(today: Callable[..., None]) -> None:
    today(2026, 11, 18, 12)


def two_months(daily: str = "2") -> List[Dict[str, str]]:
    """A call a day from October on."""
    days = [f"2026-10-{day:02}" for day in range(1, 32)] + [f"2026-11-{day:02}" for day in range(1, 19)]
    return [row(timestamp=f"{day}T09:00:00+00:00", call_id=day, cost=daily, total_tokens=9) for day in days]


# ---------------------------------------------------------------------------------------- answers


def test_the_first_answers_are_what_was_spent_and_where_it_goes(tmp_path: Path) -> None:
    found = answers_of(page_of(tmp_path, two_months(), budget=50, title="Ours & theirs"))
    assert found == {
        "Spent in November 2026, up to 18 November": ("$36.00", "18 calls."),
        "Spent in October 2026": (
            "$62.00",
            "31 calls. $36.00 up to the same day: as much as this month.",
        ),
        "Forecast to 30 November": (
            "about $60.00",
            "A forecast, not a bill: $2.00 a day goes on, the mean of the last 14 whole days.",
        ),
        "Within the budget of $50.00 for November 2026?": (
            "Probably not",
            "The forecast passes it on 26 November, and by $10.00 at the month&#x27;s end. "
            "$14.00 of the month&#x27;s budget is left today.",
        ),
    }


@pytest.mark.parametrize(
    ("budget", "answer"),
    [
        (30, "No"),
        (50, "Probably not"),
        ("60.00", "Yes, by the forecast"),
        (Decimal(400), "Yes, by the forecast"),
    ],
)
def test_it_says_whether_the_budget_will_hold(tmp_path: Path, budget: Any, answer: str) -> None:
    found = answers_of(page_of(tmp_path, two_months(), budget=budget))
    assert found[f"Within the budget of ${float(budget):.2f} for November 2026?"][0] == answer


@pytest.mark.parametrize("budget", [0, -1, "much", float("nan"), Decimal("1e40")])
def test_what_is_no_budget_is_refused(tmp_path: Path, budget: Any) -> None:
    with pytest.raises(ValueError, match="is not a budget"):
        page_of(tmp_path, [], budget=budget)


def test_the_page_has_a_title_of_its_own(tmp_path: Path) -> None:
    page = page_of(tmp_path, two_months(), title="Ours & <theirs>")
    assert "<title>Ours &amp; &lt;theirs&gt;</title>" in page and "<h1>Ours &amp; &lt;theirs&gt;</h1>" in page
    assert "<h1>What the models cost</h1>" in page_of(tmp_path, two_months())


def test_who_cost_most_is_answered_for_every_tag(tmp_path: Path) -> None:
    rows = [
        row(call_id=1, cost="3", tags='{"customer": "acme", "team": "x"}'),
        row(call_id=2, cost="1", tags='{"customer": "globex"}'),
        row(call_id=3, cost="1"),
    ]
    found = answers_of(page_of(tmp_path, rows))
    assert found["Most expensive customer in November 2026"] == (
        "acme",
        "$3.00, 60 % of the month. Then globex: $1.00.",
    )
    assert found["Most expensive team in November 2026"][0] == "x"


def test_who_cost_most_is_answered_for_the_month_and_for_the_whole_report(tmp_path: Path) -> None:
    rows = [
        row(timestamp="2026-10-05T09:00:00+00:00", call_id=1, cost="9", tags='{"customer": "globex"}'),
        row(timestamp="2026-11-05T09:00:00+00:00", call_id=2, cost="3", tags='{"customer": "acme"}'),
        row(timestamp="2026-11-06T09:00:00+00:00", call_id=3, cost="1", tags='{"customer": "globex"}'),
    ]
    found = answers_of(page_of(tmp_path, rows))
    assert found["Most expensive customer in November 2026"] == (
        "acme",
        "$3.00, 75 % of the month. Then globex: $1.00. Over the whole report: globex, $10.00.",
    )


def test_who_cost_most_in_the_month_is_answered_where_the_sums_are_by_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of November 2026 is the Sunday of a week that began in October."""
    monkeypatch.setattr("llm_orchestrator.usage.page.cube.LEVELS", (Level("week", 25),))
    spent = {"acme": ("2026-10-31", "9"), "globex": ("2026-11-01", "3")}
    rows = [
        row(timestamp=f"{day}T09:00:00+00:00", call_id=name, cost=cost, tags=f'{{"customer": "{name}"}}')
        for name, (day, cost) in spent.items()
    ]
    figure, notes = answers_of(page_of(tmp_path, rows))["Most expensive customer in November 2026"]
    assert figure == "globex" and "$3.00, 100 % of the month" in notes


def test_a_budget_holds_only_as_far_as_prices_are_known(tmp_path: Path) -> None:
    rows = [*two_months(), row(timestamp="2026-11-17T10:00:00+00:00", call_id="x", cost="")]
    figure, notes = answers_of(page_of(tmp_path, rows, budget=400))[
        "Within the budget of $400.00 for November 2026?"
    ]
    assert figure == "Yes, as far as prices are known" and "1 call without a price not counted" in notes


def test_a_month_that_is_not_in_the_report_is_not_shown_as_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "costs.csv", iter(two_months()))
    report = CostTracker(log_path=path).get_usage_report(start_date=date(2026, 11, 1))
    found = answers_of(report.to_html())
    assert found["Spent in the month before"][0] == "not in this report"

    report = CostTracker(log_path=path).get_usage_report(end_date=date(2026, 10, 31))
    found = answers_of(report.to_html(budget=60))
    assert found["Spent in October 2026"][0] == "$62.00"
    assert found["Within the budget of $60.00 for October 2026?"] == (
        "No",
        "It was passed on 31 October, by $2.00 so far.",
    )
    assert not any("Forecast" in question for question in found)


# ---------------------------------------------------------------------------------------- what is unknown


def test_calls_without_a_price_are_told_as_loudly_as_they_matter(tmp_path: Path) -> None:
    priced = [row(call_id=number, cost="0.1", total_tokens=9) for number in range(150)]
    few = [row(model="new", call_id="a", cost="", price_status="unpriced", total_tokens=9)]
    assert unknown_of(page_of(tmp_path, priced))[:2] == ("", "Every call has a price.")
    loud, title, (line,) = unknown_of(page_of(tmp_path, priced + few))
    assert (loud, title) == (
        "",
        "1 call of 151 (0.7 %) without a price: not in any sum on this page.",
    )
    assert "new (1 call)" in line and "cost_tracking.price_overrides" in line

    silent = [
        row(model="mute", call_id=f"s{number}", cost="", price_status="unpriced") for number in range(5)
    ]
    loud, title, lines = unknown_of(page_of(tmp_path, priced + few + silent))
    assert loud == "loud" and title.startswith("6 calls of 156 (3.8 %)")
    assert "mute (5 calls)" in lines[1] and "did not say how many tokens" in lines[1]


def test_prices_out_of_date_are_named(tmp_path: Path) -> None:
    rows = [row(call_id=number, model="old", cost="0.1", price_status="stale") for number in range(3)]
    _, title, (line,) = unknown_of(page_of(tmp_path, rows))
    assert title == "Every call has a price."
    assert "may be out of date: old (3 requests)" in line and "stale_after_days" in line


@pytest.mark.parametrize("first", [1, 18])
def test_where_no_price_is_known_no_sum_is_zero(tmp_path: Path, first: int) -> None:
    days = [f"2026-11-{day:02}T09:00:00+00:00" for day in range(first, 19)]
    rows = [row(timestamp=day, call_id=day, cost="", total_tokens=5, price_status="unpriced") for day in days]
    page = page_of(tmp_path, rows, budget=5)
    found = answers_of(page)
    assert found["Forecast to 30 November"][0] == ("unknown" if first == 1 else "too early to tell")
    assert found["Spent in November 2026, up to 18 November"][0] == "unknown"
    assert found["Within the budget of $5.00 for November 2026?"][0] == "unknown"
    assert "$0.00" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "(100 %) without a price" in unknown_of(page)[1]


def test_a_day_whose_calls_have_no_price_is_unknown_in_the_table_of_the_month(tmp_path: Path) -> None:
    rows = [row(timestamp="2026-11-01T09:00:00+00:00", call_id=1, cost="", price_status="unpriced")]
    rows.append(row(timestamp="2026-11-02T09:00:00+00:00", call_id=2, cost="1"))
    page = page_of(tmp_path, rows)
    assert '<th data-value="1">1</th><td data-value="-1">unknown</td><td data-value="-1">unknown</td>' in (
        page.replace('<th scope="row"', "<th")
    )
    assert data_of(page)["month"]["spent"][:3] == [None, 1.0, 0.0]


# ---------------------------------------------------------------------------------------- what it holds


def sums_of(data: Dict[str, Any]) -> Dict[str, Any]:
    """What the cells of the page's data add up to."""
    parts = ("calls", "unpriced", "estimated", "tokens")
    sums: Dict[str, Any] = {
        part: sum(cell[3 + place] for cell in data["cells"]) for place, part in enumerate(parts)
    }
    unit = Decimal(10) ** -data["scale"]
    sums["cost"] = sum((int(cell[-2]) for cell in data["cells"]), 0) * unit
    sums["estimate"] = sum((int(cell[-1]) for cell in data["cells"]), 0) * unit
    return sums


def test_the_data_of_the_page_are_those_of_the_report(tmp_path: Path) -> None:
    report = report_of(write(tmp_path / "costs.csv", made_up(150)))
    data = data_of(report.to_html(tmp_path / "page.html"))
    assert sums_of(data) == {
        "calls": report.total_requests,
        "unpriced": report.unpriced_requests,
        "estimated": report.estimated_requests,
        "tokens": report.total_tokens,
        "cost": report.total_cost,
        "estimate": report.estimated_cost,
    }
    assert {model for _, model in data["models"]} == set(report.by_model)
    assert data["tagNames"] == ["team"]
    assert (data["first"], data["last"]) == (min(report.by_day), max(report.by_day))


def test_money_of_the_smallest_and_the_largest_kind_stays_exact(tmp_path: Path) -> None:
    costs = ["0.000000000000000000000001", "123456789.1", "0.1", "99999999999"]
    rows = [row(call_id=number, cost=cost) for number, cost in enumerate(costs)]
    data = data_of(page_of(tmp_path, rows))
    assert sums_of(data)["cost"] == sum(map(Decimal, costs))
    assert isinstance(data["cells"][0][-2], str), "a script's numbers would round it"


def test_the_decimal_context_of_the_application_changes_nothing(tmp_path: Path) -> None:
    report = report_of(write(tmp_path / "costs.csv", made_up(60)))
    page = report.to_html(budget=3)
    with localcontext(Context(prec=2, traps=[Inexact])):
        narrow = report.to_html(budget=3)
    assert narrow == page


def test_the_month_is_drawn_and_written_alike(tmp_path: Path) -> None:
    page = page_of(tmp_path, two_months(), budget=50)
    month = data_of(page)["month"]
    assert (month["sums"][17], month["sums"][18], month["before"][29]) == (36, None, 60)
    assert (month["forecast"][16], month["forecast"][17], month["forecast"][29]) == (None, 36, 60)
    assert month["budget"] == [50.0] * 30 and month["days"][-1] == 30
    table = page.partition("<caption>Spend of November 2026</caption>")[2].partition("</table>")[0]
    lines = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line) for line in re.findall(r"<tr>(.*?)</tr>", table)]
    assert lines[18] == ["18", "$2.00", "$36.00", "$36.00", "$36.00"]
    assert lines[30] == ["30", "", "", "$60.00", "$60.00"]


def test_columns_that_are_empty_are_left_out(tmp_path: Path) -> None:
    rows = [row(call_id=number, cost="1", latency=1, requested_model="m") for number in range(3)]
    table = page_of(tmp_path, rows).partition('<section id="speed">')[2].partition("</section>")[0]
    assert re.findall(r"<button[^>]*>(.*?)</button>", table) == [
        "model",
        "requests answered",
        "latency, median",
        "latency, 95 %",
    ]


def test_requests_are_counted_for_the_model_that_was_asked(tmp_path: Path) -> None:
    rows = [
        row(model="a", requested_model="a", attempt=1, final="false", status="error", cost="0"),
        row(model="a", requested_model="a", attempt=2, final="false", status="error", cost="0"),
        row(model="b", requested_model="b", attempt=3, cost="1", latency=1),
    ]
    table = page_of(tmp_path, rows).partition('<section id="speed">')[2].partition("</section>")[0]
    heads = re.findall(r"<button[^>]*>(.*?)</button>", table)
    lines = [
        dict(zip(heads, re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line))) for line in table.split("<tr>")[2:]
    ]
    assert [(line["model"], line["failed"], line["retries"], line["fallbacks to it"]) for line in lines] == [
        ("b", "", "", "1"),
        ("a", "2", "1", ""),
    ]


# ---------------------------------------------------------------------------------------- safety and size


def test_nothing_in_a_ledger_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    cells = {"provider": NASTY, "model": NASTY, "requested_model": NASTY, "session_id": NASTY}
    tag = NASTY.replace("=", "")
    tags = json.dumps({"team": NASTY, tag: "x"})
    rows = [row(**cells, tags=tags, cost="1", latency="1", prompt_tokens=5, status="ok")]
    page = page_of(tmp_path, rows, title=NASTY)

    found = Page(page)
    assert "img" not in found.tags and found.links == ["data:,"], "nothing is loaded"
    assert found.tags.count("script") == 2
    assert NASTY in found.texts
    text = page.partition('id="data">')[2].partition("</script>\n<script>")[0]
    assert not set("<>&") & set(text), "an element that a name begins or ends would"
    data = data_of(page)
    assert data["models"] == [[NASTY, NASTY]] and tag in data["tagNames"]


def test_the_policy_lets_no_script_run_but_the_pages_own(tmp_path: Path) -> None:
    import hashlib
    from base64 import b64encode

    page = page_of(tmp_path, two_months())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert " style=" not in page and "sourceMappingURL" not in page


def test_a_name_of_any_length_is_cut(tmp_path: Path) -> None:
    long = "x" * 100_000
    rows = [
        row(
            model=long,
            requested_model=long,
            session_id=long,
            tags=json.dumps({"t": long}),
            cost="1",
            latency=1,
        )
    ]
    page = page_of(tmp_path, rows)
    assert len(page) < BARE and "x" * 200 not in page


@pytest.mark.slow
def test_a_page_of_many_customers_models_and_days_is_small(tmp_path: Path) -> None:
    chance = random.Random(5)
    rows = (
        row(
            timestamp=f"2026-{chance.randint(1, 11):02}-{chance.randint(1, 28):02}T12:00:00+00:00",
            call_id=number,
            model=f"a-model-with-a-long-name-{chance.randint(1, 60)}",
            tags=json.dumps(
                {"customer": f"customer {chance.randint(1, 900)}", "team": chance.choice("abcdef")}
            ),
            cost=f"{chance.random() * 100:.12f}",
            total_tokens=chance.randint(1, 10**8),
            prompt_tokens=chance.randint(1, 10**8),
            session_id=f"session {number}",
        )
        for number in range(40_000)
    )
    report = report_of(write(tmp_path / "costs.csv", rows))
    page = report.to_html()
    assert len(page.encode()) < 1_500_000
    assert sums_of(data_of(page))["cost"] == report.total_cost


def test_one_row_and_none_make_a_page_too(tmp_path: Path) -> None:
    empty = page_of(tmp_path, [])
    assert "There are no calls in this report yet." in empty
    assert 'id="filters"' not in empty and data_of(empty)["cells"] == []
    one = page_of(tmp_path, [row(cost="0.5", latency="1")])
    assert len(one.encode()) < BARE and len(data_of(one)["cells"]) == 1


def test_rows_that_came_since_are_not_part_of_the_page() -> None:
    tracker = CostTracker(log_path=None)
    tracker.log_usage("p", "before", {"prompt": 1, "completion": 1}, cost=Decimal(1))
    report = tracker.get_usage_report()
    tracker.log_usage("p", "later", {"prompt": 1, "completion": 1}, cost=Decimal(1))
    assert data_of(report.to_html())["models"] == [["p", "before"]]


def test_a_selected_report_makes_a_page_of_what_was_selected(tmp_path: Path) -> None:
    rows = [row(call_id=1, model="a", cost="1"), row(call_id=2, model="b", cost="2")]
    tracker = CostTracker(log_path=write(tmp_path / "costs.csv", iter(rows)))
    data = data_of(tracker.get_usage_report(model="b").to_html())
    assert data["models"] == [["p", "b"]] and sums_of(data)["cost"] == 2


@pytest.mark.parametrize("name", ["America/New_York", "Pacific/Auckland"])
def test_a_period_as_wide_as_the_calendar_makes_a_page(zone: Callable[[str], None], name: str) -> None:
    zone(name)
    tracker = CostTracker(log_path=None)
    tracker.log_usage("p", "m", {"prompt": 1, "completion": 1}, cost=Decimal(1))
    wide = tracker.get_usage_report(date.min, date.max).to_html()
    assert sums_of(data_of(wide))["cost"] == 1
    assert "There are no calls" in tracker.get_usage_report(None, date.min).to_html()


def test_calls_whose_rows_are_no_longer_kept_are_part_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_orchestrator.usage import recent

    monkeypatch.setattr(recent, "MOST_RECORDS", 3)
    tracker = CostTracker(log_path=None)
    for number in range(8):
        tracker.log_usage("p", f"m{number}", {"prompt": 1, "completion": 1}, cost=Decimal(1))
    data = data_of(tracker.get_usage_report().to_html())
    assert sums_of(data)["cost"] == 8 and ["", "(earlier calls)"] in data["models"]


def test_a_report_copied_to_another_process_says_that_it_cannot_draw() -> None:
    report = pickle.loads(pickle.dumps(CostTracker(log_path=None).get_usage_report()))

    assert report.total_requests == 0
    with pytest.raises(ConfigurationError, match="Call it on the report that get_usage_report returned"):
        report.to_html()


def test_a_page_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        CostTracker(log_path=None).get_usage_report().to_html(tmp_path / "no" / "page.html")
    (tmp_path / "page.html").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        CostTracker(log_path=None).get_usage_report().to_html(tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
