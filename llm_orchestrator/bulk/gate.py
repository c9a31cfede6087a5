"""The gate that all requests of a run pass: one pause for all, a window, and the limits of the entry.

A provider that refuses one request because of its limits would refuse the others, too. So all of them wait as
long as it says; a retry of each row for itself would bring them all back together.
"""

from __future__ import annotations

import asyncio
import time
from typing import Optional, Protocol

from llm_orchestrator.bulk.waiting import Line
from llm_orchestrator.exceptions import OverloadedError, RateLimitError
from llm_orchestrator.types import LLMRequest, TokenUsage
from llm_orchestrator.usage.attempts import may_have_been_sent
from llm_orchestrator.usage.estimates import estimate_prompt
from llm_orchestrator.utils.clock import monotonic

__all__ = ["Gate", "Limits", "RowPace", "RunEndedError"]

#: Pauses where the provider names none: the first, and the longest they grow to.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Seconds of pauses without one answer, or asked for at once, after which the run ends: a quota of a day.
PATIENCE = 3600.0
#: Answers between two pauses from which a speed is learned, and how much it grows each second.
ENOUGH_ANSWERS, GROWTH = 10, 0.02
#: Seconds that one row is refused while others are answered, after which it is the row's fault.
PATIENCE_WITH_A_ROW = 600.0


class Limits(Protocol):
    """The limits of a provider entry, each None where there is none."""

    @property
    def requests_per_minute(self) -> Optional[float]:
        """Most requests to begin in a minute."""

    @property
    def tokens_per_minute(self) -> Optional[float]:
        """Most tokens to use in a minute."""

    @property
    def concurrency(self) -> Optional[int]:
        """Most requests under way at once."""


class RunEndedError(Exception):
    """The run ends; a row that waited for its turn is not asked any more."""


class _Meter:
    """Spreads an amount a minute evenly: a burst at its beginning is what providers refuse."""

    def __init__(self, per_minute: float) -> None:
        self._seconds = 60.0 / per_minute
        self._free_at = 0.0

    def reserve(self, amount: float, now: float) -> float:
        """Take an amount; returns the moment from which on it may be used."""
        at = max(now, self._free_at)
        self._free_at = at + amount * self._seconds
        return at

    def correct(self, amount: float) -> None:
        """Take so much more, or give it back."""
        self._free_at += amount * self._seconds


class _Learned:
    """The speed that the provider was seen to let through, which grows until it is too much again.

    Without it each pause would end in a burst, of which a window's worth is refused at the limit.
    """

    def __init__(self) -> None:
        self._since = monotonic()
        self._answers = 0
        self._seconds: Optional[float] = None  # between two requests
        self._set_at = self._free_at = 0.0

    def answered(self) -> None:
        """Note an answer."""
        self._answers += 1

    def paused(self, seconds: float) -> None:
        """Note a pause that begins: what was answered is what a round with its pause allows."""
        now = monotonic()
        if self._answers >= ENOUGH_ANSWERS:
            self._seconds = (now + seconds - self._since) / self._answers
        elif self._seconds is not None:
            self._seconds *= 2
        self._since, self._answers = now + seconds, 0
        self._set_at = self._free_at = time.monotonic() + seconds

    def reserve(self, now: float) -> float:
        """Take a request's place; returns the moment from which on it may be sent."""
        if self._seconds is None:
            return now
        at = max(now, self._free_at)
        self._free_at = at + self._seconds / (1 + GROWTH) ** max(at - self._set_at, 0)
        return at


class Gate:
    """Lets requests through; one for all rows of a run.

    Attributes:
        requests: Requests that were sent.
        refused: Requests that were refused because of the provider's limits.
        has_given_up: Whether the provider refused for so long that the run is to end.
    """

    def __init__(self, concurrency: int, limits: Limits) -> None:
        self._most = min(concurrency, limits.concurrency or concurrency)
        self._window = float(self._most)
        self._busy = 0
        self._line = Line()
        self._pause_ends = 0.0
        self._pauses = 0  # one after the other, without an answer between them
        self.answered_at = monotonic()
        self._requests = _Meter(limits.requests_per_minute) if limits.requests_per_minute else None
        self._tokens = _Meter(limits.tokens_per_minute) if limits.tokens_per_minute else None
        self._learned = _Learned()
        self.requests = self.refused = 0
        self.has_given_up = self._is_closed = False

    async def enter(self, tokens: int) -> float:
        """Wait for a turn; returns the moment at which it came."""
        await self._take_place()
        try:
            allowed = self._reserve(tokens)
            due = max(allowed, self._learned.reserve(time.monotonic()))
            while True:
                now = time.monotonic()
                pause = self._pause_ends - now
                if max(pause, due - now) <= 0:
                    break
                await asyncio.sleep(max(pause, due - now))
                self.check_open()
                if pause > 0:  # or all that waited would be sent at its end
                    due = max(allowed, self._learned.reserve(time.monotonic()))
        except BaseException:  # a row that is cancelled gives its place back, too
            self._leave()
            raise
        self.requests += 1
        return now

    async def _take_place(self) -> None:
        while True:
            self.check_open()
            pause = self._pause_ends - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self._busy < int(self._window):
                self._busy += 1
                return
            else:
                await self._line.wait()

    def _reserve(self, tokens: int) -> float:
        now = time.monotonic()
        due = self._requests.reserve(1, now) if self._requests else 0.0
        return max(due, self._tokens.reserve(tokens, now)) if self._tokens else due

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are limited, so that they have to be estimated."""
        return self._tokens is not None

    def correct_tokens(self, more: int) -> None:
        """Count so many tokens more than were estimated, or less."""
        if self._tokens is not None:
            self._tokens.correct(more)

    def check_open(self) -> None:
        """Raise RunEndedError when nothing is let through any more."""
        if self._is_closed:
            raise RunEndedError

    def _leave(self) -> None:
        self._busy -= 1
        self._line.wake(int(self._window) - self._busy)

    def answered(self) -> None:
        """Note an answer: the window grows back by one a round."""
        self.answered_at = monotonic()
        self._learned.answered()
        self._pauses = 0
        self._window = min(self._most, self._window + 1 / self._window)
        self._leave()

    def failed(self, *, sent: bool) -> None:
        """Note a request that ended without an answer for a reason of its own."""
        self.requests -= not sent
        self._leave()

    def pause(self, began: float, seconds: Optional[float]) -> None:
        """Note a refusal of a request that began at this moment: all wait, with half the window after it."""
        now = time.monotonic()
        self.refused += 1
        begins = began >= self._pause_ends  # not one of those that were under way when the pause began
        self._pauses += begins
        wait = min(FIRST_PAUSE * 2 ** (self._pauses - 1), LONGEST_PAUSE) if seconds is None else seconds
        if begins:
            self._window = max(1.0, self._window / 2)
            self._learned.paused(wait)
        self._pause_ends = max(self._pause_ends, now + wait)
        if monotonic() + self._pause_ends - now - self.answered_at > PATIENCE:
            self.has_given_up = True
        self._leave()

    def close(self) -> None:
        """Let nothing through any more."""
        self._is_closed = True
        self._line.wake_all()


class RowPace:
    """One row's way through the gate; it is the row's ``Pace``."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._began = 0.0
        self._tokens = 0
        self._refused_since: Optional[float] = None

    async def begin(self, request: LLMRequest) -> float:
        """See ``Pace``."""
        if self._gate.counts_tokens:
            self._tokens = estimate_prompt(request) + (request.max_tokens or 0)
        asked = time.monotonic()
        self._began = await self._gate.enter(self._tokens)
        return self._began - asked

    def answered(self, usage: TokenUsage) -> None:
        """See ``Pace``."""
        if self._gate.counts_tokens and usage.total_tokens is not None:
            self._gate.correct_tokens(usage.total_tokens - self._tokens)
        self._gate.answered()

    def failed(self, error: BaseException) -> bool:
        """See ``Pace``."""
        gate = self._gate
        if not isinstance(error, (RateLimitError, OverloadedError)):
            gate.failed(sent=not isinstance(error, Exception) or may_have_been_sent(error))
            return False
        gate.pause(self._began, error.retry_after)
        return not gate.has_given_up and not self._is_its_own_fault()

    def _is_its_own_fault(self) -> bool:
        now = monotonic()
        if self._refused_since is None:
            self._refused_since = now
        return (
            now - self._refused_since > PATIENCE_WITH_A_ROW and self._gate.answered_at > self._refused_since
        )
