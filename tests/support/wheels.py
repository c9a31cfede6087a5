"""The library as a stranger gets it: built as a wheel, installed into an environment that has nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

from tests.support.configs import ROOT
from tools.environment import python_in

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def build_wheel(folder: Path) -> Path:
    """Build the library's wheel into a folder."""
    subprocess.run([*PIP, "wheel", "-qq", "--no-deps", f"--wheel-dir={folder}", str(ROOT)], check=True)
    return next(folder.glob("llm_orchestrator-*.whl"))


def copy_sources(folder: Path) -> Path:
    """Copy what a clone has, with new dates, so that nothing of this folder can find its way into a build."""
    ignored = shutil.ignore_patterns(".git", ".venv*", ".*cache*", "__pycache__", "dist", "site")
    shutil.copytree(ROOT, folder, ignore=ignored, copy_function=shutil.copyfile)
    return folder


def build_release(python: Path, sources: Path) -> Dict[str, bytes]:
    """Build the sdist, and the wheel from it, as a release does; returns the files by name."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    command = [str(python), "-m", "build", "--no-isolation"]
    subprocess.run(command, cwd=sources, env=environment, check=True, stdout=subprocess.DEVNULL)
    return {path.name: path.read_bytes() for path in sorted((sources / "dist").iterdir())}


def install(folder: Path, *requirements: str, base: str = sys.executable) -> Path:
    """Make an environment of a Python that has these packages only, not even pip; returns its interpreter."""
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = python_in(folder)
    pip = (base, *PIP[1:])  # its own: the newest pip knows no Python 3.9
    subprocess.run([*pip, f"--python={python}", "install", "-qq", *requirements], check=True)
    return python
