"""Objects that grow while they are streamed, beside the same stream read as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, List

from contenders import DIALECTS, LIMIT, MODEL, QUESTION, TITLES, configuration
from figures import Figure, compared
from measure import Calls, canned_server, in_turns, repeated
from pydantic import BaseModel

from llm_orchestrator import LLMOrchestrator, LLMStream

#: Most that reading a stream as objects may take, as a multiple of reading its text.
TARGET = 2.0


class Thing(BaseModel):
    """An entry of what the canned server answers."""

    name: str
    price: float
    tags: List[str]


class Things(BaseModel):
    """All of it."""

    things: List[Thing]


def partial_objects(folder: Path) -> List[Figure]:
    """CPU time of a stream of 500 chunks, read object by object and as text."""
    figures: List[Figure] = []
    with canned_server() as url:
        config = configuration(url, folder / "partial.csv", ("direct",))
        with LLMOrchestrator(config) as orchestrator:
            for dialect in DIALECTS:
                runs = _readings(orchestrator.for_provider(dialect, MODEL))
                measured = in_turns(runs, turns=15, calls=2)
                figures.append(compared("500 partial objects", TITLES[dialect], measured, target=TARGET))
    return figures


def _readings(asked: LLMOrchestrator) -> Dict[str, Calls]:
    def stream() -> LLMStream[Things]:
        return asked.send_streaming_request(QUESTION, max_tokens=LIMIT, response_format=Things)

    return {
        "ours": repeated(lambda: _drain(stream().partial())),
        "theirs": repeated(lambda: _drain(stream())),
    }


def _drain(values: Iterable[Any]) -> None:
    for _ in values:
        pass
