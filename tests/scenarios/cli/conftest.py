"""What the tests of the command line share: a folder with a configuration, and two ways to run a command."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

import pytest
import yaml

from tests.support.configs import (
    ROOT,
    no_keys,  # noqa: F401 (every test's fixture)
)
from tests.support.programs import SDK_WARNINGS
from tests.support.scripted_server import DIALECTS, Dialect, ScriptedServer
from tests.support.scripted_server.wire import KEY

pytest.importorskip("typer", reason="the command line is an extra: make environment")
pytest.importorskip("rich", reason="the command line is an extra: make environment")


class Run(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Run]


def configuration(server: ScriptedServer, dialect: Dialect, folder: Path, **settings: Any) -> Dict[str, Any]:
    return {
        **dialect.config(server.url, max_retries=0, **settings),
        "cost_tracking": {"log_path": str(folder / "costs.csv")},
        "model_registry": {"cache_path": str(folder / "models.json")},
    }


def without_its_key(server: ScriptedServer, folder: Path) -> Dict[str, Any]:
    """A configuration whose active provider lacks its key; the entry `mine` lacks nothing."""
    return {
        **configuration(server, DIALECTS["chat"], folder),
        "active_provider": "anthropic",
        "active_model": "claude-haiku-5-5",
        "providers": {
            "anthropic": {"api_key": "${ANTHROPIC_API_KEY}"},
            "mine": {"adapter": "openai", "api": "chat", "base_url": f"{server.url}/v1", "max_retries": 0},
        },
    }


def write(folder: Path, config: Dict[str, Any]) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user of the command line stands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def configured(folder: Path, server: ScriptedServer) -> Path:
    """The same with a configuration that leads to the scripted server."""
    write(folder, configuration(server, DIALECTS["chat"], folder))
    return folder


@pytest.fixture(scope="session")
def loaded() -> None:
    """Load the commands and what they print with, once: it belongs to no single test."""
    from rich.console import Console
    from rich.table import Table

    from llm_orchestrator.cli import app

    app.run.__module__  # noqa: B018
    Console(file=io.StringIO()).print(Table("a"))


@pytest.fixture
def command(
    loaded: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Runs a command in this process, with its output in a pipe, or on a terminal of some width."""
    from llm_orchestrator.cli.app import run

    logger = logging.getLogger("llm_orchestrator")
    before = (logger.handlers, logger.propagate, logger.level)

    def execute(*arguments: str, stdin: Optional[str] = "") -> Run:
        monkeypatch.setattr(sys, "argv", ["llm-orchestrator", *arguments])
        stream = None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stream)
        code = run()
        captured = capsys.readouterr()
        assert KEY not in captured.out + captured.err
        return Run(code, captured.out, captured.err)

    yield execute
    logger.handlers, logger.propagate, logger.level = before
    logging.getLogger("llm_orchestrator.calls.reporter").setLevel(logging.NOTSET)  # `map` makes it quieter


def arguments_of(*arguments: str) -> List[str]:
    """The command line of a process of its own, in which a warning is an error."""
    rules = [f"-W{rule}" for rule in ("error", *SDK_WARNINGS)]
    return [sys.executable, *rules, "-m", "llm_orchestrator", *arguments]


def shared(**more: str) -> Dict[str, str]:
    """The environment of a process of its own, which writes as a user's does: in blocks into a pipe."""
    # readline sets the last two, in processes of pytest-xdist
    ours = ("PYTHONUNBUFFERED", "COLUMNS", "LINES")
    usual = {name: value for name, value in os.environ.items() if name not in ours}
    return {**usual, "PYTHONPATH": str(ROOT), **more}


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    return subprocess.run(
        arguments_of(*arguments),
        text=True,
        timeout=60,
        check=False,
        **{
            "env": shared(),
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        },
    )
