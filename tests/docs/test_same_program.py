"""Changing the provider is an edit of the YAML: one program, unchanged, on every provider.

The program is that of the README's quick start. The real SDKs run on the scripted server, the local model in process.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict

import pytest
import yaml

from llm_orchestrator import LLMOrchestrator
from tests.support.configs import ROOT
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.scripted_server.smart import PIECES, TEXT

PROGRAM = """\
from llm_orchestrator import LLMOrchestrator

orchestrator = LLMOrchestrator("config.yaml")
response = orchestrator.send_request([{"role": "user", "content": "What is 2+2?"}])
print(response.content, response.tokens_used, response.cost)

for chunk in orchestrator.send_streaming_request("Count to ten"):
    print(chunk, end="", flush=True)

print(f"${orchestrator.get_session_cost():.4f}")
orchestrator.cost_tracker.export_to_csv("usage.csv")
"""

#: The same with everything closed by ``with``, and the streamed answer as a whole.
PROGRAM_IN_WITH = """\
from llm_orchestrator import LLMOrchestrator

with LLMOrchestrator("config.yaml") as orchestrator:
    response = orchestrator.send_request([{"role": "user", "content": "What is 2+2?"}], max_tokens=20)
    print(response.content, response.tokens_used, response.cost)

    with orchestrator.send_streaming_request("Count to ten", max_tokens=20) as stream:
        for chunk in stream:
            print(chunk, end="", flush=True)
        final = stream.final_response()

    print(f"${orchestrator.get_session_cost():.4f}")
    orchestrator.cost_tracker.export_to_csv("usage.csv")
"""
PROGRAMS = pytest.mark.parametrize("program", [PROGRAM, PROGRAM_IN_WITH], ids=["plain", "with"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program runs: a folder with a config.yaml, and nothing else that could matter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def run(program: str, folder: Path, config: Dict[str, Any]) -> Dict[str, Any]:
    """Run the program beside this configuration; returns the names it leaves."""
    config = {**config, "cost_tracking": {"log_path": "./llm_costs.csv"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    names: Dict[str, Any] = {"__name__": "__main__"}
    try:
        exec(compile(program, "program.py", "exec", dont_inherit=True), names)
    finally:
        if isinstance(names.get("orchestrator"), LLMOrchestrator):
            names["orchestrator"].close()
    return names


@pytest.mark.slow
@PROGRAMS
def test_the_program_runs_on_every_provider(
    program: str, folder: Path, server: ScriptedServer, dialect: Dialect, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run(program, folder, dialect.config(server.url))

    tokens = {"prompt": 3, "completion": 5, "total": 8}
    assert capsys.readouterr().out == f"{TEXT} {tokens} None\n{''.join(PIECES)}$0.0000\n"
    assert [dialect.serves(request.path) for request in server.requests] == [True, True]
    asked = [dialect.read_request(request.body, request.path) for request in server.requests]
    assert [request["messages"] for request in asked] == [
        [("user", "What is 2+2?")],
        [("user", "Count to ten")],
    ]
    assert [bool(request["stream"]) for request in asked] == [False, True]
    assert names["response"].provider == dialect.provider
    assert (folder / "usage.csv").read_text() == (folder / "llm_costs.csv").read_text()
    assert len((folder / "usage.csv").read_text().splitlines()) == 3
    if "final" in names:
        assert names["final"].content == TEXT


@pytest.mark.local_model
@PROGRAMS
def test_the_program_runs_on_the_local_model(
    program: str, folder: Path, local_model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run(
        program,
        folder,
        {
            "active_provider": "local",
            "active_model": "smollm2",
            # The program sets no limit of its own, and a small model likes to talk.
            "providers": {"local": {"model_path": str(local_model_path), "options": {"max_tokens": 20}}},
        },
    )

    printed = capsys.readouterr().out
    assert printed.startswith(f"{names['response'].content} {{'prompt': ")
    assert " 0\n" in printed and printed.endswith("$0.0000\n")
    assert names["response"].provider == "local"
    assert len((folder / "usage.csv").read_text().splitlines()) == 3


def test_the_readme_shows_the_program() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert PROGRAM in blocks
