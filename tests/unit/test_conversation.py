"""The rules of a conversation: one provider for life, one call at a time, honest sums, and JSON that lasts."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from decimal import Decimal, localcontext
from typing import Any, Dict, List

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    AuthenticationError,
    Conversation,
    FinishReason,
    InvalidMessagesError,
    InvalidRequestError,
    LLMOrchestrator,
    Message,
    OrchestratorError,
    OutputParseError,
    OutputTruncatedError,
    ProviderSwitchError,
    StreamInterruptedError,
    TokenUsage,
    ToolCall,
)
from llm_orchestrator.testing import FakeProvider, FakeReply
from llm_orchestrator.types import messages
from llm_orchestrator.utils.values import evolve
from tests.support.fakes import ANSWER, play, warm  # noqa: F401 (warm is a fixture)

TWO = {"active_provider": "one", "active_model": "model-one", "providers": {}}


class Pair:
    """An orchestrator with two providers, the first of them active."""

    def __init__(self, **config: Any) -> None:
        self.one, self.two = FakeProvider("One.", name="one"), FakeProvider("Two.", name="two")
        self.orchestrator = self.with_config(**config)

    def with_config(self, **config: Any) -> LLMOrchestrator:
        return LLMOrchestrator({**TWO, **config}, providers={"one": self.one, "two": self.two})

    @property
    def asked(self) -> List[str]:
        return ["one"] * len(self.one.requests) + ["two"] * len(self.two.requests)


def reply(text: str, **tokens: int) -> FakeReply:
    return FakeReply(text, usage=TokenUsage(**tokens))


# ---------------------------------------------------------------- one provider for life


def test_r5_a_conversation_stays_whatever_becomes_active() -> None:
    pair = Pair()
    conversation = pair.orchestrator.start_conversation()
    pair.orchestrator.active_provider, pair.orchestrator.active_model = "two", "model-two"

    assert conversation.send("Hi").content == "One."
    assert (conversation.provider, conversation.model) == ("one", "model-one")
    assert pair.asked == ["one"]


@pytest.mark.parametrize("way", ["send", "stream", "astream"])
def test_r5_a_turn_of_another_provider_is_refused(way: str) -> None:
    pair = Pair()
    conversation = pair.orchestrator.start_conversation()
    foreign = Message("assistant", "Two.", provider="two")

    with pytest.raises(ProviderSwitchError, match="written by 'two'"):
        getattr(conversation, way)([foreign, {"role": "user", "content": "Go on"}])
    assert pair.asked == [] and conversation.messages == ()


def test_r5_a_saved_conversation_goes_on_with_its_provider() -> None:
    pair = Pair()
    conversation = pair.orchestrator.start_conversation("Be brief.")
    conversation.send("Hi")

    other = pair.with_config(active_provider="two", active_model="model-two")
    loaded = Conversation.from_json(conversation.to_json(), other)

    assert loaded.send("Again").content == "One."
    assert (loaded.provider, loaded.model) == ("one", "model-one")
    assert pair.asked == ["one", "one"]
    assert [message.text for message in pair.one.requests[1].messages] == ["Be brief.", "Hi", "One.", "Again"]


def test_r5_a_saved_conversation_is_refused_where_it_does_not_belong() -> None:
    pair = Pair()
    saved = pair.orchestrator.start_conversation().to_json()
    alone = LLMOrchestrator({**TWO, "active_provider": "two"}, providers={"two": pair.two})
    borrowed = LLMOrchestrator({**TWO, "providers": {"one": {"adapter": "openai", "api_key": "k"}}})

    for orchestrator, problem in [
        (pair.orchestrator.for_provider("two", "any"), r"made for 'two'. Use for_provider\('one'\)"),
        (alone, "there is none in the configuration. Configure it"),
        (borrowed, "adapter is 'openai' now and was 'one'"),
    ]:
        with pytest.raises(ProviderSwitchError, match=problem):
            Conversation.from_json(saved, orchestrator)
    assert Conversation.from_json(saved, pair.orchestrator.for_provider("one")).model == "model-one"
    assert pair.asked == []


def test_r5_turns_in_a_file_that_another_provider_wrote_are_refused() -> None:
    pair = Pair()
    conversation = pair.orchestrator.start_conversation()
    conversation.send("Hi")
    with pytest.raises(ProviderSwitchError, match="written by 'two'"):
        Conversation.from_json(
            conversation.to_json().replace('"provider": "one"}', '"provider": "two"}'), pair.orchestrator
        )


def test_the_model_is_the_programs_the_configurations_or_the_saved_one() -> None:
    pair = Pair()
    saved = pair.orchestrator.start_conversation(model="old").to_json()

    assert Conversation.from_json(saved, pair.orchestrator, model="new").model == "new"
    assert Conversation.from_json(saved, pair.orchestrator).model == "model-one"
    assert Conversation.from_json(saved, pair.with_config(active_provider="two")).model == "old"


# ---------------------------------------------------------------- one call at a time


def test_threads_at_once_are_refused_but_for_one() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: Any) -> str:
        asked.set()
        assert go_on.wait(5)
        return "Yes."

    scene = play(slow)
    conversation = scene.orchestrator.start_conversation()
    first = threading.Thread(target=conversation.send, args=("First",))
    first.start()
    assert asked.wait(5)
    for take in (conversation.send, conversation.stream, conversation.astream):
        with pytest.raises(
            OrchestratorError, match="Another call of this conversation is running. Let it end"
        ):
            take("Second")
    with pytest.raises(OrchestratorError, match="Another call"):
        conversation.undo()
    go_on.set()
    first.join()

    assert [message.text for message in conversation.messages] == ["First", "Yes."]
    assert conversation.send("Third").content == "Yes."
    assert len(scene.asked) == 2


def test_of_many_threads_one_gets_through_each_time() -> None:
    conversation = play(FakeReply("Yes.", delay=0.001)).orchestrator.start_conversation()
    barrier = threading.Barrier(8)
    refused: List[str] = []

    def take_turns() -> None:
        barrier.wait()
        for _ in range(3):
            try:
                conversation.send("Hi")
            except OrchestratorError:
                refused.append("refused")

    threads = [threading.Thread(target=take_turns) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    answered = 24 - len(refused)
    assert answered >= 1
    assert [message.role for message in conversation.messages] == ["user", "assistant"] * answered


def test_of_many_tasks_one_gets_through() -> None:
    scene = play(FakeReply("Yes.", delay=0.001))
    conversation = scene.orchestrator.start_conversation()

    async def scenario() -> List[Any]:
        turns = (conversation.asend("Hi") for _ in range(10))
        return list(await asyncio.gather(*turns, return_exceptions=True))

    first, *others = asyncio.run(scenario())
    assert first.content == "Yes."
    assert {str(error).split(".")[0] for error in others} == {"Another call of this conversation is running"}
    assert len(scene.asked) == 1 and len(conversation.messages) == 2


def test_an_open_stream_holds_the_conversation_until_its_end() -> None:
    scene = play()
    conversation = scene.orchestrator.start_conversation()
    early = conversation.stream("Early")
    with conversation.stream("First") as stream:
        with pytest.raises(OrchestratorError, match="close its stream"):
            conversation.send("Second")
        with pytest.raises(OrchestratorError, match="close its stream"):
            next(early)
        assert stream.final_response().content == ANSWER
    assert conversation.send("Third").content == ANSWER
    assert len(scene.asked) == 2


def test_a_stream_that_was_never_started_is_in_nobodys_way() -> None:
    scene = play()
    conversation = scene.orchestrator.start_conversation()
    later = conversation.stream("Later")
    conversation.send("First")
    assert "".join(later) == ANSWER
    assert [message.text for message in scene.provider.requests[1].messages] == ["First", ANSWER, "Later"]
    assert len(conversation.messages) == 4


# ---------------------------------------------------------------- sums


def test_the_cost_is_exact_and_says_what_it_lacks() -> None:
    priced = reply("Yes.", prompt_tokens=100, completion_tokens=20, total_tokens=120)
    conversation = play(priced).orchestrator.start_conversation()
    assert (conversation.cost, conversation.unpriced_requests) == (0, 0)

    costs = [conversation.send("Hi").cost for _ in range(3)]
    assert None not in costs
    assert (conversation.cost, conversation.unpriced_requests) == (sum(costs, Decimal(0)), 0)  # type: ignore[arg-type]

    assert conversation.send("Hi", model="nobody-knows-its-price").cost is None
    assert (conversation.cost, conversation.unpriced_requests) == (sum(costs, Decimal(0)), 1)  # type: ignore[arg-type]


def test_the_cost_is_exact_in_an_application_with_a_coarse_decimal_context() -> None:
    scene = play()
    document = json.loads(scene.orchestrator.start_conversation().to_json())
    conversation = Conversation.from_json(json.dumps({**document, "cost": "1000.125"}), scene.orchestrator)
    with localcontext() as context:
        context.prec = 3
        cost = conversation.send("Hi").cost
    assert conversation.cost == Decimal("1000.125") + (cost or 0) and cost


def test_a_cost_known_in_part_counts_as_both() -> None:
    from llm_orchestrator.calls.conversation_state import ConversationState
    from llm_orchestrator.pricing import CostDetails
    from llm_orchestrator.types import LLMResponse

    part = LLMResponse("", "m", "p", cost=Decimal("0.5"), cost_details=CostDetails("partial"))
    state = ConversationState().with_cost_of(part)
    assert (state.cost, state.unpriced_requests) == (Decimal("0.5"), 1)


def test_usage_adds_what_was_told() -> None:
    conversation = play(
        reply("a", prompt_tokens=10, completion_tokens=5, total_tokens=15),
        reply("b", prompt_tokens=20, completion_tokens=5, total_tokens=25, reasoning_tokens=0),
        FakeReply("c", usage=TokenUsage(source="missing")),
    ).orchestrator.start_conversation()
    assert conversation.usage.total_tokens is None, "nothing was told yet"

    conversation.send("1")
    assert conversation.usage == TokenUsage(10, 5, 15)
    conversation.send("2")
    assert conversation.usage == TokenUsage(30, 10, 40, reasoning_tokens=0)
    conversation.send("3")
    assert conversation.usage == TokenUsage(30, 10, 40, reasoning_tokens=0, source="partial")


def test_usage_that_nobody_told_is_missing() -> None:
    silent = FakeReply("c", usage=TokenUsage(source="missing"))
    conversation = play(silent).orchestrator.start_conversation()
    conversation.send("1")
    assert conversation.usage == TokenUsage(source="missing")


class City(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("text", "finish", "error"),
    [("no json", FinishReason.STOP, OutputParseError), ('{"na', FinishReason.LENGTH, OutputTruncatedError)],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_does_not_fit_is_paid_but_not_kept(
    text: str, finish: FinishReason, error: Any, streamed: bool
) -> None:
    usage = TokenUsage(prompt_tokens=100, completion_tokens=20, total_tokens=120)
    scene = play(FakeReply(text, finish_reason=finish, usage=usage), '{"name": "Rome"}')
    conversation = scene.orchestrator.start_conversation(response_format=City)

    with pytest.raises(error) as caught:
        conversation.stream("Hi").final_response() if streamed else conversation.send("Hi")

    assert conversation.messages == ()
    assert (conversation.cost, conversation.usage) == (caught.value.response.cost, usage)
    assert conversation.send("Hi").parsed == City(name="Rome")


def test_a_stream_that_broke_off_is_counted_as_far_as_known() -> None:
    cut = FakeReply(chunks=["One", " two"], error=StreamInterruptedError("cut"))
    conversation = play(cut, ANSWER).orchestrator.start_conversation()
    with pytest.raises(StreamInterruptedError):
        conversation.stream("Hi").final_response()
    assert (conversation.messages, conversation.unpriced_requests) == ((), 1)
    assert conversation.usage.source == "missing"


def test_a_refused_request_costs_nothing() -> None:
    conversation = play(AuthenticationError("No."), ANSWER).orchestrator.start_conversation()
    with pytest.raises(AuthenticationError):
        conversation.send("Hi")
    assert (conversation.cost, conversation.unpriced_requests, conversation.messages) == (0, 0, ())


# ---------------------------------------------------------------- what belongs to whom


def test_nobody_can_change_what_was_said() -> None:
    scene = play()
    conversation = scene.orchestrator.start_conversation()
    part: Dict[str, Any] = {"type": "text", "text": "Hi"}
    turns = [{"role": "user", "content": [part]}]

    conversation.send(turns)
    part["text"] = "Bye"
    turns.clear()

    assert isinstance(conversation.messages, tuple)
    assert [message.text for message in conversation.messages] == ["Hi", ANSWER]
    with pytest.raises(AttributeError):
        conversation.messages = ()  # type: ignore[misc]


def test_a_provider_that_makes_no_message_is_no_trouble() -> None:
    class Terse(FakeProvider):
        def parse_reply(self, body: Any, headers: Any) -> Any:
            return evolve(super().parse_reply(body, headers), message=None)

    conversation = play(provider_class=Terse).orchestrator.start_conversation()
    conversation.send("Hi")
    assert conversation.messages[-1] == Message("assistant", ANSWER, provider="fake")


def test_old_turns_are_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = play().orchestrator.start_conversation("Be brief.")
    checked: List[Any] = []
    check = messages._checked
    monkeypatch.setattr(messages, "_checked", lambda turn, index: checked.append(turn) or check(turn, index))  # type: ignore[func-returns-value]
    for number in range(20):
        conversation.send({"role": "user", "content": str(number)})
    assert [turn.text for turn in checked] == [str(number) for number in range(20)]


def test_the_schema_of_a_function_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_orchestrator.request import tools

    def clock(zone: str) -> str:
        return zone

    made: List[str] = []
    make = tools._from_function
    monkeypatch.setattr(tools, "_from_function", lambda tool: made.append(tool.__name__) or make(tool))  # type: ignore[func-returns-value]
    scene = play()
    conversation = scene.orchestrator.start_conversation(tools=[clock])
    for _ in range(3):
        conversation.send("Hi")
    assert made == ["clock"]
    assert [request.tools[0]["function"]["name"] for request in scene.provider.requests] == ["clock"] * 3


def test_wrong_defaults_are_refused_at_the_start() -> None:
    with pytest.raises(InvalidRequestError, match="temperature"):
        play().orchestrator.start_conversation(temperature="hot")


def test_arguments_of_a_turn_replace_those_of_the_conversation() -> None:
    scene = play()
    conversation = scene.orchestrator.start_conversation(temperature=0.5, max_tokens=70)
    conversation.send("Hi")
    conversation.send("Hi", temperature=1.0)
    conversation.stream("Hi", temperature=None).final_response()
    assert [request.temperature for request in scene.provider.requests] == [0.5, 1.0, None]
    assert [request.max_tokens for request in scene.provider.requests] == [70, 70, 70]


@pytest.mark.parametrize("one", [{"role": "user", "content": "Hi"}, Message("user", "Hi")])
def test_one_message_needs_no_list(one: Any) -> None:
    conversation = play().orchestrator.start_conversation()
    conversation.send(one)
    assert conversation.messages[0] == Message("user", "Hi")


def test_undo_takes_back_the_answer_and_what_it_answered() -> None:
    called = FakeReply(tool_calls=[ToolCall("c1", "add", {"a": 1}, '{"a": 1}')])
    conversation = play(called, "Two.").orchestrator.start_conversation("Add.")
    with pytest.raises(OrchestratorError, match="no answer to take back"):
        conversation.undo()
    (call,) = conversation.send("One and one?").tool_calls
    conversation.send([call.result("2")])

    assert [message.role for message in conversation.undo()] == ["tool"]
    assert [message.role for message in conversation.messages] == ["system", "user", "assistant"]
    assert [message.role for message in conversation.undo()] == ["user"]
    assert [message.role for message in conversation.messages] == ["system"]


def test_it_cannot_be_copied_and_shows_no_text() -> None:
    conversation = play().orchestrator.start_conversation("The secret plan")
    with pytest.raises(TypeError, match="to_json"):
        copy.copy(conversation)
    assert repr(conversation) == "Conversation(provider='fake', model='priced', messages=1)"


# ---------------------------------------------------------------- JSON


def test_everything_but_the_defaults_survives() -> None:
    call = FakeReply(text="Grüße 🌍", tool_calls=[ToolCall("c1", "add", {"a": [1, 2.0]}, '{"a": [1, 2.0]}')])
    scene = play(call)
    conversation = scene.orchestrator.start_conversation("Add.", extra_headers={"x-token": "secret"})
    conversation.send([{"role": "user", "content": [{"type": "text", "text": "\ud83d half"}]}])

    text = conversation.to_json()
    loaded = Conversation.from_json(text, scene.orchestrator)

    assert text.isascii() and "secret" not in text
    assert json.loads(text)["version"] == 1
    assert loaded.messages == conversation.messages
    assert (loaded.cost, loaded.unpriced_requests) == (conversation.cost, conversation.unpriced_requests)
    assert loaded.cost > 0 and loaded.usage == conversation.usage
    assert loaded.to_json() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        '{"version": 1}',
        '{"version": 1, "provider": "fake"}',
    ],
)
def test_what_is_no_conversation_is_refused(text: str) -> None:
    orchestrator = play().orchestrator
    document = json.dumps({**json.loads(text), "adapter": "fake"}) if "fake" in text else text
    with pytest.raises(
        InvalidMessagesError, match="not a saved conversation .* Pass the string that to_json returned"
    ):
        Conversation.from_json(document, orchestrator)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"provider": 5}, "provider is 5"),
        ({"model": ["m"]}, r"model is \['m'\]"),
        ({"cost": "NaN"}, "cost is 'NaN'"),
        ({"cost": "sNaN"}, "cost is 'sNaN'"),
        ({"cost": "-Infinity"}, "cost is '-Infinity'"),
        ({"usage": {"prompt_tokens": "ten"}}, "prompt_tokens is 'ten'"),
        ({"usage": {"completion_tokens": [1]}}, r"completion_tokens is \[1\]"),
        ({"usage": {"total_tokens": -1}}, "total_tokens is -1"),
    ],
)
def test_what_a_conversation_cannot_go_on_with_is_refused(changes: Any, problem: str) -> None:
    scene = play()
    document = json.loads(scene.orchestrator.start_conversation("Be brief.").to_json())
    document.update({**changes, "usage": {**document["usage"], **changes.get("usage", {})}})
    with pytest.raises(InvalidMessagesError, match=problem):
        Conversation.from_json(json.dumps(document), scene.orchestrator)


def test_a_saved_conversation_takes_no_other_system_message() -> None:
    scene = play()
    saved = scene.orchestrator.start_conversation("Be brief.").to_json()
    with pytest.raises(InvalidRequestError, match="its own system message"):
        Conversation.from_json(saved, scene.orchestrator, system="Be long.")


@pytest.mark.parametrize("version", [0, 2, "1"])
def test_another_version_is_refused(version: Any) -> None:
    conversation = play().orchestrator.start_conversation()
    text = json.dumps({**json.loads(conversation.to_json()), "version": version})
    with pytest.raises(InvalidMessagesError, match="only 1 is known here"):
        Conversation.from_json(text, play().orchestrator)


def test_a_malformed_message_is_named() -> None:
    scene = play()
    conversation = scene.orchestrator.start_conversation("Be brief.")
    conversation.send("Hi")
    document = json.loads(conversation.to_json())
    document["messages"][1] = {"role": "user"}
    with pytest.raises(InvalidMessagesError, match=r"messages\[1\] has no content"):
        Conversation.from_json(json.dumps(document), scene.orchestrator)


def test_what_json_cannot_hold_is_refused() -> None:
    conversation = play().orchestrator.start_conversation()
    conversation.send([{"role": "user", "content": [{"type": "text", "text": "Hi", "odd": {1, 2}}]}])
    with pytest.raises(InvalidMessagesError, match="more than JSON can"):
        conversation.to_json()


def test_messages_are_no_argument_of_a_conversation() -> None:
    with pytest.raises(InvalidRequestError, match="begins without messages. Pass them"):
        Pair().orchestrator.start_conversation(messages=[])
