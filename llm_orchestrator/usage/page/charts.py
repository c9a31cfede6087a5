"""The charts of the page, drawn by plotly; a chart with nothing to show is left out, or a sentence instead.

Colours are those of Okabe and Ito, which people with any colour vision tell apart, on white and on black.
Everything but the bars is coloured by the page's style sheet, which knows light, dark and paper.
"""

from __future__ import annotations

import html
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from plotly import graph_objects

from llm_orchestrator.usage.page.figures import Durations, Figures, ModelFigures
from llm_orchestrator.usage.report import UsageReport
from llm_orchestrator.utils.money import format_cost, known_cost
from llm_orchestrator.utils.plural import number_of

__all__ = ["Chart", "charts", "seconds"]

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b5a900", "#8a8a8a")
#: Models with a colour of their own; the others are drawn as one.
MOST_MODELS = len(COLOURS) - 1
OTHERS = "all others"
DOLLARS = {"tickprefix": "$", "exponentformat": "none", "separatethousands": True}
#: How a period of the spend is written under its bar; the second line only where it changes.
PERIODS = {"hour": "%H:%M\n%b %-d, %Y", "day": "%b %-d\n%Y"}
#: Periods up to which each one is written; of more, plotly chooses some.
MOST_PERIODS_WRITTEN = 7
#: Counts up to which an axis has a line for each.
MOST_COUNTS_WRITTEN = 10
#: Models in a chart that has a row for each.
MOST_ROWS = 15
#: Characters of a name in a chart; the tables have it whole.
LONGEST_LABEL = 36


class Chart(NamedTuple):
    """A chart.

    Attributes:
        title: What it shows.
        note: What a reader has to know about it, or the sentence that is shown instead.
        json: The chart as plotly's script takes it; empty for a sentence.
    """

    title: str
    note: str
    json: str = ""


def charts(report: UsageReport, figures: Figures) -> Iterator[Chart]:
    """Draw the charts."""
    yield _spend(figures) if any(figures.spend.values()) else _nothing_spent(report)
    for draw in (_tokens, _saved, _reliability, _latency, _first_token):
        chart = draw(figures)
        if chart is not None:
            yield chart


# ---------------------------------------------------------------------------------------- one chart each


_SPEND = "Spend over time by model"


def _nothing_spent(report: UsageReport) -> Chart:
    calls, unpriced = report.total_requests, report.unpriced_requests
    if known_cost(report.total_cost, calls, unpriced) is None:
        sentence = f"What was spent is unknown: no price is known for {number_of(calls, 'call')}."
    elif unpriced:
        sentence = (
            f"Nothing was spent, as far as known: the price of {unpriced:,} of {calls:,} calls is unknown."
        )
    else:
        sentence = "Nothing was spent."
    return Chart(_SPEND, sentence)


def _spend(figures: Figures) -> Chart:
    shown = _leading(figures)
    periods = sorted({period for period, _ in figures.spend})
    sums: Dict[str, Dict[str, Decimal]] = {}
    for (period, model), cost in figures.spend.items():
        line = sums.setdefault(model if model in shown else OTHERS, {})
        line[period] = line.get(period, Decimal(0)) + cost
    bars = [
        _bar(name, periods, [float(sums[name].get(period, 0)) for period in periods], colour=colour)
        for name, colour in shown.items()
        if any(sums.get(name, {}).values())
    ]
    unit = "hour" if len(periods[0]) > len("2026-01-01") else "day"
    axis, width = _time_axis(periods[0], periods[-1], unit)
    for bar in bars:
        bar.width = width
    note = f"US dollars by {unit}, estimates included; calls of unknown price are not in it."
    dollars = {**DOLLARS, "rangemode": "nonnegative"}
    return _chart(_SPEND, note, bars, barmode="stack", xaxis=axis, yaxis=dollars)


def _tokens(figures: Figures) -> Optional[Chart]:
    names = _rows(figures, lambda model: sum(model.tokens.values()))
    classes = ("input", "cache read", "cache write", "output", "reasoning")
    bars = [
        _bar(kind, names, [figures.models[name].tokens[kind] for name in names], colour=number, across=True)
        for number, kind in enumerate(classes)
        if any(figures.models[name].tokens[kind] for name in names)
    ]
    note = "Every token once: input is what was read anew, output is without reasoning."
    axis = _counts(bars, across=True)
    return _chart("Tokens by class", note, bars, barmode="stack", names=names, xaxis=axis) if bars else None


def _saved(figures: Figures) -> Optional[Chart]:
    names = [
        name for name in _rows(figures, lambda model: abs(model.saved or 0)) if figures.models[name].saved
    ]
    if not names:
        return None
    saved = [figures.models[name].saved or Decimal(0) for name in names]
    bars = [_bar("saved", names, [float(amount) for amount in saved], colour=2, across=True)]
    note = (
        f"{format_cost(sum(saved, Decimal(0)))} in all: what cached input would have cost at the price of "
        "new input, less what it did cost, writing to the cache included."
    )
    return _chart("What caching saved", note, bars, names=names, xaxis=DOLLARS)


def _reliability(figures: Figures) -> Optional[Chart]:
    kinds: Dict[str, Callable[[ModelFigures], int]] = {
        "failed": lambda model: model.failed,
        "broken off or cancelled": lambda model: model.left,
        "retries": lambda model: model.retries,
        "fallbacks to it": lambda model: model.fallbacks,
    }
    names = _rows(figures, lambda model: sum(count(model) for count in kinds.values()))
    bars = [
        _bar(kind, names, [count(figures.models[name]) for name in names], colour=colour, across=True)
        for (kind, count), colour in zip(kinds.items(), (5, 1, 0, 3))
        if any(count(figures.models[name]) for name in names)
    ]
    if not bars:
        return None
    note = (
        "Requests by the model that was asked; a call makes several when it is retried or falls back. "
        "A retry or fallback that failed is in both parts of the bar."
    )
    title, axis = "Failures, retries and fallbacks", _counts(bars, across=True)
    return _chart(title, note, bars, barmode="stack", names=names, xaxis=axis)


def _latency(figures: Figures) -> Optional[Chart]:
    return _distribution(figures, "Latency of answers", lambda model: model.latency)


def _first_token(figures: Figures) -> Optional[Chart]:
    return _distribution(figures, "Time to first token of streamed answers", lambda model: model.first_token)


def _distribution(
    figures: Figures, title: str, durations: Callable[[ModelFigures], Durations]
) -> Optional[Chart]:
    shown = _leading(figures)
    counts: Dict[str, Dict[int, int]] = {}
    everything = Durations()
    for name, model in figures.models.items():
        line = counts.setdefault(name if name in shown else OTHERS, {})
        for number, count in durations(model).bins.items():
            line[number] = line.get(number, 0) + count
            everything.bins[number] = everything.bins.get(number, 0) + count
        everything.count += durations(model).count
    if not everything.count:
        return None
    numbers = range(min(everything.bins), max(everything.bins) + 1)
    labels = [seconds(Durations.start(number)) for number in numbers]
    bars = [
        _bar(name, labels, [counts[name].get(number, 0) for number in numbers], colour=colour)
        for name, colour in shown.items()
        if counts.get(name)
    ]
    return _chart(
        title,
        _distribution_note(everything),
        bars,
        barmode="stack",
        bargap=0 if len(numbers) > 3 else 0.6,
        xaxis={"type": "category", "nticks": 8},
        yaxis=_counts(bars),
    )


def _distribution_note(durations: Durations) -> str:
    answers = number_of(durations.count, "answer")
    middle, most = (seconds(durations.quantile(share) or 0) for share in (0.5, 0.95))
    if len(durations.bins) == 1:
        return f"{answers}, about {middle}."
    return (
        f"Half of {answers} within {middle}, 95 % within {most}. "
        "Each bar spans 12 % more time than the one before."
    )


# ---------------------------------------------------------------------------------------- parts


def seconds(number: float) -> str:
    """Show a duration."""
    if number < 0.1:
        return f"{number * 1000:.2g} ms"
    return f"{number:.2g} s" if number < 100 else f"{number:.0f} s"


def _leading(figures: Figures) -> Dict[str, int]:
    """The models that get a colour of their own, the most expensive first, and the one of all others."""
    models = figures.models
    ranked = sorted(models, key=lambda name: (-models[name].cost, -models[name].answered, name))
    return {name: colour for colour, name in enumerate([*ranked[:MOST_MODELS], OTHERS])}


def _rows(figures: Figures, size: Callable[[ModelFigures], Any]) -> List[str]:
    """The models that get a row of their own; plotly draws the first one at the bottom."""
    ranked = sorted(figures.models, key=lambda name: (size(figures.models[name]), name))
    return [name for name in ranked if size(figures.models[name])][-MOST_ROWS:]


def _time_axis(first: str, last: str, unit: str) -> Tuple[Dict[str, Any], float]:
    """The axis of the spend, from the first period to the last, and how wide a bar is on it."""
    period = timedelta(**{f"{unit}s": 1})
    start, end = (datetime.fromisoformat(f"{text}:00" if unit == "hour" else text) for text in (first, last))
    number = round((end - start) / period) + 1
    axis: Dict[str, Any] = {"type": "date"}
    margin = period * 0.6
    if number <= MOST_PERIODS_WRITTEN:
        margin = period * 1.5  # or a single bar would fill the chart
        written = [(start + place * period).isoformat() for place in range(number)]
        axis.update(tickvals=written, tickformat=PERIODS[unit])
    axis["range"] = [(start - margin).isoformat(), (end + margin).isoformat()]
    return axis, period.total_seconds() * 1000 * 0.85


def _counts(bars: List[Any], *, across: bool = False) -> Dict[str, Any]:
    """The axis of stacked counts: whole numbers, also where there are few."""
    most = max((sum(stack) for stack in zip(*(bar.x if across else bar.y for bar in bars))), default=0)
    return {"dtick": 1} if most <= MOST_COUNTS_WRITTEN else {}


def _bar(name: str, labels: List[str], values: List[Any], *, colour: int, across: bool = False) -> Any:
    return graph_objects.Bar(
        name=_label(name),
        x=values if across else labels,
        y=[_text(label) for label in labels] if across else values,
        orientation="h" if across else "v",
        marker={"color": COLOURS[colour], "line": {"width": 0}},
    )


def _text(name: str) -> str:
    """A name as text: plotly reads markup in it."""
    return html.escape(name, quote=False)


def _label(name: str) -> str:
    """A name as short as a label must be."""
    return _text(name if len(name) <= LONGEST_LABEL else f"{name[:24]}…{name[-10:]}")


def _chart(title: str, note: str, bars: List[Any], *, names: Sequence[str] = (), **layout: Any) -> Chart:
    figure = graph_objects.Figure(bars)
    figure.update_layout(
        template="none",
        height=max(340, 130 + 26 * len(names)),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=len(bars) > 1,
        legend={"orientation": "h", "y": -0.18, "yanchor": "top", "traceorder": "normal"},
        font={"family": "system-ui, sans-serif", "size": 12},
        hovermode="closest",
        bargap=0.2 if not names or len(names) > 3 else 0.6,
    )
    figure.update_xaxes(automargin=True, zeroline=False, ticklabelstandoff=4)
    figure.update_yaxes(automargin=True, zeroline=False, ticklabelstandoff=6)
    if names:
        figure.update_yaxes(tickvals=list(map(_text, names)), ticktext=list(map(_label, names)))
    figure.update_layout(**layout)
    return Chart(title, note, figure.to_json())
