"""Programs of users: their types hold under mypy and pyright, and web frameworks read the library's classes."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

import llm_orchestrator
from llm_orchestrator import LLMOrchestrator, LLMResponse, testing
from llm_orchestrator.testing import FakeProvider
from tests.support.configs import ROOT

PROGRAMS = sorted((ROOT / "tests" / "user_programs").glob("*.py"))


def public_things() -> Iterator[Tuple[str, Any]]:
    """Every public class and function, and every public method that the library wrote."""
    for module in (llm_orchestrator, testing):
        for name in module.__all__:
            thing = getattr(module, name)
            if not (inspect.isclass(thing) or inspect.isfunction(thing)):
                continue
            yield name, thing
            for attribute, member in list(vars(thing).items()) if inspect.isclass(thing) else ():
                function = getattr(member, "fget", getattr(member, "__func__", member))
                is_ours = inspect.isfunction(function) and function.__module__.startswith("llm_orchestrator")
                if is_ours and (not attribute.startswith("_") or attribute == "__init__"):
                    yield f"{name}.{attribute}", function


@pytest.mark.parametrize(("name", "thing"), [pytest.param(*found, id=found[0]) for found in public_things()])
def test_fd15_every_public_annotation_resolves(name: str, thing: Any) -> None:
    typing.get_type_hints(thing)


def test_fd19_the_public_names_are_written_out() -> None:
    homes = {name for names in llm_orchestrator._HOMES.values() for name in names}
    assert set(llm_orchestrator.__all__) == homes | set(llm_orchestrator.exceptions.__all__) | {"__version__"}
    assert llm_orchestrator.__all__ == sorted(llm_orchestrator.__all__)
    source = Path(str(llm_orchestrator.__file__)).read_text(encoding="utf-8")
    assert '"LLMOrchestrator",' in source.partition("__all__ = [")[2].partition("]")[0]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_x1_programs_hold_under_mypy_strict(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed: make environment")
    files = [str(program) for program in PROGRAMS]
    cache = ["--cache-dir", str(tmp_path), "--follow-imports", "silent"]
    ended = run(sys.executable, "-m", "mypy", "--strict", "--config-file", "", *cache, *files)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_x1_programs_hold_under_pyright() -> None:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed: make environment")
    files = [str(program) for program in PROGRAMS]
    ended = run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *files)
    if "error" in ended.stderr and not ended.stdout:
        pytest.skip("pyright cannot fetch its own program here")
    assert ended.returncode == 0, ended.stdout


def get(app: Any, path: str) -> Tuple[int, Any]:
    """Send a GET to an ASGI application, without a server."""
    messages: List[Dict[str, Any]] = []

    async def receive() -> Dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Dict[str, Any]) -> None:
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    asyncio.run(app({**scope, "asgi": {"version": "3.0"}, "http_version": "1.1"}, receive, send))
    return messages[0]["status"], json.loads(b"".join(part.get("body", b"") for part in messages[1:]))


def test_x1_a_fastapi_endpoint_returns_an_answer() -> None:
    fastapi = pytest.importorskip("fastapi", reason="FastAPI is not installed: make environment")
    config = {"active_provider": "fake", "active_model": "m"}
    orchestrator = LLMOrchestrator(config, providers={"fake": FakeProvider("Hello.")})
    app = fastapi.FastAPI()

    @app.get("/answer", response_model=LLMResponse)  # type: ignore[misc, unused-ignore]  # FastAPI is optional
    async def answer() -> Any:
        return await orchestrator.asend_request("Hi")

    status, body = get(app, "/answer")
    assert (status, body["content"], body["finish_reason"]) == (200, "Hello.", "stop")
    assert get(app, "/openapi.json")[0] == 200
