"""The benchmarks measure what they say: so many targets, over TLS, with as many headers as providers send."""

from __future__ import annotations

import importlib
import json
import ssl
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.configs import ROOT

FOLDER = ROOT / "benchmarks"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports modules of the benchmarks, which are scripts and no package."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    known = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - known:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_cells_are_counted_and_the_worst_miss_is_told(modules: Any) -> None:
    figures = modules("figures")

    def cell(who: str, ratio: float, **more: Any) -> Any:
        turns = {"ours": [ratio] * 3, "theirs": [1.0] * 3}
        return figures.compared("one call", who, turns, target=0.5, is_cell=True, **more)

    met, missed = cell("Chat", 0.4), cell("Gemini", 0.6)
    too_slow = cell("Anthropic", 0.4, more_is_better=True)
    other = figures.single("memory", "all", 200.0, target=100.0, unit="MB")
    assert figures.verdict([met, other]) == "1 of 1 cells met."
    assert figures.verdict([met, missed, too_slow]).startswith("1 of 3 cells met, worst miss 20% (one call, ")
    assert cell("Responses", float("nan")).is_missed()
    assert "| 0.40 | 0.60 (0.5) |" in figures.overview([met, missed], ["Chat", "Gemini"])


def test_there_are_32_cells(modules: Any) -> None:
    calls, in_flight, start = (modules(f"section_{name}") for name in ("calls", "in_flight", "start"))
    ways_and_wires, ways = 4, 2
    cells = ways_and_wires * len(calls.CALL_TARGETS) + ways * len(calls.CHUNK_TARGETS)
    assert cells + len(in_flight.RATE_TARGETS) + len(start.DIALECTS) == 32


@pytest.mark.slow
def test_a_contender_in_a_process_of_its_own_asks_over_tls(modules: Any, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    certificate, measure = modules("certificate"), modules("measure")
    with certificate.trusted_certificate(), measure.canned_server(tls=True) as url:
        asked = urllib.request.Request(f"{url}/v1/chat/completions", b"{}")
        with urllib.request.urlopen(asked, context=ssl.create_default_context(), timeout=30) as reply:
            assert reply.status == 200 and len(reply.headers) == 24
        for contender in ("bare", "ours"):
            command = [sys.executable, str(FOLDER / "many_calls.py"), contender, url]
            printed = measure.printed_by(*command, "--calls", "20", "--in-flight", "5")
            assert json.loads(printed)["seconds"] > 0
