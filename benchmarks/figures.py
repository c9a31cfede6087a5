"""The lines of the table, their targets, and how many of them are met."""

from __future__ import annotations

import json
import statistics
from typing import Dict, List, NamedTuple, Optional

from measure import Measured, median_ratio

#: How much a target may be missed by before ``--check`` fails.
TOLERANCE = 0.15


class Figure(NamedTuple):
    """One line of the table.

    Attributes:
        what: What was measured.
        who: On which dialect or part.
        ours: The library's figure.
        theirs: What it is compared with.
        ratio: The median of ours to theirs, turn by turn.
        spread: Half the distance between the quartiles of that ratio.
        beside: The same ratio of other contenders, by name.
        target: The ratio aimed at; None where there is none.
        unit: Of ``ours`` and ``theirs``.
        more_is_better: Whether the ratio has to reach the target, rather than stay below it.
        is_cell: Whether it is one of the targets for calls, chunks, rates and starts that are counted.
    """

    what: str
    who: str
    ours: float
    theirs: float
    ratio: float
    spread: float
    beside: Dict[str, float]
    target: Optional[float] = None
    unit: str = "us"
    more_is_better: bool = False
    is_cell: bool = False

    @property
    def miss(self) -> float:
        """By how much the target is missed, as a share of it; zero or less when it is met."""
        if self.target is None:
            return 0.0
        beyond = self.ratio / self.target - 1
        return -beyond if self.more_is_better else beyond

    def is_missed(self, tolerance: float = 0.0) -> bool:
        """Whether the target is missed; a figure that could not be measured misses it.

        Args:
            tolerance: By how much it may be, as a share of it.

        Returns:
            Whether it is.
        """
        return not self.miss <= tolerance


def compared(
    what: str,
    who: str,
    measured: Measured,
    *,
    target: Optional[float],
    unit: str = "us",
    more_is_better: bool = False,
    is_cell: bool = False,
) -> Figure:
    """Compare contenders turn by turn.

    Args:
        what: What was measured.
        who: On which dialect or part.
        measured: The figures of "ours", of "theirs", and of others.
        target: The ratio aimed at.
        unit: Of the figures.
        more_is_better: Whether the ratio should be high.
        is_cell: Whether the target is one of those counted.

    Returns:
        The line of the table.
    """
    others = dict(measured)
    ours, theirs = others.pop("ours"), others.pop("theirs")
    ratio, spread = median_ratio(ours, theirs)
    return Figure(
        what,
        who,
        statistics.median(ours),
        statistics.median(theirs),
        ratio,
        spread,
        {name: median_ratio(figures, theirs)[0] for name, figures in others.items()},
        target,
        unit,
        more_is_better,
        is_cell,
    )


def single(what: str, who: str, value: float, *, target: float, unit: str) -> Figure:
    """A figure that is compared with nothing but its target.

    Args:
        what: What was measured.
        who: On which part.
        value: The figure.
        target: The most it should be.
        unit: Of both.

    Returns:
        The line of the table.
    """
    return Figure(what, who, value, target, value / target, 0.0, {}, 1.0, unit)


def table(figures: List[Figure]) -> str:
    """Write the figures for people.

    Args:
        figures: The lines.

    Returns:
        A markdown table.
    """
    lines = [
        "| what | who | ours | compared with | ratio | spread | target | met | others |",
        "|---|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for figure in figures:
        sign = ">=" if figure.more_is_better else "<="
        target = "" if figure.target is None else f"{sign} {figure.target:g}"
        met = "" if figure.target is None else "no" if figure.is_missed() else "yes"
        others = ", ".join(f"{name} {ratio:.2f}" for name, ratio in figure.beside.items())
        digits, places = int(figure.ours < 10), _places(figure.ratio)
        lines.append(
            f"| {figure.what} | {figure.who} | {figure.ours:,.{digits}f} {figure.unit} "
            f"| {figure.theirs:,.{digits}f} {figure.unit} | {figure.ratio:.{places}f} "
            f"| {figure.spread:.2f} | {target} | {met} | {others} |"
        )
    return "\n".join(lines)


def overview(figures: List[Figure], columns: List[str]) -> str:
    """Write the ratios of all dialects side by side, as the page on performance shows them.

    Args:
        figures: The lines.
        columns: Names of the dialects.

    Returns:
        A markdown table; a target that is missed stands in brackets.
    """
    rows: Dict[str, Dict[str, str]] = {}
    for figure in figures:
        if figure.who in columns:
            missed = f" ({figure.target:g})" if figure.is_missed() else ""
            rows.setdefault(figure.what, {})[figure.who] = f"{figure.ratio:.{_places(figure.ratio)}f}{missed}"
    lines = [f"| what | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    full = {what: row for what, row in rows.items() if len(row) == len(columns)}
    lines += [f"| {what} | {' | '.join(row[name] for name in columns)} |" for what, row in full.items()]
    return "\n".join(lines)


def _places(ratio: float) -> int:
    return 3 if ratio < 0.1 else 2


def verdict(figures: List[Figure]) -> str:
    """Tell how many of the cells are met, and by how much the worst is missed.

    Args:
        figures: The lines; those of all sections hold 32 cells.

    Returns:
        A sentence.
    """
    cells = [figure for figure in figures if figure.is_cell]
    missed = [figure for figure in cells if figure.is_missed()]
    text = f"{len(cells) - len(missed)} of {len(cells)} cells met"
    if not missed:
        return f"{text}."
    worst = max(missed, key=lambda figure: figure.miss)
    return f"{text}, worst miss {worst.miss:.0%} ({worst.what}, {worst.who})."


def as_json(figures: List[Figure]) -> str:
    """Write the figures for programs.

    Args:
        figures: The lines.

    Returns:
        JSON: a list with one object for each line.
    """
    return json.dumps([figure._asdict() for figure in figures], indent=1)
