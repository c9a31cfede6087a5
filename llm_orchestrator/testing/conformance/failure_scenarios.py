"""How a provider reports failures: as an error of this library, with what the server sent."""

from __future__ import annotations

import pytest

from llm_orchestrator.exceptions import (
    AuthenticationError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)
from llm_orchestrator.testing.conformance.answer import Answer
from llm_orchestrator.testing.conformance.bench import MODEL, SHORT_TIMEOUT, Bench, Scenarios
from llm_orchestrator.testing.reply_server import Reply, closed_url

__all__ = ["FailureScenarios"]

STATUSES = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    429: RateLimitError,
    500: ServerError,
    503: OverloadedError,
}
HTML = {"content-type": "text/html"}
PAGE = b"<html><body>Bad gateway</body></html>"
UNREADABLE = {
    "a page of HTML": Reply([PAGE], headers=HTML),
    "nothing": Reply(),
    "half a document": Reply([b'{"half": '], headers={"content-type": "application/json"}),
    "an empty object": Reply([b"{}"], headers={"content-type": "application/json"}),
    "a list": Reply([b"[1, 2]"], headers={"content-type": "application/json"}),
}


class FailureScenarios(Scenarios):
    """How calls fail; every scenario runs in all four ways."""

    @pytest.mark.parametrize("status", STATUSES)
    def test_a_failure_is_an_error_of_ours(self, bench: Bench, way: str, status: int) -> None:
        """The status decides the error's class; the error has status, names and the server's message."""
        bench.fails(status, "The server said why.")
        asked = bench.orchestrator()
        with pytest.raises(ProviderError) as caught:
            bench.ask(way, orchestrator=asked)
        error = caught.value
        assert isinstance(error, STATUSES[status]), f"{status} became {type(error).__name__}"
        assert error.status_code == status
        assert (error.provider, error.model) == (asked.active_provider, MODEL)
        assert "The server said why." in str(error), "parse_failure must find the server's message"

    def test_how_long_to_wait_is_told(self, bench: Bench, way: str) -> None:
        """The error has the seconds of ``Retry-After``, for retries and for the application."""
        bench.fails(429, retry_after="7")
        with pytest.raises(RateLimitError) as caught:
            bench.ask(way)
        assert caught.value.retry_after == 7

    def test_a_failure_without_words_of_the_provider(self, bench: Bench, way: str) -> None:
        """An HTML page of a proxy becomes the error of its status."""
        bench.server.script(Reply([PAGE], 502, HTML))
        with pytest.raises(ServerError) as caught:
            bench.ask(way)
        assert caught.value.status_code == 502

    @pytest.mark.parametrize("kind", UNREADABLE)
    def test_what_cannot_be_read_is_no_answer(self, bench: Bench, way: str, kind: str) -> None:
        """A reply that is not an answer, although its status is 200, is an InvalidResponseError."""
        bench.server.script(UNREADABLE[kind])
        with pytest.raises(InvalidResponseError):
            bench.ask(way)

    def test_a_whole_answer_that_breaks_off_is_no_answer(self, bench: Bench) -> None:
        """A connection that is closed in the middle of a document is an error."""
        (body,) = bench.reply("whole", Answer()).pieces
        for way in ("whole", "async whole"):
            bench.server.script(Reply([body[: len(body) // 2]], broken=True))
            with pytest.raises((ProviderConnectionError, InvalidResponseError)):
                bench.ask(way)

    def test_nobody_listens(self, bench: Bench, way: str) -> None:
        """A server that cannot be reached is a ProviderConnectionError, which is retried and falls back."""
        with pytest.raises(ProviderConnectionError):
            bench.ask(way, orchestrator=bench.orchestrator(closed_url()))

    def test_silence_is_a_timeout(self, bench: Bench, way: str) -> None:
        """A server that does not answer is a ProviderTimeoutError after ``timeout`` seconds."""
        bench.server.script(Reply(held=0))
        with pytest.raises(ProviderTimeoutError):
            bench.ask(way, orchestrator=bench.orchestrator(timeout=SHORT_TIMEOUT))
