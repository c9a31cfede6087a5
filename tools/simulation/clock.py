"""Virtual time: it stands still while the program works, and jumps to the next event when it waits."""

from __future__ import annotations

import heapq
import math
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Tuple
from unittest import mock

#: What ``time.time`` shows when the clock shows 0; an arbitrary day.
EPOCH = 1_800_000_000.0
#: What the clock shows at the beginning.
START = 1000.0


class VirtualClock:
    """The time of one simulation, and what the network does at which moment.

    Attributes:
        now: The moment, in seconds.
        worked: Seconds that the program was too busy to look at the network, in all.
    """

    def __init__(self) -> None:
        self.now = START
        self.worked = 0.0
        self._events: List[Tuple[float, int, Callable[..., None], Tuple[Any, ...]]] = []
        self._number = 0  # what is due at the same moment happens in the order in which it was planned

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return EPOCH + self.now

    def at(self, moment: float, action: Callable[..., None], *arguments: Any) -> None:
        """Plan something that happens whatever the program is doing then."""
        self._number += 1
        heapq.heappush(self._events, (moment, self._number, action, arguments))

    @property
    def next_event(self) -> float:
        """When something happens next; infinity for never."""
        return self._events[0][0] if self._events else math.inf

    def advance_to(self, moment: float) -> None:
        """Let time pass, and happen what was planned."""
        events = self._events
        while events and events[0][0] <= moment:
            when, _, action, arguments = heapq.heappop(events)
            self.now = max(self.now, when)
            action(*arguments)
        self.now = max(self.now, moment)

    def sleep(self, seconds: float) -> None:
        self.advance_to(self.now + seconds)

    def work(self, seconds: float) -> None:
        """Be busy: the network goes on, but the program does not see it."""
        self.worked += seconds
        self.sleep(seconds)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Show this time to everything that asks the module ``time``."""
        with mock.patch.multiple(time, monotonic=self.monotonic, time=self.time, sleep=self.sleep):
            yield
