"""The wheel as a stranger gets it: what is in it, what it asks for, and that the quick start runs from it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import List, Tuple

import pytest

from tests.support.configs import ROOT
from tests.support.scripted_server import DIALECTS, ScriptedServer
from tests.support.wheels import build_release, build_wheel, copy_sources, install
from tools.environment import SUPPORTED, candidates, version_of

pytestmark = pytest.mark.slow

CONFIG = """
active_provider: openai
active_model: any-model
providers:
  openai:
    api_key: not-a-key
    base_url: {url}
"""

#: What the command says without its extra, and what costs are before the first call.
HINT = 'The command line is not installed. Run: pip install "llm-orchestrator[cli]".\n'
ZERO = "0 calls, 0 tokens: reported $0.00 + estimated $0.00 (0 calls) + unpriced 0\n"


@pytest.fixture
def certificates() -> None:
    """As they are: pip asks an index."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


def requirements(wheel: Path) -> List[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []


def test_the_wheel_holds_the_package_its_types_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "llm_orchestrator").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources >= {"llm_orchestrator/py.typed", "llm_orchestrator/pricing/prices.json"}
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_two_builds_of_one_source_are_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    python = install(tmp_path / "empty", "build>=1.2,<2", "hatchling>=1.27,<2")
    first = build_release(python, copy_sources(tmp_path / "first"))
    second = build_release(python, copy_sources(tmp_path / "elsewhere" / "second"))
    assert [name.rpartition(".")[2] for name in first] == ["whl", "gz"]
    assert first == second
    assert wheel.name in first  # also what a wheel made without the sdist is called


@pytest.mark.parametrize(
    ("extra", "package"),
    [
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("gemini", "google-genai"),
        ("local", "xllamacpp"),
        ("cli", "typer"),
        ("cli", "rich"),
    ],
)
def test_every_extra_brings_its_package_and_is_part_of_all(wheel: Path, extra: str, package: str) -> None:
    alone = [line for line in requirements(wheel) if f"extra == '{extra}'" in line]
    assert any(line.startswith(package) for line in alone)
    everything = "".join(line for line in requirements(wheel) if "extra == 'all'" in line)
    assert package in everything or extra in everything


def installed(wheel: Path, folder: Path, extra: str = "") -> Path:
    """An empty environment with the wheel and one extra; returns its interpreter."""
    return install(folder / "venv", f"{wheel}{extra}")


def run(folder: Path, *command: str) -> Tuple[int, str, str]:
    """Run a program of an environment, with no other package in sight."""
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def test_the_command_works_with_its_extra_alone(wheel: Path, tmp_path: Path) -> None:
    program = str(installed(wheel, tmp_path, "[cli]").with_name("llm-orchestrator"))

    code, out, err = run(tmp_path, program, "init", "ollama")
    assert (code, out) == (0, "Wrote config.yaml.\n") and "pip install" not in err
    assert run(tmp_path, program, "price", "gpt-6-luna")[0] == 0
    assert run(tmp_path, program, "costs")[:2] == (0, ZERO)
    code, out, _ = run(tmp_path, program, "check")
    assert code == 1 and "failed  ollama:" in out and "No connection" in out
    assert run(tmp_path, program, "costs", "--html", "page.html")[:2] == (0, "Wrote page.html.\n")


def test_the_page_works_from_the_wheel_alone_and_the_command_names_its_extra(
    wheel: Path, tmp_path: Path
) -> None:
    python = installed(wheel, tmp_path, "[report]")  # an extra of earlier versions, which is empty now
    program = str(python.with_name("llm-orchestrator"))
    page = "from llm_orchestrator import CostTracker; CostTracker(log_path=None).get_usage_report().to_html('p.html')"

    assert run(tmp_path, str(python), "-W", "error", "-c", page) == (0, "", "")
    assert (tmp_path / "p.html").is_file()
    assert run(tmp_path, program, "check") == (2, "", HINT)
    assert run(tmp_path, str(python), "-m", "llm_orchestrator") == (2, "", HINT)


def python_of(version: str) -> str:
    """This Python or, for the newest that is here to try, another one; skips what another run tries."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = {each: next((p for p in candidates(each) if version_of(p) == each), None) for each in SUPPORTED}
    if version != own and own != next(each for each in SUPPORTED if found[each]):
        pytest.skip("tried with the newest Python")
    return found[version] or pytest.skip(f"no Python {version} on this machine")


@pytest.mark.parametrize("version", SUPPORTED)
def test_the_readme_quick_start_runs_from_the_wheel_alone(
    wheel: Path, tmp_path: Path, server: ScriptedServer, version: str
) -> None:
    python = install(tmp_path / "venv", str(wheel), base=python_of(version))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (tmp_path / "quick_start.py").write_text(next(block for block in blocks if "LLMOrchestrator(" in block))
    (tmp_path / "config.yaml").write_text(CONFIG.format(url=server.url + "/v1"))
    code, out, err = run(tmp_path, str(python), "-W", "error", "quick_start.py")
    assert (code, err) == (0, "")
    assert server.requests and out.strip()


#: For each extra that is no part of `all`: a program that works with it, and the same without it.
ALONE = {
    "otel": """
from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.tracing import trace_calls
config = {"active_provider": "fake", "active_model": "m", "providers": {}}
LLMOrchestrator(config, providers={"fake": FakeProvider()}, hooks=[trace_calls()]).send_request("Hi")
""",
    **{
        name: f"""
import sys, json, warnings
warnings.filterwarnings("ignore", category=FutureWarning)  # old SDKs on old Pythons
from llm_orchestrator import LLMOrchestrator
entry = {{"adapter": "{name}", "base_url": sys.argv[1], "max_retries": 0, **{settings}}}
config = {{"active_provider": "e", "active_model": "m", "providers": {{"e": entry}}}}
with LLMOrchestrator(config) as orchestrator:
    print(orchestrator.send_request("Hi").content)
"""
        for name, settings in {
            "azure": {"api_key": "key-of-the-resource", "transport": "sdk"},
            "bedrock": {"api_key": "key-of-bedrock", "transport": "sdk", "region": "us-east-1"},
            "gemini-legacy": {"api_key": "key-of-gemini"},
            "vertex": {"api_key": "key-of-vertex", "transport": "sdk"},
        }.items()
    },
}
ANSWERS = {"azure": "chat", "bedrock": "anthropic", "gemini-legacy": "gemini", "vertex": "gemini"}


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the library and nothing else."""
    return installed(wheel, tmp_path_factory.mktemp("bare"))


@pytest.mark.parametrize("extra", ALONE)
def test_every_extra_works_alone_and_without_it_says_what_to_install(
    wheel: Path, bare: Path, tmp_path: Path, server: ScriptedServer, extra: str
) -> None:
    if extra in ANSWERS:
        server.default = DIALECTS[ANSWERS[extra]].whole("It works.")
    program = tmp_path / "program.py"
    program.write_text(ALONE[extra])
    python = installed(wheel, tmp_path, f"[{extra}]")

    code, out, err = run(tmp_path, str(python), str(program), server.url)
    assert (code, out.strip()) == (0, "It works." if extra in ANSWERS else ""), err

    code, _, err = run(tmp_path, str(bare), str(program), server.url)
    assert code == 1 and f'pip install "llm-orchestrator[{extra}]"' in err
