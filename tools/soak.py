"""Runs mixed traffic with faults against the scripted server, and tells whether anything went wrong.

    python -m tools.soak --seconds 60

Threads, tasks and four dialects at once; whole answers and streams, some left early, some cancelled; one
reply in five is faulty. The exit code is 1 when an answer was wrong, an error was none of ours, a request is
missing in the ledger, a socket stayed open, or memory grew. Nothing is judged by the time it took, so a busy
machine sees more timeouts, which are right answers to a slow server, and no failure.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gc
import itertools
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

from llm_orchestrator import LLMOrchestrator
from tests.support.everywhere import config_of_all, siblings
from tools.environment import ROOT
from tools.soak_traffic import CALLS_IN_ROUND, Tally, run_round

#: Every stall costs this long, so it is short.
TIMEOUT = 0.5
#: Every so many rounds, one has a loop of its own, with clients of its own.
ROUNDS_ON_ONE_LOOP = 5
#: Caches, pools and free lists fill up in the first part of a run.
WARM_UP_SHARE = 0.4
#: By so many blocks of memory two looks may differ, since connections come and go ...
NOISE = 5_000
#: ... and by so many for every call between them, which is less than an object has.
NOISE_PER_CALL = 0.5
#: Attempts that ended so may have ended before their request had arrived.
UNSURE = ("CancelledError", "ProviderTimeoutError", "ProviderConnectionError")


class Complaints(logging.Handler):
    """What Python and asyncio would print about things left behind."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: List[str] = []
        logging.getLogger("asyncio").addHandler(self)
        sys.unraisablehook = lambda told: self.heard.append(f"{told.object!r}: {told.exc_value!r}")

    def emit(self, record: logging.LogRecord) -> None:
        """Note what asyncio logs."""
        self.heard.append(record.getMessage())


class Memory:
    """How the memory in use goes with the number of calls, looked at between rounds."""

    def __init__(self) -> None:
        self._points: List[Tuple[int, int]] = []  # calls so far, blocks in use

    def look(self, calls: int) -> None:
        """Note how many blocks Python has allocated; a call that leaks leaves some behind."""
        if not self._points:
            gc.collect()
            gc.freeze()  # the SDKs' objects are many, and here to stay
        gc.collect()
        self._points.append((calls, sys.getallocatedblocks()))

    def growth(self) -> Tuple[int, int]:
        """Blocks, and calls, from the lowest point of the middle of the run to the lowest of its end."""
        points = self._points[int(len(self._points) * WARM_UP_SHARE) :]
        middle, end = points[: len(points) // 2], points[len(points) // 2 :]
        (calls, blocks), (more_calls, more_blocks) = (
            min(part, key=lambda point: point[1]) for part in (middle or end, end)
        )
        return more_blocks - blocks, more_calls - calls


class Run(NamedTuple):
    """What a run has come to.

    Attributes:
        calls: How many calls were made.
        tally: What the callers saw.
        seen: What the server saw.
        rows: The errors of the ledger's rows, counted.
        growth: Blocks of memory, and calls between the two looks.
    """

    calls: int
    tally: Tally
    seen: Mapping[str, Any]
    rows: Mapping[str, int]
    growth: Tuple[int, int]


def soak(seconds: float, ledger: Path) -> Run:
    """Call for some seconds."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tools.soak_server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    complaints, tally, memory = Complaints(), Tally(), Memory()
    url = server.stdout.readline().strip()
    with LLMOrchestrator(config_of_all(url, log_path=ledger, timeout=TIMEOUT, max_retries=1)) as orchestrator:
        calls = call_for(seconds, orchestrator, tally, memory)
    seen = json.loads(server.communicate()[0])
    tally.wrong += complaints.heard
    with ledger.open(encoding="utf-8", newline="") as file:
        rows = Counter(row["error_type"] for row in csv.DictReader(file))
    return Run(calls, tally, seen, rows, memory.growth())


def call_for(seconds: float, orchestrator: LLMOrchestrator, tally: Tally, memory: Memory) -> int:
    """Run rounds until the time is over, most of them on one loop; returns the number of calls."""
    family, loop, calls = siblings(orchestrator), asyncio.new_event_loop(), 0
    end = time.monotonic() + seconds
    for number in itertools.count(1):
        run = loop.run_until_complete if number % ROUNDS_ON_ONE_LOOP else asyncio.run
        run_round(family, tally, run, calls)
        calls += CALLS_IN_ROUND
        orchestrator.get_session_cost()  # records the dropped streams
        memory.look(calls)
        if time.monotonic() > end:
            break
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    return calls


def report(run: Run) -> bool:
    """Print everything; returns whether nothing was wrong."""
    tally, seen = run.tally, run.seen
    rows, unsure = sum(run.rows.values()), sum(run.rows.get(name, 0) for name in UNSURE)
    growth, calls_between = run.growth
    print(f"calls            {run.calls}: {listed(tally.outcomes)}")
    print(f"faults by kind   {sum(seen['faults'].values())}: {listed(seen['faults'])}")
    print(f"requests         {seen['requests']}")
    print(f"ledger rows      {rows}, {unsure} of them of requests that may not have arrived")
    print(f"memory slope     {growth / (calls_between or 1):+.2f} blocks per call")
    print(f"open sockets     {seen['open']}")
    print(f"wrong outcomes   {len(tally.wrong)}", *tally.wrong[:10], sep="\n  ")
    faults = {
        "wrong outcomes": tally.wrong,
        "open sockets": seen["open"],
        "calls without an outcome": run.calls - sum(tally.outcomes.values()),
        "ledger rows are not the requests sent": not rows - unsure <= seen["requests"] <= rows,
        "growing memory": growth > NOISE + NOISE_PER_CALL * calls_between,
        f"faults of the server itself: {seen['errors'][:3]}": seen["errors"],
    }
    bad = [name for name, found in faults.items() if found]
    print(f"FAILED: {', '.join(bad)}" if bad else "All is well.")
    return not bad


def listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Mixed traffic with faults.")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return 0 if report(soak(options.seconds, Path(folder, "costs.csv"))) else 1


if __name__ == "__main__":
    sys.exit(main())
