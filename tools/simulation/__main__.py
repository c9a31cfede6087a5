"""``python -m tools.simulation``: many simulations on all cores, or one again from its seed."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Counter as CounterOf
from typing import Iterable, List, Mapping, Optional

from tools.simulation.world import CALLS, Result, simulate

#: Broken invariants that are shown of one simulation, and simulations that are shown.
SHOWN = 10


@dataclass
class Total:
    """What all simulations have come to."""

    simulations: int = 0
    calls: int = 0
    requests: int = 0
    rows: int = 0
    seconds: float = 0.0
    outcomes: CounterOf[str] = field(default_factory=Counter)
    faults: CounterOf[str] = field(default_factory=Counter)
    broken: List[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.simulations += 1
        self.calls += result.calls
        self.requests += result.requests
        self.rows += result.rows
        self.seconds += result.seconds
        self.outcomes.update(result.outcomes)
        self.faults.update(result.faults)
        if result.broken:
            self.broken.append(result)


def simulate_many(seeds: Iterable[int], processes: int) -> Total:
    """Run one simulation for each seed; each process takes the next one when it is done with its own."""
    total = Total()
    with multiprocessing.Pool(processes) as pool:
        for result in pool.imap_unordered(simulate, seeds):
            if result.broken and len(total.broken) < SHOWN:
                show_broken(result)
            total.add(result)
    return total


def show_broken(result: Result) -> None:
    print(f"seed {result.seed}: {len(result.broken)} broken")
    print(*(f"  {what}" for what in result.broken[:SHOWN]), sep="\n")
    print(f"  again: {again(result.seed)}", flush=True)


def again(seed: int) -> str:
    return f'make simulate ARGS="--seed {seed}"'


def report(total: Total, took: float) -> bool:
    """Print everything; returns whether nothing was broken."""
    hours = total.seconds / 3600
    print(f"simulations      {total.simulations}, of {hours:.1f} hours, in {took:.0f} s")
    print(f"calls            {total.calls}: {listed(total.outcomes)}")
    print(f"faulty replies   {sum(total.faults.values())}: {listed(total.faults)}")
    print(f"requests         {total.requests}")
    print(f"ledger rows      {total.rows}")
    seeds = ", ".join(str(result.seed) for result in total.broken[:SHOWN])
    print(f"FAILED: {len(total.broken)} simulations, such as {seeds}" if seeds else "All is well.")
    return not total.broken


def listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {name}" for name, count in ordered)


def repeat(seed: int) -> bool:
    """Run one simulation and print all that happens."""
    result = simulate(seed, with_log=True)
    print(*result.log, sep="\n")
    print(f"digest {result.digest:08x}, {listed(result.outcomes)}")
    if result.broken:
        show_broken(result)
    return not result.broken


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="tools.simulation", description="Simulated calls with faults.")
    parser.add_argument("--calls", type=int, default=100_000, help="how many calls to make in all")
    parser.add_argument("--first", type=int, help="the first seed; by default a random one")
    parser.add_argument("--seed", type=int, help="run this one simulation, and print all that happens")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return 0 if repeat(options.seed) else 1
    first = random.randrange(10**6, 10**9) if options.first is None else options.first
    seeds = range(first, first + max(-(-options.calls // CALLS), 1))
    started = time.monotonic()
    total = simulate_many(seeds, options.processes)
    return 0 if report(total, time.monotonic() - started) else 1


if __name__ == "__main__":
    sys.exit(main())
