"""What concurrent callers of one provider can expect: their own answers, on any thread and event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import List

from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.testing.conformance.answer import Answer
from llm_orchestrator.testing.conformance.bench import Bench, Scenarios

__all__ = ["SharingScenarios"]

CALLERS = 8


class SharingScenarios(Scenarios):
    """One provider object, many concurrent callers."""

    def test_many_callers_at_once(self, bench: Bench, way: str) -> None:
        """Concurrent callers, on threads or in tasks, each get their own answer."""
        answers = _answers()
        bench.answers(way, *answers)
        contents = _ask_at_once(bench, way, bench.orchestrator())
        assert sorted(contents) == sorted(answer.text for answer in answers)

    def test_another_event_loop(self, bench: Bench) -> None:
        """A connection belongs to the event loop that opened it; a second loop needs its own."""
        asked = bench.orchestrator()
        for way in ("async whole", "async streamed"):
            bench.answers(way, Answer())
            assert asyncio.run(bench.aask(way, asked)).content == Answer().text

    def test_event_loops_beside_each_other(self, bench: Bench) -> None:
        """Two threads, each with its own event loop, send requests at the same time."""
        answers = _answers()
        bench.answers("async whole", *answers)
        asked = bench.orchestrator()
        with ThreadPoolExecutor(2) as threads:
            loops = [
                threads.submit(_ask_at_once, bench, "async whole", asked, CALLERS // 2) for _ in range(2)
            ]
            contents = [content for loop in loops for content in loop.result()]
        assert sorted(contents) == sorted(answer.text for answer in answers)


def _answers() -> List[Answer]:
    return [Answer((f"{number} ", "is ", "the ", f"number {number}.")) for number in range(CALLERS)]


def _ask_at_once(bench: Bench, way: str, asked: LLMOrchestrator, callers: int = CALLERS) -> List[str]:
    if not way.startswith("async"):
        with ThreadPoolExecutor(callers) as threads:
            calls = [threads.submit(bench.ask, way, orchestrator=asked) for _ in range(callers)]
            return [call.result().content for call in calls]

    async def ask() -> List[str]:
        responses = await asyncio.gather(*(bench.aask(way, asked) for _ in range(callers)))
        return [response.content for response in responses]

    return asyncio.run(ask())
