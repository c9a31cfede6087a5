"""The page in a real browser: headless Chromium draws it, and tells what it did."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import CostTracker
from tests.support.ledgers import made_up, row, write
from tests.unit.usage.page.test_page import NASTY

pytest.importorskip("plotly", reason="the page is an extra: make environment")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
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

#: Sorts by each kind of column, and writes down what the page looks like.
REPORT = """<script>
const table = document.querySelector("table");
const column = (place) => [...table.tBodies[0].rows].map((line) => line.cells[place].textContent);
const click = (place) => { table.tHead.rows[0].cells[place].firstChild.click(); return column(place); };
if (table) {
  found.byCost = column(3); found.byName = [click(0), click(0)]; found.byTokens = [click(2), click(2)];
  found.sorted = [...table.tHead.rows[0].cells].map((cell) => cell.getAttribute("aria-sort"));
}
found.charts = [...document.querySelectorAll(".chart")].map((place) => place.querySelectorAll(".point").length);
const written = (place) => [...place.querySelectorAll(".xtick text, .ytick text")].map((tick) => tick.textContent);
found.ticks = [...document.querySelectorAll(".chart")].map(written);
found.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
found.paper = getComputedStyle(document.body).backgroundColor;
const label = document.querySelector(".chart text");
found.ink = label && getComputedStyle(label).fill;
found.wide = document.documentElement.scrollWidth > innerWidth;
document.documentElement.dataset.found = JSON.stringify(found);
</script></body>"""


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


def look(tmp_path: Path, rows: Any, *options: str) -> Dict[str, Any]:
    """Draw the page of a ledger, and return what was found in it."""
    path = write(tmp_path / "costs.csv", rows)
    page = CostTracker(log_path=path).get_usage_report().to_html()
    start, _, end = page.partition("<title>")  # plotly's script holds such tags, too
    watched = start + WATCH + "<title>" + end.rpartition("</body>")[0] + REPORT + "</html>"
    target = tmp_path / "page.html"
    target.write_text(watched, encoding="utf-8")
    shown = browse(target, "--dump-dom", *options)
    (found,) = re.findall(r'<html[^>]* data-found="(.*?)"', shown)
    return dict(json.loads(html.unescape(found)))


def nothing_wrong(found: Dict[str, Any]) -> bool:
    return (found["errors"], found["violations"], found["resources"]) == ([], [], [])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Any]:
    """What was found in the page of an application's ledger."""
    options = ("--window-size=1400,2000", "--blink-settings=preferredColorScheme=1")
    return look(tmp_path_factory.mktemp("page"), made_up(2000), *options)


def test_the_page_draws_every_chart_and_asks_for_nothing(found: Dict[str, Any]) -> None:
    assert nothing_wrong(found), found
    assert len(found["charts"]) == 6 and all(found["charts"])
    assert not found["wide"]


def test_the_table_sorts_by_text_and_by_number(found: Dict[str, Any]) -> None:
    names, tokens = found["byName"], found["byTokens"]
    assert names[0] == sorted(names[0], reverse=True) and names[1] == sorted(names[0])
    numbers = [int(text.replace(",", "")) for text in tokens[0]]
    assert numbers == sorted(numbers, reverse=True) and tokens[1] == tokens[0][::-1]
    costs = [float(text.lstrip("$")) for text in found["byCost"]]
    assert costs == sorted(costs, reverse=True)
    assert found["sorted"][:4] == ["none", "none", "ascending", "none"]


def test_the_page_follows_the_readers_colours_in_a_narrow_window_too(
    found: Dict[str, Any], tmp_path: Path
) -> None:
    dark = look(tmp_path, made_up(50), "--window-size=500,900", "--blink-settings=preferredColorScheme=0")

    assert (found["paper"], found["ink"]) == ("rgb(255, 255, 255)", "rgb(28, 32, 36)")
    assert (dark["paper"], dark["ink"]) == ("rgb(20, 24, 28)", "rgb(232, 235, 238)")
    assert nothing_wrong(dark) and not dark["wide"], dark


def test_axes_of_a_small_ledger_have_nothing_between_two_hours_or_two_requests(tmp_path: Path) -> None:
    rows = [
        row(model="a", requested_model="a", attempt=1, final="false", status="error", cost="0"),
        row(model="b", requested_model="b", attempt=2, cost="0.5", latency=1),
        row(model="b", requested_model="b", call_id="other", cost="0", latency=1),
    ]
    small = look(tmp_path, iter(rows), "--window-size=1400,900")
    spend, failures, latency = small["ticks"]

    assert nothing_wrong(small), small
    hours = [tick for tick in spend if ":" in tick]
    assert len(hours) == 1 and hours[0].endswith("Nov 1, 2026")
    assert {"$0", "$0.5"} <= set(spend) and not any("-" in tick or "\u2212" in tick for tick in spend)
    assert failures == ["0", "1", "a", "b"]
    assert latency == ["1 s", "0", "1", "2"]


@pytest.mark.parametrize("kind", ["empty", "one row", "free", "nasty"])
def test_odd_ledgers_are_shown_too(tmp_path: Path, kind: str) -> None:
    nasty = row(model=NASTY, requested_model=NASTY, cost="1", latency="1", prompt_tokens=5, session_id=NASTY)
    free = row(cost="0", latency="1", prompt_tokens=5)
    rows = {"empty": [], "one row": made_up(1), "free": [free], "nasty": [nasty]}[kind]
    found = look(tmp_path, iter(rows), "--window-size=1400,900")

    assert nothing_wrong(found), found
    assert all(found["charts"]) and bool(found["charts"]) is (kind != "empty")
    assert not found["wide"]


def test_the_page_is_printed_whole(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    CostTracker(log_path=write(tmp_path / "costs.csv", made_up(500))).get_usage_report().to_html(page)
    target = tmp_path / "page.pdf"

    browse(
        page, f"--print-to-pdf={target}", "--no-pdf-header-footer", "--blink-settings=preferredColorScheme=0"
    )

    pages = len(re.findall(rb"/Type\s*/Page\b", target.read_bytes()))
    assert 2 <= pages <= 5, "two charts to a sheet"
