"""A program that calls, forks, and calls again in both processes; a test runs it and reads what it prints.

python -m tests.support.programs.forks DIALECT SERVER_URL
"""

from __future__ import annotations

import asyncio
import os
import sys
import warnings

from llm_orchestrator import LLMOrchestrator
from tests.support.scripted_server import DIALECTS

dialect_name, url = sys.argv[1:]
orchestrator = LLMOrchestrator(DIALECTS[dialect_name].config(url, max_retries=0))


def ask_everything(process: str, loop: asyncio.AbstractEventLoop) -> None:
    """Ask whole and streamed, sync and on a loop."""
    questions = [f"Who is {process} {number} ?" for number in range(4)]
    answers = [
        orchestrator.send_request(questions[0]),
        orchestrator.send_streaming_request(questions[1]).final_response(),
        loop.run_until_complete(orchestrator.asend_request(questions[2])),
        loop.run_until_complete(orchestrator.asend_streaming_request(questions[3]).final_response()),
    ]
    right = sum(answer.content == question for answer, question in zip(answers, questions))
    print(f"{right} right in the {process}", flush=True)


def end(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


parents_loop = asyncio.new_event_loop()
ask_everything("parent", parents_loop)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork beside threads
    child = os.fork()
if not child:
    childs_loop = asyncio.new_event_loop()
    ask_everything("child", childs_loop)
    end(childs_loop)
    orchestrator.close()
    os._exit(0)  # without the goodbye of the parent's loop
assert os.waitpid(child, 0)[1] == 0
ask_everything("parent", parents_loop)
end(parents_loop)
orchestrator.close()
