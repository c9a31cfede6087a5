"""A program that maps many rows of a generator and prints its peak of memory in megabytes.

python -W error -m tests.support.programs.bulk_memory ROWS LEDGER_FILE JOURNAL

It prints the peak of the first tenth, and of all.
"""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider

rows, ledger, journal = sys.argv[1:]


def peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # what ``ru_maxrss`` says here may be the peak of the program that started this one
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


config = {
    "providers": {},
    "active_provider": "fake",
    "active_model": "fake-model",
    "cost_tracking": {"log_path": ledger},
}
fake = FakeProvider("Hi", keep_requests=False)
with LLMOrchestrator(config, providers={"fake": fake}) as orchestrator:
    run = orchestrator.map(
        ({"id": number, "text": f"row {number}"} for number in range(int(rows))),
        messages="Classify: {text}",
        key="id",
        journal=journal or None,
    )
    answered, early = 0, 0.0
    for result in run:
        answered += result.error is None
        if answered == int(rows) // 10:
            early = peak_mb()
    assert answered == int(rows)
    print(early, peak_mb())
