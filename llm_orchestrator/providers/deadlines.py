"""Keeping time while a reply's body arrives: silence between events, and the end of the whole call.

The vendor SDKs bound single reads, so a server that drips bytes or comments holds a caller for ever. A ``Watch`` knows
until when one reply may keep us waiting; for sync callers one shared thread looks at all watches and shuts the socket
of an overdue reply down, for async callers a timer of the loop cancels the waiting task.
"""

from __future__ import annotations

import math
import os
import socket
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Set, Type

from llm_orchestrator.exceptions import ProviderTimeoutError
from llm_orchestrator.providers.wire import Limits, RawReply

if TYPE_CHECKING:
    import asyncio

__all__ = ["LoopWatch", "ThreadWatch", "Watch"]


class Watch:
    """How long one reply may keep us waiting; ``with watch:`` around each wait.

    Entering sets the clock, leaving stops it. Only time spent inside counts as silence.

    Args:
        limits: Silence allowed and deadline of the call.
    """

    def __init__(self, limits: Limits) -> None:
        self.expired = False
        self._silence = limits.silence
        self._deadline = limits.deadline
        self._waits_until = math.inf

    def __enter__(self) -> Watch:
        self._waits_until = min(time.monotonic() + self._silence, self._deadline)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._waits_until = math.inf
        if self.expired:
            raise self._timeout() from error

    def look(self, now: float) -> float:
        """Interrupt the wait when it is overdue.

        Args:
            now: The time on the clock of ``time.monotonic``.

        Returns:
            When to look again; infinity when there is nothing more to look for.
        """
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
        """Shorten the silence allowed from now on.

        Args:
            seconds: The new limit; a longer one than before changes nothing.
        """
        self._silence = min(self._silence, seconds)

    def stop(self) -> None:
        """Stop watching; takes no lock, so it may be called from a finalizer."""

    def _timeout(self) -> ProviderTimeoutError:
        limit = (
            "total_timeout is over"
            if time.monotonic() >= self._deadline
            else f"no event for {self._silence:g} s"
        )
        error = ProviderTimeoutError(
            f"The answer did not arrive in time: {limit}. Raise the limit, or try again."
        )
        error.retry_limit = 1  # the provider may be working on it, and bill it
        return error


class ThreadWatch(Watch):
    """A watch for sync callers, looked at by a thread that all of them share.

    Args:
        reply: The open reply whose socket is shut down when time is up.
        limits: Silence allowed and deadline of the call.
    """

    def __init__(self, reply: RawReply, limits: Limits) -> None:
        super().__init__(limits)
        self._socket = _socket_of(reply)
        if self._socket is not None:
            _Watchdog.running().add(self)

    def interrupt(self) -> None:
        """Shut the socket down; the waiting read then sees the end of the body."""
        if self._socket is not None:
            try:
                # The plain socket's method: an SSL socket's own would change its state under the reading thread.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already, so nobody waits for it

    def stop(self) -> None:
        """Stop watching; takes no lock, so it may be called from a finalizer."""
        if self._socket is not None:
            _Watchdog.running().discard(self)
            self._socket = None


class LoopWatch(Watch):
    """A watch for async callers, looked at by a timer of the running loop.

    Args:
        limits: Silence allowed and deadline of the call.
    """

    def __init__(self, limits: Limits) -> None:
        import asyncio

        super().__init__(limits)
        self._task: Optional[asyncio.Task[Any]] = None
        self._current_task = asyncio.current_task
        self.loop = asyncio.get_running_loop()
        first_look = min(self._silence, limits.left())
        self._timer: Optional[asyncio.TimerHandle] = self.loop.call_later(max(first_look, 0), self._look)

    def __enter__(self) -> LoopWatch:
        self._task = self._current_task()
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self.expired and sys.version_info >= (3, 11) and self._task is not None and self._task.uncancel():
            self._waits_until = math.inf
            return  # somebody else cancelled the task as well: their cancellation goes on
        super().__exit__(kind, error, trace)

    def interrupt(self) -> None:
        """Cancel the waiting task; ``__exit__`` turns that cancellation into the timeout."""
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = time.monotonic()
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
                    dog = cls._instance = cls()
                    dog.start()
        return dog

    def add(self, watch: ThreadWatch) -> None:
        self._watches.add(watch)
        now = time.monotonic()
        if watch.look(now) < self._wakes_at:
            self._wake.set()

    def discard(self, watch: ThreadWatch) -> None:
        self._watches.discard(watch)

    def run(self) -> None:
        while True:
            now = time.monotonic()
            self._wakes_at = min((watch.look(now) for watch in self._watches.copy()), default=math.inf)
            pause = None if self._wakes_at == math.inf else max(self._wakes_at - time.monotonic(), 0)
            self._wake.wait(pause)
            self._wake.clear()


def _renew_start_lock() -> None:
    _Watchdog._start_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_start_lock)


def _socket_of(reply: RawReply) -> Optional[socket.socket]:
    """The reply's socket, as httpx and httpx2 expose it in their documented ``network_stream`` extension."""
    stream = getattr(reply, "extensions", {}).get("network_stream")
    found = stream.get_extra_info("socket") if stream is not None else None
    return found if isinstance(found, socket.socket) else None
