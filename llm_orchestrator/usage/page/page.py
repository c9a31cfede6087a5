"""The page itself: answers, charts and tables in one HTML file, with its script and its style inside.

The page's own security policy forbids it to load or send anything and to run any script but its own, whatever
a model's name may hold.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from html import escape
from itertools import zip_longest
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence

from llm_orchestrator.usage.page.answers import answers, answers_html, unpriced_html
from llm_orchestrator.usage.page.cube import Cube
from llm_orchestrator.usage.page.data import LONGEST_NAME, as_script_data, page_data
from llm_orchestrator.usage.page.figures import Durations, Figures, ModelFigures
from llm_orchestrator.usage.page.outlook import Outlook
from llm_orchestrator.usage.report import UsageReport
from llm_orchestrator.utils.money import add_money, format_cost, known_cost
from llm_orchestrator.utils.packaged import packaged_text

__all__ = ["render"]

#: Rows of a table that is not filtered; the largest are shown.
MOST_ROWS = 100
TITLE = "What the models cost"

_PACKAGE = "llm_orchestrator.usage.page"
_UNITS = {"day": "", "week": "The sums are kept by week. ", "month": "The sums are kept by month. "}


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: What is shown.
        value: What rows are sorted by.
    """

    text: str
    value: Any


_EMPTY = Cell("", -1)


def render(
    report: UsageReport,
    cube: Cube,
    figures: Figures,
    outlook: Outlook,
    *,
    of_budget: Outlook,
    title: Optional[str],
    now: datetime,
) -> str:
    """Make the page; the month is drawn as the budget sees it."""
    data = page_data(report, cube, figures, of_budget)
    cards = answers_html(answers(report, cube, outlook, of_budget)) if report.total_requests else ""
    month = _month(of_budget) if data["month"] else ""
    script, style = _script(), packaged_text(_PACKAGE, "page.css")
    parts = {
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:",
        "style": style,
        "title": escape(title or TITLE),
        "made": escape(_made(report, now)),
        "body": "".join(_body(report, cube, figures, cards, month)),
        "data": as_script_data(data),
        "script": script,
    }
    first, *pieces = packaged_text(_PACKAGE, "page.html").split("{{")
    filled = (parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces))
    return first + "".join(filled)


def _script() -> str:
    """The library of charts, without the address of its source map, and the page's own script."""
    library, _, _ = packaged_text(_PACKAGE, "chart.umd.min.js").partition("//# sourceMappingURL")
    return "\n".join([library, *(packaged_text(_PACKAGE, name) for name in ("sums.js", "page.js"))])


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _made(report: UsageReport, now: datetime) -> str:
    days = sorted(report.by_day)
    period = " to ".join(sorted({days[0], days[-1]})) + ", " if days else ""
    return f"{period}made {now.astimezone():%Y-%m-%d %H:%M %Z}. US dollars, days in local time."


def _body(report: UsageReport, cube: Cube, figures: Figures, cards: str, month: str) -> Iterator[str]:
    if not report.total_requests:
        yield "<p>There are no calls in this report yet.</p>"
        return
    yield f'<section class="answers" aria-label="In short">{cards}</section>'
    yield unpriced_html(report, figures)
    yield month
    yield _filters(cube)
    yield _found(cube, figures)
    if report.by_session:
        yield _sessions(report)


def _month(outlook: Outlook) -> str:
    return (
        f"<section><h2>{outlook.month.name}, day by day{_in_zone(outlook)}</h2>"
        '<figure><div class="chart"><canvas id="month" role="img"></canvas></div></figure>'
        f"<details><summary>The same as a table</summary>{_month_table(outlook)}</details></section>"
    )


def _in_zone(outlook: Outlook) -> str:
    return f" ({escape(outlook.zone)})" if outlook.zone else ""


def _month_table(outlook: Outlook) -> str:
    month, before, day = outlook.month, outlook.before, outlook.day
    columns = {
        "spent that day": _amounts(month.known[:day]),
        f"sum of {month.name}": _amounts(month.known_sums[:day]),
    }
    if before:
        columns[f"sum of {before.name}"] = _amounts(before.known_sums[: len(month.days)])
    if outlook.forecast:
        columns["forecast of the sum"] = [_EMPTY] * (day - 1) + _amounts(outlook.forecast.sums)
    dates = [month.first + timedelta(days=number) for number in range(len(month.days))]
    numbers = [Cell(str(date.day), number) for number, date in enumerate(dates, 1)]
    rows = [list(line) for line in zip_longest(numbers, *columns.values(), fillvalue=_EMPTY)]
    return _table(f"Spend of {month.name}", ["day", *columns], rows)


def _amounts(amounts: Sequence[Optional[Decimal]]) -> List[Cell]:
    return [Cell(format_cost(amount), -1 if amount is None else amount) for amount in amounts]


# -------------------------------------------------------------------------------- what can be filtered


def _filters(cube: Cube) -> str:
    def choice(name: str, label: str) -> str:
        return f'<label>{escape(label)}<select name="{name}"><option value="">all</option></select></label>'

    has_estimates = any(cell.estimated for cell in cube.cells.values())
    estimates = "What was spent includes estimates. " if has_estimates else ""
    chosen = [choice("model", "Model"), *(choice(f"tag-{n}", name) for n, name in enumerate(cube.tags))]
    return (
        "<section><h2>Look closer</h2><noscript><p>Charts, tables and filters need JavaScript.</p></noscript>"
        '<form id="filters" aria-label="Filters">'
        '<label>From<input type="date" name="from"></label><label>To<input type="date" name="to"></label>'
        f'{"".join(chosen)}<button type="reset">Show all</button>'
        '<button type="button" id="csv">Save as CSV</button></form>'
        '<p id="shown" role="status"></p>'
        f'<p class="note">{_UNITS[cube.unit]}{estimates}A call that asked several models counts for the one '
        "that answered.</p>"
        '<p id="none" hidden>No calls match. Choose other days, or show all.</p></section>'
    )


def _found(cube: Cube, figures: Figures) -> str:
    bars = [("model", "model"), *((str(number), name) for number, name in enumerate(cube.tags))]
    options = "".join(f'<option value="{value}">{escape(name)}</option>' for value, name in bars)
    tags = "".join(f'<div id="by-tag-{number}"></div>' for number in range(len(cube.tags)))
    return (
        '<div id="found"><section><h2>Spend over time</h2>'
        f'<label>Bars by <select id="by">{options}</select></label>'
        '<figure><div class="chart"><canvas id="spend" role="img"></canvas></div></figure>'
        '<details><summary>The same as a table</summary><div id="by-period"></div></details></section>'
        f'<section><h2>Who spent it</h2>{tags}<div id="by-model"></div>'
        '<div id="by-provider" hidden></div></section>'
        '<section id="tokens-part"><h2>Tokens</h2>'
        '<p class="note">Every token once: input is what was read anew, output is without reasoning.</p>'
        '<figure><div class="chart"><canvas id="tokens" role="img"></canvas></div></figure></section>'
        f"{_speed(figures)}</div>"
    )


# -------------------------------------------------------------------------------- what cannot


def _speed(figures: Figures) -> str:
    """How fast and reliable each model was."""
    models = {name: model for name, model in figures.models.items() if model.has_figures}
    if not models:
        return ""
    ranked = sorted(models, key=lambda name: (-models[name].answered, name))[:MOST_ROWS]
    rows = [[Cell(name[:LONGEST_NAME] or "(none)", name), *_more(models[name])] for name in ranked]
    has_latency = any(model.latency.count for model in models.values())
    chart = '<figure><div class="chart"><canvas id="latency" role="img"></canvas></div></figure>'
    return (
        '<section id="speed"><h2>Speed and reliability</h2>'
        f'<p class="note">{_ABOUT_SPEED}</p>'
        f'{chart if has_latency else ""}{_table("By model", _SPEED_COLUMNS, rows)}</section>'
    )


_ABOUT_SPEED = (
    "Of all days and tags of this report; of the filters only the model applies. Requests by the model that "
    "was asked: a call makes several when it is retried or falls back. Times are right within 12 %. What "
    "caching saved is what cached input would have cost as new input, less what it did cost."
)
_SPEED_COLUMNS = (
    "model",
    "requests answered",
    "failed",
    "broken off",
    "retries",
    "fallbacks to it",
    "latency, median",
    "latency, 95 %",
    "first token, median",
    "first token, 95 %",
    "saved by caching",
)


def _more(model: ModelFigures) -> List[Cell]:
    counts = (model.answered, model.failed, model.left, model.retries, model.fallbacks)
    times = [
        _time(durations, share) for durations in (model.latency, model.first_token) for share in (0.5, 0.95)
    ]
    saved = Cell(format_cost(model.saved), float(model.saved)) if model.saved else Cell("", 0)
    return [*map(_number, counts), *times, saved]


def _number(value: int) -> Cell:
    return Cell(f"{value:,}" if value else "", value)


def _time(durations: Durations, share: float) -> Cell:
    value = durations.quantile(share)
    return _EMPTY if value is None else Cell(seconds(value), value)


def seconds(number: float) -> str:
    """Show a duration."""
    if number < 0.1:
        return f"{number * 1000:.2g} ms"
    return f"{number:.2g} s" if number < 100 else f"{number:.0f} s"


def _sessions(report: UsageReport) -> str:
    sessions = report.by_session
    ranked = sorted(sessions, key=lambda name: (-sessions[name].cost, name))[:MOST_ROWS]
    rows = []
    for name in ranked:
        sums = sessions[name]
        spent = known_cost(add_money(sums.cost, sums.estimated_cost), sums.requests, sums.unpriced_requests)
        rows.append(
            [
                Cell(name[:LONGEST_NAME] or "(none)", name),
                Cell(format_cost(spent), -1 if spent is None else spent),
                _number(sums.unpriced_requests),
                _number(sums.requests),
                _number(sums.tokens),
            ]
        )
    left_out = f", the {MOST_ROWS} most expensive" if len(sessions) > MOST_ROWS else ""
    title = f"Sessions ({len(sessions):,}{left_out})"
    table = _table(title, ("session", "spent", "without a price", "calls", "tokens"), rows)
    return f"<details><summary>{title}; not filtered</summary>{table}</details>"


def _table(title: str, columns: Sequence[str], rows: List[List[Cell]]) -> str:
    """A table that can be sorted, without the columns that are empty in every row."""
    used = [place for place in range(len(columns)) if any(row[place].text for row in rows)]
    heads = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(columns[place])}</button></th>'
        for place in used
    )
    body = "".join(f"<tr>{''.join(_cell(row[place], place) for place in used)}</tr>" for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(title)}"><table>'
        f"<caption>{escape(title)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell, place: int) -> str:
    tag = "td" if place else 'th scope="row"'
    return f'<{tag} data-value="{escape(str(cell.value)[:LONGEST_NAME])}">{escape(cell.text)}</{tag[:2]}>'
