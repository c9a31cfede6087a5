"""A program that asks rows on a local Ray with two workers, and prints them.

python -m tests.support.programs.asks_on_ray CONFIG JOURNAL PIDS ROWS CONCURRENCY
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Mapping

import ray
import ray.data

from llm_orchestrator import bulk
from llm_orchestrator.bulk.ray import map as map_on_ray

config, journal, pids, rows, concurrency = sys.argv[1:]


def messages(row: Mapping[str, Any]) -> str:
    with open(pids, "a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    return f"row {row['number']}"


def main() -> None:
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}},
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    worker = bulk.Worker(
        config, messages=messages, key="number", journal=journal, concurrency=int(concurrency)
    )
    numbers = ray.data.from_items([{"number": number} for number in range(int(rows))])
    answered = map_on_ray(numbers, worker, actors=2, block_rows=50).take_all()
    print(json.dumps([[row["number"], row["answer"], row["cost"], row["error"]] for row in answered]))


if __name__ == "__main__":
    main()
