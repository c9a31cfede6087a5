"""The page for authors of providers, done: its package is built, installed, tested and used as it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Iterator, List

import pytest

from llm_orchestrator.testing.conformance.bench import document, stream_of
from llm_orchestrator.testing.reply_server import ReplyServer
from tests.support.provider_page import code_blocks, write_package
from tests.support.wheels import build_wheel, install
from tools.environment import python_in

pytestmark = pytest.mark.slow

END = {"model": "grey-1", "end": "done", "read": 2, "written": 2}
PROGRAM = """
from llm_orchestrator import LLMOrchestrator
with LLMOrchestrator("config.yaml") as orchestrator:
    print(orchestrator.send_request("Say hello.").content)
"""
#: An application's test, in the folder of the page, where the library is an ordinary package.
APPLICATION = """
import socket

pytest_plugins = ["llm_orchestrator.testing.pytest_plugin"]

def test_answer(scripted_orchestrator):
    scripted_orchestrator.answers("Hello from the script.")
    assert scripted_orchestrator.send_request("Say hello.").content == "Hello from the script."

def test_leaving(no_network):
    socket.create_connection(("example.org", 443))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's folder, with an environment into which it was installed by the page's command."""
    folder = write_package(tmp_path_factory.mktemp("page") / "parrot-provider")
    (command,) = [line for line in commands() if line.startswith("pip install")]
    packages = [str(folder) if word == "." else word for word in command.split()[2:]]
    wheel = build_wheel(folder.parent / "dist")
    install(folder / ".venv", f"{wheel}[cli]", *packages)
    return folder


@pytest.fixture
def parrots() -> Iterator[ReplyServer]:
    """The parrots' server."""
    with ReplyServer() as server:
        yield server


def commands() -> List[str]:
    """The lines of the page's shell blocks, without their comments."""
    shell = [block for block in code_blocks() if block.split()[0] in ("mkdir", "llm-orchestrator", "pytest")]
    return [line.partition("  #")[0].strip() for block in shell for line in block.splitlines()]


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the package's environment, with nothing of this project in sight."""
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = python_in(folder / ".venv").with_name(command[0])
    return subprocess.run(
        [str(program), *command[1:]],
        cwd=folder,
        env={**settings, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_stranger_types_under_100_lines() -> None:
    lines = [line.strip() for block in code_blocks() for line in block.splitlines()]
    assert len([line for line in lines if line and not line.startswith("#")]) < 100


def test_the_package_passes_the_suite(package: Path) -> None:
    assert commands()[-1] == "pytest"
    ended = run(package, "pytest", "-q", "-W", "error")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"1\d\d passed, 4 skipped", ended.stdout), "all but tool calls, in four ways"


def test_a_program_uses_it_by_its_yaml_alone(package: Path, parrots: ReplyServer) -> None:
    parrots.script(document({"text": "Hello, hello.", **END}))
    ended = run(package, "python", "-W", "error", "-c", PROGRAM, PARROT_URL=parrots.url, PARROT_KEY="polly")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Hello, hello.\n", "")
    assert parrots.requests[0].headers["authorization"] == "Bearer polly"


def test_the_command_of_the_page_asks_it(package: Path, parrots: ReplyServer) -> None:
    parrots.script(stream_of([{"text": "Hello, "}, {"text": "hello."}, END]))
    (ask,) = [line for line in commands() if line.startswith("llm-orchestrator")]
    ended = run(package, *shlex.split(ask), PARROT_URL=parrots.url)
    assert (ended.returncode, ended.stdout) == (0, "Hello, hello.\n"), ended.stderr


def test_an_application_names_the_plugin_and_has_its_fixtures(package: Path) -> None:
    (package / "application").mkdir()
    (package / "application" / "test_application.py").write_text(APPLICATION)
    ended = run(package, "pytest", "-q", "application")
    assert "1 failed, 1 passed" in ended.stdout, ended.stdout + ended.stderr
    assert "it connected to example.org" in ended.stdout
