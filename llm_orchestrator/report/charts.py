"""The charts of the page, drawn by plotly; a chart with nothing to show is left out.

Colours are those of Okabe and Ito, which people with any colour vision tell apart, on white and on black.
Everything but the bars is coloured by the page's style sheet, which knows light, dark and paper.
"""

from __future__ import annotations

import html
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from plotly import graph_objects

from llm_orchestrator.report.figures import Durations, Figures, ModelFigures
from llm_orchestrator.usage_report import format_cost

__all__ = ["Chart", "charts"]

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b5a900", "#8a8a8a")
#: Models with a colour of their own; the others are drawn as one.
MOST_MODELS = len(COLOURS) - 1
OTHERS = "all others"
DOLLARS = {"tickprefix": "$", "exponentformat": "none", "separatethousands": True}
#: Milliseconds that a bar of the spend takes on its axis, with a little air.
WIDTHS = {"hour": 3_600_000 * 0.85, "day": 86_400_000 * 0.85}
#: Models in a chart that has a row for each.
MOST_ROWS = 15
#: Characters of a name in a chart; the tables have it whole.
LONGEST_LABEL = 36


class Chart(NamedTuple):
    """A chart.

    Attributes:
        title: What it shows.
        note: What a reader has to know about it.
        json: The chart as plotly's script takes it.
    """

    title: str
    note: str
    json: str


def charts(figures: Figures) -> Iterator[Chart]:
    """Draw the charts.

    Args:
        figures: The sums.

    Yields:
        Every chart for which there is something to show.
    """
    for draw in (_spend, _tokens, _saved, _reliability, _latency, _first_token):
        chart = draw(figures)
        if chart is not None:
            yield chart


# ---------------------------------------------------------------------------------------- one chart each


def _spend(figures: Figures) -> Optional[Chart]:
    if not figures.spend:
        return None
    shown = _leading(figures)
    periods = sorted({period for period, _ in figures.spend})
    sums: Dict[str, Dict[str, Decimal]] = {}
    for (period, model), cost in figures.spend.items():
        line = sums.setdefault(model if model in shown else OTHERS, {})
        line[period] = line.get(period, Decimal(0)) + cost
    bars = [
        _bar(name, periods, [float(sums[name].get(period, 0)) for period in periods], colour=colour)
        for name, colour in shown.items()
        if name in sums
    ]
    unit = "hour" if len(periods[0]) > len("2026-01-01") else "day"
    for bar in bars:
        bar.width = WIDTHS[unit]
    axis = {"type": "date", "range": _span(periods[0], periods[-1], unit)}
    note = f"US dollars by {unit}, estimates included; calls of unknown price are not in it."
    return _chart(
        "Spend over time by model",
        note,
        bars,
        barmode="stack",
        xaxis=axis,
        yaxis=DOLLARS,
    )


def _tokens(figures: Figures) -> Optional[Chart]:
    names = _rows(figures, lambda model: sum(model.tokens.values()))
    classes = ("input", "cache read", "cache write", "output", "reasoning")
    bars = [
        _bar(kind, names, [figures.models[name].tokens[kind] for name in names], colour=number, across=True)
        for number, kind in enumerate(classes)
        if any(figures.models[name].tokens[kind] for name in names)
    ]
    note = "Every token once: input is what was read anew, output is without reasoning."
    return _chart("Tokens by class", note, bars, barmode="stack", names=names) if bars else None


def _saved(figures: Figures) -> Optional[Chart]:
    names = [name for name in _rows(figures, lambda model: abs(model.saved)) if figures.models[name].saved]
    if not names:
        return None
    saved = [figures.models[name].saved for name in names]
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
    names = [
        name
        for name in _rows(figures, lambda model: sum(count(model) for count in kinds.values()))
        if any(count(figures.models[name]) for count in kinds.values())
    ]
    bars = [
        _bar(kind, names, [count(figures.models[name]) for name in names], colour=colour, across=True)
        for (kind, count), colour in zip(kinds.items(), (5, 1, 0, 3))
    ]
    note = "Requests, by the model that was asked."
    return (
        _chart("Failures, retries and fallbacks", note, bars, barmode="group", names=names) if names else None
    )


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
    middle, most = (seconds(everything.quantile(share) or 0) for share in (0.5, 0.95))
    note = (
        f"Half of {everything.count:,} within {middle}, 95 % within {most}. Each bar is 12 % longer a time."
    )
    return _chart(title, note, bars, barmode="stack", bargap=0, xaxis={"type": "category", "nticks": 8})


# ---------------------------------------------------------------------------------------- parts


def seconds(number: float) -> str:
    """Show a duration.

    Args:
        number: Seconds.

    Returns:
        Two significant digits with a unit: ``0.35 s``, ``12 ms``.
    """
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


def _span(first: str, last: str, unit: str) -> List[str]:
    """What the axis of the spend shows: a few periods at least, or a single bar would fill it."""
    period = timedelta(**{f"{unit}s": 1})
    start, end = (datetime.fromisoformat(f"{text}:00" if unit == "hour" else text) for text in (first, last))
    more = max((8 * period - (end - start)) / 2, period * 0.6)
    return [(start - more).isoformat(), (end + more).isoformat()]


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
    rows = len(names) * (2 if layout.get("barmode") == "group" else 1)
    figure = graph_objects.Figure(bars)
    figure.update_layout(
        template="none",
        height=max(340, 130 + 26 * rows),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=len(bars) > 1,
        legend={"orientation": "h", "y": -0.18, "yanchor": "top", "traceorder": "normal"},
        font={"family": "system-ui, sans-serif", "size": 12},
        hovermode="closest",
        bargap=0.2 if not rows or rows > 3 else 0.6,
    )
    figure.update_xaxes(automargin=True, zeroline=False, ticklabelstandoff=4)
    figure.update_yaxes(automargin=True, zeroline=False, ticklabelstandoff=6)
    if names:
        figure.update_yaxes(tickvals=list(map(_text, names)), ticktext=list(map(_label, names)))
    figure.update_layout(**layout)
    return Chart(title, note, figure.to_json())
