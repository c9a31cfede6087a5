"""What ``map`` adds to a call: rows a second and CPU a row, with and without a journal, and a resume.

    python benchmarks/bench_bulk.py [rows, 4000 by default] [rows of the resume, 100000 by default]

The same server answers OpenAI's SDK by ``asyncio.gather``, and plain ``asend_request`` by as many tasks, in
turns with ``map``. Journal and gate should add at most 0.15 ms of CPU to a row; 10,000 rows at 500 in flight
against 200 ms take at most 2 times what the latency alone would; and a million rows resume within 20 s of CPU
and 200 MB.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

from contenders import LIMIT, MODEL, configuration, sdk
from measure import at_once, canned_server, peak_mb

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider

LATENCY, IN_FLIGHT, TURNS = 0.05, (64, 500), 3
ADDED_MS, RESUME_S, RESUME_MB = 0.15, 20.0, 200.0
MANY, LONG_LATENCY, MOST_TIMES = 10_000, 0.2, 2.0
SDK, TASKS, JOURNAL = "asyncio.gather on the SDK", "asend_request by tasks", "map with a journal"


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


def contenders(
    orchestrator: LLMOrchestrator, url: str, folder: Path, in_flight: int
) -> Dict[str, Callable[[int], None]]:
    """Who answers so many rows: the SDK and plain calls by as many tasks, and ``map``."""
    journals = iter(range(1000))

    def gathered(rows: int) -> None:
        async def ask_all() -> None:
            theirs = sdk(url, "chat")
            await at_once(theirs.awhole, rows, in_flight)
            if theirs.aclose is not None:
                await theirs.aclose()

        asyncio.run(ask_all())

    def tasks(rows: int) -> None:
        async def ask() -> None:
            await orchestrator.asend_request("Classify: row 1", max_tokens=LIMIT)

        asyncio.run(at_once(ask, rows, in_flight))

    def mapped(rows: int, *, journal: bool) -> None:
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

    return {
        SDK: gathered,
        TASKS: tasks,
        "map": partial(mapped, journal=False),
        JOURNAL: partial(mapped, journal=True),
    }


def compare(orchestrator: LLMOrchestrator, url: str, folder: Path, rows: int, in_flight: int) -> bool:
    """Measure the SDK, calls by tasks, and ``map`` with and without a journal, in turns."""
    racing = contenders(orchestrator, url, folder, in_flight)
    figures: Dict[str, List[Tuple[float, float]]] = {name: [] for name in racing}
    for _ in range(TURNS):
        for name, contender in racing.items():
            count = rows // 4 if name == SDK else rows  # each takes it several times as long
            figures[name].append(measured(partial(contender, count), count))
    speeds = {name: max(speed for speed, _ in found) for name, found in figures.items()}
    costs = {name: min(cpu for _, cpu in found) for name, found in figures.items()}
    for name in figures:
        print(
            f"{in_flight:4d} in flight  {name:28s} {speeds[name]:7.0f} rows/s {costs[name]:7.3f} ms CPU a row"
        )
    added = costs[JOURNAL] - costs[TASKS]
    print(f"{in_flight:4d} in flight  map with its journal adds {added:.3f} ms (at most {ADDED_MS})")
    print(
        f"{in_flight:4d} in flight  and takes {costs[JOURNAL] / costs[SDK]:.2f} of the SDK's CPU, at "
        f"{speeds[JOURNAL] / speeds[SDK]:.1f} times its rows a second"
    )
    return added <= ADDED_MS


def against_the_latency(orchestrator: LLMOrchestrator, folder: Path) -> bool:
    """Measure how long many rows take where the latency alone would set the pace."""
    began = time.perf_counter()
    run = orchestrator.map(
        rows_of(MANY),
        messages="Classify: {text}",
        key="id",
        journal=folder / "latency.journal",
        concurrency=max(IN_FLIGHT),
        max_tokens=LIMIT,
    )
    assert sum(result.error is None for result in run) == MANY
    seconds, least = time.perf_counter() - began, MANY / max(IN_FLIGHT) * LONG_LATENCY
    print(
        f"{MANY:,} rows at {max(IN_FLIGHT)} in flight against {LONG_LATENCY * 1000:.0f} ms: {seconds:.1f} s, "
        f"{seconds / least:.2f} times the latency's own limit (at most {MOST_TIMES:g})"
    )
    return seconds <= MOST_TIMES * least


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


def calls(url: str, folder: Path) -> LLMOrchestrator:
    """Make an orchestrator whose answers come from the canned server."""
    config = {**configuration(url, folder / "ledger.csv", ["direct"]), "active_model": MODEL}
    return LLMOrchestrator(config)


def main() -> int:
    """Measure all; returns 1 when a bound is passed."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    resumed = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fine = [resume(folder, resumed)]
        with canned_server(latency=LATENCY) as url, calls(url, folder) as orchestrator:
            fine += [compare(orchestrator, url, folder, rows, in_flight) for in_flight in IN_FLIGHT]
        with canned_server(latency=LONG_LATENCY) as url, calls(url, folder) as orchestrator:
            fine.append(against_the_latency(orchestrator, folder))
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
