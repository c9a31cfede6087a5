"""S5: ``timeout`` and ``total_timeout`` hold, whatever a server does with the bytes of its reply."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, List, Tuple, Type, Union

import pytest

from llm_orchestrator import (
    AuthenticationError,
    LLMOrchestrator,
    ProviderError,
    ProviderTimeoutError,
    StreamInterruptedError,
)
from llm_orchestrator.calls import attempts
from llm_orchestrator.providers import stream, wire
from llm_orchestrator.providers.gemini import transport
from llm_orchestrator.providers.http import deadlines
from tests.support.fixtures import Orchestrate
from tests.support.marks import STREAMED
from tests.support.scripted_server import (
    DIALECTS,
    Close,
    Dialect,
    Pings,
    Reply,
    Reset,
    ScriptedServer,
    Stall,
    silent_url,
    unreachable_url,
)
from tests.support.scripted_server.places import dripping_head_url
from tests.support.scripted_server.tls import tls_url, write_certificate
from tests.support.ways import ask

#: Where the wire format makes no difference, one is enough.
one_dialect = pytest.mark.parametrize("dialect", [DIALECTS["anthropic"]], ids=["anthropic"])
#: Seconds in these tests, and how much later than a limit its error may come: on a quiet machine a few hundredths.
LIMIT, LATE = 0.4, 5.0
LONG = 30.0


def failure(
    orchestrator: LLMOrchestrator, way: str, kind: Union[Type[ProviderError], Tuple[Type[ProviderError], ...]]
) -> Any:
    """The error of a call, which must come when the limit is over."""
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        ask(orchestrator, way)
    seconds = time.monotonic() - started
    assert LIMIT * 0.9 <= seconds < LIMIT + LATE, f"it took {seconds:.2f} s"
    return caught.value


def is_interruption_by_time(error: Any, text: str) -> bool:
    return (
        isinstance(error, StreamInterruptedError)
        and isinstance(error.__cause__, ProviderTimeoutError)
        and error.partial_text == text
    )


# ---------------------------------------------------------------- silence


@pytest.mark.real_clock
@pytest.mark.parametrize("way", STREAMED)
@pytest.mark.parametrize("silence", ["nothing", "pings"])
def test_s5_silence_ends_a_stream(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, silence: str, way: str
) -> None:
    faults = {"nothing": Stall(), "pings": Pings(data=dialect.ping)}
    server.script(dialect.stream(["One"], complete=False).but(fault=faults[silence]))

    error = failure(orchestrate(timeout=LIMIT), way, StreamInterruptedError)

    assert is_interruption_by_time(error, "One")
    assert server.wait_for_connections(0), "a connection in the middle of a reply is of no use to anybody"


@one_dialect
@pytest.mark.real_clock
@pytest.mark.parametrize("way", STREAMED)
@pytest.mark.parametrize("data", [b": comment\n\n", b"data: and on it goes ", b"\n"], ids=repr)
def test_s5_what_is_no_event_is_silence(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, data: bytes, way: str
) -> None:
    server.script(dialect.stream(["One"], complete=False).but(fault=Pings(data=data)))

    assert is_interruption_by_time(failure(orchestrate(timeout=LIMIT), way, StreamInterruptedError), "One")


@pytest.mark.real_clock
@pytest.mark.parametrize("way", STREAMED)
def test_s8_silence_before_the_first_text_is_retried_once(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    begun = dialect.stream([""], complete=False).but(fault=Stall())
    server.script(begun, dialect.stream(["One"]))

    assert ask(orchestrate(timeout=LIMIT, max_retries=1), way).content == "One"

    assert len(server.requests) == 2


@one_dialect
@pytest.mark.real_clock
@pytest.mark.parametrize("way", ["whole", "async whole"])
def test_s5_silence_ends_a_whole_answer(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.whole().but(piece_size=10, fault=Stall(after=1)))

    failure(orchestrate(timeout=LIMIT), way, ProviderTimeoutError)

    assert server.wait_for_connections(0)


@pytest.mark.real_clock
@pytest.mark.parametrize("way", STREAMED)
def test_a_server_that_does_not_end_a_complete_stream_is_not_waited_for(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "DRAIN_SECONDS", 0.1)
    server.script(dialect.stream(["Hel", "lo"]).but(fault=Stall()))
    started = time.monotonic()
    timeout = 0.3 if dialect.name == "gemini" else 30  # Gemini's answer is complete, but more may follow
    assert ask(orchestrate(timeout=timeout), way).content == "Hello"
    assert time.monotonic() - started < LATE


# ---------------------------------------------------------------- the whole call


@pytest.mark.real_clock
def test_s5_the_total_holds_while_a_body_drips(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    words = ["word "] * 1000
    reply = dialect.stream(words) if "streamed" in way else dialect.whole("".join(words))
    server.default = reply.dripping(0.01, size=50)

    error = failure(
        orchestrate(timeout=LONG, total_timeout=LIMIT, max_retries=2, fallback_models=["second"]),
        way,
        (ProviderTimeoutError, StreamInterruptedError),
    )

    assert "total_timeout" in str(error)
    assert len(server.requests) == 1, "there is no time for another attempt"


@one_dialect
@pytest.mark.real_clock
def test_s5_the_total_holds_when_a_drip_stalls(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    reply = dialect.stream(["One"]) if "streamed" in way else dialect.whole("One")
    server.default = reply.dripping(0.01).but(fault=Stall(after=10))

    failure(orchestrate(timeout=LONG, total_timeout=LIMIT), way, ProviderTimeoutError)


@pytest.mark.real_clock
@pytest.mark.parametrize("way", ["whole", "async streamed"])
def test_s5_the_total_holds_while_an_error_drips(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.error(503, message="no " * 1000).dripping(0.01)

    failure(orchestrate(timeout=LONG, total_timeout=LIMIT, max_retries=2), way, ProviderTimeoutError)

    assert len(server.requests) == 1
    assert server.wait_for_connections(0)


@pytest.mark.real_clock
@pytest.mark.parametrize("way", ["streamed", "async whole"])
def test_s5_silence_ends_the_explanation_of_an_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(dialect.error(401).but(piece_size=5, fault=Stall(after=1)))

    failure(orchestrate(timeout=LIMIT), way, ProviderTimeoutError)


@one_dialect
@pytest.mark.real_clock
def test_s5_the_listing_of_models_is_bounded_too(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.models(["a"]).but(piece_size=5, fault=Stall(after=1))
    orchestrator = orchestrate(timeout=LIMIT)
    started = time.monotonic()

    with pytest.raises(ProviderTimeoutError):
        orchestrator.refresh_models()

    assert time.monotonic() - started < LIMIT + LATE


# ---------------------------------------------------------------- before the reply's head


@pytest.mark.real_clock
@pytest.mark.parametrize("way", ["streamed", "async whole"])
def test_s5_no_answer_at_all(orchestrate: Orchestrate, way: str) -> None:
    with silent_url() as url:
        error = failure(
            orchestrate(url, timeout=LONG, total_timeout=LIMIT, max_retries=2), way, ProviderTimeoutError
        )
    assert [attempt.error for attempt in error.attempts] == ["ProviderTimeoutError"]


@pytest.mark.real_clock
@pytest.mark.parametrize("way", ["whole", "async streamed"])
def test_s5_nobody_takes_the_connection(orchestrate: Orchestrate, way: str) -> None:
    with unreachable_url() as url:
        failure(orchestrate(url, timeout=LONG, connect_timeout=LIMIT), way, ProviderTimeoutError)


@pytest.mark.real_clock
@pytest.mark.parametrize("way", ["async whole"])
def test_s5_async_calls_bound_a_head_that_drips(orchestrate: Orchestrate, way: str) -> None:
    """A sync client starts its wait again with every byte, as ``docs/streaming.md`` says."""
    with dripping_head_url() as url:
        failure(orchestrate(url, timeout=LONG, total_timeout=LIMIT), way, ProviderTimeoutError)


# ---------------------------------------------------------------- TLS


@pytest.fixture
def trusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate of a server, which the operating system trusts as far as the SDKs can see."""
    path = tmp_path / "certificate.pem"
    write_certificate(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    transport._certificates.cache_clear()
    yield path
    transport._certificates.cache_clear()


@pytest.mark.real_clock
@pytest.mark.parametrize("way", ["whole", "streamed", "async streamed"])
def test_s5_the_limits_hold_on_tls_connections(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    trusted_certificate: Path,
) -> None:
    streamed = "streamed" in way
    answer = dialect.stream(["One"]) if streamed else dialect.whole("One")
    stalled = dialect.stream(["One"], complete=False) if streamed else answer.but(piece_size=10)
    server.script(answer, stalled.but(fault=Stall(after=None if streamed else 1)))
    with tls_url(server.port, trusted_certificate) as url:
        orchestrator = orchestrate(url, timeout=LIMIT)
        assert ask(orchestrator, way).content == "One"

        error = failure(orchestrator, way, (ProviderTimeoutError, StreamInterruptedError))

    assert is_interruption_by_time(error, "One") or not streamed


# ---------------------------------------------------------------- refusals that do not end well


@pytest.mark.parametrize("fault", [Close(after=1), Reset(after=1)], ids=["closed", "reset"])
def test_s5_an_explanation_that_breaks_off_leaves_the_status(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, fault: Any
) -> None:
    server.default = dialect.error(401).but(piece_size=5, fault=fault)

    with pytest.raises(AuthenticationError):
        ask(orchestrate(max_retries=2), way)

    assert len(server.requests) == 1, "a bad key is never tried again"


def test_s5_an_explanation_without_end_is_not_read_to_it(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(
        Reply(401, chunks=(b'{"error": "',), fault=Pings(data=b"x" * 65536, every=0.0001)),
    )

    with pytest.raises(AuthenticationError) as caught:
        ask(orchestrate(), way)

    assert len(str(caught.value)) < 1000
    assert server.wait_for_connections(0)


# ---------------------------------------------------------------- what counts, on a clock of our own


class Clock:
    """The real clock, moved forward by hand."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (attempts, deadlines, wire):
        monkeypatch.setattr(module, "monotonic", clock.monotonic)
    monkeypatch.setattr(deadlines, "time", clock)  # of the watchdog
    return clock


def read_slowly(orchestrator: LLMOrchestrator, clock: Clock) -> List[str]:
    """Read a stream, busy for 1000 seconds after each piece; the watchdog gets to know."""
    pieces = []
    watchdog = deadlines._Watchdog.running()
    for piece in orchestrator.send_streaming_request("Hi"):
        pieces.append(piece)
        clock.ahead += 1000
        watchdog._wake.set()
        while watchdog._wake.is_set():
            time.sleep(0.001)
        time.sleep(0.005)
    return pieces


def test_s5_the_consumers_own_time_is_no_silence(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, clock: Clock
) -> None:
    server.script(dialect.stream(["One", " two"], cut="recorded").but(pause=0.002))

    assert "".join(read_slowly(orchestrate(timeout=5, total_timeout=None), clock)) == "One two"


def test_s5_the_consumers_own_time_counts_for_the_total(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, clock: Clock
) -> None:
    server.script(dialect.stream(["One"], complete=False).but(fault=Stall()))

    started = time.monotonic()
    with pytest.raises(StreamInterruptedError, match="total_timeout") as caught:
        read_slowly(orchestrate(timeout=5, total_timeout=900), clock)

    assert is_interruption_by_time(caught.value, "One")
    assert time.monotonic() - started < 5, "nothing is waited for when there is no time left"
