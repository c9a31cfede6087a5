"""Servers of MCP: one of ten lines made with the SDK, and one by hand that lies; and what is left of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from llm_orchestrator.mcp import MCPTools
from tests.support.waiting import until

#: A server as its author writes it, and a note of its process.
WEATHER = '''
import os, sys
from pathlib import Path
from mcp.server.mcpserver import MCPServer

Path(__file__).with_name("pids").open("a").write(f"{os.getpid()}\\n")

server = MCPServer("weather")

@server.tool()
def temperature(city: str, days: int = 1) -> str:
    """Look up how warm it is in a city."""
    return f"{city}: {21 * days}"

if len(sys.argv) > 1:
    server.run("streamable-http", port=int(sys.argv[1]))
else:
    server.run()
'''

Liar = Callable[..., MCPTools]


@contextmanager
def no_program_left(tmp_path: Path) -> Iterator[Path]:
    """Fail where a server whose program noted itself still runs; and end it, or the whole run waits for it."""
    notes = tmp_path / "pids"
    try:
        yield notes
        until(lambda: not programs_in(notes), seconds=10)
    finally:
        for pid in programs_in(notes):
            os.kill(pid, signal.SIGKILL)


def programs_in(notes: Path) -> List[int]:
    """The noted programs that run."""
    pids = notes.read_text().split() if notes.exists() else []
    return [int(pid) for pid in pids if runs(int(pid))]


@pytest.fixture
def weather(tmp_path: Path) -> Iterator[List[str]]:
    """The command of the server of ten lines; after the test, it does not run."""
    (tmp_path / "weather.py").write_text(WEATHER)
    with no_program_left(tmp_path):
        yield [sys.executable, str(tmp_path / "weather.py")]


@pytest.fixture
def address(request: pytest.FixtureRequest, weather: List[str]) -> Iterator[Any]:
    """The same server as a program, or as a URL."""
    if request.param == "stdio":
        yield weather
        return
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    program = subprocess.Popen([*weather, str(port)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(port))
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def liar(tmp_path: Path) -> Iterator[Liar]:
    """Makes servers that misbehave; after the test, each is closed, and none of their programs runs."""
    made: List[MCPTools] = []

    def make(how: str, **settings: Any) -> MCPTools:
        file = Path(__file__).with_name("lying_server.py")
        made.append(MCPTools([sys.executable, str(file), how, str(notes)], **{"timeout": 60, **settings}))
        return made[-1]

    with no_program_left(tmp_path) as notes:
        yield make
        assert not [tools for tools in made if tools.is_started], "a server was left open"


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
