"""A program that makes vectors of rows with a journal, for a test to kill in the middle.

python -W error -m tests.support.programs.embed_rows DIALECT SERVER_URL JOURNAL ROWS BATCH_SIZE
"""

from __future__ import annotations

import sys

from llm_orchestrator import LLMOrchestrator
from tests.support.scripted_server import DIALECTS, MODEL

dialect, url, journal, rows, size = sys.argv[1:6]
with LLMOrchestrator(DIALECTS[dialect].config(url, max_retries=0)) as orchestrator:
    run = orchestrator.map(
        ({"id": number, "text": f"row {number}"} for number in range(int(rows))),
        messages="{text}",
        key="id",
        journal=journal,
        concurrency=2,
        embed=True,
        model=MODEL,
        batch_size=int(size),
    )
    for result in run:
        print(result.key, len(result.vector or ()), flush=True)
