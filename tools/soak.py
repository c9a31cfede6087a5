"""Runs mixed traffic with faults against the scripted server, and tells whether anything went wrong.

    python -m tools.soak --seconds 60

Threads, tasks and four dialects at once; whole answers and streams, some left early, some cancelled; one
reply in five is faulty. The server runs in a process of its own, so that only the calls' memory is measured.
The exit code is 1 when an answer was wrong, an error was none of ours, a request is missing in the ledger, a
socket stayed open, or memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gc
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple
from typing import Counter as CounterOf

from llm_orchestrator import LLMOrchestrator, OrchestratorError, StreamInterruptedError
from tests.bench import Reply, Request, ScriptedServer
from tests.bench.echo import FaultyEcho
from tests.promises.everywhere import config_of_all, siblings
from tools import environment

FAULTY_SHARE = 0.2
THREADS, TASKS, CALLS_IN_ROUND = 8, 24, 8
#: Every stall costs this long, so it is short; a busy machine then sees a few timeouts more.
TIMEOUT = 0.5
#: Caches and free lists fill up in the first part of a run.
WARM_UP_SHARE = 0.5
#: Less than the smallest thing a call could leave behind.
MAX_BYTES_PER_CALL = 300
#: Attempts that ended so may have ended before their request had arrived.
UNSURE = ("CancelledError", "ProviderTimeoutError", "ProviderConnectionError")


class Tally:
    """What came of the calls; shared by all threads, each addition is one step."""

    def __init__(self) -> None:
        self.outcomes: CounterOf[str] = Counter()
        self.wrong: List[str] = []

    def answered(self, question: str, text: str, kind: str = "right answer") -> None:
        """Note an answer, which has to be the question (its beginning, when it was left early)."""
        whole = kind == "right answer"
        if (text == question) if whole else question.startswith(text):
            self.outcomes[kind] += 1
        else:
            self.wrong.append(f"asked {question!r}, got {text!r}")

    def failed(self, question: str, error: BaseException) -> None:
        """Note an error, which has to be one of ours; what an interrupted stream said has to be right."""
        self.outcomes[type(error).__name__] += 1
        if not isinstance(error, OrchestratorError):
            self.wrong.append(f"asked {question!r}, got {error!r}")
        elif isinstance(error, StreamInterruptedError) and not question.startswith(error.partial_text):
            self.wrong.append(f"asked {question!r}, was interrupted after {error.partial_text!r}")


def call(family: List[LLMOrchestrator], tally: Tally, number: int) -> None:
    """One sync call: whole, streamed, closed early or dropped."""
    orchestrator, question = family[number % len(family)], f"What is the number {number} ?"
    try:
        if number % 3 == 0:
            tally.answered(question, orchestrator.send_request(question).content)
            return
        stream = orchestrator.send_streaming_request(question)
        if number % 5:
            tally.answered(question, stream.final_response().content)
        elif number % 2:
            with stream:
                tally.answered(question, next(stream), "left")
        else:
            tally.answered(question, next(stream), "dropped")
    except Exception as error:
        tally.failed(question, error)


async def acall(family: List[LLMOrchestrator], tally: Tally, number: int) -> None:
    """One async call: whole, streamed, closed early, dropped or cancelled."""
    orchestrator, question = family[number % len(family)], f"What is the number {number} ?"
    try:
        if number % 3 == 0:
            tally.answered(question, (await orchestrator.asend_request(question)).content)
            return
        stream = orchestrator.asend_streaming_request(question)
        if number % 7 == 0:
            await cancel(stream.final_response(), random.random() / 50, tally)
        elif number % 5:
            tally.answered(question, (await stream.final_response()).content)
        elif number % 2:
            async with stream:
                tally.answered(question, await stream.__anext__(), "left")
        else:
            tally.answered(question, await stream.__anext__(), "dropped")
    except Exception as error:
        tally.failed(question, error)


async def cancel(work: Any, seconds: float, tally: Tally) -> None:
    """Cancel a call after a while; it may be faster."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(seconds)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    tally.outcomes["cancelled" if task.cancelled() else "right answer"] += 1


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


def run_round(family: List[LLMOrchestrator], tally: Tally, first: int) -> int:
    """Threads and tasks at once, each with some calls; returns how many calls that were."""

    def in_thread(thread: int) -> None:
        for number in range(CALLS_IN_ROUND):
            call(family, tally, first + thread * CALLS_IN_ROUND + number)

    async def in_task(task: int) -> None:
        for number in range(CALLS_IN_ROUND):
            await acall(family, tally, first + (THREADS + task) * CALLS_IN_ROUND + number)

    async def in_tasks() -> None:
        await asyncio.gather(*[in_task(task) for task in range(TASKS)])

    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(in_thread, thread) for thread in range(THREADS)]
        asyncio.run(in_tasks())
        for future in done:
            future.result()
    return (THREADS + TASKS) * CALLS_IN_ROUND


def slope(points: List[Tuple[int, int]]) -> float:
    """Bytes for every call, by the line that fits best."""
    calls, sizes = zip(*points)
    middle, size = sum(calls) / len(calls), sum(sizes) / len(sizes)
    spread = sum((at - middle) ** 2 for at in calls)
    return sum((at - middle) * (bytes_ - size) for at, bytes_ in points) / spread if spread else 0.0


def serve() -> None:
    """Be the server: print the address, answer until the input ends, print what was answered."""
    faulty = FaultyEcho(FAULTY_SHARE, stalls=True)
    with ScriptedServer() as server:

        def forgetful(request: Request) -> Reply:
            server.requests.clear()
            return faulty(request)

        server.default = forgetful
        print(server.url, flush=True)
        sys.stdin.read()
        server.wait_for_connections(0)
        told = {"requests": faulty.requests, "faults": faulty.faults, "open": server.open_connections}
        print(json.dumps({**told, "errors": list(map(repr, server.errors))}))


def soak(seconds: float, ledger: Path) -> bool:
    """Run for some seconds and print what came of it; returns whether nothing was wrong."""
    command = [sys.executable, "-m", "tools.soak", "--serve"]
    server = subprocess.Popen(
        command, cwd=environment.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    complaints, tally, calls, points = Complaints(), Tally(), 0, []
    config = config_of_all(server.stdout.readline().strip(), log_path=ledger, timeout=TIMEOUT, max_retries=1)
    started = time.monotonic()
    with LLMOrchestrator(config) as orchestrator:
        family = siblings(orchestrator)
        while time.monotonic() - started < seconds or len(points) < 2:
            calls += run_round(family, tally, calls)
            tracemalloc.start()  # after the first round, which imports the SDKs
            gc.collect()
            orchestrator.get_session_cost()  # records the dropped streams
            if time.monotonic() - started > seconds * WARM_UP_SHARE:
                points.append((calls, tracemalloc.get_traced_memory()[0]))
    told, _ = server.communicate()
    with ledger.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tally.wrong += complaints.heard
    return report(tally, calls, slope(points), json.loads(told), rows)


def report(tally: Tally, calls: int, growth: float, told: Any, rows: List[Dict[str, str]]) -> bool:
    """Print everything; returns whether nothing was wrong."""
    unsure = sum(row["error_type"] in UNSURE for row in rows)
    faults = [
        (len(tally.wrong), "wrong outcomes"),
        (told["open"], "open sockets"),
        (sum(tally.outcomes.values()) < calls - len(tally.wrong), "calls without an outcome"),
        (not len(rows) - unsure <= told["requests"] <= len(rows), "ledger rows are not the requests sent"),
        (growth > MAX_BYTES_PER_CALL, "growing memory"),
        (len(told["errors"]), "faults of the server itself"),
    ]
    print(f"calls            {calls}: {listed(tally.outcomes)}")
    print(f"faults by kind   {sum(told['faults'].values())}: {listed(told['faults'])}")
    print(f"requests         {told['requests']}")
    print(f"ledger rows      {len(rows)}, {unsure} of them of requests that may not have arrived")
    print(f"memory slope     {growth:+.0f} bytes per call")
    print(f"open sockets     {told['open']}")
    print(f"wrong outcomes   {len(tally.wrong)}", *tally.wrong[:10], *told["errors"][:10], sep="\n  ")
    bad = [name for found, name in faults if found]
    print(f"FAILED: {', '.join(bad)}" if bad else "All is well.")
    return not bad


def listed(counts: Any) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Mixed traffic with faults.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return 0 if soak(options.seconds, Path(folder, "costs.csv")) else 1


if __name__ == "__main__":
    sys.exit(main())
