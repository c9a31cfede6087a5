"""The headers of a reply that an application may want to know."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from llm_orchestrator import LLMResponse
from llm_orchestrator.providers.http.core.reply_headers import ReplyHeaders
from llm_orchestrator.providers.http.headers import reported_headers

HEAD = (
    b"HTTP/1.1 200 OK\r\nX-RateLimit-Remaining: 7 \r\nset-cookie: a=1\r\nx-request-id:key-1\r\n"
    b"via: a\r\nVia:\tb\r\n"
)


def redact(text: str) -> str:
    return text.replace("key-1", "[redacted]")


def test_what_is_reported_is_kept_in_lower_case_and_without_secrets() -> None:
    for sent in (ReplyHeaders(HEAD), {"X-RateLimit-Remaining": "7", "x-request-id": "key-1", "via": "a"}):
        told = reported_headers(sent, redact)

        assert (type(told), told) == (dict, {"x-ratelimit-remaining": "7", "x-request-id": "[redacted]"})


def test_those_of_a_reply_are_a_mapping_whose_copies_are_dicts() -> None:
    told = reported_headers(ReplyHeaders(HEAD + b"x-trace: " + b"t" * 600 + b"\r\n"), lambda text: text)
    wanted = {"x-ratelimit-remaining": "7", "x-request-id": "key-1", "x-trace": "t" * 500}

    assert told == wanted and repr(told) == repr(wanted) and len(told) == 3
    assert "set-cookie" not in told and told.get("via") is None
    for copied in (copy.deepcopy(told), pickle.loads(pickle.dumps(told))):
        assert (type(copied), copied) == (dict, wanted)
    answer = LLMResponse("", "m", "p", headers=told)
    for kind in (LLMResponse, Any):
        assert TypeAdapter(kind).dump_python(answer, mode="json")["headers"] == wanted
        assert json.loads(TypeAdapter(kind).dump_json(answer))["headers"] == wanted
    assert answer.to_dict()["headers"] == asdict(answer)["headers"] == wanted


def test_all_headers_at_once_are_what_each_is_alone() -> None:
    headers = ReplyHeaders(HEAD)

    assert dict(headers.items()) == {name: headers[name] for name in headers}
    assert (len(headers), headers["VIA"], headers.get("x-ratelimit-remaining")) == (4, "a, b", "7")


def test_a_long_header_is_cut() -> None:
    assert reported_headers({"x-trace": "t" * 600, "region": "a"}, redact) == {
        "x-trace": "t" * 500,
        "region": "a",
    }
