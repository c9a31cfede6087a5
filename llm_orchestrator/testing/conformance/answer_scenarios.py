"""What a provider makes of an answer, the same whole and streamed, sync and async."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from llm_orchestrator.testing.conformance.answer import Answer
from llm_orchestrator.testing.conformance.bench import MODEL, STREAMED, Bench, document, stream_of
from llm_orchestrator.testing.conformance.under_test import ProviderUnderTest
from llm_orchestrator.types import FinishReason, ToolCall

__all__ = ["AnswerScenarios"]

CALLS = (
    ToolCall("call-1", "clock", {"zone": "Europe/Zürich"}, '{"zone": "Europe/Zürich"}'),
    ToolCall("call-2", "clock", {"zone": "UTC"}, '{"zone": "UTC"}'),
)
TOOLS = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]


class AnswerScenarios(ProviderUnderTest):
    """What stands in a response; every scenario but the last runs in all four ways."""

    def test_the_text_is_the_same_whole_and_streamed(self, bench: Bench, way: str) -> None:
        """Text of any language arrives as it was sent, and a stream's pieces add up to it."""
        answer = Answer(("Grüße, ", "世界 ", "🌍", "!"))
        bench.answers(way, answer)
        response = bench.ask(way)
        assert response.content == answer.text

    def test_an_answer_may_have_no_text(self, bench: Bench, way: str) -> None:
        """A model that spent its tokens on thinking, or was stopped at once, answers all the same."""
        bench.answers(way, Answer((), "length"))
        response = bench.ask(way)
        assert (response.content, response.finish_reason) == ("", FinishReason.LENGTH)

    def test_an_answer_says_who_gave_it(self, bench: Bench, way: str) -> None:
        """The response names the entry and the model, and brings the turn to append to the conversation."""
        bench.answers(way, Answer(model="served-model"))
        asked = bench.orchestrator()
        response = bench.ask(way, orchestrator=asked)
        assert (response.provider, response.requested_model) == (asked.active_provider, MODEL)
        assert response.model in ("served-model", MODEL), "the model that served, where the protocol tells"
        assert response.message is not None, "the response needs the turn to append to the conversation"
        assert (response.message.role, response.message.text) == ("assistant", response.content)
        assert response.message.provider == asked.active_provider

    def test_usage_is_what_the_server_told(self, bench: Bench, way: str) -> None:
        """Tokens are those of the server's count."""
        bench.answers(way, Answer(prompt_tokens=120, completion_tokens=30))
        usage = bench.ask(way).usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (120, 30, 150)
        assert usage.source == "reported"

    def test_usage_that_was_not_told_is_none(self, bench: Bench, way: str) -> None:
        """Unknown is not zero: an answer without counts has none, and says that they are missing."""
        bench.answers(way, Answer(prompt_tokens=None, completion_tokens=None))
        usage = bench.ask(way).usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (None, None, None)
        assert usage.source == "missing"

    @pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
    def test_why_an_answer_ended(self, bench: Bench, way: str, finish: str) -> None:
        """The provider's word for it becomes one of ours."""
        bench.answers(way, Answer(finish=finish))
        assert bench.ask(way).finish_reason is FinishReason(finish)

    def test_an_end_nobody_knows_is_other(self, bench: Bench, way: str) -> None:
        """A word that came up after the provider was written is ``other``, never a proper ``stop``."""
        bench.answers(way, Answer(finish="moon_phase"))
        assert bench.ask(way).finish_reason is FinishReason.OTHER

    def test_tool_calls(self, bench: Bench, way: str) -> None:
        """Calls arrive in order, each with an id and its arguments read; they go back with their results."""
        bench.answers(way, Answer((), "tool_calls", tool_calls=CALLS), Answer())
        response = bench.ask(way, tools=TOOLS)
        found = [(call.name, call.arguments) for call in response.tool_calls]
        assert found == [(call.name, call.arguments) for call in CALLS]
        assert len({call.id for call in response.tool_calls}) == len(
            CALLS
        ), "every call needs an id of its own"
        assert response.finish_reason is FinishReason.TOOL_CALLS
        assert response.message is not None and response.message.tool_calls == response.tool_calls

        results = [call.result(f"result-{place}") for place, call in enumerate(response.tool_calls)]
        question = {"role": "user", "content": "question"}
        bench.ask(way, messages=[question, response.message, *results], tools=TOOLS)
        body = bench.server.requests[-1].body.decode()
        turns = ["question", CALLS[0].name, *(f"result-{place}" for place in range(len(CALLS)))]
        missing = [text for text in turns if text not in body]
        assert not missing, f"not sent back: {missing}"

    def test_fields_nobody_knows_do_no_harm(self, bench: Bench, way: str) -> None:
        """Servers add fields to their replies whenever they like."""
        answer = Answer()
        if way in STREAMED:
            reply = stream_of([_with_news(event) for event in self.stream(answer)])
        else:
            reply = document(_with_news(self.whole(answer)))
        bench.server.script(reply)
        response = bench.ask(way)
        assert (response.content, response.finish_reason) == (answer.text, FinishReason.STOP)

    def test_reading_a_reply_changes_nothing(self, bench: Bench) -> None:
        """The same document gives the same response every time, and is left as it was."""
        body: Any = self.whole(Answer())
        if isinstance(body, bytes):
            pytest.skip("the protocol's documents are not JSON")
        before = copy.deepcopy(body)
        provider = bench.provider()
        assert provider.parse_reply(body, {}) == provider.parse_reply(body, {})
        assert body == before, "parse_reply must not change the document"


def _with_news(value: Any) -> Any:
    """A document with a field more in each of its objects."""
    if isinstance(value, dict):
        return {**{name: _with_news(inner) for name, inner in value.items()}, "x_news": {"since": [2]}}
    return [_with_news(inner) for inner in value] if isinstance(value, list) else value
