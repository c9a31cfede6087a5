"""What sync and async callers do alike is written once, as a generator; these two drive it.

The steps yield whatever has to be waited for, as a function without arguments, and are sent what it returned
or thrown what it raised.
"""

from __future__ import annotations

from typing import Any, Callable, Generator, TypeVar

__all__ = ["Steps", "arun", "run"]

Result = TypeVar("Result")
Steps = Generator[Callable[[], Any], Any, Result]


def run(steps: Steps[Result]) -> Result:
    """Make the steps, waiting in this thread."""
    try:
        wait = next(steps)
        while True:
            try:
                came = wait()
            except BaseException as error:  # noqa: BLE001 (Ctrl-C, too: the steps decide)
                wait = steps.throw(error)
            else:
                wait = steps.send(came)
    except StopIteration as end:
        result: Result = end.value
        return result


async def arun(steps: Steps[Result]) -> Result:
    """Make the steps, awaiting what the functions return."""
    try:
        wait = next(steps)
        while True:
            try:
                came = await wait()
            except BaseException as error:  # noqa: BLE001 (a cancellation, too)
                wait = steps.throw(error)
            else:
                wait = steps.send(came)
    except StopIteration as end:
        result: Result = end.value
        return result
