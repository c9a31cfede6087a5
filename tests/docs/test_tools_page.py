"""The loop of tools as a newcomer reads it: short, typed, and the same program for every provider."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, List

import pytest
import yaml

from tests.docs.test_documents import blocks_of, folder  # noqa: F401 (a fixture)
from tests.project.test_user_programs import mypy, pyright
from tests.support.configs import ROOT
from tests.support.scripted_server import Dialect, ScriptedServer

#: What the README's block takes from those above it.
BEFORE = 'from llm_orchestrator import LLMOrchestrator\norchestrator = LLMOrchestrator("config.yaml")\n'


def program(page: str) -> str:
    """The first block of a page with a loop of tools and an object at its end."""
    texts: List[str] = [block.text for block in blocks_of(ROOT / page)]
    return next(text for text in texts if ".run(" in text and "response_format" in text)


def test_a_loop_with_an_object_at_its_end_takes_twelve_lines() -> None:
    assert len([line for line in program("docs/tools.md").splitlines() if line.strip()]) <= 12


def test_it_runs_on_every_provider(
    folder: Path,  # noqa: F811
    server: ScriptedServer,
    dialect: Dialect,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(dialect.config(server.url)))
    names: Any = {"__name__": "__main__"}

    exec(compile(program("docs/tools.md"), "tools.md", "exec", dont_inherit=True), names)

    assert capsys.readouterr().out == "city='Rome' degrees=7.5\n"
    last = dialect.read_request(server.requests[-1].body, server.requests[-1].path)["messages"]
    assert last[-1] == ("tool", "It is 21 C in Rome.")


@pytest.mark.local_model
def test_it_runs_on_the_small_model_of_this_machine(
    folder: Path,  # noqa: F811
    local_model_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is too small to call a tool; the object at the end it can write."""
    entry = {"model_path": str(local_model_path), "options": {"max_tokens": 100, "temperature": 0}}
    config = {
        "active_provider": "local",
        "active_model": local_model_path.stem,
        "providers": {"local": entry},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    names: Any = {"__name__": "__main__"}

    exec(compile(program("docs/tools.md"), "tools.md", "exec", dont_inherit=True), names)

    assert re.fullmatch(r"city='.*' degrees=-?[\d.]+\n", capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/tools.md", "README.md"])
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_it_holds_under_strict_checkers(page: str, checker: str, tmp_path: Path) -> None:
    text, file = program(page), tmp_path / "program.py"
    file.write_text(text if "LLMOrchestrator(" in text else BEFORE + text)
    ended = mypy(tmp_path, str(file)) if checker == "mypy" else pyright(str(file))
    assert ended.returncode == 0, ended.stdout
