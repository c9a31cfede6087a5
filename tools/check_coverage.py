"""Fails when a part of the library is covered by fewer tests than it promises.

Reads the JSON report of coverage.py, lines and branches together:

    python tools/check_coverage.py coverage.json
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

#: Code that speaks one vendor's protocol; what all providers share is as much core as the rest.
ADAPTER = re.compile(r"/providers/((openai|anthropic|gemini|gemini_legacy|clouds|local)/|\w+_adapter\.py)")
#: Code whose tests run in an environment of their own, which is not measured.
ELSEWHERE = re.compile(r"/llm_orchestrator/mcp/|^llm_orchestrator/mcp/")
#: Name of a part, the percentage it must reach, and which files belong to it.
GATES: Tuple[Tuple[str, float, Callable[[str], bool]], ...] = (
    ("whole library", 90, lambda path: True),
    ("core", 95, lambda path: not (ADAPTER.search(path) or ELSEWHERE.search(path))),
    ("adapters", 85, lambda path: bool(ADAPTER.search(path))),
)


def percentage(files: Dict[str, Any], belongs: Callable[[str], bool]) -> float:
    """The share of lines and branches run, in percent, over the files that belong to one part."""
    summaries = [entry["summary"] for path, entry in files.items() if belongs(path.replace("\\", "/"))]
    covered = sum(summary["covered_lines"] + summary["covered_branches"] for summary in summaries)
    total = sum(summary["num_statements"] + summary["num_branches"] for summary in summaries)
    return 100 * covered / total if total else 0.0


def main() -> int:
    """Print each part's coverage; the exit status is 1 when a gate does not hold."""
    files = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]
    failures = 0
    for name, required, belongs in GATES:
        reached = percentage(files, belongs)
        holds = reached >= required
        failures += not holds
        print(f"{name:14} {reached:6.2f} %  (at least {required} %){'' if holds else '  FAILED'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
