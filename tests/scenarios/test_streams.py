"""S1 to S4, S7 and S8: an answer is whole, or an error; what fails before its first text is tried again."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest

from llm_orchestrator import (
    FinishReason,
    InvalidResponseError,
    LLMOrchestrator,
    OverloadedError,
    ProviderConnectionError,
    ProviderError,
    StreamInterruptedError,
)
from tests.support.fixtures import Orchestrate
from tests.support.marks import gemini
from tests.support.scripted_server import (
    BEFORE_HEAD,
    MODEL,
    Close,
    Dialect,
    Garbage,
    HalfClose,
    Reply,
    Reset,
    ScriptedServer,
    empty,
    html,
    refusing_url,
)
from tests.support.scripted_server.replies import json_reply
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.ways import WAYS, ask, run_async

PIECES = ["One", " two"]

#: Ways in which a connection ends in the middle of a reply.
CUTS: Dict[str, Any] = {
    "closed": {"fault": Close()},
    "half-closed": {"fault": HalfClose()},
    "reset": {"fault": Reset()},
    "broken transfer coding": {"fault": Garbage()},
    "shorter than announced": {"length_error": 10},
}
cuts = pytest.mark.parametrize("cut", CUTS.values(), ids=list(CUTS))


@pytest.fixture(params=["streamed", "async streamed"])
def way(request: pytest.FixtureRequest) -> str:
    """Both ways of reading a stream."""
    return str(request.param)


def read(orchestrator: LLMOrchestrator, way: str) -> Tuple[List[str], Any, Any]:
    """Read a stream: the pieces that came, the error at their end or None, and the stream."""
    pieces: List[str] = []
    if way == "streamed":
        stream = orchestrator.send_streaming_request("Hi")
        try:
            pieces.extend(stream)
        except Exception as error:
            return pieces, error, stream
        return pieces, None, stream

    async def main() -> Tuple[List[str], Any, Any]:
        stream = orchestrator.asend_streaming_request("Hi")
        try:
            async for piece in stream:
                pieces.append(piece)
        except Exception as error:
            return pieces, error, stream
        return pieces, None, stream

    return run_async(orchestrator, main)


def cut_off(dialect: Dialect, *pieces: str, **end: Any) -> Reply:
    """A stream that ends after some text without the word that it is complete; cleanly if not told."""
    return dialect.stream(pieces, complete=False).but(**end)


def causes(error: BaseException) -> List[BaseException]:
    """The chain of causes, the nearest first."""
    return [] if error.__cause__ is None else [error.__cause__, *causes(error.__cause__)]


# ---------------------------------------------------------------- a stream that stops


def test_s1_a_clean_end_without_the_terminal_event_is_no_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(cut_off(dialect, *PIECES))

    pieces, error, stream = read(orchestrate(max_retries=2), way)

    assert "".join(pieces) == "One two"
    assert isinstance(error, StreamInterruptedError) and error.partial_text == "One two"
    assert isinstance(error.__cause__, ProviderConnectionError)
    assert (stream.response, stream.text) == (None, "One two")
    assert error.partial_response is not None
    assert error.partial_response.usage.source in ("partial", "missing")
    assert error.partial_response.finish_reason is FinishReason.OTHER
    assert len(server.requests) == 1


def test_s1_a_host_may_be_allowed_to_end_without_a_word(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(cut_off(dialect, *PIECES), cut_off(dialect, *PIECES, fault=Close()))
    orchestrator = orchestrate(allow_missing_finish_reason=True)

    response = ask(orchestrator, way)
    assert response.content == "One two"
    assert response.finish_reason is FinishReason.OTHER, "nobody said stop"

    _, error, _ = read(orchestrator, way)
    assert isinstance(error, StreamInterruptedError), "a connection that is cut is no end"


@cuts
def test_s2_a_cut_connection_is_an_interruption_with_its_cause(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, cut: Any
) -> None:
    server.script(cut_off(dialect, *PIECES, **cut))

    pieces, error, stream = read(orchestrate(), way)

    assert "".join(pieces) == "One two"
    assert isinstance(error, StreamInterruptedError) and error.partial_text == "One two"
    assert isinstance(error.__cause__, ProviderConnectionError)
    if TRANSPORT == "sdk":
        assert any(type(cause).__module__ in ("httpx", "httpx2") for cause in causes(error)), causes(error)
    assert server.wait_for_connections(0)
    with pytest.raises(StreamInterruptedError):
        next(stream) if way == "streamed" else run_async(stream, stream.__anext__)


# ---------------------------------------------------------------- before and after the first text

#: Ways in which a stream fails, by the text that comes before.
FAILURES: Dict[str, Any] = {
    **{name: lambda dialect, pieces, end=end: cut_off(dialect, *pieces, **end) for name, end in CUTS.items()},
    "ends": lambda dialect, pieces: cut_off(dialect, *pieces),
    "error event": lambda dialect, pieces: dialect.stream_error(pieces),
    "broken JSON": lambda dialect, pieces: dialect.stream_broken_json(pieces),
}
failures = pytest.mark.parametrize("fails", FAILURES.values(), ids=list(FAILURES))


@failures
def test_s3_after_the_first_text_nothing_is_sent_again(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, fails: Any
) -> None:
    server.script(fails(dialect, PIECES))

    pieces, error, _ = read(orchestrate(max_retries=2, fallback_models=["second"]), way)

    assert isinstance(error, StreamInterruptedError)
    assert "".join(pieces) == error.partial_text == "One two"
    assert len(server.requests) == 1
    assert [attempt.error for attempt in error.attempts] == ["StreamInterruptedError"]


@failures
def test_s3_s8_before_the_first_text_a_failure_is_retried_and_falls_back(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    fails: Any,
    waits: List[float],
) -> None:
    failing = fails(dialect, [])
    server.script(failing, failing, dialect.stream(["From", " the second."]))

    pieces, error, stream = read(orchestrate(max_retries=1, fallback_models=["second"]), way)

    assert error is None and "".join(pieces) == "From the second."
    asked = [attempt.model for attempt in stream.response.attempts]
    assert asked == [MODEL, MODEL, "second"] and len(waits) == 1


def opening(dialect: Dialect) -> Tuple[bytes, ...]:
    """What a provider sends before the first text: all that two answers have in common."""
    first, second = (dialect.stream([text], complete=False).content() for text in ("One", "Two"))
    events = len([None for pair in zip(first.split(b"\n\n"), second.split(b"\n\n")) if pair[0] == pair[1]])
    return tuple(event + b"\n\n" for event in first.split(b"\n\n")[:events])


@pytest.mark.parametrize("fault", [None, Close(), Reset()], ids=["ends", "closed", "reset"])
def test_s8_events_without_text_do_not_make_a_failure_final(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    fault: Any,
    waits: List[float],
) -> None:
    begun = dialect.stream(["x"]).but(chunks=opening(dialect), fault=fault)
    server.script(begun, dialect.stream(PIECES))

    pieces, error, stream = read(orchestrate(max_retries=1), way)

    assert error is None and "".join(pieces) == "One two"
    assert len(stream.response.attempts) == 2


@pytest.mark.parametrize("kind", ["overloaded", "server", "rate_limit"])
def test_s4_a_refusal_at_the_start_is_retried(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    kind: str,
    waits: List[float],
) -> None:
    server.script(dialect.failure(kind), dialect.stream(PIECES))

    pieces, error, stream = read(orchestrate(max_retries=1), way)

    assert error is None and "".join(pieces) == "One two"
    status = dialect.failures[kind][0]
    assert [attempt.status_code for attempt in stream.response.attempts] == [status, 200]
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", [Close(BEFORE_HEAD), Reset(BEFORE_HEAD), HalfClose(BEFORE_HEAD)], ids=str)
def test_s4_a_connection_that_breaks_before_the_head_is_retried(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    fault: Any,
    waits: List[float],
) -> None:
    server.script(dialect.stream(PIECES).but(fault=fault), dialect.stream(PIECES))

    pieces, error, _ = read(orchestrate(max_retries=1), way)

    assert error is None and "".join(pieces) == "One two"
    assert len(server.requests) == 2


# ---------------------------------------------------------------- what is no answer


@pytest.mark.parametrize("before", [[], PIECES], ids=["first", "after text"])
@pytest.mark.parametrize("fails", ["error event", "broken JSON"])
def test_s7_errors_inside_a_stream_are_typed(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    fails: str,
    before: List[str],
) -> None:
    server.script(FAILURES[fails](dialect, before))
    expected = OverloadedError if fails == "error event" else InvalidResponseError

    pieces, error, stream = read(orchestrate(), way)

    assert isinstance(error, StreamInterruptedError if before else expected)
    assert isinstance(error.__cause__, expected) or not before
    assert "".join(pieces) == "".join(before) and stream.response is None


@pytest.mark.parametrize(
    "reply",
    [html(), empty(), empty(content_type="text/event-stream")],
    ids=["an HTML page with status 200", "an empty 200", "an empty stream"],
)
def test_s7_what_is_no_stream_is_no_answer(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    reply: Reply,
    waits: List[float],
) -> None:
    server.default = reply

    pieces, error, stream = read(orchestrate(max_retries=5), way)

    assert isinstance(error, InvalidResponseError)
    assert (pieces, stream.response) == ([], None)
    assert len(server.requests) == 2, "an invalid response is retried once"


@pytest.mark.parametrize("reply", [html(), empty()], ids=["an HTML page with status 200", "an empty 200"])
@pytest.mark.parametrize("way", ["whole", "async whole"])
def test_s7_what_is_no_document_is_no_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, reply: Reply
) -> None:
    server.default = reply

    with pytest.raises(InvalidResponseError):
        ask(orchestrate(), way)


def test_fa4_a_whole_document_in_place_of_a_stream_is_the_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    """It was paid; asking again would pay it twice."""
    server.script(dialect.whole("One two"))

    pieces, error, _ = read(orchestrate(), way)

    assert error is None and "".join(pieces) == "One two" and len(server.requests) == 1


def test_fa4_a_failure_in_place_of_a_stream_is_its_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.error(429).but(status=200)

    pieces, error, _ = read(orchestrate(max_retries=0), way)

    assert isinstance(error, ProviderError) and pieces == []


@pytest.mark.parametrize("document", [{}, {"code": 0}, [], [[]], None, "Hi"], ids=repr)
def test_fa4_other_documents_in_place_of_a_stream_are_no_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, document: Any
) -> None:
    server.default = json_reply(document)

    pieces, error, _ = read(orchestrate(max_retries=0), way)

    assert isinstance(error, InvalidResponseError) and pieces == []


@gemini
def test_fa4_gemini_events_in_a_list_are_the_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    """So Google's API answers where a proxy took ``alt=sse`` away."""
    lines = dialect.stream(["One", " two"]).content().decode().splitlines()
    events = ",".join(line[6:] for line in lines if line.startswith("data: "))
    server.script(json_reply([]).but(body=f"[{events}]".encode()))

    pieces, error, _ = read(orchestrate(), way)

    assert error is None and "".join(pieces) == "One two" and len(server.requests) == 1


@pytest.mark.parametrize("cut", [pytest.param("byte", marks=pytest.mark.slow), "awkward", "recorded"])
@pytest.mark.parametrize("noisy", [False, True], ids=["plain", "noisy"])
def test_s8_how_the_bytes_come_never_matters(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, cut: str, noisy: bool
) -> None:
    server.script(dialect.stream(["Grüße", ', "世界"\n', "🌍\r\n\\"], cut=cut, noisy=noisy))

    assert ask(orchestrate(), way).content == 'Grüße, "世界"\n🌍\r\n\\'


# ---------------------------------------------------------------- whole answers that are cut


@cuts
@pytest.mark.parametrize("way", ["whole", "async whole"])
def test_s2_a_whole_answer_that_is_cut_is_retried(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, cut: Any, waits: List[float]
) -> None:
    reply = dialect.whole("One two")
    if "length_error" not in cut:
        middle = len(reply.body) // 2
        reply = reply.but(chunks=(reply.body[:middle],))
    server.script(reply.but(**cut), dialect.whole("One two"))

    response = ask(orchestrate(max_retries=1), way)

    assert response.content == "One two"
    assert [attempt.error for attempt in response.attempts] == ["ProviderConnectionError", None]


@pytest.mark.parametrize("way", WAYS)
def test_s2_a_length_that_is_too_short_is_no_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    reply = dialect.stream(PIECES) if "streamed" in way else dialect.whole("One two")
    server.script(reply.but(length_error=-len(reply.content()) // 2), reply)
    orchestrator = orchestrate()

    with pytest.raises((InvalidResponseError, ProviderConnectionError, StreamInterruptedError)):
        ask(orchestrator, way)

    response = ask(orchestrator, way, max_retries=1)
    assert response.content == "One two", "what was left over spoils no other answer"


@pytest.mark.parametrize("way", WAYS)
def test_s2_tls_to_a_port_that_does_not_speak_it(
    orchestrate: Orchestrate, server: ScriptedServer, way: str, waits: List[float]
) -> None:
    with pytest.raises(ProviderConnectionError) as caught:
        ask(orchestrate(f"https://127.0.0.1:{server.port}", max_retries=1), way)

    assert len(caught.value.attempts) == 2 and server.requests == []


@pytest.mark.parametrize("way", WAYS)
def test_s2_nobody_listens(orchestrate: Orchestrate, way: str, waits: List[float]) -> None:
    with refusing_url() as url, pytest.raises(ProviderConnectionError) as caught:
        ask(orchestrate(url, max_retries=1), way)

    assert len(caught.value.attempts) == 2
