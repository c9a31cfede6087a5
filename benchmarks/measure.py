"""How the benchmarks measure: contenders in turns, CPU time, medians and spread of the ratio within a turn.

The machine may be busy with other work, which adds to every figure; a ratio taken within one short turn is
disturbed least.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Awaitable, Callable, Dict, Iterator, List, Tuple

from certificate import TRUSTED

HERE = Path(__file__).resolve().parent
#: Figures of each contender, turn by turn.
Measured = Dict[str, List[float]]
#: Makes so many calls, one after another.
Calls = Callable[[int], None]
AsyncCall = Callable[[], Awaitable[Any]]


def repeated(call: Callable[[], Any]) -> Calls:
    """Make calls one after another.

    Args:
        call: Makes one.

    Returns:
        Makes as many as it is told.
    """

    def calls(number: int) -> None:
        for _ in range(number):
            call()

    return calls


def repeated_on(loop: asyncio.AbstractEventLoop, call: AsyncCall) -> Calls:
    """Make async calls one after another, in one task, as an application does.

    Args:
        loop: The loop.
        call: Makes one.

    Returns:
        Makes as many as it is told.
    """

    async def calls(number: int) -> None:
        for _ in range(number):
            await call()

    return lambda number: loop.run_until_complete(calls(number))


def in_turns(contenders: Dict[str, Calls], *, turns: int, calls: int) -> Measured:
    """Measure the CPU time of a call, each contender in each turn.

    Args:
        contenders: What makes calls, by name.
        turns: How often each of them has its turn.
        calls: Calls in one turn.

    Returns:
        Microseconds for a call.
    """
    for contender in contenders.values():
        contender(max(calls // 2, 3))
    figures: Measured = {name: [] for name in contenders}
    for _ in range(turns):
        for name, contender in contenders.items():
            before = time.process_time()
            contender(calls)
            figures[name].append((time.process_time() - before) / calls * 1e6)
    return figures


async def at_once(call: AsyncCall, number: int, in_flight: int) -> None:
    """Make calls, so many of them at once.

    Args:
        call: Makes one.
        number: Calls in all.
        in_flight: Calls at a time.
    """
    numbers = iter(range(number))

    async def caller() -> None:
        for _ in numbers:
            await call()

    await asyncio.gather(*[caller() for _ in range(in_flight)])


async def rate(call: AsyncCall, number: int, in_flight: int) -> Tuple[float, float]:
    """Measure calls while so many are in flight: the last ones, when they get fewer, do not count.

    Args:
        call: Makes one.
        number: Calls that count.
        in_flight: Calls at a time.

    Returns:
        Calls a second by the clock, and the CPU microseconds of one.
    """
    ends: List[Tuple[float, float]] = []

    async def timed() -> None:
        await call()
        ends.append((time.perf_counter(), time.process_time()))

    clock, cpu = time.perf_counter(), time.process_time()
    await at_once(timed, number + in_flight, in_flight)
    clock_end, cpu_end = ends[number - 1]
    return number / (clock_end - clock), (cpu_end - cpu) / number * 1e6


def programs_in_turns(programs: Dict[str, str], turns: int) -> Measured:
    """Measure the CPU time of fresh interpreters.

    Args:
        programs: Python programs by name.
        turns: How often each of them runs.

    Returns:
        Milliseconds.
    """
    figures: Measured = {name: [] for name in programs}
    for turn in range(turns + 1):
        for name, program in programs.items():
            before = _cpu_of_children()
            printed_by(sys.executable, "-c", program)
            if turn:  # the first one compiles
                figures[name].append((_cpu_of_children() - before) * 1000)
    return figures


def _cpu_of_children() -> float:
    """CPU seconds of all processes that have ended; ``os.times`` would count in steps of ten milliseconds."""
    if sys.platform == "win32":
        times = os.times()
        return times.children_user + times.children_system
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def printed_by(*command: str) -> str:
    """Run a program in a process of its own.

    Args:
        command: Its command line.

    Returns:
        What it printed.
    """
    # Programs are compiled once, when they are installed: a start that compiles again would measure that.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout


def peak_mb() -> float:
    """Tell the most memory that this process has used.

    Returns:
        Megabytes; not a number on Windows.
    """
    if sys.platform == "win32":
        return float("nan")
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts the memory of the parent as well, but for this line
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(found[1]) / 1024 if found else float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def median_ratio(ones: List[float], others: List[float]) -> Tuple[float, float]:
    """Compare two contenders turn by turn.

    Args:
        ones: One's figure in each turn.
        others: The other's.

    Returns:
        The median of the ratio, and half the distance between its quartiles.
    """
    ratios = [one / other for one, other in zip(ones, others)]
    quartiles = statistics.quantiles(ratios, n=4)
    return statistics.median(ratios), (quartiles[2] - quartiles[0]) / 2


@contextmanager
def canned_server(*, latency: float = 0.0, tls: bool = False) -> Iterator[str]:
    """Run the canned server in a process of its own.

    Neither of the two is bound to a core: that costs each call 0.1 ms, for waking a core that has gone idle.

    Args:
        latency: Seconds before each answer.
        tls: Whether it speaks TLS, with the trusted certificate.

    Yields:
        Its URL.
    """
    command = [sys.executable, str(HERE / "canned_server.py"), "--latency", str(latency)]
    if tls:
        command += ["--certificate", os.environ[TRUSTED]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # leaving the block closes its standard input, which ends it
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.stdout.readline().strip()}"
