"""The gate: one pause for all, the window, the limits, and what is counted when a row is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any, Coroutine, List, NamedTuple, Optional

import pytest

from llm_orchestrator import OverloadedError, ProviderError, RateLimitError
from llm_orchestrator.bulk import gate as gates
from llm_orchestrator.bulk.gate import Gate, RowPace, RunEndedError
from llm_orchestrator.types import LLMRequest, LLMResponse, Message, TokenUsage

REQUEST = LLMRequest("m", (Message("user", "word " * 40),), max_tokens=100)
ANSWER = LLMResponse("Hi", "m", "p", usage=TokenUsage(10, 5, 15))


class Limits(NamedTuple):
    requests_per_minute: Optional[float] = None
    tokens_per_minute: Optional[float] = None
    concurrency: Optional[int] = None


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(gates.time, "monotonic", lambda: self.now)
        real_sleep = asyncio.sleep

        async def sleep(seconds: float) -> None:
            self.now += max(seconds, 0)
            await real_sleep(0)

        monkeypatch.setattr(gates.asyncio, "sleep", sleep)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def turn(gate: Gate, error: Optional[BaseException] = None) -> bool:
    """One row's way; returns whether it is to be asked again."""
    pace = RowPace(gate)
    await pace.begin(REQUEST)
    if error is not None:
        return pace.failed(error)
    pace.answered(ANSWER.usage)
    return False


def limited(seconds: Optional[float]) -> RateLimitError:
    return RateLimitError("Slow down.", retry_after=seconds)


def test_all_wait_as_long_as_the_provider_says(clock: Clock) -> None:
    async def rows() -> None:
        gate = Gate(4, Limits())
        assert await turn(gate, limited(7))
        await turn(gate)
        assert clock.now == 1007
        assert (gate.requests, gate.refused) == (2, 1)

    run(rows())


def test_one_pause_halves_the_window_once_and_answers_widen_it_again(clock: Clock) -> None:
    async def rows() -> None:
        gate = Gate(8, Limits())
        paces = [RowPace(gate) for _ in range(8)]
        for pace in paces:
            await pace.begin(REQUEST)
        assert all(pace.failed(OverloadedError("Busy.", retry_after=1)) for pace in paces)
        assert gate._window == 4, "eight refusals, one pause"
        for _ in range(5):
            await turn(gate)
        assert 5 <= gate._window < 6, "a round of four or five widens it by one"

    run(rows())


def test_pauses_that_nobody_named_grow(clock: Clock) -> None:
    async def rows() -> List[float]:
        gate, begins = Gate(1, Limits()), []
        for _ in range(4):
            begins.append(clock.now)
            assert await turn(gate, limited(None))
        return begins

    assert run(rows()) == [1000, 1000, 1001, 1003]


def test_a_quota_that_lasts_ends_the_run(clock: Clock) -> None:
    async def rows() -> None:
        gate = Gate(2, Limits())
        assert not await turn(gate, limited(7200))
        assert gate.has_given_up

    run(rows())


def test_another_error_is_the_rows_own(clock: Clock) -> None:
    async def rows() -> None:
        gate = Gate(2, Limits())
        assert not await turn(gate, ProviderError("Broken."))
        assert (gate.requests, gate.refused, gate._busy) == (1, 0, 0)

    run(rows())


def test_requests_are_spread_over_the_minute(clock: Clock) -> None:
    async def rows() -> None:
        gate = Gate(64, Limits(requests_per_minute=60))
        for _ in range(11):
            await turn(gate)
        assert clock.now == pytest.approx(1010)

    run(rows())


def test_tokens_are_estimated_and_then_corrected(clock: Clock) -> None:
    async def rows() -> None:
        gate = Gate(64, Limits(tokens_per_minute=60))
        for _ in range(3):
            await turn(gate)
        assert clock.now == pytest.approx(1030), "the answers took 15 tokens, not the 100 that were allowed"

    run(rows())


def test_the_entry_bounds_the_window(clock: Clock) -> None:
    async def rows() -> None:
        gate = Gate(64, Limits(concurrency=2))
        paces = [RowPace(gate) for _ in range(2)]
        for pace in paces:
            await pace.begin(REQUEST)
        third = asyncio.ensure_future(RowPace(gate).begin(REQUEST))
        await asyncio.sleep(0)
        assert not third.done()
        paces[0].answered(ANSWER.usage)
        await third

    run(rows())


@pytest.mark.parametrize("where", ["for a place", "for its moment"])
def test_who_is_cancelled_at_the_gate_gives_back_what_he_has_and_no_more(where: str) -> None:
    async def rows() -> None:
        gate = Gate(1, Limits(requests_per_minute=1))
        first = RowPace(gate)
        await first.begin(REQUEST)
        if where == "for its moment":
            first.answered(ANSWER.usage)
        waiting = asyncio.ensure_future(turn(gate))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if where == "for a place":
            assert gate._busy == 1
            first.answered(ANSWER.usage)
        assert (gate._busy, gate.requests) == (0, 1)

    run(rows())


def test_a_closed_gate_lets_nobody_through(clock: Clock) -> None:
    async def rows() -> None:
        gate = Gate(1, Limits())
        await RowPace(gate).begin(REQUEST)
        waiting = asyncio.ensure_future(turn(gate))
        await asyncio.sleep(0)
        gate.close()
        with pytest.raises(RunEndedError):
            await waiting

    run(rows())


def test_a_row_that_alone_is_refused_for_long_fails(clock: Clock) -> None:
    async def rows() -> None:
        gate = Gate(2, Limits())
        pace = RowPace(gate)
        asked_again = True
        for _ in range(40):
            await pace.begin(REQUEST)
            asked_again = pace.failed(limited(20))
            if not asked_again:
                break
            await turn(gate)  # another row is answered
        assert not asked_again and not gate.has_given_up

    run(rows())


def test_after_a_pause_requests_come_at_the_speed_that_was_let_through_and_not_in_a_burst(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "monotonic", lambda: clock.now)

    async def rows() -> None:
        gate = Gate(100, Limits())
        for _ in range(30):
            await turn(gate)
        assert clock.now == 1000, "nothing was refused yet, so nothing is held back"
        await turn(gate, limited(1))
        for _ in range(31):
            await turn(gate)
        assert 1001.7 < clock.now < 1002.1, "thirty a second, a little more each second"

    run(rows())
