"""How long calls wait for the ledger while its database is away: refusing, silent, or stopped in the middle.

    python benchmarks/bench_outage.py [seconds of each case]

A model that answers at once stands for the provider, so that a call is the library's own time. Figures are
milliseconds of wall time, and other work on the machine adds to the slowest; CPU of the calling thread is
beside them. The last case needs a PostgreSQL server on this machine.
"""

from __future__ import annotations

import logging
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from llm_orchestrator import BudgetExceededError, LLMOrchestrator
from llm_orchestrator.testing import FakeProvider
from tests.support.databases import PostgreSQL, _programs, _user

#: What a call may wait at most, once it is known that the database is away.
WAIT_MS = 50.0
#: What the call may wait that finds out.
FIRST_MS = 1_500.0
#: Seconds between two calls.
BEAT = 0.01

BUDGETS: Dict[str, Dict[str, Any]] = {
    "no budget": {},
    "budget, allow": {"month": 1000},
    "budget, refuse": {"month": 1000, "on_unreachable": "refuse"},
}


def orchestrator_of(url: str, spool: Path, budget: Dict[str, Any]) -> LLMOrchestrator:
    """Make an orchestrator with such a ledger."""
    price = {"provider": "fake", "model": "m", "rates": {"in": "1", "out": "1"}}
    tracking = {"database_url": url, "spool_path": str(spool), "budget": budget, "price_overrides": [price]}
    config = {
        "active_provider": "fake",
        "active_model": "m",
        "providers": {"fake": {}},
        "cost_tracking": tracking,
    }
    return LLMOrchestrator(config, providers={"fake": FakeProvider(["x"])})


def call(orchestrator: LLMOrchestrator) -> float:
    """Make a call; returns its milliseconds, whether it is answered or refused."""
    start = time.perf_counter()
    with suppress(BudgetExceededError):
        orchestrator.send_request("Hi", max_tokens=5)
    return (time.perf_counter() - start) * 1e3


def calls(orchestrator: LLMOrchestrator, seconds: float) -> Tuple[List[float], float]:
    """Make calls for so long; returns the milliseconds of each, and those of CPU of the slowest."""
    waits, cpu, end = [], 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.thread_time()
        waits.append(call(orchestrator))
        if waits[-1] == max(waits[1:], default=0.0):
            cpu = (time.thread_time() - begun) * 1e3
        time.sleep(BEAT)
    return waits, cpu


def show(case: str, waits: List[float], cpu: float) -> None:
    """Print what calls waited: the first, and of the others half, 99 % and all."""
    first, others = waits[0], sorted(waits[1:])
    half, most = statistics.median(others), others[int(len(others) * 0.99)]
    print(
        f"{case:<52} first {first:7.1f}   half {half:5.1f}   99 % {most:5.1f}   "
        f"slowest {others[-1]:6.1f} (CPU {cpu:.1f})   of {len(waits):,}"
    )


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1000)
        taken: List[socket.socket] = []

        def take() -> None:
            with suppress(OSError):
                while True:
                    taken.append(listening.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield f"postgresql+psycopg://u@127.0.0.1:{listening.getsockname()[1]}/d"
        for one in taken:
            one.close()


def while_away(name: str, url: str, folder: Path, seconds: float) -> None:
    """Print what calls wait for a database that is away from the beginning."""
    for kind, budget in BUDGETS.items():
        orchestrator = orchestrator_of(url, folder / f"{name} {kind}", budget)
        show(f"{name}, {kind}", *calls(orchestrator, seconds))
        orchestrator.close()


def stopped_in_the_middle(folder: Path, seconds: float) -> None:
    """Print what calls wait for a server that is stopped hard, before, meanwhile and after its start."""
    place = Path(tempfile.mkdtemp(prefix="llm-postgres-"))
    user = _user()
    if user:
        shutil.chown(place, user)
    server = PostgreSQL(_programs(), place, user)
    try:
        for kind, budget in BUDGETS.items():
            orchestrator = orchestrator_of(server.new_database(), folder / f"stopped {kind}", budget)
            call(orchestrator)
            show(f"well, {kind}", *calls(orchestrator, seconds))
            stopping = threading.Timer(seconds / 4, server.stop_hard)
            stopping.start()
            show(f"stopped hard in the middle, {kind}", *calls(orchestrator, seconds))
            stopping.join()
            server.start()
            show(f"started again, {kind}", *calls(orchestrator, seconds))
            orchestrator.close()
    finally:
        server.stop_hard()
        shutil.rmtree(place, ignore_errors=True)


def main() -> None:
    """Print every figure."""
    logging.disable(logging.CRITICAL)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    print(f"milliseconds; target {WAIT_MS:g}, for the first call {FIRST_MS:g} where there is a budget")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        while_away("refuses connections", "postgresql+psycopg://u@127.0.0.1:1/d", folder, seconds)
        with silent_server() as url:
            while_away("takes them and says nothing", url, folder, seconds)
        stopped_in_the_middle(folder, seconds)


if __name__ == "__main__":
    main()
