"""A program that has no file descriptor left when it asks, and asks again when it has.

python -W error -m tests.support.programs.no_files DIALECT SERVER_URL HOW
"""

from __future__ import annotations

import asyncio
import resource
import sys

from llm_orchestrator import ConfigurationError, LLMOrchestrator
from tests.support.scripted_server import DIALECTS

dialect_name, url, how = sys.argv[1:]
config = DIALECTS[dialect_name].config(url, max_retries=3, transport="direct")
config["cost_tracking"] = {"log_path": None}
loop = asyncio.new_event_loop()
loop.slow_callback_duration = 60  # a busy machine is nothing to print about


def ask(orchestrator: LLMOrchestrator) -> str:
    if how.endswith("stream"):
        return orchestrator.send_streaming_request("Hi").final_response().content
    if how.endswith("async"):
        return loop.run_until_complete(orchestrator.asend_request("Hi")).content
    return orchestrator.send_request("Hi").content


def close(orchestrator: LLMOrchestrator) -> None:
    loop.run_until_complete(orchestrator.aclose())


first = LLMOrchestrator(config)
if not how.startswith("first"):
    print(ask(first))  # all modules are imported now, which takes descriptors, too
orchestrator = LLMOrchestrator(config)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
try:
    ask(orchestrator)
except ConfigurationError as error:
    print(error, error.attempts)
finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(ask(orchestrator))
print(orchestrator.cost_tracker.get_usage_report().total_requests)
close(first)
close(orchestrator)
loop.close()
