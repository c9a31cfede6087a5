"""Programs of users: their types hold under mypy and pyright, and web frameworks read the library's classes."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

import llm_orchestrator
from llm_orchestrator import LLMOrchestrator, LLMResponse, testing
from llm_orchestrator.calls import signatures
from llm_orchestrator.calls.tool_loop import loop_arguments
from llm_orchestrator.request.signatures import call_parameters
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


#: Mistakes that both checkers must find: one a line, from the fifth on.
WRONG = """\
from pydantic import BaseModel
from llm_orchestrator import Conversation, LLMOrchestrator, Message
class City(BaseModel): name: str
def main(orchestrator: LLMOrchestrator, talk: Conversation, run: int) -> None:
    orchestrator.send_request("Hi", temperature="hot")
    orchestrator.send_request("Hi", response_format=City, max_tokens="many")
    orchestrator.send_request("Hi", response_format=City).parsed.name
    orchestrator.send_request("Hi", cache="sometimes")
    orchestrator.map(["a"], response_format=City, concurrency="all")
    talk.run("Hi", max_turns="many")
    talk.run("Hi", on_tool_error="ignore")
    Message("robot", "Hi")
    orchestrator.send_request("Hi", logprobs="many")
"""


def mypy(tmp_path: Path, *files: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mypy", reason="mypy is not installed: make environment")
    cache = ["--cache-dir", str(tmp_path / "cache"), "--follow-imports", "silent"]
    return run(sys.executable, "-m", "mypy", "--strict", "--config-file", "", *cache, *files)


def pyright(*files: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed: make environment")
    ended = run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *files)
    if "error" in ended.stderr and not ended.stdout:
        pytest.skip("pyright cannot fetch its own program here")
    return ended


@pytest.mark.slow
def test_x1_programs_hold_under_mypy_strict(tmp_path: Path) -> None:
    ended = mypy(tmp_path, *map(str, PROGRAMS))
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_x1_programs_hold_under_pyright() -> None:
    ended = pyright(*map(str, PROGRAMS))
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_x1_mistakes_are_found_by_both_checkers(tmp_path: Path, checker: str) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(WRONG, encoding="utf-8")

    ended = mypy(tmp_path, str(program)) if checker == "mypy" else pyright(str(program))

    found = {int(number) for number in re.findall(r"wrong\.py:(\d+)(?::\d+)?\W+error", ended.stdout)}
    assert found == set(range(5, len(WRONG.splitlines()) + 1)), ended.stdout


@pytest.mark.parametrize(
    ("template", "written"),
    [
        (signatures.typed_call, call_parameters),
        (signatures.typed_rows, LLMOrchestrator.map),
        (signatures.rows_of_any, LLMOrchestrator.map),
        (signatures.rows_of_any, LLMOrchestrator.amap),
        (signatures.typed_loop, loop_arguments),
        (signatures.loop_of_any, loop_arguments),
    ],
)
def test_x1_what_checkers_see_is_what_is_written(template: Any, written: Any) -> None:
    """The parameters of a template, but for ``response_format``, are those of the function that takes them."""

    def parameters(function: Any) -> Dict[str, Any]:
        found = inspect.signature(function).parameters.values()
        shown = {each.name: (each.kind, each.default, each.annotation) for each in found}
        return {name: facts for name, facts in shown.items() if name not in ("self", "response_format")}

    seen, meant = parameters(template), parameters(written)
    assert list(seen) == list(meant)
    assert {name: facts[:2] for name, facts in seen.items()} == {
        name: facts[:2] for name, facts in meant.items()
    }
    assert typing.get_type_hints(template)


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
