"""The calls of ``tools.soak``: threads and tasks at once, in every way a call can be made and left.

Every caller asks for something else and gets it repeated, so that no answer can be mistaken for another.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Awaitable, Callable, List, Sequence
from typing import Counter as CounterOf

from llm_orchestrator import LLMOrchestrator, OrchestratorError, StreamInterruptedError

THREADS, TASKS, CALLS_EACH = 8, 24, 12
CALLS_IN_ROUND = (THREADS + TASKS) * CALLS_EACH
#: A call is cancelled after so many seconds at most: before, during or after its answer.
CANCELLED_WITHIN = 0.03
#: Seconds after which something that takes a moment will never happen, however busy the machine is.
PATIENCE = 30.0


class Tally:
    """What came of the calls, for all threads."""

    def __init__(self) -> None:
        self.outcomes: CounterOf[str] = Counter()
        self.wrong: List[str] = []
        self._lock = threading.Lock()

    def note(self, outcome: str, wrong: str = "") -> None:
        """Count an outcome, and keep what was wrong with it."""
        with self._lock:
            self.outcomes[outcome] += 1
            if wrong:
                self.wrong.append(wrong)

    def answered(self, question: str, text: str) -> None:
        """Note a whole answer, which has to be the question."""
        self.note("right answer", "" if text == question else f"asked {question!r}, got {text!r}")

    def left(self, question: str, text: str, how: str) -> None:
        """Note the text of a stream that was left, which has to be the beginning of the question."""
        self.note(how, "" if question.startswith(text) else f"asked {question!r}, got {text!r}")

    def failed(self, question: str, error: Exception) -> None:
        """Note an error, which has to be one of ours; what an interrupted stream said has to be right."""
        wrong = ""
        if not isinstance(error, OrchestratorError):
            wrong = f"asked {question!r}, got {error!r}"
        elif isinstance(error, StreamInterruptedError) and not question.startswith(error.partial_text):
            wrong = f"asked {question!r}, was interrupted after {error.partial_text!r}"
        self.note(type(error).__name__, wrong)


# ---------------------------------------------------------------- sync


def whole(orchestrator: LLMOrchestrator, question: str, tally: Tally) -> None:
    tally.answered(question, orchestrator.send_request(question).content)


def streamed(orchestrator: LLMOrchestrator, question: str, tally: Tally) -> None:
    tally.answered(question, "".join(orchestrator.send_streaming_request(question)))


def closed(orchestrator: LLMOrchestrator, question: str, tally: Tally) -> None:
    with orchestrator.send_streaming_request(question) as stream:
        tally.left(question, next(stream), "closed early")


def dropped(orchestrator: LLMOrchestrator, question: str, tally: Tally) -> None:
    tally.left(question, next(orchestrator.send_streaming_request(question)), "dropped")


WAYS: Sequence[Callable[[LLMOrchestrator, str, Tally], None]] = (whole, streamed, closed, dropped)


# ---------------------------------------------------------------- async


async def awhole(orchestrator: LLMOrchestrator, question: str, tally: Tally) -> None:
    tally.answered(question, (await orchestrator.asend_request(question)).content)


async def astreamed(orchestrator: LLMOrchestrator, question: str, tally: Tally) -> None:
    stream = orchestrator.asend_streaming_request(question)
    tally.answered(question, "".join([piece async for piece in stream]))


async def aclosed(orchestrator: LLMOrchestrator, question: str, tally: Tally) -> None:
    async with orchestrator.asend_streaming_request(question) as stream:
        tally.left(question, await stream.__anext__(), "closed early")


async def adropped(orchestrator: LLMOrchestrator, question: str, tally: Tally) -> None:
    tally.left(question, await orchestrator.asend_streaming_request(question).__anext__(), "dropped")


async def cancelled(orchestrator: LLMOrchestrator, question: str, tally: Tally) -> None:
    task = asyncio.ensure_future(orchestrator.asend_streaming_request(question).final_response())
    await asyncio.sleep(random.uniform(0, CANCELLED_WITHIN))
    task.cancel()
    with suppress(asyncio.CancelledError):
        tally.answered(question, (await task).content)
        return
    tally.note("cancelled")


ASYNC_WAYS: Sequence[Callable[[LLMOrchestrator, str, Tally], Awaitable[None]]] = (
    awhole,
    astreamed,
    aclosed,
    adropped,
    cancelled,
)


# ---------------------------------------------------------------- all at once


def run_round(
    family: List[LLMOrchestrator], tally: Tally, run: Callable[[Any], Any], first_number: int
) -> None:
    """Have all threads and tasks make their calls.

    Args:
        family: One orchestrator for each dialect.
        tally: Notes what came of them.
        run: Runs the tasks, on whatever loop.
        first_number: The number of the round's first call; each number makes another question.
    """

    def work(thread: int) -> None:
        for number in numbers_of(thread, first_number):
            orchestrator, question = choose(family, number)
            try:
                WAYS[number % len(WAYS)](orchestrator, question, tally)
            except Exception as error:
                tally.failed(question, error)

    async def awork(task: int) -> None:
        for number in numbers_of(task, first_number):
            orchestrator, question = choose(family, number)
            try:
                await ASYNC_WAYS[number % len(ASYNC_WAYS)](orchestrator, question, tally)
            except Exception as error:
                tally.failed(question, error)

    async def work_in_tasks() -> None:
        await asyncio.gather(*[awork(THREADS + task) for task in range(TASKS)])
        await see_dropped_streams_closed(tally)

    with ThreadPoolExecutor(THREADS) as pool:
        threads = pool.map(work, range(THREADS))
        run(work_in_tasks())
        list(threads)


async def see_dropped_streams_closed(tally: Tally) -> None:
    """Wait for the tasks that close streams; they need no garbage collector for it, only a moment."""
    deadline = time.monotonic() + PATIENCE
    while len(asyncio.all_tasks()) > 1:
        if time.monotonic() > deadline:
            tally.wrong.append("streams that were dropped are not closed")
            return
        await asyncio.sleep(0.001)


def numbers_of(worker: int, first_number: int) -> Sequence[int]:
    """The numbers of the calls that one thread or task makes."""
    start = first_number + worker * CALLS_EACH
    return range(start, start + CALLS_EACH)


def choose(family: List[LLMOrchestrator], number: int) -> Any:
    """Who is asked and what; the dialects do not take turns with the ways, so that each meets each."""
    return family[number // 7 % len(family)], f"What is the number {number} ?"
