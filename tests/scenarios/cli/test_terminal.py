"""The command line in a real terminal, which tmux is: typing, reading the screen, Ctrl-C, and narrow screens."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any, Iterator

import pytest

from tests.scenarios.cli.conftest import arguments_of, configuration, shared, write
from tests.support.costs import EIGHT, read
from tests.support.scripted_server import DIALECTS, ScriptedServer, Stall

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_clock,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

CHAT = DIALECTS["chat"]
PATIENCE = 30.0


class Terminal:
    """A terminal of tmux with one program in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = f"llm-orchestrator-{uuid.uuid4().hex}"

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-f", os.devnull, "-L", self._socket, *arguments]
        return subprocess.run(
            command, env=shared(TERM="xterm-256color"), capture_output=True, text=True, check=True
        ).stdout

    def run(self, *arguments: str, width: int = 100, **variables: str) -> None:
        """Start a command; when it has ended, the screen tells its exit code."""
        program = shlex.join(arguments_of(*arguments))
        settings = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        size = ["-x", str(width), "-y", "100"]
        command = f"{program}; echo exit code $?; sleep 60"
        self.tmux("new-session", "-d", *size, *settings, "-c", str(self._folder), command)

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def screen(self, *options: str) -> str:
        return self.tmux("capture-pane", "-p", *options)

    def wait_for(self, text: str) -> str:
        """Wait until the screen shows a text; returns the screen."""
        give_up = time.monotonic() + PATIENCE
        while text not in self.screen():
            assert time.monotonic() < give_up, f"{text!r} is not on the screen:\n{self.screen()}"
            time.sleep(0.05)
        return self.screen()

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._socket, "kill-server"], capture_output=True, check=False)


@pytest.fixture
def terminal(configured: Path) -> Iterator[Terminal]:
    terminal = Terminal(configured)
    yield terminal
    terminal.close()


def test_a_newcomer_gets_to_an_answer_with_what_the_screen_says(
    terminal: Terminal, configured: Path, server: ScriptedServer
) -> None:
    terminal.run("ask", "What is 2+2?")
    screen = terminal.wait_for("exit code 0")
    assert "Hello from the scripted server." in screen.splitlines()
    assert "openai/scripted-1, 8 tokens, cost unknown" in screen


def test_a_conversation_is_typed_stopped_taken_back_and_kept(
    terminal: Terminal, configured: Path, server: ScriptedServer
) -> None:
    stalling = CHAT.stream(["Once upon", " a time"], cut="recorded").but(fault=Stall())
    server.script(CHAT.stream(["Hello, Ada."]), stalling, CHAT.stream(["Your name is Ada."]))

    terminal.run("chat", "talk.json")
    terminal.wait_for("Ctrl-D ends")
    terminal.type("I am Ada.", "Enter")
    terminal.wait_for("Hello, Ada.")
    terminal.type("Tell me a story.", "Enter")
    terminal.wait_for("Once upon a time")
    terminal.type("C-c")
    terminal.wait_for("Stopped. The conversation is unchanged.")
    terminal.type("Who am I?", "Enter")
    terminal.wait_for("Your name is Ada.")
    terminal.type("C-d")
    screen = terminal.wait_for("exit code 0")

    assert "Traceback" not in screen
    messages = json.loads((configured / "talk.json").read_text())["messages"]
    assert len(messages) == 4 and "story" not in str(messages)
    assert [row["status"] for row in read(configured / "costs.csv")] == ["ok", "cancelled", "ok"]


def test_ctrl_c_at_the_prompt_ends_the_conversation(terminal: Terminal) -> None:
    terminal.run("chat")
    terminal.wait_for("\n>")
    terminal.type("C-c")
    assert "Traceback" not in terminal.wait_for("exit code 130")


def test_an_answer_cannot_take_over_the_terminal(terminal: Terminal, server: ScriptedServer) -> None:
    server.script(CHAT.stream(["safe\x1b]0;owned\x07\x1b[2J\x1b[8m text"]))
    terminal.run("ask", "Hi")
    screen = terminal.wait_for("exit code 0")
    assert r"safe\x1b]0;owned\x07\x1b[2J\x1b[8m text" in screen.replace("\n", "")


def test_init_asks_which_providers(terminal: Terminal, configured: Path) -> None:
    terminal.run("init", "--file", "new.yaml")
    terminal.wait_for("Which providers")
    terminal.type("anthropic ollama", "Enter")
    terminal.wait_for("exit code 0")
    assert "active_provider: anthropic" in (configured / "new.yaml").read_text()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_left_out_when_asked(terminal: Terminal, no_color: str) -> None:
    terminal.run("check", **({"NO_COLOR": no_color} if no_color else {}))
    screen = terminal.wait_for("exit code 0")
    assert screen.startswith("ok      configuration")
    assert ("\x1b[32m" in terminal.screen("-e")) is not bool(no_color)


def test_waiting_is_shown(terminal: Terminal, configured: Path, server: ScriptedServer) -> None:
    server.script(CHAT.stream(["Hello"]).but(fault=Stall(after=0)))
    terminal.run("ask", "Hi")
    terminal.wait_for("Waiting for the answer ...")
    terminal.type("C-c")
    assert "Stopped." in terminal.wait_for("exit code 130")


@pytest.mark.parametrize(
    "arguments",
    [("costs",), ("models", "--refresh"), ("price", "gpt-6-luna"), ("check",), ("--help",)],
    ids=" ".join,
)
def test_a_screen_of_forty_columns_shows_everything(
    terminal: Terminal, configured: Path, server: ScriptedServer, arguments: Any
) -> None:
    name = "a-model-with-a-name-of-more-than-forty-columns"
    row = f"2026-01-01T00:00:00+00:00,p,{name},1,1,1234567,0.1,s\n"
    (configured / "costs.csv").write_text(f"{EIGHT}\n{row}")
    write(configured, configuration(server, CHAT, configured))

    terminal.run(*arguments, width=40)
    screen = terminal.wait_for("exit code 0")

    shown = {
        "costs": [name, "1,234,567", "$0.10"],
        "models": ["scripted-1-mini", "2026-01-01"],
        "price": ["gpt-6-luna", "$0.125"],
        "check": ["openai/scripted-1: offered"],
        "--help": ["init", "check", "models", "ask", "chat", "costs", "price"],
    }[arguments[0]]
    in_one_line = screen.replace("\n", "")
    assert [text for text in shown if text not in in_one_line] == [], screen
