"""A parameter that a model rejects is left out, whether the call set it or the entry's default options."""

from __future__ import annotations

from typing import List, Optional, Union

import pytest

from llm_orchestrator import LLMOrchestrator, LLMRequest, UnsupportedParameterError
from llm_orchestrator.testing import FakeProvider
from tests.support.ways import ask


class Picky:
    """A model that takes no temperature, and notes what it was sent."""

    def __init__(self) -> None:
        self.seen: List[Optional[float]] = []

    def __call__(self, request: LLMRequest) -> Union[str, Exception]:
        self.seen.append(request.temperature)
        if request.temperature is None:
            return "Fine without."
        return UnsupportedParameterError("no", parameter="temperature", status_code=400)


@pytest.mark.parametrize(("options", "asked"), [({}, {"temperature": 0.3}), ({"temperature": 0.3}, {})])
def test_m1_a_rejected_parameter_is_left_out_and_remembered(options: dict, asked: dict, way: str) -> None:
    model = Picky()
    config = {"active_provider": "fake", "active_model": "picky", "providers": {}}
    with LLMOrchestrator(config, providers={"fake": FakeProvider(model, options=options)}) as orchestrator:
        first = ask(orchestrator, way, **asked)
        second = ask(orchestrator, way, **asked)

    assert model.seen == [0.3, None, None], "one resend, and none in the next call"
    assert [attempt.error for attempt in first.attempts] == ["UnsupportedParameterError", None]
    assert len(second.attempts) == 1
    for response in (first, second):
        assert any("temperature was left out" in warning for warning in response.warnings)


def test_an_option_may_be_a_number_out_of_a_variable() -> None:
    seen: List[Optional[float]] = []
    fake = FakeProvider(
        lambda request: seen.append(request.temperature) or "Hi", options={"temperature": "0.2"}
    )
    config = {"active_provider": "fake", "active_model": "m", "providers": {}}
    with LLMOrchestrator(config, providers={"fake": fake}) as orchestrator:
        orchestrator.send_request("Hi")

    assert seen == [0.2]
