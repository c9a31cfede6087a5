"""The headers of a reply that an application may want to know."""

from __future__ import annotations

import copy
import pickle
from typing import Iterator, List, Mapping

from llm_orchestrator.providers.http.headers import ReportedHeaders

SENT = {
    "X-RateLimit-Remaining": "7",
    "set-cookie": "a=1",
    "x-request-id": "key-1",
    "content-type": "text/html",
}
TOLD = {"x-ratelimit-remaining": "7", "x-request-id": "[redacted]"}


def redact(text: str) -> str:
    return text.replace("key-1", "[redacted]")


def test_they_are_a_mapping_of_what_is_reported() -> None:
    told = ReportedHeaders(SENT, redact)

    assert (dict(told), len(told), told.get("set-cookie"), repr(told)) == (TOLD, 2, None, repr(TOLD))
    assert told == TOLD
    assert told == ReportedHeaders(SENT, redact)


def test_they_are_sought_once_and_only_when_one_is_read() -> None:
    looked: List[str] = []

    class Headers(Mapping[str, str]):
        def __getitem__(self, name: str) -> str:
            looked.append(name)
            return SENT[name]

        def __iter__(self) -> Iterator[str]:
            return iter(SENT)

        def __len__(self) -> int:
            return len(SENT)

    told = ReportedHeaders(Headers(), redact)
    before = list(looked)
    assert (told["x-request-id"], "x-request-id" in told) == ("[redacted]", True)

    assert (before, looked) == ([], ["X-RateLimit-Remaining", "x-request-id"])


def test_a_copy_holds_nothing_but_what_is_reported() -> None:
    told = ReportedHeaders(SENT, redact)

    for copied in (pickle.loads(pickle.dumps(told)), copy.deepcopy(told)):
        assert (type(copied), copied) == (dict, TOLD)
