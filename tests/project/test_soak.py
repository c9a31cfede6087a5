"""What ``make soak`` takes for a fault, and that it finds nothing in a moment of traffic."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict

import pytest

from llm_orchestrator import ServerError, StreamInterruptedError
from tests.support.programs import run_program
from tools.soak import NOISE, Memory, Run, report
from tools.soak_traffic import CALLS_IN_ROUND, Tally


def run_of(tally: Tally, **others: Any) -> Run:
    """A run in which a call was made and nothing went wrong, but for what is told."""
    seen = {"requests": 1, "faults": {}, "open": 0, "errors": [], **others.pop("seen", {})}
    return Run(**{"calls": 1, "tally": tally, "seen": seen, "rows": {"": 1}, "growth": (0, 1000), **others})


def answered(text: str = "Hi") -> Tally:
    tally = Tally()
    tally.answered("Hi", text)
    return tally


def failed(error: Exception) -> Tally:
    tally = Tally()
    tally.failed("Hi", error)
    return tally


@pytest.mark.parametrize(
    "run",
    [
        run_of(answered()),
        run_of(failed(ServerError("down"))),
        run_of(failed(StreamInterruptedError("cut", partial_text="H"))),
        run_of(answered(), rows={"": 1, "ProviderTimeoutError": 3}),
        run_of(answered(), growth=(NOISE, 1000)),
    ],
)
def test_what_is_well(run: Run) -> None:
    assert report(run)


FAULTS: Dict[str, Run] = {
    "wrong outcomes": run_of(answered("Ho")),
    "wrong outcomes, by an error that is none of ours": run_of(failed(ValueError())),
    "wrong outcomes, by a wrong beginning": run_of(failed(StreamInterruptedError("", partial_text="o"))),
    "open sockets": run_of(answered(), seen={"open": 1}),
    "calls without an outcome": run_of(answered(), calls=2),
    "ledger rows": run_of(answered(), rows=Counter()),
    "ledger rows that nobody sent": run_of(answered(), rows={"": 2}),
    "growing memory": run_of(answered(), growth=(NOISE + 1000, 1000)),
    "faults of the server itself": run_of(answered(), seen={"errors": ["ValueError()"]}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_a_fault(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not report(FAULTS[fault])

    assert (
        f"FAILED: {fault.split(',', maxsplit=1)[0].split(' that', maxsplit=1)[0]}" in capsys.readouterr().out
    )


def test_memory_is_compared_where_it_is_lowest() -> None:
    memory = Memory()
    memory._points = list(enumerate([10, 20, 30, 900, 105, 200, 107, 300]))

    assert memory.growth() == (2, 2)


@pytest.mark.slow
def test_a_moment_of_traffic_shows_no_fault() -> None:
    run = run_program("tools.soak", "--seconds", "0", strict=False)

    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    assert f"calls            {CALLS_IN_ROUND}:" in run.stdout and "All is well." in run.stdout
