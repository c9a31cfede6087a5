"""The simulation finds nothing in the library, and finds each fault that is put into it; see ``tools.simulation``."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Callable, Dict, List

import pytest

from llm_orchestrator.calls.reporter import CallReporter
from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.providers.http.core.aconnection import AsyncConnection, Timer
from llm_orchestrator.providers.http.core.aconnections import AsyncConnections
from llm_orchestrator.providers.http.core.messages import ReplyParser
from llm_orchestrator.providers.http.deadlines import LoopWatch
from llm_orchestrator.providers.stream import StreamReader
from tools.simulation.__main__ import main
from tools.simulation.world import CALLS, simulate

Break = Callable[[pytest.MonkeyPatch], None]

#: How many simulations it may take to find a fault.
PATIENCE = 60


@pytest.mark.slow
def test_nothing_is_broken() -> None:
    results = [simulate(seed) for seed in range(12)]
    assert [what for result in results for what in result.broken] == []
    assert [sum(result.outcomes.values()) for result in results] == [CALLS] * len(results)


def test_a_seed_is_the_same_simulation_every_time() -> None:
    digests = [simulate(seed, 60).digest for seed in (1, 2, 1)]
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.slow
def test_a_seed_is_the_same_in_every_process() -> None:
    program = "from tools.simulation.world import simulate; print([simulate(s).digest for s in {}])"
    told = [
        subprocess.run(
            [sys.executable, "-c", program.format(seeds)],
            env={"PYTHONHASHSEED": hashes, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes, seeds in (("1", "(3, 4)"), ("2", "(4, 3)"))
    ]
    assert sorted(eval(told[0])) == sorted(eval(told[1]))


# ---------------------------------------------------------------- faults put into the library


def leftovers_are_kept(patch: pytest.MonkeyPatch) -> None:
    """N1: as other libraries do, read what came unasked when the next request is sent."""
    feed, begin = ReplyParser.feed, ReplyParser.begin

    def keep(self: Any, data: bytes) -> None:
        next_reply = data.find(b"HTTP/1.1", 1)
        data, rest = (data[:next_reply], data[next_reply:]) if next_reply > 0 else (data, b"")
        if not self.complete:
            feed(self, data)
            data = b""
        self.__dict__.setdefault("left", []).extend(filter(None, (data, rest)))

    def begin_with_what_is_left(self: Any, method: str) -> None:
        begin(self, method)
        for data in self.__dict__.pop("left", []):
            feed(self, data)

    patch.setattr(
        ReplyParser, "spoiled", property(lambda self: False, lambda self, value: None), raising=False
    )
    patch.setattr(ReplyParser, "feed", keep)
    patch.setattr(ReplyParser, "begin", begin_with_what_is_left)
    patch.setattr(AsyncConnection, "looks_usable", lambda self: self.is_usable)


def nobody_looks_at_the_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Timer, "_look", lambda self: None)
    patch.setattr(LoopWatch, "_look", lambda self: None)


def a_row_is_lost(patch: pytest.MonkeyPatch) -> None:
    write = CallReporter._write_row

    def lose(self: Any, *, final: bool) -> None:
        if not final and self._unwritten is not None and self._unwritten.status_code == 429:
            self._unwritten = None
        write(self, final=final)

    patch.setattr(CallReporter, "_write_row", lose)


def a_price_is_wrong(patch: pytest.MonkeyPatch) -> None:
    add = CostTracker.add
    patch.setattr(CostTracker, "add", lambda self, record: add(self, doubled(record)))


def doubled(record: Any) -> Any:
    from dataclasses import replace

    return replace(record, cost=record.cost * 2) if record.cost else record


def half_a_stream_is_whole(patch: pytest.MonkeyPatch) -> None:
    def end(self: Any) -> None:
        self._is_over = True

    patch.setattr(StreamReader, "_end_of_body", end)


def a_request_is_sent_twice_in_silence(patch: pytest.MonkeyPatch) -> None:
    never = property(lambda self: False, lambda self, value: None)
    patch.setattr(AsyncConnection, "may_have_been_read", never, raising=False)


def a_cancelled_waiter_keeps_its_place(patch: pytest.MonkeyPatch) -> None:
    free = AsyncConnections._free_place

    def sometimes(self: Any) -> None:
        if not self._waiters or not self._waiters[0].done():
            free(self)

    patch.setattr(AsyncConnections, "_free_place", sometimes)


def connections_stay_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AsyncConnection, "abort", lambda self: None)


FAULTS: Dict[str, Any] = {
    "N1": (leftovers_are_kept, "is not of this answer"),
    "time limits": (nobody_looks_at_the_clock, "timeout is"),
    "a lost row": (a_row_is_lost, "are recorded"),
    "a wrong price": (a_price_is_wrong, "the right price is"),
    "half a stream": (half_a_stream_is_whole, "the answer is"),
    "sent twice": (a_request_is_sent_twice_in_silence, "requests arrived"),
    "lost places": (a_cancelled_waiter_keeps_its_place, "places are free"),
    "open connections": (connections_stay_open, "sockets are"),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in, told = FAULTS[name]
    put_in(monkeypatch)
    assert any(told in what for what in found(told))


def found(told: str) -> List[str]:
    """What is broken in the first simulation in which it is."""
    for seed in range(PATIENCE):
        broken = simulate(seed).broken
        if any(told in what for what in broken):
            return broken
    return []


# ---------------------------------------------------------------- the command


@pytest.mark.slow
def test_a_seed_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_price_is_wrong(monkeypatch)
    assert main(["--calls", "1", "--first", "7", "--processes", "1"]) == 1
    assert 'again: make simulate ARGS="--seed 7"' in capsys.readouterr().out
    monkeypatch.undo()
    assert main(["--seed", "7"]) == 0
    assert main(["--calls", str(CALLS), "--first", "7", "--processes", "1"]) == 0
    assert "All is well." in capsys.readouterr().out
