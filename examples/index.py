"""An index of 2,000 lines of this project's pages: vectors by `map`, which goes on where it was stopped.

python examples/index.py [config.yaml [rows]]
"""

import sys
from pathlib import Path

from llm_orchestrator import InvalidRequestError, LLMOrchestrator

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
QUESTION = "Who pays twice?"

lines = [
    {"id": f"{page.name}:{number}", "text": line.strip()[:200]}
    for page in PAGES
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    if len(line) > 40
]

with LLMOrchestrator(CONFIG) as orchestrator:
    try:
        run = orchestrator.map(
            lines[:COUNT], messages="{text}", key="id", journal="index.journal", embed=True
        )
    except InvalidRequestError as error:
        print(f"No vectors: {error}")
    else:
        index = {result.key: result.vector for result in run if result.vector is not None}
        print(run.summary)
        (asked,) = orchestrator.embed(QUESTION).vectors
        closest = max(index, key=lambda key: sum(a * b for a, b in zip(asked, index[key])))
        print(f"{len(index)} vectors; closest to {QUESTION!r}: {closest}")
