"""Workers on engines: every row has its answer once, and a process that dies costs what it had under way."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest
import yaml

from tests.docs.test_documents import blocks_of
from tests.engines.conftest import CONCURRENCY, ROOT, Job
from tests.support.scripted_server import DIALECTS, ScriptedServer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")]


def on(engine: str) -> Any:
    reason = ""
    if importlib.util.find_spec(engine) is None:
        reason = f"{engine} is not installed: make test-engines"
    elif engine == "ray" and " " in sys.executable:
        reason = "Ray starts no worker whose Python is in a folder with a space in its name"
    return pytest.param(engine, marks=pytest.mark.skipif(bool(reason), reason=reason))


def check_answers(job: Job, rows: List[List[object]]) -> None:
    assert sorted(row[0] for row in rows) == list(range(job.rows))  # type: ignore[type-var]
    assert all(row[1] == f"row {row[0]}" for row in rows), "somebody else's answer, or none"
    assert all(row[3] is None for row in rows)


@pytest.mark.parametrize("job", [on("ray"), on("daft")], indirect=True)
def test_every_row_is_asked_once_and_a_second_run_is_free(job: Job) -> None:
    check_answers(job, job.finish(job.start()))
    assert set(job.paid().values()) == {1}
    check_answers(job, job.finish(job.start()))
    assert set(job.paid().values()) == {1}, "the journal has all answers"


@pytest.mark.parametrize("job", [on("ray")], indirect=True)
def test_one_of_two_workers_is_killed(job: Job, server: ScriptedServer) -> None:
    program = job.start()
    assert server.wait_for_requests(job.rows // 2, timeout=120)
    job.kill_one_process()
    check_answers(job, job.finish(program))
    assert job.processes > 2, "another took the place of the one that was killed"
    assert sum(job.paid().values()) <= job.rows + CONCURRENCY


@pytest.mark.parametrize("job", [on("daft")], indirect=True)
def test_the_program_is_killed_and_started_again(job: Job, server: ScriptedServer) -> None:
    program = job.start()
    assert server.wait_for_requests(job.rows // 2, timeout=120)
    program.kill()
    program.communicate()
    check_answers(job, job.finish(job.start()))
    assert sum(job.paid().values()) <= job.rows + CONCURRENCY


#: Runs blocks of the page in the reader's folder, where there are some reviews.
READER = """
import pandas, sys
pandas.DataFrame({"id": [1, 2, 3], "text": ["good", "bad", "fine"]}).to_parquet("reviews/1.parquet")
exec(sys.stdin.read())
answered = pandas.concat(label([pandas.DataFrame({"id": [4], "text": ["so so"]})])) \
    if "label" in dir() else pandas.read_parquet("labels/")
print(len(answered), answered["answer"].notna().all(), answered["error"].isna().all())
"""


@pytest.mark.parametrize("engine", [on("ray"), on("daft"), pytest.param("pandas", marks=on("daft").marks)])
def test_the_page_says_it_right(engine: str, server: ScriptedServer, tmp_path: Path) -> None:
    page = [block.text for block in blocks_of(ROOT / "docs/engines.md") if block.language in ("python", "py")]
    chosen = "".join([page[0], *(text for text in page[1:] if f"import {engine}\n" in text)])
    spark = chosen.partition("\nschema = ")[0]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(DIALECTS["chat"].config(server.url)))
    (tmp_path / "reviews").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", READER],
        input=spark,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    rows = 1 if engine == "pandas" else 3
    assert ended.stdout.rstrip().endswith(f"{rows} True True"), ended.stderr[-3000:]
