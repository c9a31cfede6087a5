"""The wheel as a stranger gets it: what is in it, what it asks for, and that the quick start runs from it."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import List

import pytest

from tests.bench import DIALECTS, ScriptedServer
from tools import environment

pytestmark = pytest.mark.slow

CONFIG = """
active_provider: openai
active_model: any-model
providers:
  openai:
    api_key: not-a-key
    base_url: {url}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    environment.run_uv("build", "--quiet", "--wheel", "--out-dir", str(folder))
    return next(folder.glob("*.whl"))


def requirements(wheel: Path) -> List[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []


def test_the_wheel_holds_the_package_its_types_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        path.relative_to(environment.ROOT).as_posix()
        for path in (environment.ROOT / "llm_orchestrator").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources >= {"llm_orchestrator/py.typed", "llm_orchestrator/pricing/prices.json"}
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_core_depends_on_pydantic_and_yaml_only(wheel: Path) -> None:
    core = [line for line in requirements(wheel) if "extra ==" not in line]
    assert sorted(re.split(r"[<>=]", line)[0].lower() for line in core) == ["pydantic", "pyyaml"]


@pytest.mark.parametrize(
    ("extra", "package"),
    [("openai", "openai"), ("anthropic", "anthropic"), ("gemini", "google-genai"), ("local", "xllamacpp")],
)
def test_every_sdk_is_an_extra_and_part_of_all(wheel: Path, extra: str, package: str) -> None:
    alone = [line for line in requirements(wheel) if f"extra == '{extra}'" in line]
    assert any(line.startswith(package) for line in alone)
    everything = "".join(line for line in requirements(wheel) if "extra == 'all'" in line)
    assert package in everything or extra in everything


def test_the_readme_quick_start_runs_from_the_wheel_with_one_extra(
    wheel: Path, tmp_path: Path, server: ScriptedServer
) -> None:
    environment.run_uv("venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv"))
    python = environment.python_in(tmp_path / "venv")
    environment.run_uv("pip", "install", "--quiet", "--python", str(python), f"{wheel}[openai]")
    readme = (environment.ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (tmp_path / "quick_start.py").write_text(next(block for block in blocks if "LLMOrchestrator(" in block))
    (tmp_path / "config.yaml").write_text(CONFIG.format(url=server.url + "/v1"))
    run = subprocess.run(
        [str(python), "-W", "error", "quick_start.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert server.requests and run.stdout.strip()


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
            "azure": {"api_key": "key-of-the-resource"},
            "bedrock": {"api_key": "key-of-bedrock", "region": "us-east-1"},
            "gemini-legacy": {"api_key": "key-of-gemini"},
            "vertex": {"api_key": "key-of-vertex"},
        }.items()
    },
}
ANSWERS = {"azure": "chat", "bedrock": "anthropic", "gemini-legacy": "gemini", "vertex": "gemini"}


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the library and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    environment.run_uv("venv", "--quiet", "--python", sys.executable, str(folder))
    environment.run_uv(
        "pip", "install", "--quiet", "--python", str(environment.python_in(folder)), str(wheel)
    )
    return environment.python_in(folder)


@pytest.mark.parametrize("extra", ALONE)
def test_every_extra_works_alone_and_without_it_says_what_to_install(
    wheel: Path, bare: Path, tmp_path: Path, server: ScriptedServer, extra: str
) -> None:
    if extra in ANSWERS:
        server.default = DIALECTS[ANSWERS[extra]].whole("It works.")
    environment.run_uv("venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv"))
    python = environment.python_in(tmp_path / "venv")
    environment.run_uv("pip", "install", "--quiet", "--python", str(python), f"{wheel}[{extra}]")
    program = tmp_path / "program.py"
    program.write_text(ALONE[extra])

    def run(interpreter: Path) -> subprocess.CompletedProcess[str]:
        command = [str(interpreter), str(program), server.url]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    alone, without = run(python), run(bare)

    assert (alone.returncode, alone.stdout.strip()) == (
        0,
        "It works." if extra in ANSWERS else "",
    ), alone.stderr
    assert without.returncode == 1
    assert f'pip install "llm-orchestrator[{extra}]"' in without.stderr
