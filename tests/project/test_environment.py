"""The tool that makes the environments: what it takes over from pip, and which interpreters it accepts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import environment

pytestmark = pytest.mark.slow  # each starts pip or an interpreter


def test_an_index_that_only_pip_knows_reaches_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://more.invalid/simple http://most.invalid/simple")
    settings = environment.pip_settings()
    assert settings["UV_DEFAULT_INDEX"] == "http://index.invalid/simple"
    assert settings["UV_INDEX"] == "http://more.invalid/simple http://most.invalid/simple"
    assert settings["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_an_interpreter_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "python3.0"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.find_python("3.0") is None


@pytest.mark.parametrize("name", ["{}.{}", "python{}.{}"])
def test_an_interpreter_is_named_by_its_version(name: str) -> None:
    assert environment.named_python(name.format(*sys.version_info)) == sys.executable


def test_the_name_of_no_interpreter_is_refused() -> None:
    with pytest.raises(SystemExit, match="There is no Python 3"):
        environment.named_python("3.0")
