"""Warm whole calls, plain and over TLS, and the chunks of streams; and how soon the first chunk is there."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Dict, Iterable, List

from contenders import DIALECTS, TITLES, Contender, configuration, http_alone, library, sdk
from figures import Figure, compared
from measure import Calls, Measured, canned_server, in_turns, repeated, repeated_on

from llm_orchestrator import LLMOrchestrator

CALL_TARGETS = {"chat": 0.30, "responses": 0.30, "anthropic": 0.40, "gemini": 0.35}
CHUNK_TARGETS = {"chat": 0.08, "responses": 0.08, "anthropic": 0.22, "gemini": 0.08}
CHUNKS = 500
FIRST_CHUNK_TURNS, FIRST_CHUNKS = 8, 5


def calls(folder: Path) -> List[Figure]:
    """CPU time of one call, sync and async, plain and over TLS."""
    figures: List[Figure] = []
    for tls in (False, True):
        with canned_server(tls=tls) as url:
            figures += _calls(url, folder / "calls.csv", "TLS" if tls else "plain")
    return sorted(figures, key=lambda figure: figure.what)


def chunks(folder: Path) -> List[Figure]:
    """CPU time of one chunk of a stream, sync and async."""
    figures: List[Figure] = []
    with canned_server() as url, Asked(url, folder / "chunks.csv") as asked:
        for dialect in DIALECTS:
            for way, runs in asked.ways(dialect, "drain", "adrain").items():
                measured = in_turns(runs, turns=15, calls=2)
                share = {name: [each / CHUNKS for each in turns] for name, turns in measured.items()}
                target = CHUNK_TARGETS[dialect]
                what = f"one chunk, {way}"
                figures.append(compared(what, TITLES[dialect], share, target=target, is_cell=True))
    return sorted(figures, key=lambda figure: figure.what)


class Asked:
    """The contenders of all dialects, with one orchestrator and one loop for the async ones.

    Args:
        url: Where the canned server listens.
        ledger: The ledger's file.
    """

    def __init__(self, url: str, ledger: Path) -> None:
        self._url = url
        self._orchestrator = LLMOrchestrator(configuration(url, ledger))
        self._loop = asyncio.new_event_loop()
        # Kept to the end: dropped earlier, clients would close during a measurement.
        self._made: List[Contender] = []

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_: object) -> None:
        for contender in self._made:
            if contender.aclose is not None:
                self._loop.run_until_complete(contender.aclose())
        self._loop.run_until_complete(self._orchestrator.aclose())
        self._orchestrator.close()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def contenders(self, dialect: str) -> Dict[str, Contender]:
        """Those of one dialect.

        Args:
            dialect: One of ``DIALECTS``.

        Returns:
            The contenders by name.
        """
        contenders = {
            "ours": library(self._orchestrator, dialect),
            "theirs": sdk(self._url, dialect),
            "ours on sdk": library(self._orchestrator, f"{dialect}-sdk"),
            "HTTP alone": http_alone(self._url),
        }
        self._made += contenders.values()
        return contenders

    def ways(self, dialect: str, call: str, acall: str) -> Dict[str, Dict[str, Calls]]:
        """The contenders of one dialect, sync and async.

        Args:
            dialect: One of ``DIALECTS``.
            call: What of a contender is measured.
            acall: The same, async.

        Returns:
            What makes so many calls, by way and name.
        """
        contenders = self.contenders(dialect).items()
        return {
            "sync": {name: repeated(getattr(each, call)) for name, each in contenders},
            "async": {name: repeated_on(self._loop, getattr(each, acall)) for name, each in contenders},
        }


def _calls(url: str, ledger: Path, wire: str) -> Iterable[Figure]:
    with Asked(url, ledger) as asked:
        for dialect in DIALECTS:
            for way, runs in asked.ways(dialect, "whole", "awhole").items():
                measured = in_turns(runs, turns=21, calls=20)
                what, target = f"one call, {way}, {wire}", CALL_TARGETS[dialect]
                yield compared(what, TITLES[dialect], measured, target=target, is_cell=True)


def first_chunk(folder: Path) -> List[Figure]:
    """Time by the clock to the first chunk, the shortest of each turn, over an open TLS connection."""
    figures: List[Figure] = []
    with canned_server(tls=True) as url, Asked(url, folder / "first_chunk.csv") as asked:
        for dialect in DIALECTS:
            contenders = asked.contenders(dialect)
            measured: Measured = {name: [] for name in contenders}
            for turn in range(FIRST_CHUNK_TURNS + 1):
                for name, each in contenders.items():
                    waited = min(_until_first_chunk(each) for _ in range(FIRST_CHUNKS))
                    if turn:  # the first one opens the connection
                        measured[name].append(waited)
            figures.append(compared("first chunk, TLS", TITLES[dialect], measured, target=None))
    return figures


def _until_first_chunk(contender: Contender) -> float:
    started = time.perf_counter()
    stream = iter(contender.stream())
    next(stream)
    waited = (time.perf_counter() - started) * 1e6
    for _ in stream:  # to its end, so that the connection is kept
        pass
    return waited
