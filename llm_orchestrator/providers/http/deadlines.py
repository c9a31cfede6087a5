"""Keeping time while a reply's body arrives: silence between events, and the end of the whole call.

The vendor SDKs bound single reads, so a server that drips bytes or comments holds a caller for ever. A
``Watch`` knows until when one reply may keep us waiting; for sync callers one shared thread looks at all
watches and shuts the socket of an overdue reply down, for async callers a timer of the loop cancels the
waiting task.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterator, Optional, Set, Type

from llm_orchestrator.exceptions import ProviderConnectionError, ProviderTimeoutError
from llm_orchestrator.providers.wire import Limits, RawReply
from llm_orchestrator.utils.clock import behind, monotonic

if TYPE_CHECKING:
    import asyncio

__all__ = ["LoopWatch", "ReplyWatch", "ThreadWatch", "Watch", "watch_reply"]

logger = logging.getLogger(__name__)


class Watch:
    """How long one reply may keep us waiting; ``with watch:`` around each wait for a sign of the answer.

    Entering sets the clock, leaving stops it. Only time spent inside counts as silence.
    """

    def __init__(self, limits: Limits) -> None:
        self.expired = False
        self._silence = limits.silence
        self._deadline = limits.deadline
        self._waits_until = math.inf

    def __enter__(self) -> Watch:
        now = monotonic()
        # The deadline may have passed between two waits, when nobody looked.
        if self.expired or now >= self._deadline:
            raise self._timeout()
        self._begin_wait(now)
        return self

    @property
    def is_waiting(self) -> bool:
        """Whether somebody is inside, waiting for the reply."""
        return self._waits_until < math.inf

    def _begin_wait(self, now: float) -> None:
        silent_until = now + self._silence
        self._waits_until = silent_until if silent_until < self._deadline else self._deadline

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._waits_until = math.inf
        if self.expired and self._explains(error):
            raise self._timeout() from error

    def _explains(self, error: Optional[BaseException]) -> bool:
        """Whether a wait that was interrupted ended for that reason; Ctrl-C, for one, has another."""
        return error is None or isinstance(error, Exception)

    def look(self, now: float) -> float:
        """Interrupt the wait when it is overdue."""
        if now >= self._waits_until:
            self.expired = True
            self.interrupt()
            return math.inf
        # A wait that begins later ends at least one silence from now, or at the deadline.
        next_wait = now + self._silence
        return min(self._waits_until, next_wait, self._deadline if self._deadline > now else next_wait)

    def interrupt(self) -> None:
        """Make the waiting read end at once."""
        raise NotImplementedError

    def allow(self, seconds: float) -> None:
        """Bring the deadline forward."""
        self._deadline = min(self._deadline, monotonic() + seconds)

    def stop(self) -> None:
        """Stop watching; takes no lock, so it may be called from a finalizer."""

    def _timeout(self) -> ProviderTimeoutError:
        limit = (
            "total_timeout is over" if monotonic() >= self._deadline else f"no event for {self._silence:g} s"
        )
        error = ProviderTimeoutError(
            f"The answer did not arrive in time: {limit}. Raise the limit, or try again."
        )
        error.retry_limit = 1  # the provider may be working on it, and bill it
        return error


class ReplyWatch(Watch):
    """A watch over a reply that keeps the time itself, and is only told until when."""

    def __init__(self, limits: Limits, reply: Any) -> None:
        super().__init__(limits)
        self._reply = reply

    def _begin_wait(self, now: float) -> None:
        super()._begin_wait(now)
        self._reply.wait_until(self._waits_until)

    def interrupt(self) -> None:
        """Make the waiting read end at once."""
        self._reply.interrupt()


class ThreadWatch(Watch):
    """A watch for sync callers, looked at by a thread that all of them share, once it has a reply."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._behind = behind()  # the watchdog's thread has a clock of its own
        self._socket: Optional[socket.socket] = None
        self._watchdog: Optional[_Watchdog] = None

    @contextmanager
    def until_open(self) -> Iterator[None]:
        """Watch the opening of a reply: from its head on, while the SDK may still read an error's body."""
        before = _opening.set(self)
        try:
            with self:
                yield
        finally:
            _opening.reset(before)

    def attach(self, reply: RawReply) -> None:
        """Watch a reply from now on."""
        connection = _socket_of(reply)
        if connection is None or connection is self._socket:
            return
        try:
            watchdog = _Watchdog.running()
        except RuntimeError as error:  # the answer is on its way and paid for: better unwatched than lost
            logger.warning("An answer is read without its time limits: %s.", error)
            return
        self._socket = connection
        self._watchdog = watchdog
        if self.is_waiting:
            self._begin_wait(monotonic())  # anew, for the head was a sign of life
        self._be_looked_at()

    def look(self, now: float) -> float:
        """Interrupt the wait when it is overdue; asked by the watchdog, in its time."""
        return super().look(now - self._behind) + self._behind

    def interrupt(self) -> None:
        """Shut the socket down; the waiting read then sees the end of the body."""
        connection = self._socket  # the reading thread may stop the watch at any moment
        if connection is not None:
            with suppress(OSError):  # it is closed already, so nobody waits for it
                # The plain socket's method: an SSL socket's own would change it under the reading thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def allow(self, seconds: float) -> None:
        """Bring the deadline forward; see ``Watch.allow``."""
        super().allow(seconds)
        self._be_looked_at()

    def stop(self) -> None:
        """Stop watching; takes no lock, so it may be called from a finalizer."""
        self._socket = None
        if self._watchdog is not None:
            self._watchdog.discard(self)
            self._watchdog = None

    def _be_looked_at(self) -> None:
        if self._watchdog is not None:
            self._watchdog.add(self)


class LoopWatch(Watch):
    """A watch for async callers, looked at by a timer of the running loop."""

    def __init__(self, limits: Limits) -> None:
        import asyncio

        super().__init__(limits)
        self.loop = asyncio.get_running_loop()
        self._current_task = asyncio.current_task
        self._cancelled_error = asyncio.CancelledError
        self._task: Optional[asyncio.Task[Any]] = None
        self._cancelled_before = 0
        self._timer: Optional[asyncio.TimerHandle] = None
        self._look()

    def __enter__(self) -> LoopWatch:
        self._task = self._current_task()
        if self._task is not None and self._task.get_loop() is not self.loop:
            raise ProviderConnectionError(
                "A connection belongs to the event loop that opened it. Read it there."
            )
        super().__enter__()
        if sys.version_info >= (3, 11) and self._task is not None:
            self._cancelled_before = self._task.cancelling()
        return self

    def _explains(self, error: Optional[BaseException]) -> bool:
        only_ours = not self._cancelled_by_others()
        return only_ours if isinstance(error, self._cancelled_error) else super()._explains(error)

    def _cancelled_by_others(self) -> bool:
        """Take our cancellation back and tell whether there is another; nobody can before Python 3.11."""
        if sys.version_info >= (3, 11) and self._task is not None:
            return self._task.uncancel() > self._cancelled_before
        return False

    def interrupt(self) -> None:
        """Cancel the waiting task; ``__exit__`` turns that cancellation into the timeout."""
        if self._task is not None:
            self._task.cancel()

    def allow(self, seconds: float) -> None:
        """Bring the deadline forward; see ``Watch.allow``."""
        super().allow(seconds)
        self.stop()
        self._look()

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = monotonic()
        again = self.look(now)
        self._timer = None if again == math.inf else self.loop.call_later(again - now, self._look)


class _Watchdog(threading.Thread):
    """The thread that looks at the watches of all sync callers of this process."""

    _instance: Optional[_Watchdog] = None
    _start_lock = threading.Lock()

    def __init__(self) -> None:
        super().__init__(name="llm_orchestrator-watchdog", daemon=True)
        self._process = os.getpid()
        self._watches: Set[ThreadWatch] = set()
        self._wakes_at = math.inf
        self._wake = threading.Event()

    @classmethod
    def running(cls) -> _Watchdog:
        """The watchdog of this process, started when needed; a thread does not survive a fork."""
        dog = cls._instance
        if dog is None or dog._process != os.getpid():
            with cls._start_lock:
                dog = cls._instance
                if dog is None or dog._process != os.getpid():
                    dog = cls()
                    dog.start()
                    cls._instance = dog  # only now: one that could not be started would watch nothing
        return dog

    def add(self, watch: ThreadWatch) -> None:
        self._watches.add(watch)
        due = watch.look(time.monotonic())
        if due < self._wakes_at:
            self._wakes_at = due
            self._wake.set()

    def discard(self, watch: ThreadWatch) -> None:
        self._watches.discard(watch)

    def run(self) -> None:
        while True:
            agreed = self._wakes_at
            self._wakes_at = math.inf  # a watch that comes while the others are looked at wakes this thread
            now = time.monotonic()
            # A short call has ended before this thread comes to look. The time that it named is kept all the
            # same, or each call would wake the thread again, which costs a quarter of the call.
            named = agreed if agreed > now else math.inf
            self._wakes_at = min((watch.look(now) for watch in self._watches.copy()), default=named)
            pause = max(self._wakes_at - time.monotonic(), 0)
            self._wake.wait(min(pause, threading.TIMEOUT_MAX))
            self._wake.clear()


#: The watch of the call that this thread is opening.
_opening: ContextVar[Optional[ThreadWatch]] = ContextVar("llm_orchestrator_opening", default=None)


def watch_reply(reply: RawReply) -> None:
    """Let the watch of the call that is being opened see its reply; for response hooks of HTTP clients."""
    watch = _opening.get()
    if watch is not None:
        watch.attach(reply)


def _renew_start_lock() -> None:
    _Watchdog._start_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_start_lock)


def _socket_of(reply: RawReply) -> Optional[socket.socket]:
    """The reply's socket, as httpx and httpx2 expose it in their documented ``network_stream`` extension."""
    stream = getattr(reply, "extensions", {}).get("network_stream")
    found = stream.get_extra_info("socket") if stream is not None else None
    return found if isinstance(found, socket.socket) else None
