"""How the benchmarks measure: contenders in turns, CPU time, medians and spread of the ratio within a turn.

The machine may be busy with other work, which adds to every figure; a ratio taken within one short turn is
disturbed least.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

HERE = Path(__file__).resolve().parent


class Figure(NamedTuple):
    """One line of the table.

    Attributes:
        what: What was measured.
        who: On which dialect or part.
        ours: The library's figure.
        theirs: What it is compared with.
        ratio: The median of ours to theirs, turn by turn.
        spread: Half the distance between the quartiles of that ratio.
        target: The ratio aimed at; None where there is none.
        unit: Of ``ours`` and ``theirs``.
        more_is_better: Whether the ratio has to reach the target, rather than stay below it.
    """

    what: str
    who: str
    ours: float
    theirs: float
    ratio: float
    spread: float
    target: Optional[float]
    unit: str = "us"
    more_is_better: bool = False

    def is_missed(self, tolerance: float = 0.0) -> bool:
        """Whether the target is missed.

        Args:
            tolerance: By how much it may be, as a share of it.

        Returns:
            Whether it is.
        """
        if self.target is None:
            return False
        if self.more_is_better:
            return self.ratio < self.target * (1 - tolerance)
        return self.ratio > self.target * (1 + tolerance)


def compared(
    what: str,
    who: str,
    ours: List[float],
    theirs: List[float],
    *,
    target: Optional[float],
    unit: str = "us",
    more_is_better: bool = False,
) -> Figure:
    """Compare two contenders turn by turn.

    Args:
        what: What was measured.
        who: On which dialect or part.
        ours: The library's figure in each turn.
        theirs: The other's figure in each turn.
        target: The ratio aimed at.
        unit: Of the figures.
        more_is_better: Whether the ratio should be high.

    Returns:
        The line of the table.
    """
    ratios = [mine / other for mine, other in zip(ours, theirs)]
    quartiles = statistics.quantiles(ratios, n=4)
    return Figure(
        what,
        who,
        statistics.median(ours),
        statistics.median(theirs),
        statistics.median(ratios),
        (quartiles[2] - quartiles[0]) / 2,
        target,
        unit,
        more_is_better,
    )


def in_turns(contenders: Dict[str, Callable[[], Any]], *, turns: int, calls: int) -> Dict[str, List[float]]:
    """Measure the CPU time of a call, each contender in each turn.

    Args:
        contenders: What to call, by name.
        turns: How often each of them has its turn.
        calls: Calls in one turn.

    Returns:
        Microseconds for a call, by contender and turn.
    """
    for contender in contenders.values():
        for _ in range(max(calls // 2, 3)):
            contender()
    figures: Dict[str, List[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, contender in contenders.items():
            before = time.process_time()
            for _ in range(calls):
                contender()
            figures[name].append((time.process_time() - before) / calls * 1e6)
    return figures


def programs_in_turns(programs: Dict[str, str], turns: int) -> Dict[str, List[float]]:
    """Measure the CPU time of fresh interpreters.

    Args:
        programs: Python programs by name.
        turns: How often each of them runs.

    Returns:
        Milliseconds by program and turn.
    """
    figures: Dict[str, List[float]] = {name: [] for name in programs}
    for turn in range(turns + 1):
        for name, program in programs.items():
            before = os.times()
            printed_by(program)
            after = os.times()
            spent = after.children_user + after.children_system
            spent -= before.children_user + before.children_system
            if turn:  # the first one compiles
                figures[name].append(spent * 1000)
    return figures


def printed_by(program: str) -> str:
    """Run a program in a fresh interpreter.

    Args:
        program: Its source.

    Returns:
        What it printed.
    """
    # Programs are compiled once, when they are installed: a start that compiles again would measure that.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def canned_server(latency: float = 0.0) -> Iterator[str]:
    """Run the canned server in a process of its own.

    Args:
        latency: Seconds before each answer.

    Yields:
        Its URL.
    """
    server = subprocess.Popen(
        [sys.executable, str(HERE / "canned_server.py"), "--latency", str(latency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None and server.stdin is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.stdin.close()
        server.wait()


def on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> Callable[[], Any]:
    """Make a sync function that runs a coroutine function on a loop.

    Args:
        loop: The loop.
        call: The coroutine function.

    Returns:
        The function.
    """

    async def run() -> None:
        await call()

    return lambda: loop.run_until_complete(run())


def table(figures: List[Figure]) -> str:
    """Write the figures for people.

    Args:
        figures: The lines.

    Returns:
        A markdown table.
    """
    lines = [
        "| what | who | ours | compared with | ratio | spread | target | met |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for figure in figures:
        sign = ">=" if figure.more_is_better else "<="
        target = "" if figure.target is None else f"{sign} {figure.target:g}"
        met = "" if figure.target is None else "no" if figure.is_missed() else "yes"
        lines.append(
            f"| {figure.what} | {figure.who} | {figure.ours:,.0f} {figure.unit} "
            f"| {figure.theirs:,.0f} {figure.unit} | {figure.ratio:.2f} | {figure.spread:.2f} "
            f"| {target} | {met} |"
        )
    return "\n".join(lines)


def as_json(figures: List[Figure]) -> str:
    """Write the figures for programs.

    Args:
        figures: The lines.

    Returns:
        JSON: a list with one object for each line.
    """
    return json.dumps([figure._asdict() for figure in figures], indent=1)
