"""The callers of a simulation: many at a time, in every way a call can be made, left and cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any, Awaitable, Callable, Dict, List, Optional, Sequence, Tuple

from llm_orchestrator import LLMOrchestrator, OrchestratorError, StreamInterruptedError
from llm_orchestrator.types import Attempt
from tools.simulation.answers import question_of
from tools.simulation.clock import VirtualClock

__all__ = ["CONNECT_TIMEOUT", "Callers", "Told"]

CONNECT_TIMEOUT = 0.3


@dataclass
class Told:
    """What a caller was told.

    Attributes:
        token: Marks its question.
        arguments: The limits that it gave.
        outcome: ``answer``, ``left``, ``dropped``, ``cancelled`` or the name of the error.
        text: The text that it got.
        is_whole: Whether that is said to be the whole answer.
        wrong: What no caller may ever see.
        attempts: What the answer or the error says of the attempts; None where nobody says.
        cost: What the answer is said to have cost.
        request_id: The provider's id of the request that was answered.
        began: When the call began.
        ended: When it ended.
        worked: Seconds of that in which the program was busy with something else.
        cancelled: When it was cancelled; None for never.
    """

    token: str
    arguments: Dict[str, Any]
    outcome: str = ""
    text: str = ""
    is_whole: bool = False
    wrong: str = ""
    attempts: Optional[Tuple[Attempt, ...]] = None
    cost: Any = None
    request_id: Optional[str] = None
    began: float = 0.0
    ended: float = 0.0
    worked: float = 0.0
    cancelled: Optional[float] = None


Way = Callable[[LLMOrchestrator, Told], Awaitable[None]]


async def whole(orchestrator: LLMOrchestrator, told: Told) -> None:
    note_answer(await orchestrator.asend_request(question_of(told.token), **told.arguments), told)


async def final(orchestrator: LLMOrchestrator, told: Told) -> None:
    stream = orchestrator.asend_streaming_request(question_of(told.token), **told.arguments)
    note_answer(await stream.final_response(), told)


async def streamed(orchestrator: LLMOrchestrator, told: Told) -> None:
    stream = orchestrator.asend_streaming_request(question_of(told.token), **told.arguments)
    async for piece in stream:
        told.text += piece
    text, told.text = told.text, ""
    note_answer(stream.response, told)
    if told.text != text:
        told.wrong = f"the pieces {text!r} are not the answer {told.text!r}"


async def left(orchestrator: LLMOrchestrator, told: Told) -> None:
    async with orchestrator.asend_streaming_request(question_of(told.token), **told.arguments) as stream:
        told.text += await stream.__anext__()
    told.outcome = "left"


async def closed(orchestrator: LLMOrchestrator, told: Told) -> None:
    stream = orchestrator.asend_streaming_request(question_of(told.token), **told.arguments)
    async for piece in stream:
        told.text += piece
        break
    await stream.aclose()
    told.outcome = "left"


async def dropped(orchestrator: LLMOrchestrator, told: Told) -> None:
    stream = orchestrator.asend_streaming_request(question_of(told.token), **told.arguments)
    told.text += await stream.__anext__()
    told.outcome = "dropped"


WAYS: Sequence[Way] = (whole, whole, whole, streamed, final, left, closed, dropped)


def note_answer(response: Any, told: Told) -> None:
    told.outcome, told.text, told.is_whole = "answer", response.content, True
    told.attempts, told.cost, told.request_id = response.attempts, response.cost, response.request_id


def note_error(error: BaseException, told: Told) -> None:
    told.outcome = type(error).__name__
    if isinstance(error, StopAsyncIteration):  # of a whole answer without a single piece
        told.outcome = "left"
    elif isinstance(error, OrchestratorError):
        told.attempts = error.attempts
        if isinstance(error, StreamInterruptedError):
            told.text = error.partial_text
    else:
        told.wrong = f"{error!r} is not an error of ours"


@dataclass
class Callers:
    """All callers of one simulation.

    Attributes:
        family: One orchestrator for each dialect.
        clock: The time.
        chance: Decides everything.
        seed: Marks the questions.
        told: What they were told, call by call.
    """

    family: List[LLMOrchestrator]
    clock: VirtualClock
    chance: Random
    seed: int
    told: List[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        draw = self.chance
        self._cancel_share = draw.choice((0.0, 0.1, 0.5))
        self._work_share = draw.choice((0.0, 0.02, 0.2))
        self._pauses = draw.choice(((0.0,), (0.0, 0.001, 0.05), (0.0, 0.3, 2.0, 6.0)))
        self._timeouts = draw.choice(((10.0,), (0.3, 1.0), (0.3, 1.0, 3.0, 10.0)))
        self._totals = draw.choice(((None,), (0.5, 2.0), (None, 0.5, 2.0, 8.0, 30.0)))

    async def run(self, calls: int, at_a_time: int) -> None:
        """Make so many calls."""
        numbers = iter(range(calls))

        async def work() -> None:
            for number in numbers:
                await asyncio.sleep(self.chance.choice(self._pauses))
                await self._call(number)

        await asyncio.gather(*[work() for _ in range(at_a_time)])

    def new_told(self, number: int) -> Told:
        """Decide on a call."""
        token = f"k{self.seed}-{number}z"
        self.told.append(Told(token, self._arguments(token)))
        return self.told[-1]

    def perhaps_work(self) -> None:
        """Do something else for a while, or not."""
        if self.chance.random() < self._work_share:
            self.clock.work(self.chance.choice((0.0001, 0.01, 0.6)))

    def _arguments(self, token: str) -> Dict[str, Any]:
        draw = self.chance
        return {
            "timeout": draw.choice(self._timeouts),
            "total_timeout": draw.choice(self._totals),
            "max_retries": draw.choice((0, 1, 2, 4)),
            "fallback": draw.random() < 0.5,
            "tags": {"token": token},
        }

    async def _call(self, number: int) -> None:
        draw, clock = self.chance, self.clock
        told = self.new_told(number)
        orchestrator, way = draw.choice(self.family), draw.choice(WAYS)
        worked, told.began = clock.worked, clock.now
        task = asyncio.ensure_future(self._made(way(orchestrator, told), told))
        if draw.random() < self._cancel_share:
            self._cancel_later(task, told)
        try:
            await task
        except asyncio.CancelledError:
            told.outcome = "cancelled"
            if told.cancelled is None:
                told.wrong = "it was cancelled, by nobody"
        told.ended, told.worked = clock.now, clock.worked - worked
        self.perhaps_work()

    async def _made(self, call: Awaitable[None], told: Told) -> None:
        try:
            await call
        except Exception as error:
            note_error(error, told)

    def _cancel_later(self, task: Any, told: Told) -> None:
        def cancel() -> None:
            if not task.done():
                told.cancelled = self.clock.now
                task.cancel()

        delay = self.chance.choice((0.0, 0.0, 0.0001, 0.001, 0.02, 0.3, 1.0, 3.0))
        asyncio.get_running_loop().call_later(delay, cancel)
