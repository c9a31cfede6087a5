"""The page in a real browser: headless Chromium draws it, and tells what it did."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
import shutil
import subprocess
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import CostTracker, format_cost
from tests.support.ledgers import made_up, row, write
from tests.unit.usage.page.test_page import NASTY

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
AXE = os.environ.get("AXE_CORE")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine"),
]

#: Notes, before anything else of the page runs, what goes wrong in it.
WATCH = """<script>
window.found = {errors: [], violations: []};
addEventListener("error", (event) => found.errors.push(String(event.message)), true);
addEventListener("unhandledrejection", (event) => found.errors.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => found.violations.push(event.blockedURI));
</script>"""

#: Sorts by each kind of column, filters, saves, and writes down what the page looks like.
REPORT = """<script>
(async () => {
  const shown = () => document.getElementById("shown")?.textContent;
  const table = () => document.querySelector("#by-model table");
  const column = (place) => [...table().tBodies[0].rows].map((line) => line.cells[place].textContent);
  const headings = () => [...table().tHead.rows[0].cells].map((cell) => cell.textContent);
  const click = (name) => {
    const place = headings().indexOf(name);
    table().tHead.rows[0].cells[place].firstChild.click();
    return column(place);
  };
  found.whole = shown();
  if (table()) {
    found.headings = headings();
    found.bySpend = column(headings().indexOf("spent"));
    found.byName = [click("model"), click("model")];
    found.byTokens = headings().includes("tokens") ? [click("tokens"), click("tokens")] : [];
    found.sorted = [...table().tHead.rows[0].cells].map((cell) => cell.getAttribute("aria-sort"));
  }
  found.charts = Object.fromEntries([...drawn].map(([id, { chart }]) => [
    id, { bars: chart.data.labels.length, lines: chart.data.datasets.map(({ label }) => label) }]));
  found.drawn = [...document.querySelectorAll("canvas")].filter((canvas) => canvas.offsetWidth).map((canvas) => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return canvas.id && pixels.some((value) => value) && Boolean(canvas.getAttribute("aria-label"));
  });
  found.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
  found.paper = getComputedStyle(document.body).backgroundColor;
  found.ink = Chart.defaults.color;
  found.wide = document.documentElement.scrollWidth > innerWidth;
  if (form) {
    const blobs = [];
    URL.createObjectURL = (blob) => { blobs.push(blob); return "#"; };
    FILTER
    found.filtered = shown();
    found.rows = column(0);
    document.getElementById("csv").click();
    found.csv = blobs.length ? await blobs[0].text() : null;
    form.reset();
    await new Promise((done) => setTimeout(done, 20));
    found.again = shown();
  }
  document.documentElement.dataset.found = JSON.stringify(found);
})();
</script></body>"""
#: Chooses a model, a tag's value and the days from one on, as a reader would.
CHOOSE = """
    const set = (name, value) => {
      form.elements[name].value = value;
      form.elements[name].dispatchEvent(new Event("change", { bubbles: true }));
    };
    for (const [name, value] of Object.entries(CHOICES)) set(name, value);
"""
#: The page's own policy runs its own script alone; what is watched has two more.
POLICY = re.compile(r"script-src 'sha256-[^']+'")


def browse(page: Path, *options: str) -> str:
    """Open a page in Chromium; returns what it printed on its standard output, then on its error output."""
    log = page.with_suffix(".net.json")
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={page.with_suffix('.profile')}",
        f"--log-net-log={log}",
        "--enable-logging=stderr",
        *options,
        page.as_uri(),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert re.findall(r".*CONSOLE.*", run.stderr) == []
    assert requests_of_the_page(log) == []
    return run.stdout


def requests_of_the_page(log: Path) -> List[str]:
    """What the page asked the network for; the browser's own requests have another initiator."""
    document = json.loads(log.read_text())
    started = document["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event.get("params", {}) for event in document["events"] if event["type"] == started]
    by_page = [job["url"] for job in asked if job.get("initiator", "not an origin") != "not an origin"]
    return [url for url in by_page if not url.startswith(("file:", "data:", "blob:"))]


def look(tmp_path: Path, rows: Any, *options: str, choices: Any = (), **arguments: Any) -> Dict[str, Any]:
    """Draw the page of a ledger, use it, and return what was found in it."""
    path = write(tmp_path / "costs.csv", rows)
    page = CostTracker(log_path=path).get_usage_report().to_html(**arguments)
    report = REPORT.replace("FILTER", CHOOSE.replace("CHOICES", json.dumps(dict(choices))))
    start, _, end = POLICY.sub("script-src 'unsafe-inline'", page).partition("<title>")
    watched = start + WATCH + "<title>" + end.rpartition("</body>")[0] + report + "</html>"
    target = tmp_path / "page.html"
    target.write_text(watched, encoding="utf-8")
    shown = browse(target, "--dump-dom", "--virtual-time-budget=5000", *options)
    (found,) = re.findall(r'<html[^>]* data-found="(.*?)"', shown)
    return dict(json.loads(html.unescape(found)))


def nothing_wrong(found: Dict[str, Any]) -> bool:
    return (found["errors"], found["violations"], found["resources"]) == ([], [], [])


CHOICES = {"model": "gpt-6-luna", "tag-0": "docs", "from": "2026-11-05"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Any]:
    """What was found in the page of an application's ledger."""
    options = ("--window-size=1400,2000", "--blink-settings=preferredColorScheme=1")
    return look(tmp_path_factory.mktemp("page"), made_up(2000), *options, choices=CHOICES)


def test_the_page_draws_every_chart_and_asks_for_nothing(found: Dict[str, Any]) -> None:
    assert nothing_wrong(found), found
    assert {"spend", "tokens", "latency"} <= set(found["charts"]) and all(found["drawn"])
    spend = found["charts"]["spend"]
    assert spend["bars"] in (21, 22) and spend["lines"][-1] == "sum" and len(spend["lines"]) == 6
    assert not found["wide"]


def test_the_pages_own_policy_lets_its_own_script_run(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    CostTracker(log_path=write(tmp_path / "costs.csv", made_up(50))).get_usage_report().to_html(page)
    shown = browse(page, "--dump-dom", "--virtual-time-budget=5000")
    assert 'data-ready="true"' in shown and "for 50 calls" in shown


def test_the_table_sorts_by_text_and_by_number(found: Dict[str, Any]) -> None:
    names, tokens = found["byName"], found["byTokens"]
    assert names[0] == sorted(names[0], reverse=True) and names[1] == sorted(names[0])
    numbers = [int(text.replace(",", "")) for text in tokens[0]]
    assert numbers == sorted(numbers, reverse=True) and tokens[1] == tokens[0][::-1]
    spent = [float(text.lstrip("$")) for text in found["bySpend"]]
    assert spent == sorted(spent, reverse=True)
    assert found["sorted"][-1] == "ascending"
    assert "of it estimated" not in found["headings"], "empty columns are hidden"


def test_filters_and_the_button_for_csv_give_what_a_report_with_them_says(
    found: Dict[str, Any], tmp_path: Path
) -> None:
    tracker = CostTracker(log_path=write(tmp_path / "costs.csv", made_up(2000)))
    report = tracker.get_usage_report(start_date=date(2026, 11, 5), model="gpt-6-luna", tags={"team": "docs"})
    spent = f"{format_cost(report.total_cost)} for "
    assert found["filtered"].startswith(spent) and f"and {report.total_tokens:,} tokens" in found["filtered"]
    assert found["rows"] == ["gpt-6-luna"]
    lines = list(csv.DictReader(io.StringIO(found["csv"])))
    assert sum(Decimal(line["cost"]) for line in lines) == report.total_cost
    assert {line["team"] for line in lines} == {"docs"}
    assert found["again"] == found["whole"] != found["filtered"]


def test_the_page_follows_the_readers_colours_in_a_narrow_window_too(
    found: Dict[str, Any], tmp_path: Path
) -> None:
    dark = look(tmp_path, made_up(50), "--window-size=500,900", "--blink-settings=preferredColorScheme=0")

    assert (found["paper"], found["ink"]) == ("rgb(255, 255, 255)", "#1c2024")
    assert (dark["paper"], dark["ink"]) == ("rgb(20, 24, 28)", "#e8ebee")
    assert nothing_wrong(dark) and not dark["wide"], dark


def test_years_of_spend_are_drawn_in_few_bars(tmp_path: Path) -> None:
    rows = [
        row(
            call_id=day,
            timestamp=f"{2023 + day // 360}-{1 + day // 30 % 12:02}-{1 + day % 28:02}T12:00:00Z",
            cost=1,
        )
        for day in range(3 * 360)
    ]
    years = look(
        tmp_path, iter(rows), "--window-size=820,900", choices={"from": "2025-10-01", "to": "2025-10-20"}
    )
    assert nothing_wrong(years), years
    assert years["charts"]["spend"]["bars"] == 36


@pytest.mark.parametrize("kind", ["empty", "one row", "free", "unpriced", "nasty"])
def test_odd_ledgers_are_shown_too(tmp_path: Path, kind: str) -> None:
    nasty = row(
        model=NASTY,
        requested_model=NASTY,
        cost="1",
        latency="1",
        prompt_tokens=5,
        session_id=NASTY,
        tags=json.dumps({NASTY.replace("=", ""): NASTY}),
    )
    free = row(cost="0", latency="1", prompt_tokens=5)
    unpriced = row(cost="", price_status="unpriced", total_tokens=5)
    rows = {"empty": [], "one row": made_up(1), "free": [free], "unpriced": [unpriced], "nasty": [nasty]}[
        kind
    ]
    found = look(tmp_path, iter(rows), "--window-size=1400,900", title=NASTY, budget=5)

    assert nothing_wrong(found), found
    assert bool(found["charts"]) is (kind != "empty")
    assert not found["wide"]
    if kind == "unpriced":
        assert found["whole"].startswith("unknown for 1 call") and found["bySpend"] == ["unknown"]


def test_the_page_is_printed_whole_and_in_ink(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    CostTracker(log_path=write(tmp_path / "costs.csv", made_up(500))).get_usage_report().to_html(page)
    target = tmp_path / "page.pdf"

    browse(
        page, f"--print-to-pdf={target}", "--no-pdf-header-footer", "--blink-settings=preferredColorScheme=0"
    )

    pages = len(re.findall(rb"/Type\s*/Page\b", target.read_bytes()))
    assert 2 <= pages <= 4


@pytest.mark.skipif(AXE is None, reason="AXE_CORE does not name axe.min.js of npm's axe-core")
@pytest.mark.parametrize("scheme", [0, 1])
def test_axe_finds_no_fault(tmp_path: Path, scheme: int) -> None:
    path = write(tmp_path / "costs.csv", made_up(300))
    page = CostTracker(log_path=path).get_usage_report().to_html(budget=5)
    run = """<script>axe.run(document).then(({ violations }) => {
      document.documentElement.dataset.found = JSON.stringify(violations.map(({ id, nodes }) => [id, nodes[0].html]));
    });</script></body>"""
    start, _, end = POLICY.sub("script-src 'unsafe-inline'", page).rpartition("</body>")
    target = tmp_path / "page.html"
    library = Path(str(AXE)).read_text(encoding="utf-8")
    target.write_text(f"{start}<script>{library}</script>{run}{end}", encoding="utf-8")
    options = ("--virtual-time-budget=20000", f"--blink-settings=preferredColorScheme={scheme}")
    (found,) = re.findall(r'<html[^>]* data-found="(.*?)"', browse(target, "--dump-dom", *options))
    assert json.loads(html.unescape(found)) == []
