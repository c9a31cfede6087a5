"""A program that ends without having closed anything, with a stream that it began and did not read on.

python -W error -m tests.support.programs.endings DIALECT SERVER_URL LEDGER HOW
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, List

from llm_orchestrator import LLMOrchestrator
from tests.support.scripted_server import DIALECTS

dialect_name, url, ledger, how = sys.argv[1:]
config = DIALECTS[dialect_name].config(url, max_retries=0)
orchestrator = LLMOrchestrator({**config, "cost_tracking": {"log_path": ledger}})
kept: List[Any] = []


async def begin() -> None:
    asyncio.get_running_loop().slow_callback_duration = 10  # on a busy machine every step is slow
    stream = orchestrator.asend_streaming_request("Hi")
    await stream.__anext__()
    if "kept" in how:
        kept.append(stream)


if "async" in how:
    asyncio.run(begin())
else:
    stream = orchestrator.send_streaming_request("Hi")
    next(stream)
    if "kept" in how:
        kept.append(stream)
    del stream
