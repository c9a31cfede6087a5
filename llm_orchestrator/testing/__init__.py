"""Helpers for the tests of applications and of providers.

``FakeProvider`` answers from a script, and ``ScriptedOrchestrator`` is an orchestrator with such a provider.
The pytest fixtures are in ``pytest_plugin``, the test suite for authors of providers in ``conformance``. The
names are imported at first use, so that the plugin alone loads nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from llm_orchestrator.testing.fake_provider import FakeProvider
    from llm_orchestrator.testing.fake_reply import FakeReply
    from llm_orchestrator.testing.no_network import NetworkGuard
    from llm_orchestrator.testing.scripted_orchestrator import ScriptedOrchestrator

__all__ = ["FakeProvider", "FakeReply", "NetworkGuard", "ScriptedOrchestrator"]

_MODULES = {
    "FakeProvider": "fake_provider",
    "FakeReply": "fake_reply",
    "NetworkGuard": "no_network",
    "ScriptedOrchestrator": "scripted_orchestrator",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
