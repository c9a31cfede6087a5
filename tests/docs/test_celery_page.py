"""The page on Celery: in workers that fork, in threads of one, and eagerly."""

from __future__ import annotations

import csv
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
import yaml

from tests.docs.test_documents import blocks_of, folder  # noqa: F401 (a fixture)
from tests.support.configs import ROOT
from tests.support.scripted_server import DIALECTS, ScriptedServer
from tests.support.scripted_server.echo import echo

pytest.importorskip("celery", reason="Celery is not installed: make test-mcp")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Celery's workers are for POSIX"),
]

CHAT = DIALECTS["chat"]
MODULES = ("tasks", "celeryconfig")


@pytest.fixture
def page(folder: Path, server: ScriptedServer) -> Path:  # noqa: F811
    """A folder with the page's programs."""
    server.default = echo
    for block in blocks_of(ROOT / "docs" / "celery.md"):
        if block.language == "python":
            name = block.text.split("\n", 1)[0].removeprefix("# ")
            (folder / name).write_text(block.text, encoding="utf-8")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (entry,) = config["providers"].values()
    entry["max_retries"] = 0  # what is repeated is repeated by the page
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def tasks(page: Path) -> Iterator[Any]:
    """The page's module, in this process."""
    module = importlib.import_module("tasks")
    try:
        yield module
    finally:
        module.orchestrator.close()
        module.app.close()
        for name in MODULES:
            sys.modules.pop(name, None)


def rows(page: Path) -> List[Dict[str, str]]:
    with open(page / "llm_costs.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


FORKING = """
broker_url = "filesystem://"
broker_transport_options = {{"data_folder_in": {queue!r}, "data_folder_out": {queue!r}}}
result_backend = "file://" + {results!r}
"""

ASK = """
import json, sys
from tasks import answer

asked = [answer.delay(f"row {number}", "acme") for number in range(20)]
print(json.dumps([each.get(timeout=120) for each in asked]))
"""


def test_workers_that_fork_answer_and_end(page: Path, server: ScriptedServer) -> None:
    for name in ("queue", "results"):
        (page / name).mkdir()
    settings = FORKING.format(queue=str(page / "queue"), results=str(page / "results"))
    (page / "celeryconfig.py").write_text(settings, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{page}"}
    command = [sys.executable, "-m", "celery", "--app", "tasks", "worker", "--concurrency", "2"]
    with open(page / "worker.log", "w", encoding="utf-8") as log:
        worker = subprocess.Popen(command, cwd=page, env=env, stdout=log, stderr=log)
        try:
            asking = [sys.executable, "-c", ASK]
            shown = subprocess.run(
                asking, cwd=page, env=env, capture_output=True, text=True, timeout=240, check=False
            )
            assert shown.returncode == 0, shown.stderr
        finally:
            worker.send_signal(signal.SIGTERM)
            ended = worker.wait(60)
    assert ended == 0, (page / "worker.log").read_text()
    assert all(f'"row {number}"' in shown.stdout for number in range(20))
    assert len(rows(page)) == len(server.requests) == 20
    assert {row["status"] for row in rows(page)} == {"ok"}


def test_threads_of_one_worker_share_an_orchestrator(tasks: Any, page: Path) -> None:
    from celery.contrib.testing.worker import start_worker

    with start_worker(tasks.app, pool="threads", concurrency=4, perform_ping_check=False):
        asked = [tasks.answer.delay(f"row {number}", "acme") for number in range(20)]
        answers = [each.get(timeout=120)["text"] for each in asked]
    assert answers == [f"row {number}" for number in range(20)]
    assert len(rows(page)) == 20


def test_what_may_pass_is_tried_again_and_what_will_not_fails(tasks: Any, server: ScriptedServer) -> None:
    from llm_orchestrator import AuthenticationError

    tasks.app.conf.task_always_eager = True
    server.script(CHAT.failure("rate_limit"), CHAT.whole("Seven."))
    assert tasks.answer.delay("What?", "acme").get()["text"] == "Seven."
    server.script(CHAT.failure("bad_key"))
    with pytest.raises(AuthenticationError):
        tasks.answer.delay("What?", "acme").get()
    assert len(server.requests) == 3
