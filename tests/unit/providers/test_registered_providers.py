"""Which class serves an entry: built in, registered by the application, or found as a plug-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest

from llm_orchestrator import providers
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers import adapter_names, find_adapter, is_known, register_provider
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from tests.support.small_adapter import SmallAdapter

PLUG_IN = """
from tests.support.small_adapter import SmallAdapter

class PlugIn(SmallAdapter):
    pass

def no_class():
    pass
"""
ENTRY_POINTS = """
[llm_orchestrator.providers]
plugged = small_plug_in:PlugIn
broken = small_plug_in:Missing
lost = no_such_module:PlugIn
wrong = small_plug_in:no_class
openai = small_plug_in:PlugIn
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Dict[str, Any]:
    """The registrations of one test."""
    mine: Dict[str, Any] = {}
    monkeypatch.setattr(providers, "_registered", mine)
    return mine


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution that offers providers."""
    (tmp_path / "small_plug_in.py").write_text(PLUG_IN)
    information = tmp_path / "small_plug_in-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: small-plug-in\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_registered_provider_is_found() -> None:
    assert not is_known("mine")
    register_provider("mine", SmallAdapter)
    assert is_known("mine") and "mine" in adapter_names()
    assert find_adapter("mine") is SmallAdapter


def test_what_the_application_registers_counts_before_what_is_built_in() -> None:
    assert find_adapter("openai") is OpenAIAdapter
    register_provider("openai", SmallAdapter)
    assert find_adapter("openai") is SmallAdapter


@pytest.mark.parametrize(
    "adapter", [dict, object(), None, SmallAdapter("{}")], ids=["class", "object", "None", "instance"]
)
def test_only_provider_classes_are_registered(adapter: Any) -> None:
    with pytest.raises(ConfigurationError, match="BaseLLMProvider"):
        register_provider("mine", adapter)
    assert not is_known("mine")


def test_the_built_in_adapters() -> None:
    assert {"anthropic", "gemini", "local", "openai"} <= set(adapter_names())
    assert find_adapter("openai").protocol == "openai"


def test_an_unknown_adapter_names_the_close_one_and_all() -> None:
    assert not is_known("opnai")
    with pytest.raises(ConfigurationError) as caught:
        find_adapter("opnai")
    assert "'opnai'" in str(caught.value)
    assert "Did you mean 'openai'?" in str(caught.value)
    assert "anthropic, azure, bedrock, gemini, gemini-legacy, local, openai, vertex" in str(caught.value)


def test_a_plug_in_is_found(plug_in: None) -> None:
    assert is_known("plugged") and "plugged" in adapter_names()
    found = find_adapter("plugged")
    assert found.__name__ == "PlugIn" and issubclass(found, SmallAdapter)


def test_a_plug_in_replaces_nothing_that_is_built_in(plug_in: None) -> None:
    assert find_adapter("openai") is OpenAIAdapter


@pytest.mark.parametrize(
    ("name", "reason"),
    [("broken", "small_plug_in:Missing"), ("lost", "no_such_module"), ("wrong", "BaseLLMProvider")],
)
def test_a_plug_in_that_cannot_be_used_says_why(plug_in: None, name: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        find_adapter(name)
