"""One simulation: everything made from its seed, run to its end, and checked."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import sys
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Dict, Iterator, List, Tuple
from typing import Counter as CounterOf
from unittest import mock

from llm_orchestrator import LLMOrchestrator
from tests.support.everywhere import config_of_all, siblings
from tests.support.scripted_server import DIALECTS
from tools.simulation.clock import START, VirtualClock
from tools.simulation.invariants import broken_by_call, broken_by_sums, rows_of
from tools.simulation.network import Network
from tools.simulation.servers import Seen, Server, Weather
from tools.simulation.sync_traffic import run_sync
from tools.simulation.traffic import CONNECT_TIMEOUT, Callers
from tools.simulation.waiting import Stuck, VirtualLoop, installed

__all__ = ["CALLS", "Result", "simulate"]

#: Calls in one simulation.
CALLS = 250
#: So long after the last call everything that was left behind must be gone.
AFTERWARDS = 3.0
#: The share of simulations whose callers are sync.
SYNC_SHARE = 0.2


@dataclass
class Result:
    """What came of one simulation.

    Attributes:
        seed: What it was made from.
        calls: How many calls were made.
        digest: The same for the same seed.
        broken: What did not hold.
        outcomes: How the calls ended.
        faults: Replies with a fault, by name.
        requests: Requests that arrived.
        rows: Rows in the ledger.
        seconds: Virtual seconds that passed.
        log: What happened, if that was asked for.
    """

    seed: int
    calls: int
    digest: int = 0
    broken: List[str] = field(default_factory=list)
    outcomes: CounterOf[str] = field(default_factory=Counter)
    faults: CounterOf[str] = field(default_factory=Counter)
    requests: int = 0
    rows: int = 0
    seconds: float = 0.0
    log: List[str] = field(default_factory=list)


def simulate(seed: int, calls: int = CALLS, *, with_log: bool = False) -> Result:
    """Run one simulation."""
    world = World(seed, with_log)
    with quiet(world.complaints), installed(world.network):
        try:
            world.run(calls)
        except Stuck as stuck:
            world.complaints.append(str(stuck))
    return world.result(calls)


class World:
    """Hosts, network, clock, an orchestrator and its callers."""

    def __init__(self, seed: int, with_log: bool) -> None:
        self.seed = seed
        self.chance = Random(seed)
        self.clock = VirtualClock()
        self.network = Network(self.clock, self.chance)
        self.network.log = [] if with_log else None
        self.complaints: List[str] = []
        self.seen: Dict[str, Seen] = defaultdict(Seen)
        self.weather = Weather.drawn(self.chance)
        self.faults: CounterOf[str] = Counter()
        self.servers = {name: self._host(number, name) for number, name in enumerate(DIALECTS)}
        self.limit = self.chance.choice((2, 5, 1000))
        self.orchestrator = self._make_orchestrator()
        self.callers = Callers(siblings(self.orchestrator), self.clock, self.chance, seed)

    def _host(self, number: int, name: str) -> Server:
        """A host for a dialect, with one address or several."""
        server = Server(self.network, self.weather, self.seen, self.faults)
        one, two, three = f"10.0.{number}.1", f"fd00::{number}", f"10.0.{number}.2"
        self.network.names[f"{name}.sim"] = self.chance.choice(([one], [one], [two, one, three]))
        self.network.listeners.update(dict.fromkeys((one, two, three), server))
        return server

    def _make_orchestrator(self) -> LLMOrchestrator:
        config = config_of_all(
            "http://host",
            transport="direct",
            connect_timeout=CONNECT_TIMEOUT,
            max_retry_wait=self.chance.choice((1.0, 8.0, 60.0)),
            fallback_models=["model-b", "model-c"],
            http={"proxy": "", "keep_alive": self.chance.choice((0.0, 1.0, 60.0))},
        )
        config["cost_tracking"]["log_path"] = None
        for name, entry in config["providers"].items():
            entry["base_url"] = entry["base_url"].replace("host", f"{name}.sim")
        orchestrator = LLMOrchestrator(config)
        for name in config["providers"]:
            provider: Any = orchestrator._providers[name]
            provider._http["max_connections"] = self.limit  # it has no setting
        return orchestrator

    # ---------------------------------------------------------------- the run

    def run(self, calls: int) -> None:
        self._plan_crashes()
        if self.chance.random() < SYNC_SHARE:
            self._run_sync(calls)
        else:
            self._run_async(calls)

    def _run_sync(self, calls: int) -> None:
        run_sync(self.callers, calls, self.chance.choice((1, 3, 8)))
        self.orchestrator.get_session_cost()  # records the dropped streams
        self.clock.sleep(AFTERWARDS)
        clients = {name: self._provider(name)._clients._for_threads for name in DIALECTS}
        self._check_at_rest(
            {name: at_rest(client._connections) for name, client in clients.items() if client}
        )
        self.orchestrator.close()
        self._check_closed({})

    def _run_async(self, calls: int) -> None:
        loop = VirtualLoop(self.network)
        loop.set_exception_handler(lambda _, context: self.complaints.append(f"asyncio: {told_by(context)}"))
        try:
            loop.run_until_complete(self._all(loop, calls))
        finally:
            self._end_whatever_is_left(loop)
            loop.close()

    def _end_whatever_is_left(self, loop: VirtualLoop) -> None:
        """After a simulation that got stuck somebody still waits, and would complain when it is collected."""
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            with suppress(Stuck):
                loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))

    def _plan_crashes(self) -> None:
        if self.weather.share and self.chance.random() < 0.3:
            for server in self.servers.values():
                moment = self.clock.now + self.chance.random() * 20
                self.clock.at(moment, server.crash, self.chance.choice((0.0, 0.5)))

    async def _all(self, loop: VirtualLoop, calls: int) -> None:
        await self.callers.run(calls, self.chance.choice((1, 8, 40)))
        self.orchestrator.get_session_cost()
        await asyncio.sleep(AFTERWARDS)
        clients = {name: self._provider(name)._clients._for_loops.get(loop) for name in DIALECTS}
        self._check_at_rest({name: aat_rest(made[0]._connections) for name, made in clients.items() if made})
        await self.orchestrator.aclose()
        self._check_closed({"tasks": len(asyncio.all_tasks(loop)) - 1, "timers": loop.timers})

    def _provider(self, name: str) -> Any:
        return self.orchestrator._providers[name]

    def _check_at_rest(self, clients: Dict[str, Tuple[int, int]]) -> None:
        """Nothing is under way: the connections that are open are the idle ones, and all places are free."""
        for name, (_, free) in clients.items():
            if free != self.limit:
                self.complaints.append(f"{name}: {free} of {self.limit} places are free at rest")
        idle = sum(idle for idle, _ in clients.values())
        if len(self.network.sockets) != idle:
            self.complaints.append(
                f"{len(self.network.sockets)} sockets are open at rest, {idle} of them idle"
            )

    def _check_closed(self, left: Dict[str, int]) -> None:
        left["sockets"] = len(self.network.sockets)
        self.complaints += [f"{count} {what} are left after closing" for what, count in left.items() if count]

    def _too_many_connections(self) -> Iterator[str]:
        """While a connection is opened, each address of its host may be tried beside the others."""
        for name, server in self.servers.items():
            most = self.limit * len(self.network.names[f"{name}.sim"])
            if server.most_open > most:
                yield f"{name}: {server.most_open} connections were open, {most} may be"

    # ---------------------------------------------------------------- what came of it

    def result(self, calls: int) -> Result:
        records = self.orchestrator.cost_tracker._recorder.store._recent._records
        rows = rows_of(records)
        broken = list(self.complaints)
        broken += broken_by_sums(records, self.orchestrator.get_session_cost())
        broken += self._too_many_connections()
        outcomes: CounterOf[str] = Counter()
        for told in self.callers.told:
            outcomes[told.outcome] += 1
            mine, seen = rows[told.token], self.seen[told.token]
            broken += [f"{told.token} ({told.outcome}): {what}" for what in broken_by_call(told, mine, seen)]
            self.network.note(told.token, told.outcome, told.text, told.began, told.ended, len(mine))
        requests = sum(seen.requests for seen in self.seen.values())
        seconds = self.clock.now - START
        return Result(
            self.seed,
            calls,
            self.network.digest,
            broken,
            outcomes,
            self.faults,
            requests,
            len(records),
            seconds,
            self.network.log or [],
        )


def at_rest(connections: Any) -> Tuple[int, int]:
    """Idle connections and free places of a sync client."""
    return len(connections._idle), connections._places.qsize()


def aat_rest(connections: Any) -> Tuple[int, int]:
    """The same of an async one, which may hold some that the server has closed; in use counts as not free."""
    idle = sum(not connection._transport.is_closing() for connection in connections._idle)
    return idle, connections._places - len(connections._in_use)


def told_by(context: Dict[str, Any]) -> str:
    return f"{context.get('message')} {context.get('exception')!r}"


class Complaints(logging.Handler):
    """Collects what the library logs with a traceback: an error that it did not expect."""

    def __init__(self, heard: List[str]) -> None:
        super().__init__(logging.ERROR)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._heard.append(f"logged: {record.getMessage()} {record.exc_info[1]!r}")


@contextmanager
def quiet(heard: List[str]) -> Iterator[None]:
    """Nothing outside the simulation changes what happens in it: no collector, no other random numbers."""
    state, was_collecting = random.getstate(), gc.isenabled()
    library, handler = logging.getLogger("llm_orchestrator"), Complaints(heard)
    level = library.level
    library.addHandler(handler)
    library.setLevel(logging.ERROR)
    gc.disable()
    random.seed(0)
    try:
        with mock.patch.object(
            sys, "unraisablehook", lambda told: heard.append(f"unraisable: {told.exc_value!r}")
        ):
            yield
    finally:
        random.setstate(state)
        library.removeHandler(handler)
        library.setLevel(level)
        if was_collecting:
            gc.enable()
