"""A program that asks for answers by a provider's batch API, and may be killed at any moment.

python -m tests.support.programs.batch_run '{"dialect": ..., "url": ..., "folder": ..., "rows": 10}'
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, Dict

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.bulk.batch_notes import BatchNotes
from llm_orchestrator.providers.gemini import batches as gemini_batches
from tests.support.batches import priced_model, quicken
from tests.support.scripted_server import DIALECTS

settings: Dict[str, Any] = json.loads(sys.argv[1])
dialect = DIALECTS[settings["dialect"]]
folder = settings["folder"]
quicken()
if settings.get("uses_files"):
    gemini_batches.MOST_INLINE = 0
if "dies_before_keeping" in settings:  # behind the ledger, before the journal
    keep, left = BatchNotes.answered, iter(range(settings["dies_before_keeping"]))

    def keep_or_die(notes: BatchNotes, *arguments: Any) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        keep(notes, *arguments)

    BatchNotes.answered = keep_or_die  # type: ignore[method-assign]
model = priced_model(dialect.provider)
config = {
    **dialect.config(settings["url"], model, max_retries=0),
    "cost_tracking": {"log_path": f"{folder}/costs.csv"},
}
contents = []
with LLMOrchestrator(config) as orchestrator:
    rows = [{"id": f"row {number}", "text": f"question {number}"} for number in range(settings["rows"])]
    run = orchestrator.map(
        rows,
        messages="{text}",
        key="id",
        mode="batch",
        journal=f"{folder}/journal",
        wait=settings.get("wait", True),
    )
    for result in run:
        contents.append(
            (result.key, result.content, str(result.error) if result.error else None, result.resumed)
        )
        if len(contents) == settings.get("dies_after"):
            os.kill(os.getpid(), signal.SIGKILL)
    summary = run.summary
print(
    json.dumps(
        {
            "rows": contents,
            "cost": str(summary.cost),
            "saved": str(summary.saved),
            "waiting": summary.waiting,
            "requests": summary.requests,
        }
    )
)
