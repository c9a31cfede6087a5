"""The scenarios every provider of this library passes, for authors of providers to run against their own.

Derive a test class from ``ProviderConformance``, tell it how to make your provider and how your provider's
server would say an ``Answer``, and run pytest: it collects every scenario. A server on loopback plays your
provider's; nothing leaves the machine. See ``docs/adding-a-provider.md`` for a whole example.
"""

from __future__ import annotations

import pytest

# So that a scenario that fails shows the values it compared: said before the modules are imported.
pytest.register_assert_rewrite(
    *(f"{__name__}.{kind}_scenarios" for kind in ("answer", "failure", "request", "sharing", "stream"))
)

from llm_orchestrator.testing.conformance.answer import Answer
from llm_orchestrator.testing.conformance.answer_scenarios import AnswerScenarios
from llm_orchestrator.testing.conformance.failure_scenarios import FailureScenarios
from llm_orchestrator.testing.conformance.request_scenarios import RequestScenarios
from llm_orchestrator.testing.conformance.sharing_scenarios import SharingScenarios
from llm_orchestrator.testing.conformance.stream_scenarios import StreamScenarios

__all__ = ["Answer", "ProviderConformance"]


class ProviderConformance(
    RequestScenarios, AnswerScenarios, StreamScenarios, FailureScenarios, SharingScenarios
):
    """Every scenario; a test class derived from it runs them against one provider.

    Write ``provider``, ``whole`` and ``stream``; where they do not fit your protocol, also ``failure``,
    ``listing`` and ``model``. Scenarios that cannot apply are named in ``not_applicable`` with the reason,
    and are shown as skipped with it.
    """
