"""Every script in examples/ runs: on each provider's wire format, and on the local model as it stands there.

The scripts run in this process, where the SDKs are imported already, in a folder of their own.
"""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path
from typing import List

import pytest
import yaml

from tests.support.configs import ROOT
from tests.support.scripted_server import DIALECTS, MODEL, Call, ScriptedServer
from tests.support.scripted_server.smart import TEXT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
#: What each script prints on every provider, whatever its model says.
PRINTED = {
    "async_calls": ["What is the capital of Japan?"],
    "caching": [" tokens read, ", "Paid $", " saved."],
    "chatbot": ["you: bot: ", "messages, "],
    "cost_report": ["What is a ledger?", "in the ledger: 2 calls", "2 rows written to usage.csv"],
    "custom_provider": ["hello world {'prompt': 2, 'completion': 2, 'total': 4} 0.000006", "I like streams"],
    "demo": ["answers:", "attempt 1:", "llm_costs.csv"],
    "fallback": ["An answer from the second model.", "second-model: RateLimitError", "None)]"],
    "images": [],
    "index": [],
    "model_discovery": ["known before: []", " exists: True", "text-embedding-example"],
    "quickstart": ["'total': ", "This session has cost "],
    "reasoning": [" tokens written, ", " of them to think, "],
    "search": [],
    "streaming": [" tokens]", "[left after "],
    "structured_output": ["whole:    Ticket(", "streamed: Ticket(", " pieces"],
    "tool_loop": [" messages, ", " tokens"],
    "tools": ["answer:"],
}
#: Tools that a script's model calls first, and what the script then prints.
CALLED = {
    "tool_loop": (
        [Call("population", {"city": "Rome"}), Call("add", {"a": 1.5, "b": 2}), Call("population", raw="{}")],
        [
            'population({"city": "Rome"}) -> 2750000',
            "-> 3.5",
            "population({}) -> The arguments of",
            "7 messages",
        ],
    )
}
#: Scripts that print nothing the provider says.
SILENT = (
    "caching",
    "cost_report",
    "custom_provider",
    "index",
    "model_discovery",
    "search",
    "structured_output",
)
#: What only the scripted server answers, which does as it is asked, and what the local model cannot.
ON_THE_SERVER = {
    "caching": [" of them from the cache: $", "Paid $0.0", ": $0.0"],
    "reasoning": ["[Let me think.]", "5 tokens written, 2 of them to think"],
    "tools": ['temperature({"city": "Rome"})', f"answer: {TEXT}"],
}
ON_THE_LOCAL_MODEL = {
    "index": ["20 rows: 20 answered, 0 failed", "20 vectors; closest to "],
    "search": [".md", " pages, ", " tokens: "],
    "images": ["No answer about images: "],
    "structured_output": ["cut:      OutputTruncatedError"],
}
#: What a script makes of rows, it makes of a few on the local model.
FEWER = {"index": [str(ROOT / "examples" / "config.local.yaml"), "20"]}
#: What a script prints where the provider makes vectors.
WITH_VECTORS = {
    "index": ["2,000 rows: 2,000 answered, 0 failed", "2000 vectors; closest to "],
    "search": [".md", " pages, ", TEXT],
}
PRICE = {"model": MODEL, "rates": {"in": "3", "cache_write": "3.75", "cache_read": "0.3", "out": "15"}}
LINES = "My name is Ada.\nWhat is my name?\n\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: List[float]) -> Path:
    """Where a script runs; retries do not wait, and what it registers or caches is gone afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("llm_orchestrator.providers._registered", {})
    monkeypatch.setattr(sys, "stdin", io.StringIO(LINES))
    return tmp_path


def run(script: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    runpy.run_path(str(script), run_name="__main__")


def test_every_script_is_expected_to_say_something() -> None:
    assert [script.stem for script in EXAMPLES] == sorted(PRINTED)


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_a_script_runs_on_every_provider(
    script: Path,
    provider: str,
    folder: Path,
    server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dialect = next(dialect for dialect in DIALECTS.values() if dialect.provider == provider)
    costs = {"log_path": "./llm_costs.csv", "price_overrides": [{"provider": provider, **PRICE}]}
    entry = {"embedding_model": "scripted-embedding-1"}
    config = {**dialect.config(server.url, **entry), "cost_tracking": costs}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    calls, results = CALLED.get(script.stem, ([], []))
    if calls:
        server.script(dialect.whole("", tool_calls=calls, finish="tool_calls"))

    run(script, monkeypatch, "config.yaml")

    printed = capsys.readouterr().out
    has_no_vectors = script.stem in WITH_VECTORS and provider == "anthropic"
    if script.stem in WITH_VECTORS:
        results = ["No vectors: "] if has_no_vectors else WITH_VECTORS[script.stem]
    expected = PRINTED[script.stem] + ON_THE_SERVER.get(script.stem, []) + results
    assert [text for text in expected if text not in printed] == []
    assert script.stem in SILENT or TEXT in printed
    assert server.requests or script.stem == "custom_provider" or has_no_vectors


@pytest.mark.local_model
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_a_script_runs_on_the_local_model_as_it_is(
    script: Path,
    folder: Path,
    local_model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LLM_ORCHESTRATOR_MODEL", str(local_model_path))

    run(script, monkeypatch, *FEWER.get(script.stem, []))

    printed = capsys.readouterr().out
    expected = PRINTED[script.stem] + ON_THE_LOCAL_MODEL.get(script.stem, [])
    assert [text for text in expected if text not in printed] == []
