"""For the tests of applications and of providers: scripted answers, and the scenarios every provider passes.

``FakeProvider`` answers from a script, ``ScriptedOrchestrator`` puts it where an application has its
orchestrator. The pytest fixtures are in ``pytest_plugin``, the suite for authors of providers is in
``conformance``. The names are imported when they are first used, so that the
plugin alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from llm_orchestrator.testing.fake_provider import FakeProvider, FakeReply
    from llm_orchestrator.testing.no_network import NetworkGuard
    from llm_orchestrator.testing.scripted_orchestrator import ScriptedOrchestrator

__all__ = ["FakeProvider", "FakeReply", "NetworkGuard", "ScriptedOrchestrator"]

_HOME_OF = {
    "FakeProvider": "fake_provider",
    "FakeReply": "fake_provider",
    "NetworkGuard": "no_network",
    "ScriptedOrchestrator": "scripted_orchestrator",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
