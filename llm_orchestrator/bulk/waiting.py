"""Tasks of one loop that wait in a line until something changes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Deque

__all__ = ["Line"]


class Line:
    """A line of waiting tasks; much cheaper than a condition, of which every row would need several."""

    def __init__(self) -> None:
        self._waiting: Deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait to be woken; who is woken looks again whether it may go on."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.wake(1)  # another may go in its place
            raise

    def wake(self, count: int) -> None:
        """Wake so many of those who have waited longest."""
        while count > 0 and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1

    def wake_all(self) -> None:
        """Wake everyone."""
        self.wake(len(self._waiting))
