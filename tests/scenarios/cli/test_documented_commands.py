"""The page on the command line: a newcomer who types what it says gets what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import List

import pytest

from tests.scenarios.cli.conftest import Command
from tests.support.configs import ROOT
from tests.support.scripted_server import ScriptedServer
from tests.support.scripted_server.wire import KEY

PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
TALK = "I am Ada.\nWho am I?\n"


def commands() -> List[List[str]]:
    """The arguments of every command in the page's blocks, in their order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    lines = [
        line for block in blocks for line in block.splitlines() if line.startswith(("llm-", "git", "printf"))
    ]
    return [shlex.split(line.rpartition("| ")[2], comments=True)[1:] for line in lines]


@pytest.mark.slow
def test_every_command_of_the_page_runs_from_nothing_to_a_page(
    command: Command, folder: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    shown = commands()
    assert {arguments[0] for arguments in shown} >= {
        "init",
        "check",
        "models",
        "ask",
        "chat",
        "costs",
        "price",
    }

    for arguments in shown:
        if arguments[0] == "--install-completion":
            continue  # it would write into the tester's own shell
        is_piped = arguments[0] == "chat" or arguments == [
            "ask",
            "--system",
            "Review this change in three sentences.",
        ]
        run = command(*arguments, stdin=TALK if is_piped else "")
        assert run.code == 0, (arguments, run)
        if arguments[0] == "init":
            lead_to(server, folder / "config.yaml")

    assert (folder / "costs.html").stat().st_size > 100_000
    assert (folder / "talk.json").exists()


def lead_to(server: ScriptedServer, config: Path) -> None:
    """What differs from a newcomer's machine: where the provider is, and what its models are called."""
    text = config.read_text(encoding="utf-8")
    text = re.sub("active_model: .*", "active_model: scripted-1", text)
    config.write_text(
        text.replace(
            "api_key: ${OPENAI_API_KEY}", f"api_key: ${{OPENAI_API_KEY}}\n    base_url: {server.url}/v1"
        ),
        encoding="utf-8",
    )


@pytest.mark.parametrize("name", ["init", "check", "models", "ask", "chat", "costs", "price", "map"])
def test_the_page_and_the_help_name_every_option(command: Command, folder: Path, name: str) -> None:
    run = command(name, "--help")

    assert run.code == 0
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}")]
    for option in re.findall(r"`(--[a-z-]+)", row):
        assert option in run.out
    for option in re.findall(r"(--[a-z-]+)", run.out):
        assert option in PAGE or option in ("--help", "--force", "--model", "--file", "--ledger")
