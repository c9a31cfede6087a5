"""The page on notebooks, in a real kernel: each block is a cell."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, List

import pytest

from tests.docs.test_documents import blocks_of, folder  # noqa: F401 (a fixture)
from tests.support.configs import ROOT
from tests.support.scripted_server import DIALECTS, Reply, Request, ScriptedServer, Stall
from tests.support.waiting import until

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: make test-mcp")
nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed: make test-mcp")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: make test-mcp")

pytestmark = pytest.mark.slow

CHAT = DIALECTS["chat"]


def answer(request: Request) -> Reply:
    """The question as its answer, whole or in pieces."""
    question = str(CHAT.read_request(request.body, request.path)["messages"][-1][1])
    if request.body.get("stream"):
        return CHAT.stream([*question.split(" ")])
    return CHAT.whole(question.upper())


@pytest.fixture
def kernel_folder(
    folder: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> Path:
    """Where the kernel runs, on a server that answers with the question."""
    server.default = answer
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    return folder


@pytest.fixture
def cells(kernel_folder: Path) -> List[Any]:
    """The cells of the page once they ran."""
    sources = [
        block.text for block in blocks_of(ROOT / "docs" / "notebooks.md") if block.language == "python"
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(kernel_folder))
    return list(notebook.cells)


def shown(cell: Any, kind: str = "text/plain") -> str:
    """What a cell printed, and its value."""
    parts = [output.get("text") or output.get("data", {}).get(kind, "") for output in cell.outputs]
    return "".join("".join(part) for part in parts)


def test_the_page_runs_and_shows_what_it_says(cells: List[Any], server: ScriptedServer) -> None:
    asked, streamed, together, labels, summary, costs, _ = cells
    assert shown(asked) == "WHY IS THE SKY BLUE?\n"
    assert shown(streamed) == "Counttoten."
    assert "'WHERE IS ROME?'" in shown(together)
    assert "['GOOD OR BAD? FINE.', 'GOOD OR BAD? AWFUL.', 'GOOD OR BAD? SPLENDID.']" in shown(labels)
    assert "answered=3" in shown(summary)
    assert "<table>" in shown(costs, "text/html") and "8 calls" in shown(costs, "text/html")
    assert len(server.requests) == 8


START = """
from llm_orchestrator import LLMOrchestrator
orchestrator = LLMOrchestrator("config.yaml")
"""
AGAIN = """
print([row["status"] for row in orchestrator.cost_tracker.to_dicts()], orchestrator.send_request("hi").content)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "cell", ['orchestrator.send_request("Wait.")', 'await orchestrator.asend_request("Wait.")']
)
def test_an_interrupted_cell_leaves_everything_to_go_on_with(
    kernel_folder: Path, server: ScriptedServer, cell: str
) -> None:
    from jupyter_client.manager import start_new_kernel

    printed: List[str] = []
    server.script(CHAT.whole("Never.").but(fault=Stall(after=0)))
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(kernel_folder))
    try:
        client.execute_interactive(START, timeout=120)
        client.execute(cell, stop_on_error=False)  # the next one waits for its end
        until(lambda: len(server.requests) == 1)
        manager.interrupt_kernel()
        client.execute_interactive(
            AGAIN,
            timeout=120,
            output_hook=lambda message: printed.append(str(message["content"].get("text"))),
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "['cancelled'] HI" in "".join(printed)
    assert len(server.requests) == 2
