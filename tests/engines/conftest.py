"""A scripted server that echoes after a while and counts, and programs that ask it on an engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Counter as CounterOf
from typing import Iterator, List

import pytest

from tests.support.scripted_server import DIALECTS, Reply, Request, ScriptedServer
from tests.support.scripted_server.echo import echo

ROOT = Path(__file__).resolve().parents[2]
#: Requests under way at once in each process.
CONCURRENCY = 20
SECONDS = 0.1


def slow_echo(request: Request) -> Reply:
    time.sleep(SECONDS)
    return echo(request)


class Job:
    """A program that asks so many rows on an engine, and may be killed in the middle of it."""

    def __init__(self, engine: str, server: ScriptedServer, folder: Path) -> None:
        self.rows = 300
        self._server = server
        self._pids = folder / "pids"
        config = DIALECTS["chat"].config(server.url, transport="direct")
        config["cost_tracking"] = {"log_path": str(folder / "ledger.csv")}
        file = folder / "config.json"
        file.write_text(json.dumps(config))
        self._command = [
            sys.executable,
            "-m",
            f"tests.support.programs.asks_on_{engine}",
            str(file),
            str(folder / "answers.journal"),
            str(self._pids),
            str(self.rows),
            str(CONCURRENCY),
        ]

    def start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
        return subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, program: subprocess.Popen[str]) -> List[List[object]]:
        """The rows that the program printed: number, answer, cost, error."""
        output, errors = program.communicate(timeout=240)
        assert program.returncode == 0, errors[-3000:]
        rows: List[List[object]] = json.loads(output.splitlines()[-1])
        return rows

    def kill_one_process(self) -> None:
        """Kill one of the processes that ask, as a machine that dies would."""
        os.kill(int(self._pids.read_text().split()[0]), signal.SIGKILL)

    @property
    def processes(self) -> int:
        return len(set(self._pids.read_text().split()))

    def paid(self) -> CounterOf[str]:
        """How often each row was sent."""
        return Counter(request.body["messages"][-1]["content"] for request in self._server.requests)


@pytest.fixture
def job(request: pytest.FixtureRequest, server: ScriptedServer, tmp_path: Path) -> Iterator[Job]:
    server.default = slow_echo
    yield Job(request.param, server, tmp_path)
