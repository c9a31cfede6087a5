"""What ``map`` adds to a call: rows a second and CPU a row, with and without a journal, and a resume.

    python benchmarks/bench_bulk.py [rows, 4000 by default] [rows of the resume, 100000 by default]

The same server answers plain ``asend_request`` by as many tasks, in turns with ``map``. Journal and gate
should add at most 0.15 ms of CPU to a row, and a million rows resume within 20 s of CPU and 200 MB.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

from contenders import LIMIT, MODEL, configuration
from measure import at_once, canned_server, peak_mb

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider

LATENCY, IN_FLIGHT, TURNS = 0.05, (64, 500), 3
ADDED_MS, RESUME_S, RESUME_MB = 0.15, 20.0, 200.0


def rows_of(count: int) -> Iterator[Dict[str, Any]]:
    """Rows of a generator."""
    return ({"id": number, "text": f"row {number}"} for number in range(count))


def measured(work: Callable[[], None], rows: int) -> Tuple[float, float]:
    """Rows a second by the clock, and CPU milliseconds a row."""
    gc.collect()
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, used = time.perf_counter() - clock, time.process_time() - cpu
    return rows / seconds, used / rows * 1000


def compare(orchestrator: LLMOrchestrator, folder: Path, rows: int, in_flight: int) -> bool:
    """Measure calls by tasks, and ``map`` with and without a journal."""
    journals = iter(range(1000))

    def tasks() -> None:
        async def ask() -> None:
            await orchestrator.asend_request("Classify: row 1", max_tokens=LIMIT)

        asyncio.run(at_once(ask, rows, in_flight))

    def mapped(journal: bool) -> None:
        path = folder / f"{in_flight}-{next(journals)}.journal" if journal else None
        run = orchestrator.map(
            rows_of(rows),
            messages="Classify: {text}",
            key="id",
            journal=path,
            concurrency=in_flight,
            max_tokens=LIMIT,
        )
        assert sum(result.error is None for result in run) == rows

    contenders: Dict[str, Callable[[], None]] = {
        "asend_request by tasks": tasks,
        "map": lambda: mapped(False),
        "map with a journal": lambda: mapped(True),
    }
    figures: Dict[str, List[Tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(TURNS):
        for name, contender in contenders.items():
            figures[name].append(measured(contender, rows))
    best = {name: min(cpu for _, cpu in found) for name, found in figures.items()}
    for name, found in figures.items():
        speed = max(speed for speed, _ in found)
        print(f"{in_flight:4d} in flight  {name:24s} {speed:7.0f} rows/s {best[name]:7.3f} ms CPU a row")
    added = best["map with a journal"] - best["asend_request by tasks"]
    print(f"{in_flight:4d} in flight  map with its journal adds {added:.3f} ms (at most {ADDED_MS})")
    return added <= ADDED_MS


def resume(folder: Path, rows: int) -> bool:
    """Fill a journal by a scripted provider, and measure how fast the same run resumes."""
    config = {
        "providers": {},
        "active_provider": "fake",
        "active_model": "fake-model",
        "cost_tracking": {"log_path": str(folder / "fake.csv")},
    }
    journal = folder / "resume.journal"
    with LLMOrchestrator(config, providers={"fake": FakeProvider("Hi", keep_requests=False)}) as orchestrator:

        def run() -> None:
            for _ in orchestrator.map(rows_of(rows), messages="Classify: {text}", key="id", journal=journal):
                pass

        first, _ = measured(run, rows)
        second, cpu = measured(run, rows)
    seconds, memory = cpu * 1000, peak_mb()  # the clock would count other work on the machine
    print(
        f"{rows:,} rows of a generator: {first:.0f} rows/s; "
        f"resumed: {second:.0f} rows/s, {cpu:.4f} ms CPU a row"
    )
    print(f"a million resume in {seconds:.1f} s (at most {RESUME_S:g}); peak of memory {memory:.0f} MB")
    return seconds <= RESUME_S and memory <= RESUME_MB


def main() -> int:
    """Measure all; returns 1 when a bound is passed."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    resumed = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fine = [resume(folder, resumed)]
        with canned_server(latency=LATENCY) as url:
            config = {**configuration(url, folder / "ledger.csv", ["direct"]), "active_model": MODEL}
            with LLMOrchestrator(config) as orchestrator:
                fine += [compare(orchestrator, folder, rows, in_flight) for in_flight in IN_FLIGHT]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
