"""Work of one thread: in order, waited for as long as it goes on, taken back by whoever does not wait."""

from __future__ import annotations

import asyncio
import threading
from typing import List

import pytest

from llm_orchestrator.utils.worker import SerialWorker, SilenceError


def test_work_is_done_in_order_and_the_thread_ends() -> None:
    worker, done = SerialWorker("test", 60), []  # type: ignore[var-annotated]

    for number in range(100):
        last = worker.submit(lambda number=number: done.append((number, threading.current_thread())))  # type: ignore[misc]
    worker.wait(last)

    assert [number for number, _ in done] == list(range(100))
    for _, thread in done:
        thread.join()
    assert worker.is_idle
    with pytest.raises(ZeroDivisionError):
        worker.wait(worker.submit(lambda: 1 / 0))
    with pytest.raises(TimeoutError, match="its own"):
        worker.wait(worker.submit(raises_timeout))


def raises_timeout() -> None:
    raise TimeoutError("its own")


@pytest.mark.parametrize("is_async", [False, True])
def test_silence_is_given_up_and_what_was_not_begun_is_not_done(is_async: bool) -> None:
    worker, over, done = SerialWorker("test", 0.05), threading.Event(), []  # type: ignore[var-annotated]
    worker.submit(over.wait)

    future = worker.submit(lambda: done.append("late"))
    with pytest.raises(SilenceError):
        asyncio.run(worker.await_(future)) if is_async else worker.wait(future)
    over.set()
    patient = SerialWorker("another", 60)
    patient.wait(patient.submit(lambda: None))

    assert future.cancelled()
    assert done == []


def test_work_behind_other_work_is_waited_for_as_long_as_that_goes_on() -> None:
    worker = SerialWorker("test", 0.5)
    pause = threading.Event()

    futures = [worker.submit(lambda: pause.wait(0.05)) for _ in range(20)]

    assert worker.wait(futures[-1]) is False


def test_work_that_says_that_it_goes_on_is_waited_for() -> None:
    worker, pause = SerialWorker("test", 0.5), threading.Event()

    def slow() -> int:
        for _ in range(20):
            pause.wait(0.05)
            worker.go_on()
        return 7

    assert worker.wait(worker.submit(slow)) == 7


def test_a_task_that_is_cancelled_takes_its_work_back() -> None:
    worker, over = SerialWorker("test", 60), threading.Event()
    done: List[str] = []

    async def main() -> None:
        worker.submit(over.wait)
        task = asyncio.ensure_future(worker.await_(worker.submit(lambda: done.append("x"))))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        over.set()
        await worker.await_(worker.submit(lambda: None))

    asyncio.run(main())
    assert done == []


def test_without_threads_it_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    worker = SerialWorker("test", 60)

    assert worker.wait(worker.submit(lambda: 7)) == 7
