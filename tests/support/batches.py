"""What the tests of runs by batches share: short waits, models with batch prices, and a run in a program."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Dict

from llm_orchestrator import price_usage
from llm_orchestrator.bulk import batch, collecting, submitting
from tests.support.configs import ROOT
from tests.support.scripted_server import Dialect

__all__ = ["PROGRAM", "begin", "priced_model", "quicken", "result_of"]

PROGRAM = "tests.support.programs.batch_run"


def quicken() -> None:
    """Wait milliseconds where a run waits for batches, in this process."""
    batch.FIRST_PAUSE = batch.LONGEST_PAUSE = 0.01
    submitting.FIRST_PAUSE = submitting.LONGEST_PAUSE = 0.01
    submitting.PAUSES = (0.01, 0.01, 0.01)
    submitting.SETTLE, submitting.LOOK = 0.05, 0.01
    collecting.PAUSE = 0.01


@cache
def priced_model(provider: str) -> str:
    """A model whose price is known today, in batches too."""
    usage = {"openai": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}}.get(provider)
    if provider == "anthropic":
        usage = {"input_tokens": 10, "output_tokens": 1}
    if provider == "gemini":
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 1, "totalTokenCount": 11}
    for name in sorted(
        json.loads((ROOT / "llm_orchestrator/pricing/prices.json").read_text())["providers"][provider][
            "models"
        ]
    ):
        usual, half = (price_usage(provider, name, usage, batch=flag) for flag in (False, True))
        if usual.status == half.status == "priced" and usual.total and half.total == usual.total / 2:
            return name
    raise AssertionError(f"no model of {provider} has a price")


def begin(dialect: Dialect, url: str, folder: Path, **settings: Any) -> subprocess.Popen[str]:
    """Start a run in a program of its own; settings are those of ``batch_run``."""
    arguments = json.dumps({"dialect": dialect.name, "url": url, "folder": str(folder), **settings})
    return subprocess.Popen(
        [sys.executable, "-m", PROGRAM, arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(program: subprocess.Popen[str]) -> Dict[str, Any]:
    """Wait for a run that comes to its end; what it printed."""
    output, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    found: Dict[str, Any] = json.loads(output)
    return found
