"""The library as a stranger gets it: built as a wheel, installed into an environment that has nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.configs import ROOT
from tools.environment import python_in

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def build_wheel(folder: Path) -> Path:
    """Build the library's wheel into a folder."""
    subprocess.run([*PIP, "wheel", "-qq", "--no-deps", f"--wheel-dir={folder}", str(ROOT)], check=True)
    return next(folder.glob("llm_orchestrator-*.whl"))


def install(folder: Path, *requirements: str) -> Path:
    """Make an environment that has these packages only, not even pip; returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = python_in(folder)
    subprocess.run([*PIP, f"--python={python}", "install", "-qq", *requirements], check=True)
    return python
