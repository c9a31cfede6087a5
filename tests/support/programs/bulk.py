"""A program that maps rows with a journal, for a test to kill in the middle.

python -W error -m tests.support.programs.bulk DIALECT SERVER_URL JOURNAL ROWS CONCURRENCY [TEMPLATE]
"""

from __future__ import annotations

import sys

from llm_orchestrator import LLMOrchestrator
from tests.support.scripted_server import DIALECTS

dialect, url, journal, rows, concurrency = sys.argv[1:6]
template = sys.argv[6] if len(sys.argv) > 6 else "{text}"
with LLMOrchestrator(DIALECTS[dialect].config(url, max_retries=0)) as orchestrator:
    run = orchestrator.map(
        ({"id": number, "text": f"row {number}"} for number in range(int(rows))),
        messages=template,
        key="id",
        journal=journal,
        concurrency=int(concurrency),
    )
    for result in run:
        print(result.key, result.content, flush=True)
