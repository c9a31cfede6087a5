"""One span a call, one child an attempt, below the span in which the application made the call."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from typing import Any, List

import pytest

from llm_orchestrator import (
    AuthenticationError,
    ConfigurationError,
    FinishReason,
    LLMOrchestrator,
    LLMStream,
    OutputParseError,
    ProviderConnectionError,
    StreamInterruptedError,
    TokenUsage,
    ToolCall,
)
from llm_orchestrator.testing import FakeProvider, FakeReply
from llm_orchestrator.tracing import trace_calls
from tests.support.configs import ROOT
from tests.support.fakes import broken
from tests.support.recorder import Recorder, attributes_of, identifier, known_names
from tests.support.ways import ask

MODEL = "asked"
#: Names that conventions for Python 3.9 do not have yet.
NEWER = {
    "gen_ai.request.stream",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.reasoning.output_tokens",
}
SECRET = "a prompt that is nobody's business"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def on_fake(recorder: Recorder, *script: Any, content: bool = False, **entry: Any) -> LLMOrchestrator:
    """A traced orchestrator whose provider answers from a script."""
    config = {"active_provider": "fake", "active_model": MODEL, "providers": {"fake": entry}}
    provider = FakeProvider(script or "Hello.", name="fake", base_url=entry.get("base_url"))
    return LLMOrchestrator(config, providers={"fake": provider}, hooks=[recorder.hook(content=content)])


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """Pay once, outside the tests, for what the first call and the first span of a process cost."""
    first = Recorder()
    on_fake(first).send_request("Hi")
    first.points("none")
    known_names()


# ---------------------------------------------------------------- what a span says


def say_everything(recorder: Recorder, way: str) -> None:
    """A call with every parameter, a retry, and an answer that tells all there is to tell."""
    usage = TokenUsage(9, 5, 14, cached_tokens=3, cache_write_tokens=2, reasoning_tokens=1)
    orchestrator = on_fake(
        recorder, broken(), FakeReply("{}", usage=usage), content=True, base_url="http://host.example"
    )
    parameters = {"temperature": 0.1, "max_tokens": 5, "top_p": 0.5, "top_k": 3, "stop": "x", "seed": 1}
    ask(
        orchestrator,
        way,
        frequency_penalty=0.1,
        presence_penalty=0.1,
        n=2,
        response_format={"type": "json_object"},
        tools=[{"type": "function", "function": {"name": "clock", "parameters": {}}}],
        tags={"team": "blue"},
        **parameters,
    )


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def calls_of(*arguments: str) -> FakeReply:
    calls = [ToolCall(f"call-{n}", "add", None, text) for n, text in enumerate(arguments)]
    return FakeReply(tool_calls=calls, finish_reason=FinishReason.TOOL_CALLS)


def run_tools(recorder: Recorder, way: str, *arguments: str, content: bool = False, **settings: Any) -> None:
    """A loop of two turns, whose first calls a tool with these arguments."""
    orchestrator = on_fake(recorder, calls_of(*arguments), "Done.", content=content)
    conversation = orchestrator.start_conversation(tools=[add], tags={"team": "blue"})
    if "async" not in way:
        stream = conversation.run_stream if way == "streamed" else conversation.run
        getattr(stream("2+3?", **settings), "final_response", bool)()
        return

    async def main() -> None:
        if way == "async whole":
            await conversation.arun("2+3?", **settings)
        else:
            await conversation.arun_stream("2+3?", **settings).final_response()

    asyncio.run(main())


def tools_of(recorder: Recorder) -> List[Any]:
    return [span for span in recorder.spans if span.name == "execute_tool add"]


def say_the_rest(recorder: Recorder) -> None:
    """What is said of tools and of vectors."""
    run_tools(recorder, "whole", '{"a": 2, "b": 3}', content=True)
    on_fake(recorder).embed(["two words"], model="vectors", dimensions=2)


def test_every_name_is_one_of_the_conventions(recorder: Recorder, way: str, waits: List[float]) -> None:
    say_everything(recorder, way)
    say_the_rest(recorder)

    names = {name for span in recorder.spans for name in attributes_of(span)}
    own = {name for name in names if name.startswith("llm_orchestrator.")}
    known = known_names() | (NEWER if sys.version_info < (3, 10) else set())
    assert names - own - known == set()
    assert len(names - own) >= 23, "everything that can be said was said"
    assert {"gen_ai.response.id", "gen_ai.client.token.usage", "gen_ai.client.operation.duration"} <= known


def test_the_page_names_every_attribute(recorder: Recorder, waits: List[float]) -> None:
    say_everything(recorder, "streamed")
    say_the_rest(recorder)

    names = {name for span in recorder.spans for name in attributes_of(span)}
    page = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([\w.]+)`", page, re.MULTILINE))
    metrics = {name for name in documented if name.startswith("gen_ai.client.")}
    others = {"llm_orchestrator.tag.NAME", "llm_orchestrator.cost", "gen_ai.response.id"}  # no fake has these
    assert documented - metrics - others == names - {"llm_orchestrator.tag.team"}
    assert others <= documented and len(metrics) == 3


def test_one_child_for_each_attempt(recorder: Recorder, way: str, waits: List[float]) -> None:
    orchestrator = on_fake(
        recorder, broken(request_id="r-1"), broken(), "Yes.", max_retries=1, fallback_models=["second"]
    )
    ask(orchestrator, way)

    call = recorder.call()
    attempts = recorder.attempts()
    assert [span.name for span in attempts] == [f"attempt {MODEL}", f"attempt {MODEL}", "attempt second"]
    assert len(recorder.spans) == 4
    said = [attributes_of(span) for span in attempts]
    assert [one.get("error.type") for one in said] == ["OverloadedError", "OverloadedError", None]
    assert [one.get("http.response.status_code") for one in said] == [529, 529, 200]
    assert [one.get("http.request.resend_count") for one in said] == [None, 1, 2]
    assert [one["gen_ai.request.model"] for one in said] == [MODEL, MODEL, "second"]
    assert said[0]["llm_orchestrator.request_id"] == "r-1"
    assert [span.status.status_code.name for span in attempts] == ["ERROR", "ERROR", "UNSET"]
    assert not any("gen_ai.usage.input_tokens" in one for one in said), "sums would count tokens twice"
    for span, following in zip(attempts, attempts[1:]):
        assert span.end_time <= following.start_time  # type: ignore[operator]
    assert call.start_time == attempts[0].start_time
    assert call.end_time >= attempts[-1].end_time  # type: ignore[operator]
    assert attributes_of(call)["llm_orchestrator.attempts"] == 3


def test_a_failed_call(recorder: Recorder, way: str) -> None:
    with pytest.raises(AuthenticationError):
        ask(on_fake(recorder, AuthenticationError(f"No: {SECRET}", status_code=401)), way)

    span = recorder.call()
    assert (span.status.status_code.name, span.status.description) == ("ERROR", None)
    assert attributes_of(span)["error.type"] == "AuthenticationError"
    assert "gen_ai.response.model" not in attributes_of(span)
    assert SECRET not in recorder.shown() and not span.events


def test_an_answer_that_was_paid_for_tells_its_usage(recorder: Recorder, way: str) -> None:
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    reply = FakeReply("no JSON", usage=TokenUsage(7, 3, 10))
    with pytest.raises(OutputParseError):
        ask(on_fake(recorder, reply), way, response_format=City)

    said = attributes_of(recorder.call())
    assert said["error.type"] == "OutputParseError"
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.output.type"]) == (7, "json")


@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_a_stream_that_breaks_off(recorder: Recorder, way: str) -> None:
    reply = FakeReply(chunks=["Once", " upon"], error=ProviderConnectionError("Cut."))
    with pytest.raises(StreamInterruptedError):
        ask(on_fake(recorder, reply), way)

    said = attributes_of(recorder.call())
    assert (said["error.type"], said["llm_orchestrator.status"]) == ("StreamInterruptedError", "interrupted")
    assert "gen_ai.response.time_to_first_chunk" in said


def test_a_stream_that_is_left_is_no_error(recorder: Recorder) -> None:
    with on_fake(recorder, FakeReply(chunks=["a", "b", "c"])).send_streaming_request("Hi") as stream:
        next(stream)

    span = recorder.call()
    assert span.status.status_code.name == "UNSET"
    assert attributes_of(span)["llm_orchestrator.status"] == "interrupted"
    assert "error.type" not in attributes_of(span)
    assert attributes_of(span)["gen_ai.response.model"] == MODEL
    assert "gen_ai.response.finish_reasons" not in attributes_of(span), "the provider told none"


def test_a_call_that_is_cancelled(recorder: Recorder) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(on_fake(recorder, FakeReply("Late.", delay=30)).asend_request("Hi"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())

    assert attributes_of(recorder.call())["error.type"] == "CancelledError"


# ---------------------------------------------------------------- below which span


def test_below_the_span_of_the_caller(recorder: Recorder, way: str) -> None:
    orchestrator = on_fake(recorder)
    with recorder.tracer.start_as_current_span("request") as outer:
        ask(orchestrator, way)

    assert recorder.call().parent is not None
    assert recorder.call().parent.span_id == outer.get_span_context().span_id
    assert recorder.attempts()


def test_a_call_without_a_caller_begins_a_trace(recorder: Recorder, way: str) -> None:
    ask(on_fake(recorder), way)

    assert recorder.call().parent is None


def test_tasks_that_run_together_keep_their_own_parents(recorder: Recorder) -> None:
    orchestrator = on_fake(recorder)

    async def request(name: str) -> int:
        with recorder.tracer.start_as_current_span(name) as outer:
            stream = orchestrator.asend_streaming_request(name)
            await asyncio.sleep(0)
            await stream.final_response()
            await asyncio.gather(*(orchestrator.asend_request(name) for _ in range(2)))
            return outer.get_span_context().span_id

    async def main() -> List[int]:
        return list(await asyncio.gather(*(request(f"request {number}") for number in range(5))))

    outer = asyncio.run(main())

    parents = [span.parent.span_id for span in recorder.calls if span.parent]
    assert sorted(parents) == sorted(outer * 3)


def test_a_stream_read_elsewhere_belongs_to_who_asked_for_it(recorder: Recorder) -> None:
    """As web frameworks read it: in another thread, after the handler has returned its response."""
    with recorder.tracer.start_as_current_span("handler") as handler:
        stream = on_fake(recorder).send_streaming_request("Hi")

    def read() -> None:
        with recorder.tracer.start_as_current_span("elsewhere"):
            list(stream)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()

    assert recorder.call().parent is not None
    assert recorder.call().parent.span_id == handler.get_span_context().span_id


def test_a_stream_that_was_dropped_does_not_end_up_in_the_next_request(recorder: Recorder) -> None:
    orchestrator = on_fake(recorder, FakeReply(chunks=["a", "b"]))
    with recorder.tracer.start_as_current_span("first") as first:
        stream: LLMStream = orchestrator.send_streaming_request("Hi")
        next(stream)
        del stream
    with recorder.tracer.start_as_current_span("second") as second:
        orchestrator.send_request("Hi")

    dropped, answered = recorder.calls
    assert attributes_of(dropped)["llm_orchestrator.status"] == "interrupted"
    assert dropped.parent is not None and answered.parent is not None
    assert dropped.parent.span_id == first.get_span_context().span_id
    assert answered.parent.span_id == second.get_span_context().span_id
    assert identifier(dropped) != identifier(answered)


# ---------------------------------------------------------------- content


def test_content_is_shown_only_when_asked_for(recorder: Recorder, way: str) -> None:
    shown = Recorder()
    for traced, content in ((recorder, False), (shown, True)):
        ask(on_fake(traced, "The answer.", content=content), way, SECRET)

    assert SECRET not in recorder.shown() and "The answer." not in recorder.shown()
    said = attributes_of(shown.call())
    asked = '[{"role": "user", "parts": [{"type": "text", "content": "' + SECRET + '"}]}]'
    assert said["gen_ai.input.messages"] == asked
    assert said["gen_ai.output.messages"] == (
        '[{"role": "assistant", "parts": [{"type": "text", "content": "The answer."}], "finish_reason": "stop"}]'
    )


def test_content_of_tools_and_images(recorder: Recorder) -> None:
    orchestrator = on_fake(recorder, content=True)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}
    orchestrator.send_request(
        [
            {"role": "user", "content": [{"type": "text", "text": "When?"}, image]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        ]
    )

    asked = str(attributes_of(recorder.call())["gen_ai.input.messages"])
    assert '{"type": "text", "content": "When?"}, {"type": "image_url"}' in asked
    assert '{"type": "tool_call", "id": "c1", "name": "clock", "arguments": {"zone": "UTC"}}' in asked
    assert '{"type": "tool_call_response", "id": "c1", "response": "noon"}' in asked
    assert "AAAA" not in asked


def test_half_a_character_is_replaced(recorder: Recorder) -> None:
    on_fake(recorder, "Half \ud83d", content=True).send_request("Grüße")

    said = attributes_of(recorder.call())
    assert "Half \ufffd" in str(said["gen_ai.output.messages"]), "an exporter could not encode it"
    assert "Grüße" in str(said["gen_ai.input.messages"])


def test_an_address_that_cannot_be_is_no_reason_to_lose_the_span(recorder: Recorder) -> None:
    provider = FakeProvider(
        "Hello.", name="fake", base_url="http://host.example:99999"
    )  # no entry may have it
    config = {"active_provider": "fake", "active_model": MODEL, "providers": {}}
    LLMOrchestrator(config, providers={"fake": provider}, hooks=[recorder.hook()]).send_request("Hi")

    assert "server.port" not in attributes_of(recorder.call())


# ---------------------------------------------------------------- metrics


def test_metrics_of_a_call(recorder: Recorder, way: str, waits: List[float]) -> None:
    ask(on_fake(recorder, broken(), FakeReply("Yes.", usage=TokenUsage(12, 3, 15))), way)

    tokens = {
        point.attributes["gen_ai.token.type"]: point for point in recorder.points("gen_ai.client.token.usage")
    }
    assert {kind: (point.count, point.sum) for kind, point in tokens.items()} == {
        "input": (1, 12),
        "output": (1, 3),
    }
    (duration,) = recorder.points("gen_ai.client.operation.duration")
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fake",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": MODEL,
    }
    call = recorder.call()
    assert duration.sum == pytest.approx((call.end_time - call.start_time) / 1e9)  # type: ignore[operator]
    assert duration.explicit_bounds[:2] == (0.01, 0.02) and tokens["input"].explicit_bounds[1] == 4
    first_chunks = recorder.points("gen_ai.client.operation.time_to_first_chunk")
    assert [point.count for point in first_chunks] == ([1] if "streamed" in way else [])


def test_metrics_of_failures_name_them(recorder: Recorder, way: str) -> None:
    with pytest.raises(AuthenticationError):
        ask(on_fake(recorder, AuthenticationError("No.", status_code=401)), way)

    (duration,) = recorder.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "AuthenticationError"
    assert recorder.points("gen_ai.client.token.usage") == []


def test_tokens_that_were_not_told_are_not_counted_as_zero(recorder: Recorder) -> None:
    on_fake(recorder, FakeReply("Yes.", usage=TokenUsage(source="missing"))).send_request("Hi")

    assert recorder.points("gen_ai.client.token.usage") == []


# ---------------------------------------------------------------- off


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(ConfigurationError, match=r'pip install "llm-orchestrator\[otel\]"'):
        trace_calls()


def test_a_call_for_vectors_says_so(recorder: Recorder) -> None:
    on_fake(recorder, content=True).embed(["two words", "three words here"], model="vectors", batch_size=1)
    call = next(span for span in recorder.spans if span.name == "embeddings vectors")
    found = attributes_of(call)
    assert found["gen_ai.operation.name"] == "embeddings"
    assert (found["gen_ai.usage.input_tokens"], found["llm_orchestrator.attempts"]) == (5, 2)
    assert "three words here" in found["gen_ai.input.messages"]
    assert "gen_ai.output.messages" not in found


# ---------------------------------------------------------------- tools, re-asks and batches


def test_one_span_for_each_tool_of_a_loop(recorder: Recorder, way: str) -> None:
    with recorder.tracer.start_as_current_span("request") as request:
        run_tools(recorder, way, '{"a": 2, "b": 3}', '{"a": "two"}', content=True)

    ran = sorted(tools_of(recorder), key=lambda span: str(attributes_of(span)["gen_ai.tool.call.id"]))
    said = [attributes_of(span) for span in ran]
    assert [span.kind.name for span in ran] == ["INTERNAL", "INTERNAL"]
    assert [span.status.status_code.name for span in ran] == ["UNSET", "ERROR"]
    assert [one.get("error.type") for one in said] == [None, "ModelMistakeError"]
    assert [one["gen_ai.tool.call.arguments"] for one in said] == ['{"a": 2, "b": 3}', '{"a": "two"}']
    assert said[0]["gen_ai.tool.call.result"] == '"5"'
    assert said[0]["llm_orchestrator.tag.team"] == "blue"
    parent = request.get_span_context().span_id
    assert {span.parent.span_id for span in [*ran, *recorder.calls]} == {parent}
    first = next(
        span
        for span in recorder.calls
        if span.attributes["llm_orchestrator.call_id"] == said[0]["llm_orchestrator.call_id"]
    )
    assert first.end_time <= ran[0].start_time <= ran[0].end_time


def test_arguments_and_results_of_tools_are_content(recorder: Recorder) -> None:
    run_tools(recorder, "whole", '{"a": 2000, "b": 345}')
    assert len(tools_of(recorder)) == 1 and "2345" not in recorder.shown() and "2000" not in recorder.shown()


def test_a_tool_that_ends_the_loop_has_its_span(recorder: Recorder, way: str) -> None:
    def fails(a: int, b: int) -> int:
        raise TypeError("a secret")

    fails.__name__ = "add"
    with pytest.raises(TypeError):
        run_tools(recorder, way, '{"a": 2, "b": 3}', on_tool_error="raise", tools=[fails])
    (span,) = tools_of(recorder)
    assert attributes_of(span)["error.type"] == "TypeError" and "secret" not in recorder.shown()


def test_a_hook_that_does_not_hear_tools_is_asked_nothing_of_them() -> None:
    events: List[Any] = []
    config = {"active_provider": "fake", "active_model": MODEL, "providers": {}}
    provider = FakeProvider([calls_of('{"a": 2, "b": 3}'), "Done."], name="fake")
    with LLMOrchestrator(config, providers={"fake": provider}, hooks=[events.append]) as orchestrator:
        orchestrator.start_conversation(tools=[add]).run("2+3?")
    assert {event.kind for event in events} == {"attempt", "call"}


def test_an_answer_that_is_asked_for_again_is_an_attempt_of_its_call(recorder: Recorder, way: str) -> None:
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    asked = {"response_format": City, "reask": 1}
    orchestrator = on_fake(recorder, "no JSON", '{"name": "Rome"}')

    async def main() -> None:
        if way == "async whole":
            await orchestrator.asend_request("Where?", **asked)
        else:
            await orchestrator.asend_streaming_request("Where?", **asked).final_response()

    if way == "whole":
        orchestrator.send_request("Where?", **asked)
    elif way == "streamed":
        orchestrator.send_streaming_request("Where?", **asked).final_response()
    else:
        asyncio.run(main())

    said = [attributes_of(span) for span in recorder.attempts()]
    assert [one.get("error.type") for one in said] == ["OutputParseError", None]
    assert attributes_of(recorder.call())["llm_orchestrator.attempts"] == 2
