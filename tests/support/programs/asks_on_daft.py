"""A program that asks rows on Daft's native runner, and prints them.

python -m tests.support.programs.asks_on_daft CONFIG JOURNAL PIDS ROWS CONCURRENCY
"""

from __future__ import annotations

import json
import os
import sys

import daft

from llm_orchestrator import bulk
from llm_orchestrator.bulk.daft import map as map_on_daft

config, journal, pids, rows, concurrency = sys.argv[1:]


def main() -> None:
    with open(pids, "a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    worker = bulk.Worker(
        config, messages="row {number}", key="number", journal=journal, concurrency=int(concurrency)
    )
    frame = daft.from_pydict({"number": list(range(int(rows)))})
    columns = map_on_daft(frame, worker).to_pydict()
    cells = zip(*(columns[name] for name in ("number", "answer", "cost", "error")))
    print(json.dumps(list(cells)))


if __name__ == "__main__":
    main()
