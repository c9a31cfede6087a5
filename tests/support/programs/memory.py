"""A program that makes 2,000 calls and prints by how many bytes each of the last ones let its memory grow.

python -W error -m tests.support.programs.memory SERVER_URL LEDGER_FILE
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from typing import List

from llm_orchestrator import LLMOrchestrator
from tests.support.everywhere import config_of_all, siblings

#: The first calls import the SDKs, which nobody needs to trace; then caches and free lists fill up for a while.
FIRST, WARM_UP, MEASURED = 16, 1184, 800


async def main(url: str, ledger: str) -> None:
    """Call with a ledger file; without one the records of all calls stay in memory, on purpose."""
    async with LLMOrchestrator(config_of_all(url, log_path=ledger)) as orchestrator:
        family = siblings(orchestrator)
        await call(family, FIRST)
        tracemalloc.start()
        await call(family, WARM_UP)
        before = memory()
        await call(family, MEASURED)
        print((memory() - before) // MEASURED)


async def call(family: List[LLMOrchestrator], calls: int) -> None:
    """Call in all dialects and all four ways."""
    for number in range(calls // 4):
        orchestrator = family[number % len(family)]
        assert orchestrator.send_request("Hi").content
        assert orchestrator.send_streaming_request("Hi").final_response().content
        assert (await orchestrator.asend_request("Hi")).content
        assert (await orchestrator.asend_streaming_request("Hi").final_response()).content


def memory() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


asyncio.run(main(*sys.argv[1:]))
