"""Frameworks are imported on request only, and one that is missing is named with what installs it."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

#: The modules of ours, what they import, and what their errors say to run.
MODULES = {
    "langchain": ("langchain_core", "llm-orchestrator[langchain]"),
    "pydantic_ai": ("pydantic_ai", "llm-orchestrator[pydantic-ai]"),
    "openai_sdk": ("openai", "llm-orchestrator[openai]"),
    "dspy": ("dspy", "dspy>=3.4,<3.5"),
}


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    program = (
        "import sys\n"
        "from llm_orchestrator import LLMOrchestrator\n"
        "from llm_orchestrator.testing import FakeProvider\n"
        "config = {'active_provider': 'fake', 'active_model': 'm', 'providers': {}}\n"
        "with LLMOrchestrator(config, providers={'fake': FakeProvider(['Hi'])}) as orchestrator:\n"
        "    orchestrator.openai.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'Hi'}])\n"
        f"print([name for name in {[package for package, _ in MODULES.values()]} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", MODULES)
def test_a_missing_framework_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package, remedy = MODULES[name]
    module = f"llm_orchestrator.frameworks.{name}"
    for known in [known for known in sys.modules if known == module or known.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as caught:
        importlib.import_module(module)
    assert remedy in str(caught.value)
