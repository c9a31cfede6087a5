"""Work that would stop an event loop, done in a thread of its own."""

from __future__ import annotations

from typing import Callable, TypeVar

__all__ = ["NoThreadError", "in_thread"]

Result = TypeVar("Result")


class NoThreadError(RuntimeError):
    """The system, or a program that ends, starts no thread; the work was not begun."""


async def in_thread(work: Callable[[], Result]) -> Result:
    """Await work in a new thread: the loop's own executor may be full of threads that wait for this."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    thread = ThreadPoolExecutor(1)
    try:
        try:
            working = asyncio.get_running_loop().run_in_executor(thread, work)
        except RuntimeError as error:
            raise NoThreadError(*error.args) from error
        return await working
    finally:
        thread.shutdown(wait=False)
