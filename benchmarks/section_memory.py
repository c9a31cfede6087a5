"""Memory does not grow with the number of calls."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import List

from contenders import configuration, library
from figures import Figure, single
from measure import canned_server

from llm_orchestrator import LLMOrchestrator

GROWTH_TARGET = 100.0


def memory(folder: Path) -> List[Figure]:
    """Memory after 2,000 and after 10,000 calls."""
    with canned_server() as url, LLMOrchestrator(configuration(url, folder / "memory.csv")) as orchestrator:
        call = library(orchestrator, "chat").whole
        sizes = []
        for number in (2000, 8000):
            for _ in range(number):
                call()
            gc.collect()
            if not tracemalloc.is_tracing():
                tracemalloc.start()
                for _ in range(100):
                    call()
            sizes.append(tracemalloc.get_traced_memory()[0] / 1000)
        tracemalloc.stop()
    grown = max(sizes[1] - sizes[0], 0.0)
    return [single("memory grown over 8,000 calls", "after 2,000", grown, target=GROWTH_TARGET, unit="kB")]
