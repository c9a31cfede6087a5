"""Our own adapters pass the suite that authors of providers run, with the vendors' real SDKs."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, ClassVar, List, Mapping, Optional, Sequence

import pytest

from llm_orchestrator.providers import find_adapter
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.testing.conformance import Answer, ProviderConformance
from llm_orchestrator.testing.conformance.bench import Bench
from llm_orchestrator.testing.reply_server import ReplyServer
from llm_orchestrator.types import JSON, LLMRequest
from llm_orchestrator.utils.values import evolve
from tests.support.scripted_server import DIALECTS, Dialect, Usage
from tests.support.scripted_server import Call as ScriptedCall
from tests.support.scripted_server.wire_base import Answer as ScriptedAnswer

pytestmark = pytest.mark.slow  # real calls, many of them at once


@pytest.mark.usefixtures("vendor_sdks")
class OurConformance(ProviderConformance):
    """One of our adapters, whose server speaks a dialect of the scripted server."""

    dialect: ClassVar[Dialect]

    def provider(self, url: str, **settings: Any) -> BaseLLMProvider:
        entry = self.dialect.config_entry(url)
        entry.update(settings)
        return find_adapter(self.dialect.provider)(self.dialect.provider, **entry)

    def whole(self, answer: Answer) -> JSON:
        return self.dialect.document(scripted(answer))

    def stream(self, answer: Answer) -> Sequence[Any]:
        events: List[Any] = list(self.dialect.events(scripted(answer), complete=True))
        return [event if isinstance(event, dict) else f"data: {event}\n\n".encode() for event in events]

    def failure(self, status: int, message: str) -> JSON:
        code = self.dialect.codes.get(status, self.dialect.codes[500 if status >= 500 else 400])
        return self.dialect.error_body(status, code, message, None)

    def listing(self, models: Sequence[str]) -> JSON:
        return self.dialect.listing([self.dialect.model_entry(name) for name in models], False)

    def model(self, name: str) -> JSON:
        return self.dialect.model_entry(name)


def scripted(answer: Answer) -> ScriptedAnswer:
    calls = tuple(ScriptedCall(call.name, call.arguments or {}, call.id) for call in answer.tool_calls)
    told = answer.prompt_tokens is not None and answer.completion_tokens is not None
    usage: Optional[Usage] = Usage(answer.prompt_tokens or 0, answer.completion_tokens or 0) if told else None
    return ScriptedAnswer(answer.pieces, usage, answer.finish, calls, model=answer.model)


class TestOpenAIResponses(OurConformance):
    dialect = DIALECTS["responses"]
    not_applicable: ClassVar[Mapping[str, str]] = {
        "test_an_end_nobody_knows_is_other": "a stream ends with an event of its own for each status",
    }


class TestOpenAIChat(OurConformance):
    dialect = DIALECTS["chat"]


class TestAnthropic(OurConformance):
    dialect = DIALECTS["anthropic"]


class TestGemini(OurConformance):
    dialect = DIALECTS["gemini"]


class ForgetsResults(OpenAIAdapter):
    """Sends a history without what the tools said."""

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        wire = super().build_request(request, stream=stream)
        turns = [turn for turn in (wire.body or {})["messages"] if turn["role"] != "tool"]
        return evolve(wire, body={**(wire.body or {}), "messages": turns})


def test_a_provider_that_loses_the_results_of_tools_does_not_pass() -> None:
    class Forgetful(OurConformance):
        dialect = DIALECTS["chat"]

        def provider(self, url: str, **settings: Any) -> BaseLLMProvider:
            entry = self.dialect.config_entry(url)
            return ForgetsResults("openai", **{**entry, **settings})

    with ReplyServer() as server, ExitStack() as resources:
        bench = Bench(Forgetful(), server, resources)
        with pytest.raises(AssertionError, match="not sent back: .'result-0'"):
            Forgetful().test_tool_calls(bench, "whole")
