"""The page itself: totals, charts and tables in one HTML file, with its script and its style inside.

The page's own security policy forbids it to load or send anything, whatever a model's name may hold.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence

from plotly.offline import get_plotlyjs

from llm_orchestrator.usage.page.charts import Chart, charts, seconds
from llm_orchestrator.usage.page.figures import Durations, Figures, ModelFigures
from llm_orchestrator.usage.report import UsageReport, UsageTotals
from llm_orchestrator.utils.money import format_cost, known_cost
from llm_orchestrator.utils.packaged import packaged_text
from llm_orchestrator.utils.plural import number_of

__all__ = ["render"]

#: Rows of a table; the largest are shown.
MOST_ROWS = 500

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_PACKAGE = "llm_orchestrator.usage.page"


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: What is shown.
        value: What rows are sorted by.
    """

    text: str
    value: Any


def render(report: UsageReport, figures: Figures) -> str:
    """Make the page."""
    template = packaged_text(_PACKAGE, "page.html")
    drawn = list(charts(report, figures)) if report.total_requests else []
    parts = {
        "policy": POLICY,
        "style": packaged_text(_PACKAGE, "page.css"),
        "made": escape(_made(report)),
        "totals": "".join(_totals(report, figures)),
        "charts": "".join(_chart(number, chart) for number, chart in enumerate(drawn)),
        "tables": "".join(_tables(report, figures)) if report.total_requests else _NOTHING,
        "plotly": get_plotlyjs() if any(chart.json for chart in drawn) else "",
        "script": packaged_text(_PACKAGE, "page.js"),
    }
    first, *pieces = template.split("{{")
    filled = (parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces))
    return first + "".join(filled)


_NOTHING = "<p>There are no calls in this report yet.</p>"


def _made(report: UsageReport) -> str:
    days = sorted(report.by_day)
    period = " to ".join(sorted({days[0], days[-1]})) + ", " if days else ""
    return f"{period}made {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"


def _totals(report: UsageReport, figures: Figures) -> Iterator[str]:
    known = [model.saved for model in figures.models.values() if model.saved is not None]
    saved = sum(known, Decimal(0)) if known or not report.total_requests else None
    facts = {
        "spent, as reported": format_cost(report.known_cost),
        f"estimated, {number_of(report.estimated_requests, 'call')}": format_cost(report.estimated_cost),
        "saved by caching": format_cost(saved),
        "calls": f"{report.total_requests:,}",
        "calls of unknown price": f"{report.unpriced_requests:,}",
        "tokens": f"{report.total_tokens:,}",
    }
    for name, value in facts.items():
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _chart(number: int, chart: Chart) -> str:
    caption = f"<figcaption><h2>{escape(chart.title)}</h2><p>{escape(chart.note)}</p></figcaption>"
    if not chart.json:
        return f'<figure class="sentence">{caption}</figure>'
    return (
        f'<figure>{caption}<div class="chart" data-figure="figure-{number}"></div>'
        f'<script type="application/json" id="figure-{number}">{chart.json}</script></figure>'
    )


# ---------------------------------------------------------------------------------------- tables


def _tables(report: UsageReport, figures: Figures) -> Iterator[str]:
    yield _table("By model", _MODEL_COLUMNS, _model_rows(report, figures), is_open=True)
    for title, groups in (
        ("By day", report.by_day),
        ("By provider", report.by_provider),
        ("By session", report.by_session),
        ("By tag", report.by_tag),
    ):
        if groups:
            yield _table(title, _COLUMNS, [_row(name, totals) for name, totals in groups.items()])


_COLUMNS = ("", "calls", "tokens", "cost", "estimated", "unpriced")
_MODEL_COLUMNS = (
    *_COLUMNS,
    "saved by caching",
    "requests failed",
    "requests broken off",
    "retries",
    "fallbacks to it",
    "latency, median",
    "latency, 95%",
    "first token, median",
    "first token, 95%",
)


def _row(name: str, totals: UsageTotals) -> List[Cell]:
    return [
        Cell(name or "(none)", name),
        _number(totals.requests),
        _number(totals.tokens),
        _money(known_cost(totals.cost, totals.requests, totals.unpriced_requests)),
        _money(totals.estimated_cost) if totals.estimated_requests else Cell("", -1),
        _number(totals.unpriced_requests),
    ]


def _model_rows(report: UsageReport, figures: Figures) -> List[List[Cell]]:
    names = dict.fromkeys((*report.by_model, *figures.models))
    nothing = UsageTotals(0, 0, Decimal(0), Decimal(0), 0)
    return [
        _row(name, report.by_model.get(name, nothing)) + _more(figures.models.get(name) or ModelFigures())
        for name in names
    ]


def _more(model: ModelFigures) -> List[Cell]:
    counts = (model.failed, model.left, model.retries, model.fallbacks)
    times = [
        _time(durations, share) for durations in (model.latency, model.first_token) for share in (0.5, 0.95)
    ]
    return [_money(model.saved), *map(_number, counts), *times]


def _number(value: int) -> Cell:
    return Cell(f"{value:,}", value)


def _money(value: Optional[Decimal]) -> Cell:
    return Cell(format_cost(value), -1 if value is None else value)


def _time(durations: Durations, share: float) -> Cell:
    value = durations.quantile(share)
    return Cell("", -1) if value is None else Cell(seconds(value), value)


def _table(title: str, columns: Sequence[str], rows: List[List[Cell]], *, is_open: bool = False) -> str:
    cost = columns.index("cost")
    ranked = sorted(rows, key=lambda row: row[cost].value, reverse=True)[:MOST_ROWS]
    heads = "".join(
        f'<th scope="col" aria-sort="{"descending" if place == cost else "none"}">'
        f'<button type="button">{escape(name or title.lower())}</button></th>'
        for place, name in enumerate(columns)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in ranked)
    left_out = f", the {MOST_ROWS} most expensive" if len(rows) > MOST_ROWS else ""
    return (
        f"<details{' open' if is_open else ''}><summary>{escape(title)} ({len(rows):,}{left_out})</summary>"
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></details>"
    )


def _cell(cell: Cell) -> str:
    kind = "" if isinstance(cell.value, str) else ' class="number"'
    return f'<td{kind} data-value="{escape(str(cell.value))}">{escape(cell.text)}</td>'
