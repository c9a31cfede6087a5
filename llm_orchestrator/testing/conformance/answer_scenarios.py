"""How a provider reads an answer: the same whole and streamed, sync and async."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from llm_orchestrator.testing.conformance.answer import Answer
from llm_orchestrator.testing.conformance.bench import MODEL, STREAMED, Bench, Scenarios, document, stream_of
from llm_orchestrator.types import FinishReason, ToolCall

__all__ = ["AnswerScenarios"]

CALLS = (
    ToolCall("call-1", "clock", {"zone": "Europe/Zürich"}, '{"zone": "Europe/Zürich"}'),
    ToolCall("call-2", "clock", {"zone": "UTC"}, '{"zone": "UTC"}'),
)
TOOLS = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]


class AnswerScenarios(Scenarios):
    """What is in a response; every scenario but the last runs in all four ways."""

    def test_the_text_is_the_same_whole_and_streamed(self, bench: Bench, way: str) -> None:
        """Text in any language arrives as it was sent, and the pieces of a stream add up to it."""
        answer = Answer(("Grüße, ", "世界 ", "🌍", "!"))
        bench.answers(way, answer)
        response = bench.ask(way)
        assert response.content == answer.text

    def test_an_answer_may_have_no_text(self, bench: Bench, way: str) -> None:
        """The answer of a model that used all its tokens for reasoning has no text, and is not an error."""
        bench.answers(way, Answer((), "length"))
        response = bench.ask(way)
        assert (response.content, response.finish_reason) == ("", FinishReason.LENGTH)

    def test_an_answer_says_who_gave_it(self, bench: Bench, way: str) -> None:
        """The response has the entry, the model and the message to append to the conversation."""
        bench.answers(way, Answer(model="served-model"))
        asked = bench.orchestrator()
        response = bench.ask(way, orchestrator=asked)
        assert (response.provider, response.requested_model) == (asked.active_provider, MODEL)
        assert response.model in (
            "served-model",
            MODEL,
        ), "the model that served, where the protocol reports it"
        assert response.message is not None, "the response needs the message to append to the conversation"
        assert (response.message.role, response.message.text) == ("assistant", response.content)
        assert response.message.provider == asked.active_provider

    def test_usage_is_what_the_server_told(self, bench: Bench, way: str) -> None:
        """Usage is what the server reported."""
        bench.answers(way, Answer(prompt_tokens=120, completion_tokens=30))
        usage = bench.ask(way).usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (120, 30, 150)
        assert usage.source == "reported"

    def test_usage_that_was_not_told_is_none(self, bench: Bench, way: str) -> None:
        """Unknown is not zero: usage that the server did not report is None, and marked as missing."""
        bench.answers(way, Answer(prompt_tokens=None, completion_tokens=None))
        usage = bench.ask(way).usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (None, None, None)
        assert usage.source == "missing"

    @pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
    def test_why_an_answer_ended(self, bench: Bench, way: str, finish: str) -> None:
        """The provider's finish reason becomes one of ``FinishReason``."""
        bench.answers(way, Answer(finish=finish))
        assert bench.ask(way).finish_reason is FinishReason(finish)

    def test_an_end_nobody_knows_is_other(self, bench: Bench, way: str) -> None:
        """An unknown finish reason is ``other``, never ``stop``."""
        bench.answers(way, Answer(finish="moon_phase"))
        assert bench.ask(way).finish_reason is FinishReason.OTHER

    def test_tool_calls(self, bench: Bench, way: str) -> None:
        """Tool calls arrive in order, with id and parsed arguments, and are sent back with their results."""
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
        """Unknown fields in a reply are ignored, because servers add fields at any time."""
        answer = Answer()
        if way in STREAMED:
            reply = stream_of([_with_unknown_fields(event) for event in self.stream(answer)])
        else:
            reply = document(_with_unknown_fields(self.whole(answer)))
        bench.server.script(reply)
        response = bench.ask(way)
        assert (response.content, response.finish_reason) == (answer.text, FinishReason.STOP)

    def test_reading_a_reply_changes_nothing(self, bench: Bench) -> None:
        """The same document gives the same response every time, and is not changed."""
        body: Any = self.whole(Answer())
        if isinstance(body, bytes):
            pytest.skip("the protocol's documents are not JSON")
        before = copy.deepcopy(body)
        provider = bench.provider()
        assert provider.parse_reply(body, {}) == provider.parse_reply(body, {})
        assert body == before, "parse_reply must not change the document"


def _with_unknown_fields(value: Any) -> Any:
    """A document with one more field in each of its objects."""
    if isinstance(value, dict):
        return {
            **{name: _with_unknown_fields(inner) for name, inner in value.items()},
            "x_unknown": {"since": [2]},
        }
    return [_with_unknown_fields(inner) for inner in value] if isinstance(value, list) else value
