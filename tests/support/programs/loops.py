"""A program that uses one orchestrator on many event loops; a test runs it and looks at what it prints.

python -W error -m tests.support.programs.loops DIALECT SERVER_URL SCENARIO
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from typing import Any, Callable, List

from llm_orchestrator import LLMOrchestrator
from tests.support.scripted_server import DIALECTS

#: asyncio's debug mode complains about steps longer than 0.1 s; on a busy machine every step may be.
PATIENCE = 10.0

dialect_name, url, scenario = sys.argv[1:]
orchestrator = LLMOrchestrator(DIALECTS[dialect_name].config(url, max_retries=0))
answers: List[str] = []
streams: List[Any] = []


async def ask() -> None:
    """One stream that is left after its first piece, and two answers, whose connection stays open."""
    asyncio.get_running_loop().slow_callback_duration = PATIENCE
    async for _ in orchestrator.asend_streaming_request("Hi"):
        break
    answers.append((await orchestrator.asend_request("Hi")).content)
    answers.append((await orchestrator.asend_streaming_request("Hi").final_response()).content)


def run_by_hand() -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def run_carelessly() -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())
    loop.close()


def side_by_side(work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def loops() -> None:
    """Three loops one after the other, then two in two threads, run by asyncio and by hand."""
    for _ in range(3):
        asyncio.run(ask())
    side_by_side(lambda: asyncio.run(ask()))
    side_by_side(run_by_hand)


def careless_loops() -> None:
    """Loops that are closed without having closed their generators."""
    run_carelessly()
    side_by_side(run_carelessly)
    run_carelessly()


async def drop() -> None:
    async for _ in orchestrator.asend_streaming_request("Hi"):
        return


async def keep() -> None:
    streams.append(orchestrator.asend_streaming_request("Hi"))
    async for _ in streams[-1]:
        return


async def fail() -> None:
    async for _ in orchestrator.asend_streaming_request("Hi"):
        raise ValueError("the application's own")


async def drop_in_a_cycle() -> None:
    stream: Any = orchestrator.asend_streaming_request("Hi")
    stream.itself = stream
    async for _ in stream:
        return


async def cancel() -> None:
    stream = orchestrator.asend_streaming_request("Hi")
    reading = asyncio.ensure_future(stream.final_response())
    while not stream.text:
        await asyncio.sleep(0.001)
    reading.cancel()


def left_streams() -> None:
    """Streams that are open when their loop ends; the server never ends them."""
    for leave in (drop, keep, fail, drop_in_a_cycle, cancel):

        async def twice(leave: Callable[[], Any] = leave) -> None:
            asyncio.get_running_loop().slow_callback_duration = PATIENCE
            for error in await asyncio.gather(leave(), leave(), return_exceptions=True):
                if error is not None:
                    raise error

        try:
            asyncio.run(twice())
        except ValueError as error:
            assert leave is fail, error
    streams.clear()
    gc.collect()
    asyncio.run(ask_twice_more())


async def ask_twice_more() -> None:
    asyncio.get_running_loop().slow_callback_duration = PATIENCE
    for _ in range(2):
        answers.append((await orchestrator.asend_request("Hi")).content)


{"loops": loops, "careless loops": careless_loops, "left streams": left_streams}[scenario]()
gc.collect()  # whatever was not closed would tell now
rows = orchestrator.cost_tracker.get_usage_report().total_requests
orchestrator.close()
print(f"{len(answers)} answers, {len(set(answers))} of them different, {rows} in the report")
