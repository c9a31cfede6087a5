"""The charts of the page, drawn by plotly; a chart with nothing to show is left out.

Colours are those of Okabe and Ito, which people with any colour vision tell apart, on white and on black.
Everything but the bars is coloured by the page's style sheet, which knows light, dark and paper.
"""

from __future__ import annotations

import html
from decimal import Decimal
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from plotly import graph_objects

from llm_orchestrator.report.figures import Durations, Figures, ModelFigures
from llm_orchestrator.usage_report import format_cost

__all__ = ["Chart", "charts"]

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b5a900", "#8a8a8a")
#: Models with a colour of their own; the others are drawn as one.
MOST_MODELS = len(COLOURS) - 1
OTHERS = "all others"
#: Models in a chart that has a row for each.
MOST_ROWS = 15


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
    shown = _leading(figures, lambda model: model.cost)
    periods = sorted({period for period, _ in figures.spend})
    sums: Dict[str, Dict[str, Decimal]] = {}
    for (period, model), cost in figures.spend.items():
        line = sums.setdefault(model if model in shown else OTHERS, {})
        line[period] = line.get(period, Decimal(0)) + cost
    bars = [
        _bar(name, periods, [float(sums[name].get(period, 0)) for period in periods], colour=number)
        for number, name in enumerate(name for name in (*shown, OTHERS) if name in sums)
    ]
    unit = "hour" if len(periods[0]) > len("2026-01-01") else "day"
    note = f"US dollars by {unit}, estimates included; calls of unknown price are not in it."
    return _chart("Spend over time by model", note, bars, barmode="stack", yaxis={"tickprefix": "$"})


def _tokens(figures: Figures) -> Optional[Chart]:
    names = _rows(figures, lambda model: sum(model.tokens.values()))
    classes = ("input", "cache read", "cache write", "output", "reasoning")
    bars = [
        _bar(kind, names, [figures.models[name].tokens[kind] for name in names], colour=number, across=True)
        for number, kind in enumerate(classes)
        if any(figures.models[name].tokens[kind] for name in names)
    ]
    note = "Every token once: input is what was read anew, output is without reasoning."
    return _chart("Tokens by class", note, bars, barmode="stack", rows=len(names)) if bars else None


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
    return _chart("What caching saved", note, bars, rows=len(names), xaxis={"tickprefix": "$"})


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
        _chart("Failures, retries and fallbacks", note, bars, barmode="group", rows=2 * len(names))
        if names
        else None
    )


def _latency(figures: Figures) -> Optional[Chart]:
    return _distribution(figures, "Latency of answers", lambda model: model.latency)


def _first_token(figures: Figures) -> Optional[Chart]:
    return _distribution(figures, "Time to first token of streamed answers", lambda model: model.first_token)


def _distribution(
    figures: Figures, title: str, durations: Callable[[ModelFigures], Durations]
) -> Optional[Chart]:
    shown = _leading(figures, lambda model: durations(model).count)
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
        for colour, name in enumerate(name for name in (*shown, OTHERS) if counts.get(name))
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


def _leading(figures: Figures, size: Callable[[ModelFigures], Any]) -> List[str]:
    """The models that get a colour of their own, the largest first."""
    ranked = sorted(figures.models, key=lambda name: (-size(figures.models[name]), name))
    return [name for name in ranked if size(figures.models[name])][:MOST_MODELS]


def _rows(figures: Figures, size: Callable[[ModelFigures], Any]) -> List[str]:
    """The models that get a row of their own; plotly draws the first one at the bottom."""
    ranked = sorted(figures.models, key=lambda name: (size(figures.models[name]), name))
    return [name for name in ranked if size(figures.models[name])][-MOST_ROWS:]


def _bar(name: str, labels: List[str], values: List[Any], *, colour: int, across: bool = False) -> Any:
    # plotly reads markup in labels; a model's name is no markup.
    shown = [html.escape(label, quote=False) for label in labels]
    return graph_objects.Bar(
        name=html.escape(name, quote=False),
        x=values if across else shown,
        y=shown if across else values,
        orientation="h" if across else "v",
        marker={"color": COLOURS[colour], "line": {"width": 0}},
    )


def _chart(title: str, note: str, bars: List[Any], *, rows: int = 0, **layout: Any) -> Chart:
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
    )
    figure.update_xaxes(automargin=True, zeroline=False)
    figure.update_yaxes(automargin=True, zeroline=False)
    figure.update_layout(**layout)
    return Chart(title, note, figure.to_json())
