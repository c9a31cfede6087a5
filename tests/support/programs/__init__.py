"""Runs programs of their own process: for what a test cannot see in its own, such as what is printed."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.configs import ROOT

#: What the SDKs for Python 3.9 warn of themselves at import; the same as in pyproject.toml.
SDK_WARNINGS = (
    "ignore:Using `@model_validator` with mode='after':DeprecationWarning",
    "ignore:You are using a Python version:FutureWarning",
    "ignore::FutureWarning:google.auth",  # whose oldest release begins the same with an empty line
    "ignore::FutureWarning:google.oauth2",
)


def run_program(
    module: str, *arguments: str, strict: bool = True, debug: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests; strict: warnings are errors, debug: asyncio watches what it is given."""
    rules = [f"-W{rule}" for rule in (("error",) if strict else ()) + SDK_WARNINGS]
    return subprocess.run(
        [sys.executable, *rules, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONASYNCIODEBUG": "1" if debug else ""},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
