"""The command line as a process: pipes, closed ends, Ctrl-C, what it loads, and what it says without its extra."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from tests.scenarios.cli.conftest import arguments_of, configuration, process, shared, write
from tests.support.configs import ROOT
from tests.support.costs import EIGHT, read
from tests.support.programs import run_program
from tests.support.scripted_server import DIALECTS, ScriptedServer, Stall

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="pipes and signals of POSIX")]

CHAT = DIALECTS["chat"]


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (["ask", "Hi"], ""),
        (["models", "--json"], ""),
        (["costs"], ""),
        (["costs", "--by", "session"], "1"),
        (["costs", "--format", "csv"], "1"),
        (["--help"], ""),
        (["costs", "--help"], "1"),
    ],
)
def test_a_reader_that_goes_away_ends_a_command_quietly(
    configured: Path, arguments: List[str], unbuffered: str
) -> None:
    lines = "".join(f"2026-01-01T00:00:00+00:00,p,m,1,1,2,0.1,session-{n}\n" for n in range(200))
    (configured / "costs.csv").write_text(EIGHT + "\n" + lines)
    reading, writing = os.pipe()
    os.close(reading)

    ended = process(*arguments, stdout=writing, env=shared(PYTHONUNBUFFERED=unbuffered))
    os.close(writing)

    assert ended.returncode == 141
    assert "Traceback" not in ended.stderr and "BrokenPipe" not in ended.stderr


def test_an_answer_nobody_reads_is_recorded_all_the_same(configured: Path, server: ScriptedServer) -> None:
    server.script(CHAT.stream(["One", "two"]).but(fault=Stall()))
    reading, writing = os.pipe()
    os.close(reading)

    ended = process("ask", "Count", stdout=writing)
    os.close(writing)

    assert ended.returncode == 141
    assert server.wait_for_connections(0)
    assert [row["status"] for row in read(configured / "costs.csv")] == ["interrupted"]


@pytest.mark.parametrize("options", [[], ["--verbose"]], ids=" ".join)
def test_an_answer_is_a_line_of_its_own_where_messages_go_to_the_same_pipe(
    configured: Path, options: List[str]
) -> None:
    ended = process(*options, "ask", "Hi", stderr=subprocess.STDOUT)
    apart = process(*options, "ask", "Hi")

    lines = ended.stdout.splitlines()
    assert "Hello from the scripted server." in lines, ended.stdout
    assert any(line.startswith("The cost of ") for line in lines)
    assert apart.stdout == "Hello from the scripted server.\n" and apart.stderr


def without(descriptor: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that was started with one of its standard streams closed."""
    closing = f"{descriptor}>&-" if descriptor else "<&-"
    command = ["sh", "-c", f'exec "$@" {closing}', "sh", *arguments_of(*arguments)]
    return subprocess.run(command, env=shared(), capture_output=True, text=True, timeout=60, check=False)


def test_a_closed_standard_input_is_no_question(configured: Path) -> None:
    asked, silent, chat = without(0, "ask", "Hi"), without(0, "ask"), without(0, "chat")

    assert (asked.returncode, asked.stdout) == (0, "Hello from the scripted server.\n")
    assert (silent.returncode, chat.returncode) == (2, 2)
    assert "There is no question." in silent.stderr and "Standard input is closed" in chat.stderr


def test_a_closed_standard_output_costs_no_answer(configured: Path) -> None:
    ended = without(1, "ask", "Hi")

    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    assert [row["status"] for row in read(configured / "costs.csv")] == ["ok"]


@pytest.mark.parametrize(("name", "way"), [*((name, "streamed") for name in DIALECTS), ("chat", "whole")])
def test_ctrl_c_closes_the_connection_and_records_the_call(
    folder: Path, server: ScriptedServer, name: str, way: str
) -> None:
    dialect = DIALECTS[name]
    write(folder, configuration(server, dialect, folder))
    reply = dialect.stream(["One", " two"], cut="recorded") if way == "streamed" else dialect.whole("One")
    server.script(reply.but(fault=Stall() if way == "streamed" else Stall(after=0)))
    command = arguments_of("ask", "Count", *(["--json"] if way == "whole" else []))
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=shared(), text=True, **pipes) as running:
        assert server.wait_for_requests(1, timeout=30)
        if way == "streamed":
            assert running.stdout is not None and running.stdout.read(3) == "One"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)

    assert (running.returncode, "Traceback" in err, "Stopped." in err) == (130, False, True)
    assert server.wait_for_connections(0)
    (row,) = read(folder / "costs.csv")
    assert (row["status"], row["final"]) == ("cancelled", "true")


def test_the_output_of_a_pipe_is_plain(configured: Path) -> None:
    name = "a-model-with-a-name-that-no-terminal-of-eighty-columns-would-show-whole" * 2
    (configured / "costs.csv").write_text(f"{EIGHT}\n2026-01-01T00:00:00+00:00,p,{name},1,1,2,0.1,s\n")

    ended = process("costs")

    assert ended.returncode == 0 and name in ended.stdout
    assert "\x1b" not in ended.stdout and not any(line.endswith(" ") for line in ended.stdout.splitlines())


def test_without_the_extra_the_command_says_how_to_get_it(folder: Path) -> None:
    (folder / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')\n")
    path = os.pathsep.join([str(folder), shared()["PYTHONPATH"]])

    ended = process("check", env=shared(PYTHONPATH=path))

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == 'The command line is not installed. Run: pip install "llm-orchestrator[cli]".\n'


def test_the_library_loads_nothing_of_the_command_line() -> None:
    code = "import sys, llm_orchestrator as l; l.LLMOrchestrator; sys.exit({'typer', 'rich'} & {*sys.modules} or 0)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_completion_for_shells(configured: Path, shell: str) -> None:
    variables = {
        "_LLM_ORCHESTRATOR_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "llm-orchestrator models --provider ",
        "COMP_CWORD": "3",
        "_TYPER_COMPLETE_ARGS": "llm-orchestrator models --provider ",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    program = "import sys; sys.argv[0] = 'llm-orchestrator'; from llm_orchestrator.cli import main; main()"

    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=shared(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "openai" in ended.stdout, ended


def test_the_module_is_the_command(configured: Path) -> None:
    ended = run_program("llm_orchestrator", "--version", strict=False)
    assert ended.stdout.startswith("llm-orchestrator ")
