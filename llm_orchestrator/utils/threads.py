"""Work that would stop an event loop, done in a thread of its own."""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple, TypeVar, cast

__all__ = ["NoThreadError", "in_thread", "within"]

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


def within(work: Callable[[], Result], seconds: float) -> Result:
    """Do work in a thread that is left behind when it takes too long, which is a TimeoutError."""
    import contextvars
    import queue
    import threading

    ended: queue.SimpleQueue[Tuple[Any, Optional[BaseException]]] = queue.SimpleQueue()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            ended.put((context.run(work), None))
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is raised where it is waited for
            ended.put((None, error))

    threading.Thread(target=run, daemon=True, name="llm_orchestrator key").start()
    try:
        result, error = ended.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"not done within {seconds:g} seconds") from None
    if error is not None:
        raise error
    return cast("Result", result)
