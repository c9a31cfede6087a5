"""The headers of a reply that an application may want to know."""

from __future__ import annotations

from llm_orchestrator.providers.http.headers import reported_headers

SENT = {
    "X-RateLimit-Remaining": "7",
    "set-cookie": "a=1",
    "x-request-id": "key-1",
    "x-trace": "t" * 600,
    "content-type": "text/html",
}
TOLD = {"x-ratelimit-remaining": "7", "x-request-id": "[redacted]", "x-trace": "t" * 500}


def redact(text: str) -> str:
    return text.replace("key-1", "[redacted]")


def test_they_are_those_of_use_without_secrets_and_short() -> None:
    told = reported_headers(SENT, redact)
    assert (type(told), told) == (dict, TOLD)
