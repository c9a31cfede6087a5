"""The scenarios that all providers of this library pass, for authors of providers to run against their own.

Derive a test class from ``ProviderConformance``, write how to make your provider and how its server sends an
``Answer``, and run pytest, which collects every scenario. A server on loopback takes the place of your
provider's. See ``docs/adding-a-provider.md`` for a complete example.
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
    """All scenarios; a test class derived from it runs them against one provider.

    Write ``provider``, ``whole`` and ``stream``, and also ``failure``, ``listing`` and ``model`` where their
    defaults do not fit the protocol. Put scenarios that cannot apply into ``not_applicable``, each with its
    reason; they are reported as skipped.
    """
