"""FakeProvider: what applications script it to do, it does, in all four ways."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Awaitable, Callable, List

import pytest

from llm_orchestrator import (
    ConfigurationError,
    FinishReason,
    InvalidRequestError,
    LLMOrchestrator,
    LLMRequest,
    ModelNotFoundError,
    ProviderTimeoutError,
    RateLimitError,
    StreamInterruptedError,
    TokenLogprob,
    TokenUsage,
    ToolCall,
)
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.testing import FakeProvider, FakeReply
from tests.support.fakes import MODEL, play, warm  # noqa: F401 (warm is a fixture)
from tests.support.ways import ask


def test_without_a_script_there_is_an_answer(way: str) -> None:
    scene = play()
    scene.provider._script = FakeProvider()._script
    assert ask(scene.orchestrator, way).content == "This is a scripted answer."


def test_another_script_answers_from_the_next_request_on(way: str) -> None:
    scene = play("One.", "Two.")
    assert ask(scene.orchestrator, way).content == "One."
    scene.provider.answers("Three.", "Four.")
    assert [ask(scene.orchestrator, way).content for _ in range(3)] == ["Three.", "Four.", "Four."]


def test_the_script_is_followed_and_its_last_entry_repeats(way: str) -> None:
    scene = play("One.", FakeReply("Two."), lambda request: f"Three: {request.messages[0].text}")
    answers = [ask(scene.orchestrator, way, "Hi").content for _ in range(4)]
    assert answers == ["One.", "Two.", "Three: Hi", "Three: Hi"]


@pytest.mark.parametrize("single", ["One.", FakeReply("One."), lambda request: "One."])
def test_a_script_may_be_a_single_entry(single: Any) -> None:
    provider = FakeProvider(single)
    assert provider.send_request(LLMRequest("m", ())).content == "One."


def test_functions_may_make_any_entry(way: str) -> None:
    def answer(request: LLMRequest) -> Any:
        return FakeReply(refusal="No.") if request.temperature is None else RateLimitError("Slow.")

    scene = play(answer, max_retries=0)
    assert ask(scene.orchestrator, way).refusal == "No."
    with pytest.raises(RateLimitError):
        ask(scene.orchestrator, way, temperature=1)


def test_an_empty_script_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="The script of a FakeProvider is empty. Pass"):
        FakeProvider([])


def test_every_field_of_a_reply_arrives(way: str) -> None:
    call = ToolCall("c1", "add", {"a": 1}, '{"a": 1}')
    usage = TokenUsage(10, 5, 15, cached_tokens=4, reasoning_tokens=2)
    reply = FakeReply("Two words", None, [call], "Thinking.", "Partly.", FinishReason.CONTENT_FILTER, usage)
    response = ask(play(reply).orchestrator, way)
    assert (response.content, response.reasoning, response.refusal) == ("Two words", "Thinking.", "Partly.")
    assert (response.tool_calls, response.usage) == ((call,), usage)
    assert response.finish_reason is FinishReason.CONTENT_FILTER
    assert response.raw_finish_reason == "content_filter"


def test_log_probabilities_are_given_to_who_asks_for_them(way: str) -> None:
    told = (TokenLogprob("Yes", -0.1, b"Yes", (TokenLogprob("Yes", -0.1), TokenLogprob("No", -2.4))),)
    orchestrator = play(FakeReply("Yes", logprobs=told)).orchestrator
    asked = ask(orchestrator, way, logprobs=2)
    assert (asked.logprobs, asked.warnings) == (told, ())
    assert ask(orchestrator, way).logprobs == ()


def test_usage_is_counted_in_words_unless_given(way: str) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2+2?"}]
    response = ask(play("It is four.").orchestrator, way, messages)
    assert response.usage == TokenUsage(5, 3, 8)


@pytest.mark.parametrize(
    ("reply", "pieces"),
    [
        (FakeReply("One two  three\n"), ["One", " two", "  three", "\n"]),
        (FakeReply(chunks=["On", "e two"]), ["On", "e two"]),
        (FakeReply(""), []),
    ],
)
def test_streams_deliver_chunks_or_words(reply: FakeReply, pieces: List[str]) -> None:
    scene = play(reply)
    assert list(scene.orchestrator.send_streaming_request("Hi")) == pieces
    assert scene.orchestrator.send_request("Hi").content == "".join(pieces)


def test_an_error_after_chunks_breaks_a_stream_off_and_refuses_a_whole_answer(way: str) -> None:
    scene = play(FakeReply(chunks=["Half"], error=RateLimitError("Slow.", status_code=429)), max_retries=0)
    expected = StreamInterruptedError if "streamed" in way else RateLimitError
    with pytest.raises(expected) as caught:
        ask(scene.orchestrator, way)
    assert getattr(caught.value, "partial_text", "Half") == "Half"


def test_scripted_errors_are_not_changed_by_the_calls_that_raise_them(way: str, waits: List[float]) -> None:
    scripted = RateLimitError("Slow.", status_code=429)
    before = dict(vars(scripted))
    scene = play(scripted, max_retries=1)
    raised = []
    for _ in range(2):
        with pytest.raises(RateLimitError) as caught:
            ask(scene.orchestrator, way)
        raised.append(caught.value)
    assert vars(scripted) == before
    assert raised[0] is not raised[1] and raised[0].model == MODEL


def test_requests_are_noted_as_they_were_sent(way: str) -> None:
    scene = play()
    ask(scene.orchestrator, way, "Hi", temperature=0.5, top_logprobs=3)
    (request,) = scene.provider.requests
    assert (request.model, request.temperature) == (MODEL, 0.5)
    assert request.provider_options == {"top_logprobs": 3}


def test_a_request_that_was_refused_before_sending_is_not_noted(way: str) -> None:
    scene = play("One.", "Two.")
    with pytest.raises(InvalidRequestError, match="'stream'"):
        ask(scene.orchestrator, way, stream=False)
    assert (scene.asked, scene.rows) == ([], [])
    assert ask(scene.orchestrator, way).content == "One.", "the script waits for the first request sent"


Timed = Callable[[FakeProvider, LLMRequest], Awaitable[Any]]


async def whole(provider: FakeProvider, *asked: Any) -> Any:
    return provider.send_request(*asked)


async def streamed(provider: FakeProvider, *asked: Any) -> Any:
    return list(provider.send_streaming_request(*asked))


async def async_whole(provider: FakeProvider, *asked: Any) -> Any:
    return await provider.asend_request(*asked)


async def async_streamed(provider: FakeProvider, *asked: Any) -> Any:
    return [event async for event in await provider.asend_streaming_request(*asked)]


@pytest.mark.real_clock
@pytest.mark.parametrize("timed", [whole, streamed, async_whole, async_streamed])
def test_delays_pass_and_too_long_ones_are_timeouts(timed: Timed) -> None:
    provider = FakeProvider(FakeReply(chunks=["a", "b", "c"], delay=0.02))
    started = time.monotonic()
    asyncio.run(timed(provider, LLMRequest("m", (), timeout=5)))
    pauses = 3 + 1 if "streamed" in timed.__name__ else 1  # before each chunk and the end
    assert 0.02 * pauses <= time.monotonic() - started < 0.02 * pauses + 5
    with pytest.raises(ProviderTimeoutError) as caught:
        asyncio.run(timed(provider, LLMRequest("m", (), timeout=0.005)))
    assert caught.value.retry_limit == 1


@pytest.mark.real_clock
@pytest.mark.parametrize("timed", [streamed, async_streamed])
def test_a_delay_between_chunks_keeps_to_the_end_of_the_call(timed: Timed) -> None:
    provider = FakeProvider(FakeReply(chunks=["a", "b", "c"], delay=0.1))
    with pytest.raises(StreamInterruptedError) as caught:
        asyncio.run(timed(provider, LLMRequest("m", ()), AttemptContext(time.monotonic() + 0.17)))
    assert isinstance(caught.value.__cause__, ProviderTimeoutError)
    assert caught.value.partial_text == "a"


def test_it_lists_and_validates_its_models() -> None:
    provider = FakeProvider(models=["one", "two"])
    assert [info.name for info in provider.get_available_models()] == ["one", "two"]
    assert provider.validate_model("two") and not provider.validate_model("three")

    async def main() -> List[bool]:
        listed = await provider.aget_available_models()
        return [
            len(listed) == 2,
            await provider.avalidate_model("one"),
            await provider.avalidate_model("three"),
        ]

    assert asyncio.run(main()) == [True, True, False]
    assert provider.requests == []


def test_a_model_that_is_not_there_may_be_scripted(way: str) -> None:
    scene = play(ModelNotFoundError("No such model.", status_code=404), "From b.", fallback_models=["b"])
    assert ask(scene.orchestrator, way).content == "From b."


def test_usage_may_be_left_untold(way: str) -> None:
    scene = play(FakeReply("Hi", usage=TokenUsage(source="missing")))
    response = ask(scene.orchestrator, way)
    assert response.usage.source == "missing" and response.cost is None
    assert response.tokens_used == {"prompt": None, "completion": None, "total": None}


def test_an_entry_of_the_configuration_may_name_the_fake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_orchestrator.providers._registered", {"faked": FakeProvider})
    config = {
        "active_provider": "faked",
        "active_model": "fake-model",
        "providers": {"faked": None, "other": {"adapter": "faked", "models": ["one"]}},
        "model_registry": {"cache_path": str(tmp_path / "models.json")},
    }
    orchestrator = LLMOrchestrator(config)
    orchestrator.refresh_models()
    assert orchestrator.get_available_models() == ["fake-model"]
    assert orchestrator.get_available_models("other") == ["one"]


@pytest.mark.parametrize("script", [["Hi", 5], [["a", "b"]], [None]], ids=["a number", "a list", "nothing"])
def test_what_cannot_answer_is_refused_at_once(script: List[Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"Entry {len(script)} of the script"):
        FakeProvider(script)
