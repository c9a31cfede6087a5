"""SDK generations and importing: the rows C6 and C7 of what breaks elsewhere."""

from __future__ import annotations

import logging
import re
from typing import List

import pytest

import llm_orchestrator
from llm_orchestrator import OrchestratorError
from tests.support.configs import ROOT
from tests.support.fixtures import Orchestrate
from tests.support.programs import run_program
from tests.support.scripted_server import Dialect, ScriptedServer
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


def test_c7_the_core_has_two_dependencies() -> None:
    """Read without a parser: Python 3.9 has none for TOML. The wheel is looked at in the packaging tests."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^dependencies = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)

    assert [re.match(r"[\w-]+", entry).group() for entry in re.findall(r'"(.*?)"', listed)] == [  # type: ignore
        "pydantic",
        "PyYAML",
    ]
