"""The pages on frameworks: their programs run from the top to the end, and name what the reference lists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from llm_orchestrator import LLMOrchestrator
from tests.docs.test_documents import FRAMEWORKS, folder, name_of, run_page  # noqa: F401 (a fixture)
from tests.docs.test_reference import chapters
from tests.support.scripted_server import DIALECTS, Call, Reply, Request, ScriptedServer
from tests.support.scripted_server.smart import example_of, smart_reply

#: What each page needs, by its name.
NEEDS = {
    "dspy": ["dspy"],
    "instructor": ["instructor", "openai"],
    "langchain": ["langchain"],
    "pydantic-ai": ["pydantic_ai"],
}
#: The modules that need a framework.
MODULES = {
    "langchain": "langchain_core",
    "pydantic_ai": "pydantic_ai",
    "dspy": "dspy",
    "openai_sdk": "openai",
}
#: Where DSPy says which fields an answer must have.
FIELD = re.compile(r"`\[\[ ## (\w+) ## \]\]`")
TOOLS = {"next_tool_name": "finish", "next_tool_args": "{}"}


def in_fields(request: Request) -> Reply:
    """Answer as DSPy asks models to."""
    dialect = DIALECTS["chat"]
    _, question = dialect.read_request(request.body, request.path)["messages"][-1]
    names = [name for name in FIELD.findall(question) if name != "completed"]
    return dialect.whole("".join(f"[[ ## {name} ## ]]\n{TOOLS.get(name, '1')}\n\n" for name in names))


def by_a_tool(request: Request) -> Reply:
    """End a run as pydantic-ai asks models to: by a tool, once the others have been called."""
    dialect = DIALECTS["chat"]
    tools = dialect.read_wishes(request.body).tools
    role, _ = dialect.read_request(request.body, request.path)["messages"][-1]
    if "final_result" not in tools or role != "tool":
        return smart_reply(request)
    call = Call("final_result", example_of(tools["final_result"], tools["final_result"]))
    return dialect.whole("", tool_calls=[call], finish="tool_calls")


#: Models that answer as a framework needs it; for the others any will do.
ANSWERS = {"dspy": in_fields, "pydantic-ai": by_a_tool}


@pytest.mark.parametrize("page", FRAMEWORKS, ids=name_of)
def test_the_programs_of_a_page_run(
    page: Path,
    folder: Path,  # noqa: F811
    server: ScriptedServer,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for package in NEEDS[page.stem]:
        pytest.importorskip(package, reason=f"{package} is not installed: make test-frameworks")
    monkeypatch.setenv("DSPY_CACHEDIR", str(folder / "cache"))
    server.default = ANSWERS.get(page.stem, smart_reply)
    names = run_page(page, folder, request.getfixturevalue)
    for value in names.values():
        if isinstance(value, LLMOrchestrator):
            value.close()
    assert server.requests


@pytest.mark.parametrize("name", MODULES)
def test_the_reference_has_every_name(name: str) -> None:
    pytest.importorskip(MODULES[name], reason=f"{MODULES[name]} is not installed: make test-frameworks")
    module = f"llm_orchestrator.frameworks.{name}"
    listed: Any = [each for home, found in chapters() if home == module for each in found]
    assert sorted(listed) == sorted(importlib.import_module(module).__all__)
