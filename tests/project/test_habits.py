"""The rules the project sets itself, where no linter can check them."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import pytest

import llm_orchestrator
from llm_orchestrator import testing
from llm_orchestrator.testing.conformance import Answer, ProviderConformance
from tests.support.configs import ROOT

#: The four ways of calling take the same parameters; they are written out once, and the others refer to them.
SHARED = ("send_request", "map", "run", "count_tokens", "embed", "send_streaming_request")


def run_pytest(folder: Path, source: str, *options: str) -> str:
    test = folder / "test_sample.py"
    test.write_text(source)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "pyproject.toml",
        "-p",
        "tests.conftest",
        *options,
        str(test),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


@pytest.mark.slow
def test_a_local_model_test_without_its_packages_is_skipped_and_says_so(tmp_path: Path) -> None:
    source = (
        "import sys, pytest\nsys.modules['xllamacpp'] = None\n@pytest.mark.local_model\ndef test_it(): pass\n"
    )
    output = run_pytest(tmp_path, source)
    assert "1 skipped" in output and "the local model needs" in output


def public_callables() -> Iterator[Tuple[str, Any]]:
    """Every public function, and every method that a public class adds to its bases."""
    public = [getattr(llm_orchestrator, name) for name in llm_orchestrator.__all__]
    tools = [getattr(testing, name) for name in testing.__all__]
    for value in [*public, *tools, ProviderConformance, Answer]:
        if inspect.isfunction(value):
            yield value.__name__, value
        elif inspect.isclass(value):
            inherited = {name for base in value.__mro__[1:] for name in vars(base)}
            for name, method in vars(value).items():
                if inspect.isfunction(method) and not name.startswith("_") and name not in inherited:
                    yield f"{value.__name__}.{name}", method


def undocumented(function: Any) -> List[str]:
    """What a docstring leaves out; ruff checks a section only where there is one."""
    text = inspect.getdoc(function) or ""
    if any(f"``{name}``" in text for name in SHARED):
        return []
    signature = inspect.signature(function)
    names = [name for name in signature.parameters if name not in ("self", "cls")]
    gaps = [name for name in names if f"\n    {name}:" not in text and f"*{name}:" not in text]
    returns = signature.return_annotation not in (None, "None")
    return gaps + ["Returns"] * (returns and "Returns:" not in text and "Yields:" not in text)


@pytest.mark.slow  # it imports the whole library
def test_every_public_function_documents_what_it_takes_and_gives() -> None:
    gaps = {name: undocumented(function) for name, function in public_callables()}
    assert {name: missing for name, missing in gaps.items() if missing} == {}


def test_every_promise_that_a_test_names_is_explained() -> None:
    """Ids in names and docstrings of tests stand in the scenarios' page, and the files it names are there."""
    page = (ROOT / "tests" / "scenarios" / "README.md").read_text(encoding="utf-8")
    named = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        source = file.read_text(encoding="utf-8")
        named |= {name.upper() for name in re.findall(r"def test_([srkmcpnblx]\d+|f[a-f]\d+)_", source)}
        for docstring in re.findall(r'"""(.*?)"""', source, re.DOTALL):
            named |= set(re.findall(r"\b(?:[SRKMCPNBLX]\d|F[A-F]\d+)\b", docstring))
    assert named - set(re.findall(r"^\| ([A-Z]{1,2}\d+) \|", page, re.MULTILINE)) == set()
    files = re.findall(r"`([\w./]+\.py|\w+/)`", page)
    assert [name for name in files if not (ROOT / "tests" / "scenarios" / name).exists()] == []
