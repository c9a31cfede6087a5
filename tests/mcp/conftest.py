"""Servers of MCP: one of ten lines made with the SDK, and one by hand that lies; and what is left of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from llm_orchestrator.mcp import MCPTools
from tests.support.waiting import until

#: A server as its author writes it.
WEATHER = '''
import os, sys
from mcp.server.mcpserver import MCPServer

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


@pytest.fixture
def weather(tmp_path: Path) -> List[str]:
    """The command of the server of ten lines."""
    (tmp_path / "weather.py").write_text(WEATHER)
    return [sys.executable, str(tmp_path / "weather.py")]


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
    """Makes servers that misbehave; after the test, none of their programs runs."""
    notes = tmp_path / "pids"

    def make(how: str, **settings: Any) -> MCPTools:
        file = Path(__file__).with_name("lying_server.py")
        return MCPTools([sys.executable, str(file), how, str(notes)], **{"timeout": 60, **settings})

    yield make
    pids = [int(line) for line in notes.read_text().split()] if notes.exists() else []
    until(lambda: not any(map(runs, pids)))


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
