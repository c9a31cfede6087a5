"""SDK generations and importing: the rows C6 and C7 of what breaks elsewhere."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

import llm_orchestrator
from llm_orchestrator import OrchestratorError
from tests.support.configs import ROOT
from tests.support.fixtures import Orchestrate
from tests.support.programs import run_program
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.ways import ask

PROMPT = "a prompt that is nobody's business"
ANSWER = "an answer that is nobody's business"


def test_c6_temperature_reaches_the_wire_on_every_generation(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    """Anthropic 1 and later have no such argument, which broke every wrapper that passed it on."""
    ask(orchestrate(), way, temperature=0.2)

    (request,) = server.requests
    assert dialect.read_request(request.body, request.path)["temperature"] == 0.2


@pytest.mark.slow
def test_c7_importing_does_nothing_but_import() -> None:
    run = run_program("tests.support.programs.importing")

    assert (run.stdout, run.stderr, run.returncode) == ("", "", 0)


SILENT = """
import logging, sys
import llm_orchestrator
root, own = logging.getLogger(), logging.getLogger("llm_orchestrator")
assert root.handlers == [], root.handlers
assert [type(handler).__name__ for handler in own.handlers] == ["NullHandler"], own.handlers
assert (own.level, own.propagate) == (logging.NOTSET, True)
from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider
settings = {"active_provider": "fake", "active_model": "m"}
LLMOrchestrator(settings, providers={"fake": FakeProvider(name="fake")}).send_request("Hi")
names = [name for name in logging.root.manager.loggerDict if name.startswith("llm_orchestrator.")]
assert names and not any(logging.getLogger(name).handlers for name in names)
"""


@pytest.mark.slow  # it starts a Python
def test_c7_the_library_adds_a_null_handler_and_prints_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_importing_the_package_reads_no_table_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, llm_orchestrator.pricing as p\n"
        "assert p.shipped._default_table._table is None\n"
        "assert not {'pydantic', 'yaml', 'urllib.parse', 'asyncio'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


FIRST_ORCHESTRATOR = """
import sys
from llm_orchestrator import LLMOrchestrator
LLMOrchestrator({"active_provider": "local", "active_model": "m", "providers": {"local": {
    "adapter": "openai", "base_url": "http://127.0.0.1:1/v1"}}, "cost_tracking": {"log_path": None}})
later = "calls.call calls.reporter calls.turn calls.warm_up policy streaming conversation hooks pricing usage.report"
later += " usage.tally usage.budget usage.billing providers.base providers.wire request.attachments tracing"
loaded = [name for name in later.split() if f"llm_orchestrator.{name}" in sys.modules]
assert not loaded, loaded
assert "yaml" not in sys.modules
"""


@pytest.mark.slow
def test_a_first_orchestrator_loads_nothing_that_only_calls_and_reports_need() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_ORCHESTRATOR], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


#: What only other calls need, or entries with other settings.
RARE = (
    "calls.conversation_state calls.embedding conversation streaming providers.background providers.batches "
    "providers.embedding providers.keys providers.questions providers.openai.batches providers.openai.embeddings "
    "providers.openai.models providers.openai.output_tool providers.openai.think_tags "
    "providers.anthropic.batches providers.gemini.batches providers.gemini.embeddings"
)
FIRST_CALL = """
import json, sys
from llm_orchestrator import LLMOrchestrator
_, file, rare = sys.argv
LLMOrchestrator(file).send_request("Hi")
loaded = [name for name in ("asyncio", "yaml", "pydantic.functional_serializers") if name in sys.modules]
loaded += [name for name in rare.split() if f"llm_orchestrator.{name}" in sys.modules]
assert not loaded, loaded
"""


@pytest.mark.skipif(TRANSPORT == "sdk", reason="the vendors' SDKs load asyncio")
@pytest.mark.slow
def test_a_first_sync_call_loads_nothing_that_only_other_calls_need(
    server: ScriptedServer, dialect: Dialect, tmp_path: Path
) -> None:
    server.script(dialect.whole("Hello"))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**dialect.config(server.url), "cost_tracking": {"log_path": None}}))
    other = {"chat": "providers.openai.responses", "responses": "providers.openai.chat"}
    rare = f"{RARE} {other.get(dialect.name, '')}"

    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, str(file), rare], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_plugin_imports_next_to_nothing() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules)\n"
        "import llm_orchestrator.testing.pytest_plugin\n"
        "print(*sorted(name for name in set(sys.modules) - before))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ours = ("exceptions", "types", "utils", "testing")
    loaded = {name for name in ended.stdout.split() if name.startswith("llm_orchestrator.")}
    assert {name.split(".")[1] for name in loaded} <= set(ours)
    assert "pydantic" not in ended.stdout.split()


PROGRAM = """
import sys
from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider
config = {"active_provider": "fake", "active_model": "m", "providers": {}}
LLMOrchestrator(config, providers={"fake": FakeProvider("Hi")}).send_request("Hi")
loaded = [name for name in sys.modules if name.startswith(("opentelemetry", "llm_orchestrator.tracing"))]
assert not loaded and "llm_orchestrator.hooks" not in sys.modules, loaded
"""


@pytest.mark.slow
def test_a_program_that_does_not_trace_loads_nothing_of_it() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, timeout=60)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == llm_orchestrator.__name__


@pytest.mark.parametrize("ending", ["answered", "retried", "failed", "broken off"])
def test_c7_info_logs_carry_no_prompt_and_no_answer(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    ending: str,
    caplog: pytest.LogCaptureFixture,
    waits: List[float],
) -> None:
    answer = dialect.stream([ANSWER, ANSWER]) if "streamed" in way else dialect.whole(ANSWER)
    cut = (
        dialect.stream([ANSWER, ANSWER], complete=False) if "streamed" in way else answer.but(length_error=9)
    )
    replies = {
        "answered": [answer],
        "retried": [dialect.failure("overloaded", message=f"Not now: {PROMPT}"), answer],
        "failed": [dialect.error(400, message=f"Not allowed: {PROMPT}")],
        "broken off": [cut] * 2,
    }
    server.script(*replies[ending])
    caplog.set_level(logging.INFO)

    try:
        ask(orchestrate(max_retries=1), way, PROMPT)
    except OrchestratorError:
        assert ending in ("failed", "broken off")

    logged = "\n".join(str(record.__dict__) for record in caplog.records)
    assert "nobody's business" not in logged
    assert any(_is_ours(record.name) for record in caplog.records), "an unknown price is always told"


def test_c7_the_core_has_three_dependencies() -> None:
    """Read without a parser: Python 3.9 has none for TOML. The wheel is looked at in the packaging tests."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^dependencies = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)

    assert [re.match(r"[\w-]+", entry).group() for entry in re.findall(r'"(.*?)"', listed)] == [  # type: ignore
        "pydantic",
        "PyYAML",
        "httptools",
    ]
