"""A program that makes 2,000 calls and prints by how many bytes each of the last half let its memory grow.

    python -W error -m tests.promises.memory DIALECT SERVER_URL
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import tracemalloc
from pathlib import Path

from llm_orchestrator import LLMOrchestrator
from tests.bench import DIALECTS

WARM_UP = MEASURED = 1000


async def main(dialect_name: str, url: str) -> None:
    """Call with a ledger file; without one the records of all calls stay in memory, on purpose."""
    with tempfile.TemporaryDirectory() as folder:
        config = DIALECTS[dialect_name].config(url, max_retries=0)
        config["cost_tracking"] = {"log_path": str(Path(folder, "costs.csv"))}
        async with LLMOrchestrator(config) as orchestrator:
            await call(orchestrator, WARM_UP)
            gc.collect()
            tracemalloc.start()
            await call(orchestrator, MEASURED)
            gc.collect()
            grown, _ = tracemalloc.get_traced_memory()
    print(grown // MEASURED)


async def call(orchestrator: LLMOrchestrator, calls: int) -> None:
    """Call in all four ways."""
    for _ in range(calls // 4):
        assert orchestrator.send_request("Hi").content
        assert orchestrator.send_streaming_request("Hi").final_response().content
        assert (await orchestrator.asend_request("Hi")).content
        assert (await orchestrator.asend_streaming_request("Hi").final_response()).content


asyncio.run(main(*sys.argv[1:]))
