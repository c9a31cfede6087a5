"""Keeping time: with a clock of our own where that serves, and a few times with a real one."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any, Awaitable, Callable, Iterator, List, Optional, Tuple

import pytest

from llm_orchestrator.exceptions import ProviderTimeoutError
from llm_orchestrator.providers.http import deadlines
from llm_orchestrator.providers.http.deadlines import LoopWatch, ReplyWatch, ThreadWatch, Watch
from llm_orchestrator.providers.wire import Limits
from tests.support.forks import in_child

LONG = Limits(300, 300)


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadlines, "time", clock)  # of the watchdog
    monkeypatch.setattr(deadlines, "monotonic", clock.monotonic)
    return clock


class NotedWatch(Watch):
    """A watch that notes when it interrupts."""

    interrupted = 0

    def interrupt(self) -> None:
        self.interrupted += 1


def limits(silence: float, total: float = math.inf) -> Limits:
    return Limits(connect=1, silence=silence, deadline=1000.0 + total)


# ---------------------------------------------------------------- with a clock of our own


def test_a_wait_that_ends_in_time_is_left_alone(clock: Clock) -> None:
    watch = NotedWatch(limits(5))
    with watch:
        clock.now += 4.9
        assert watch.look(clock.now) == pytest.approx(1005.0)
    assert not watch.expired and not watch.interrupted


def test_a_wait_that_is_overdue_is_interrupted_and_becomes_the_timeout(clock: Clock) -> None:
    watch, end_of_body = NotedWatch(limits(5)), OSError("the socket was shut down")
    with pytest.raises(ProviderTimeoutError, match="no event for 5 s") as caught, watch:
        clock.now += 5
        assert watch.look(clock.now) == math.inf
        raise end_of_body
    assert watch.interrupted == 1
    assert caught.value.__cause__ is end_of_body
    assert caught.value.retry_limit == 1, "the answer may be billed"
    with pytest.raises(ProviderTimeoutError), watch:
        pytest.fail("nothing is waited for after a timeout")


def test_only_the_time_spent_waiting_counts_as_silence(clock: Clock) -> None:
    watch = NotedWatch(limits(5))
    for _ in range(3):
        with watch:
            clock.now += 4
            watch.look(clock.now)
        clock.now += 100  # the consumer's
        watch.look(clock.now)
    assert not watch.expired


@pytest.mark.parametrize("began", [0.0, 0.1, 2.4, 4.9, 5.0, 7.5, 100.0])
@pytest.mark.parametrize("total", [math.inf, 103.0])
def test_looking_when_told_to_never_misses_the_end_of_a_wait(
    clock: Clock, began: float, total: float
) -> None:
    watch = NotedWatch(limits(5, total))
    look_at = watch.look(clock.now)
    while look_at < 1000 + began:
        clock.now = look_at
        look_at = watch.look(clock.now)
        assert look_at > clock.now, "a look that leads to the next at once would spin"
    clock.now = 1000 + began
    with suppress(ProviderTimeoutError), watch:
        while not watch.expired:
            clock.now = look_at
            look_at = watch.look(clock.now)
    assert clock.now == pytest.approx(1000 + min(began + 5, total))


def test_the_deadline_ends_a_wait_before_the_silence_does(clock: Clock) -> None:
    watch = NotedWatch(limits(5, total=3))
    with pytest.raises(ProviderTimeoutError, match="total_timeout"), watch:
        clock.now += 3
        watch.look(clock.now)


def test_a_deadline_that_passes_between_two_waits_is_noticed_at_once(clock: Clock) -> None:
    watch = NotedWatch(limits(300, total=3))
    clock.now += 4
    with pytest.raises(ProviderTimeoutError, match="total_timeout"), watch:
        pytest.fail("there is no time left to wait")
    assert watch.look(clock.now) > clock.now


@pytest.mark.parametrize(("allowed", "ends"), [(1, 1), (10, 5)])
def test_allowing_less_brings_the_deadline_forward(clock: Clock, allowed: float, ends: float) -> None:
    watch = NotedWatch(limits(300, total=5))
    watch.allow(allowed)
    with pytest.raises(ProviderTimeoutError), watch:
        assert watch.look(clock.now) == 1000 + ends
        clock.now += ends
        watch.look(clock.now)


def test_ctrl_c_is_no_timeout(clock: Clock) -> None:
    watch = NotedWatch(limits(5))
    with pytest.raises(KeyboardInterrupt), watch:
        clock.now += 5
        watch.look(clock.now)
        raise KeyboardInterrupt


def test_a_watch_says_how_it_interrupts() -> None:
    with pytest.raises(NotImplementedError):
        Watch(LONG).interrupt()


# ---------------------------------------------------------------- the shared thread


class Rounds:
    """In place of the watchdog's event: notes each wait and ends the thread's loop after the last."""

    def __init__(self, count: int) -> None:
        self.pauses: List[float] = []
        self.woken: List[bool] = []
        self._count = count
        self._set = False

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False

    def wait(self, pause: float) -> None:
        self.pauses.append(pause)
        self.woken.append(self._set)
        if len(self.pauses) == self._count:
            raise KeyboardInterrupt


def rounds_of(dog: Any, count: int = 1) -> Rounds:
    dog._wake = Rounds(count)
    with pytest.raises(KeyboardInterrupt):
        dog.run()
    return dog._wake


def test_the_watchdog_sleeps_until_the_next_wait_can_end(clock: Clock) -> None:
    dog = deadlines._Watchdog()
    assert rounds_of(dog).pauses == [threading.TIMEOUT_MAX]
    dog.add(NotedWatch(limits(300)))
    dog.add(NotedWatch(limits(7)))
    assert rounds_of(dog).pauses == [pytest.approx(7)]


def test_calls_that_end_at_once_do_not_wake_the_watchdog_each(clock: Clock) -> None:
    dog = deadlines._Watchdog()

    def call() -> bool:
        watch = NotedWatch(limits(300))
        dog._wake = threading.Event()
        dog.add(watch)
        dog.discard(watch)
        return dog._wake.is_set()

    assert call(), "the first one makes it sleep no longer than it may wait"
    assert rounds_of(dog).pauses == [pytest.approx(300)]
    clock.now += 299
    assert not call()
    clock.now += 2
    assert rounds_of(dog).pauses == [threading.TIMEOUT_MAX], "nobody is there, and nobody named a time"
    assert call()


def test_a_watch_that_comes_during_a_round_is_not_slept_over(clock: Clock) -> None:
    dog = deadlines._Watchdog()

    class Neighbour(NotedWatch):
        newcomer: Optional[Watch] = NotedWatch(limits(2))

        def look(self, now: float) -> float:
            newcomer, Neighbour.newcomer = Neighbour.newcomer, None
            if newcomer is not None:
                dog.add(newcomer)
            return super().look(now)

    dog._watches.add(Neighbour(limits(300)))
    dog._wakes_at = clock.now - 1  # as after a sleep
    rounds = rounds_of(dog, 2)
    assert rounds.woken[0] or rounds.pauses[0] <= 2, "the newcomer wakes the thread, or was seen"
    assert rounds.pauses[1] == pytest.approx(2)


def test_a_watchdog_that_cannot_start_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(deadlines._Watchdog, "_instance", None)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            deadlines._Watchdog.running()
    assert deadlines._Watchdog.running().is_alive()


class SocketReply:
    """A reply over a real socket, as the HTTP libraries expose theirs."""

    status_code = 200

    def __init__(self) -> None:
        self.socket, self.peer = socket.socketpair()
        self.extensions = {"network_stream": self}

    def get_extra_info(self, name: str) -> Any:
        return self.socket if name == "socket" else None

    def close(self) -> None:
        self.socket.close()
        self.peer.close()


@pytest.fixture
def reply() -> Iterator[Any]:
    reply = SocketReply()
    yield reply
    reply.close()


def watch_over(reply: Any, limits: Limits = LONG) -> ThreadWatch:
    watch = ThreadWatch(limits)
    watch.attach(reply)
    return watch


def waited(watch: Watch, connection: socket.socket) -> Tuple[Optional[Exception], float]:
    """Read until the watch ends it; the error, and how long it took."""
    started = time.monotonic()
    try:
        with watch:
            assert connection.recv(1) == b"", "an interrupted read sees the end of the body"
    except ProviderTimeoutError as error:
        return error, time.monotonic() - started
    return None, time.monotonic() - started


@pytest.mark.real_clock
def test_the_watchdog_shuts_an_overdue_socket_down(reply: Any) -> None:
    relaxed, other = watch_over(reply), SocketReply()
    watch = watch_over(other, Limits(1, 0.1))  # has to wake a thread that sleeps for minutes
    error, seconds = waited(watch, other.socket)
    watch.stop()
    relaxed.stop()
    other.close()
    assert error is not None and 0.09 <= seconds < 5
    assert not relaxed.expired


@pytest.mark.real_clock
def test_a_deadline_brought_forward_wakes_the_watchdog(reply: Any) -> None:
    watch = watch_over(reply)
    watch.allow(0.1)
    error, seconds = waited(watch, reply.socket)
    watch.stop()
    assert error is not None and 0.09 <= seconds < 5


def test_a_stopped_watch_is_left_alone_and_forgotten(reply: Any) -> None:
    watch = watch_over(reply)
    dog = deadlines._Watchdog.running()
    assert watch in dog._watches
    watch.stop()
    watch.stop()
    watch.interrupt()
    watch.allow(0)
    assert watch not in dog._watches
    reply.peer.send(b"x")
    assert reply.socket.recv(1) == b"x", "the socket was not shut down"


def test_a_socket_that_is_closed_already_needs_no_shutdown(reply: Any) -> None:
    watch = watch_over(reply)
    reply.socket.close()
    watch.interrupt()
    watch.stop()


@pytest.mark.parametrize("extensions", [{}, {"network_stream": None}, {"network_stream": socket}], ids=str)
def test_a_reply_without_a_socket_is_not_watched(extensions: Any) -> None:
    class Reply:
        pass

    reply: Any = Reply()
    if extensions.get("network_stream") is socket:
        extensions = {"network_stream": type("Stream", (), {"get_extra_info": lambda self, name: None})()}
    if extensions:
        reply.extensions = extensions
    before = set(deadlines._Watchdog.running()._watches)
    watch = watch_over(reply)
    assert deadlines._Watchdog.running()._watches == before
    watch.interrupt()
    watch.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.real_clock
def test_a_forked_child_has_a_watchdog_of_its_own(reply: Any) -> None:
    inherited = watch_over(reply)

    def child() -> bool:
        inherited.stop()  # of the parent's thread, which does not run here
        own = SocketReply()
        error, _ = waited(watch_over(own, Limits(1, 0.05)), own.socket)
        return error is not None

    assert in_child(child)
    assert inherited in deadlines._Watchdog.running()._watches
    inherited.stop()


# ---------------------------------------------------------------- the timer of a loop


def overdue(watch: LoopWatch) -> None:
    watch.look(time.monotonic() + 1000)


async def times_out(watch: LoopWatch, wait: Callable[[], Awaitable[Any]]) -> Optional[BaseException]:
    """Wait while the watch runs out at once; what came of it."""
    watch.loop.call_soon(overdue, watch)
    try:
        with watch:
            await wait()
    except BaseException as error:
        return error
    return None


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if sys.version_info >= (3, 11) and task is not None else 0


def test_the_wait_of_a_task_is_cancelled_and_becomes_the_timeout() -> None:
    async def main() -> None:
        watch = LoopWatch(LONG)
        error = await times_out(watch, for_ever)
        assert isinstance(error, ProviderTimeoutError)
        assert isinstance(error.__cause__, asyncio.CancelledError)
        assert cancellations() == 0, "the task goes on as if never cancelled"
        await asyncio.sleep(0)
        with pytest.raises(ProviderTimeoutError), watch:
            pytest.fail("nothing is waited for after a timeout")
        assert cancellations() == 0
        watch.stop()

    asyncio.run(main())


def test_a_library_that_turns_the_cancellation_into_its_own_error() -> None:
    async def wait() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            raise OSError("closed") from None

    async def main() -> None:
        watch = LoopWatch(LONG)
        error = await times_out(watch, wait)
        assert isinstance(error, ProviderTimeoutError) and isinstance(error.__cause__, OSError)
        assert cancellations() == 0
        watch.stop()

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not tell who cancelled it")
@pytest.mark.parametrize("ours_first", [True, False])
def test_a_cancellation_by_others_at_the_same_moment_goes_on(ours_first: bool) -> None:
    async def main() -> Optional[BaseException]:
        watch, task = LoopWatch(LONG), asyncio.current_task()
        assert task is not None
        watch.stop()
        both: List[Callable[[], Any]] = [lambda: overdue(watch), task.cancel]
        for step in both if ours_first else reversed(both):
            watch.loop.call_soon(step)
        try:
            with watch:
                await for_ever()
        except BaseException as error:
            assert cancellations() == 1
            task.uncancel()
            return error
        return None

    assert isinstance(asyncio.run(main()), asyncio.CancelledError)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not count its cancellations")
def test_a_task_that_was_cancelled_before_can_still_time_out() -> None:
    async def main() -> Optional[BaseException]:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        watch = LoopWatch(LONG)
        error = await times_out(watch, for_ever)
        watch.stop()
        assert cancellations() == 1
        task.uncancel()
        return error

    assert isinstance(asyncio.run(main()), ProviderTimeoutError)


def test_a_cancellation_by_others_alone_is_no_timeout() -> None:
    async def main() -> None:
        watch, task = LoopWatch(LONG), asyncio.current_task()
        assert task is not None
        watch.loop.call_soon(task.cancel)
        with watch:
            await for_ever()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def timers(loop: Any) -> int:
    return sum(not handle.cancelled() for handle in loop._scheduled)


def test_no_timer_is_left() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = timers(loop)
        watch = LoopWatch(LONG)
        with watch:
            await asyncio.sleep(0)
        assert timers(loop) == before + 1
        watch.allow(100)
        assert timers(loop) == before + 1
        watch.stop()
        watch.stop()
        assert timers(loop) == before
        over = LoopWatch(LONG)
        await times_out(over, for_ever)
        over.stop()
        assert timers(loop) == before

    asyncio.run(main())


@pytest.mark.real_clock
@pytest.mark.parametrize("shortened", [False, True])
def test_the_timer_of_a_loop(shortened: bool) -> None:
    async def main() -> float:
        watch = LoopWatch(LONG if shortened else Limits(1, 0.1))
        if shortened:
            watch.allow(0.1)
        started = time.monotonic()
        with pytest.raises(ProviderTimeoutError), watch:
            await for_ever()
        watch.stop()
        return time.monotonic() - started

    assert 0.09 <= asyncio.run(main()) < 5


def test_a_reply_that_keeps_the_time_is_told_until_when_and_interrupted() -> None:
    told = []

    class Timed:
        def wait_until(self, moment: float) -> None:
            told.append(moment)

        def interrupt(self) -> None:
            told.append(-1.0)

    watch = ReplyWatch(Limits(1, 50), Timed())
    before = time.monotonic()
    with watch:
        assert watch.is_waiting
        watch.interrupt()
    assert not watch.is_waiting
    assert before + 50 <= told[0] <= time.monotonic() + 50 and told[1:] == [-1.0]
    with pytest.raises(ProviderTimeoutError), ReplyWatch(Limits(1, 50, before - 1), Timed()):
        pass
