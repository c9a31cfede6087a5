"""The tool that makes the environments: which interpreters it takes, and which releases are the oldest."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tools import environment


def test_an_interpreter_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "python3.0"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(SystemExit, match=r"No Python 3\.0 was found"):
        environment.find_python("3.0")


@pytest.mark.parametrize("name", ["{}.{}", "python{}.{}"])
def test_an_interpreter_is_named_by_its_version(name: str) -> None:
    assert environment.find_python(name.format(*sys.version_info)) == sys.executable


def test_an_interpreter_is_named_by_its_path() -> None:
    assert environment.find_python(sys.executable) == sys.executable
    with pytest.raises(SystemExit, match="Install it or name another one"):
        environment.find_python("/no/such/python")


def test_every_dependency_has_an_oldest_release() -> None:
    project = (environment.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ranges = re.findall(r'"([\w.-]+)(?:\[.*?\])?>=', project)
    floors = dict(line.split("==") for line in environment.floors().splitlines())
    assert len(floors) == len(set(ranges)) and set(ranges) == set(floors), "a floor for each, and one only"
    assert floors["pydantic"] == "2.10" and floors["google-genai"] == "1.47"
