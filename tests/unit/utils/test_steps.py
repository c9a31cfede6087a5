"""The two drivers of what is written once: what is waited for is sent to the steps, or thrown into them."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, List

import pytest

from llm_orchestrator.utils.steps import Steps, arun, run

Drive = Callable[[Steps[Any]], Any]


def run_async(steps: Steps[Any]) -> Any:
    return asyncio.run(arun(steps))


@pytest.fixture(params=[run, run_async], ids=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Drive:
    return request.param  # type: ignore[no-any-return]


def waits(drive: Drive, outcome: Any) -> Callable[[], Any]:
    """What is waited for, in the form that a driver takes: it returns the outcome or raises it."""

    def come() -> Any:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def acome() -> Any:
        return come()

    return come if drive is run else acome


def test_what_came_is_sent_and_the_result_returned(drive: Drive) -> None:
    def steps() -> Steps[List[int]]:
        return [(yield waits(drive, 1)), (yield waits(drive, 2))]

    assert drive(steps()) == [1, 2]


def test_steps_that_wait_for_nothing(drive: Drive) -> None:
    def steps() -> Steps[str]:
        yield from ()
        return "done"

    assert drive(steps()) == "done"


@pytest.mark.parametrize("raised", [OSError, KeyboardInterrupt])
def test_the_steps_decide_what_becomes_of_an_error(raised: Any, drive: Drive) -> None:
    def steps() -> Steps[int]:
        try:
            yield waits(drive, raised("gone"))
        except (OSError, KeyboardInterrupt):
            return (yield waits(drive, 3))  # type: ignore[no-any-return]
        pytest.fail("the error was lost")

    assert drive(steps()) == 3


def test_an_error_that_the_steps_let_pass_reaches_the_caller(drive: Drive) -> None:
    closed = []

    def steps() -> Steps[None]:
        try:
            yield waits(drive, OSError("gone"))
        finally:
            closed.append((yield waits(drive, "closed")))

    with pytest.raises(OSError, match="gone"):
        drive(steps())
    assert closed == ["closed"]
