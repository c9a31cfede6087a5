"""What a failure means: the table of statuses and codes, how long to wait, what broken connections become."""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import socket
from typing import Any, Dict, Mapping, Optional, Tuple, Type

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_orchestrator.exceptions import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    UnsupportedParameterError,
)
from llm_orchestrator.providers import failures
from llm_orchestrator.providers.failures import (
    Failure,
    error_of_failure,
    retry_after_of,
    unsupported_parameter,
)
from llm_orchestrator.providers.http.exceptions import error_of_transport
from llm_orchestrator.providers.http.library import http_library_of, loaded_http_libraries
from tests.support.small_adapter import SmallAdapter

ONLY_RESPONSES = "This model is only supported in v1/responses and not in v1/chat/completions."
TOO_LONG = "prompt is too long: 250000 tokens > 200000 maximum"
GEMINI_TOO_LONG = "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."

#: Status, codes and message; then the class, whether it is retried, whether another model is tried.
TABLE = [
    (401, (), "", AuthenticationError, False, False),
    (401, ("invalid_api_key", "invalid_request_error"), "", AuthenticationError, False, False),
    (400, ("API_KEY_INVALID", "INVALID_ARGUMENT"), "API key not valid.", AuthenticationError, False, False),
    (403, ("PERMISSION_DENIED",), "", PermissionDeniedError, False, False),
    (404, (), "", ModelNotFoundError, False, True),
    (404, ("invalid_request_error",), ONLY_RESPONSES, ModelNotFoundError, False, True),
    (400, ("model_not_found",), "", ModelNotFoundError, False, True),
    (429, ("rate_limit_exceeded",), "", RateLimitError, True, True),
    (429, ("RESOURCE_EXHAUSTED",), "", RateLimitError, True, True),
    (429, ("insufficient_quota",), "", QuotaExceededError, False, False),
    (429, ("organization_spend_limit_reached", "rate_limit_error"), "", QuotaExceededError, False, False),
    (402, (), "", QuotaExceededError, False, False),
    (400, ("billing_error",), "", QuotaExceededError, False, False),
    (400, ("context_length_exceeded",), "", ContextLengthError, False, True),
    (400, ("exceed_context_size_error",), "", ContextLengthError, False, True),
    (400, ("invalid_request_error",), TOO_LONG, ContextLengthError, False, True),
    (400, ("INVALID_ARGUMENT",), GEMINI_TOO_LONG, ContextLengthError, False, True),
    (413, ("request_too_large",), "", ContextLengthError, False, True),
    (413, (), "", ContextLengthError, False, True),
    (400, ("invalid_request_error",), "No idea.", InvalidRequestError, False, False),
    (422, (), "", InvalidRequestError, False, False),
    (418, (), "", InvalidRequestError, False, False),
    (408, (), "", ServerError, True, True),
    (409, (), "", ServerError, True, True),
    (500, ("server_error",), "", ServerError, True, True),
    (502, (), "", ServerError, True, True),
    (504, ("DEADLINE_EXCEEDED",), "", ServerError, True, True),
    (503, ("UNAVAILABLE",), "", OverloadedError, True, True),
    (529, ("overloaded_error",), "", OverloadedError, True, True),
    (307, (), "", InvalidResponseError, True, True),
    # error events of a stream that began with status 200
    (None, ("overloaded_error",), "", OverloadedError, True, True),
    (None, ("rate_limit_error",), "", RateLimitError, True, True),
    (200, ("rate_limit_exceeded",), "", RateLimitError, True, True),
    (None, ("authentication_error",), "", AuthenticationError, False, False),
    (None, ("invalid_request_error",), "", InvalidRequestError, False, False),
    (None, ("invalid_request_error",), TOO_LONG, ContextLengthError, False, True),
    (None, ("NOT_FOUND",), "", ModelNotFoundError, False, True),
    (None, ("api_error",), "", ServerError, True, True),
    (None, (), "", ServerError, True, True),
    # words decide only where a provider has no code for the thing
    (500, (), TOO_LONG, ServerError, True, True),
]


@pytest.mark.parametrize(
    ("status", "codes", "message", "expected", "retryable", "falls_back"),
    TABLE,
    ids=[" ".join([str(row[0]), *row[1], row[2][:20]]) for row in TABLE],
)
def test_the_table(
    status: Optional[int],
    codes: Tuple[str, ...],
    message: str,
    expected: Type[ProviderError],
    retryable: bool,
    falls_back: bool,
) -> None:
    error = error_of_failure(Failure(message, status, codes))
    assert type(error) is expected
    assert (error.retryable, error.falls_back) == (retryable, falls_back)
    assert (error.status_code, error.code) == (status, codes[0] if codes else None)
    assert str(error).startswith(message) and str(error), "without an explanation it says at least that"


def test_the_provider_may_forbid_a_retry() -> None:
    assert error_of_failure(Failure("", 500, headers={"x-should-retry": "false"})).may_retry is False
    assert error_of_failure(Failure("", 500, headers={"x-should-retry": "true"})).may_retry is True


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "277403"}, 277403.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": email.utils.formatdate(NOW + 90, usegmt=True)}, 90.0),
        ({"retry-after": email.utils.formatdate(NOW + 90, usegmt=True).replace(" GMT", "")}, 90.0),
        ({"retry-after": email.utils.formatdate(NOW - 90, usegmt=True)}, 0.0),
        ({"retry-after": "Fri, 01 Jan 99999 00:00:00 GMT"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": " "}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
    ],
)
def test_how_long_to_wait(
    monkeypatch: pytest.MonkeyPatch, headers: Mapping[str, str], seconds: Optional[float]
) -> None:
    monkeypatch.setattr(failures.time, "time", lambda: NOW)
    assert retry_after_of(headers) == seconds
    assert error_of_failure(Failure("", 429, headers=headers)).retry_after == seconds


def test_what_the_body_says_about_waiting_counts_first() -> None:
    assert (
        error_of_failure(Failure("", 429, headers={"retry-after": "9"}, retry_after=38.0)).retry_after == 38.0
    )


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d{1,5} [A-Z][a-z]{2} \d{1,6} \d+:\d+:\d+( \S+)?"))
)
def test_any_retry_after_is_seconds_or_nothing(text: str) -> None:
    seconds = retry_after_of({"retry-after": text})
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


@pytest.mark.parametrize(
    ("message", "codes", "parameter", "expected"),
    [
        ("Unsupported value.", ("unsupported_value",), "temperature", "temperature"),
        ("Unknown.", ("unknown_parameter",), "reasoning.effort", "reasoning_effort"),
        ("Unsupported.", ("unsupported_parameter",), "max_completion_tokens", "max_tokens"),
        ("'temperature' does not support 0.2 with this model.", (), "temperature", "temperature"),
        ("Unknown.", ("unknown_parameter",), "my_option", "my_option"),
        ("`temperature` is deprecated for this model.", ("invalid_request_error",), None, "temperature"),
        ("top_k is not supported by this model", ("INVALID_ARGUMENT",), None, "top_k"),
        ("`stop_sequences`: unsupported here", (), None, "stop"),
        (
            "Penalty is not enabled: presencePenalty isn't supported",
            (),
            "presencePenalty",
            "presence_penalty",
        ),
        # a value that is merely wrong, something else that is not supported, no complaint at all
        ("temperature must be at most 2", ("invalid_value",), "temperature", None),
        ("`temperature` must be at most 1", (), None, None),
        ("The image format is not supported.", (), None, None),
        ("`bananas` are not supported.", (), None, None),
        ("", (), None, None),
    ],
)
def test_which_parameter_a_model_does_not_take(
    message: str, codes: Tuple[str, ...], parameter: Optional[str], expected: Optional[str]
) -> None:
    failure = Failure(message, 400, codes, parameter)
    assert unsupported_parameter(failure) == expected
    error = error_of_failure(failure)
    if expected is None:
        assert type(error) is InvalidRequestError
    else:
        assert isinstance(error, UnsupportedParameterError) and error.parameter == expected


@pytest.mark.parametrize(
    ("status", "expected"), [(400, "temperature"), (422, "temperature"), (403, None), (None, None)]
)
def test_only_a_refused_request_names_an_unsupported_parameter(status: Any, expected: Any) -> None:
    assert unsupported_parameter(Failure("", status, ("unsupported_parameter",), "temperature")) == expected


class Refusal(Exception):
    """An exception with a reply, as the SDKs raise them."""

    def __init__(self, status_code: int, content: bytes, headers: Optional[Dict[str, str]] = None) -> None:
        super().__init__("refused")
        self.status_code = status_code
        self.content = content
        self.headers = headers or {}
        self.response = self


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error": {"message": "No.", "code": "c", "type": "t"}}', "No.", "c"),
        (b'{"error": {"message": "No.", "type": "t"}}', "No.", "t"),
        (b'{"error": {"message": "No.", "code": 418}}', "No.", "418"),
        (b'{"error": "No."}', "No.", None),
        (b'{"message": "No."}', "No.", None),
        (b'{"error": {"message": ["No."], "param": {"a": 1}}}', "No.", None),
        (b"{}", "status 418 and no explanation", None),
        (b"", "status 418 and no explanation", None),
        (b"<html>Teapot</html>", "status 418: <html>Teapot</html>", None),
        (b"[1]", "status 418: [1]", None),
        (b"\xff" * 1000, "status 418: \ufffd", None),
    ],
)
def test_the_body_of_an_error_in_any_form(body: bytes, message: str, code: Optional[str]) -> None:
    refusal = Refusal(418, body, {"request-id": "request-7", "retry-after": "3"})
    error = SmallAdapter().translate_error(refusal)
    assert type(error) is InvalidRequestError
    assert message in str(error)
    assert (error.status_code, error.code, error.request_id, error.retry_after) == (
        418,
        code,
        "request-7",
        3.0,
    )


def test_a_parameter_that_is_no_name_is_nobodys() -> None:
    body = {"error": {"message": "No.", "code": "unsupported_parameter", "param": {"a": 1}}}
    error = SmallAdapter().translate_error(Refusal(400, json.dumps(body).encode()))
    assert type(error) is InvalidRequestError


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner)
    | st.dictionaries(st.sampled_from(["error", "message", "code", "type", "param"]), inner),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(documents, st.sampled_from([307, 400, 404, 429, 500]))
def test_any_body_of_an_error_gives_one_of_ours(document: Any, status: int) -> None:
    error = SmallAdapter().translate_error(Refusal(status, json.dumps(document).encode()))
    assert isinstance(error, ProviderError) and error.status_code == status


@pytest.fixture
def library(vendor_sdks: None) -> Any:
    """The HTTP library that the installed SDKs brought along."""
    found = list(loaded_http_libraries())
    if not found:
        pytest.skip("no SDK is installed, so there is no HTTP library")
    return found[0]


@pytest.mark.parametrize(
    ("name", "expected", "retry_limit"),
    [
        ("ConnectTimeout", ProviderTimeoutError, None),
        ("PoolTimeout", ProviderTimeoutError, None),
        ("ReadTimeout", ProviderTimeoutError, 1),
        ("WriteTimeout", ProviderTimeoutError, 1),
        ("ConnectError", ProviderConnectionError, None),
        ("ReadError", ProviderConnectionError, None),
        ("RemoteProtocolError", ProviderConnectionError, None),
        ("UnsupportedProtocol", ProviderConnectionError, None),
        ("TooManyRedirects", ProviderConnectionError, None),
        ("InvalidURL", ProviderConnectionError, None),
        ("DecodingError", InvalidResponseError, 1),
    ],
)
def test_the_http_librarys_errors_become_ours(
    library: Any, name: str, expected: Type[ProviderError], retry_limit: Optional[int]
) -> None:
    raised = getattr(library, name)("something broke")
    wrapped = Exception("an SDK's own")
    wrapped.__cause__ = raised
    in_passing = ValueError("raised while the other was handled")
    in_passing.__context__ = raised
    for error in (raised, wrapped, in_passing):
        translated = error_of_transport(error)
        assert type(translated) is expected
        assert translated.retry_limit == retry_limit, "what was sent may be billed"


def test_a_closed_stream_is_a_lost_connection(library: Any) -> None:
    assert type(error_of_transport(library.StreamClosed())) is ProviderConnectionError


def test_what_an_error_replaced_on_purpose_does_not_count(library: Any) -> None:
    error = ValueError("no JSON")
    error.__context__ = library.ReadTimeout("of another request")
    error.__suppress_context__ = True
    assert type(error_of_transport(error)) is InvalidResponseError


def test_a_ring_of_causes_ends() -> None:
    one, other = KeyError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one
    assert error_of_transport(one) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), ProviderTimeoutError),
        (socket.timeout(), ProviderTimeoutError),
        (asyncio.TimeoutError(), ProviderTimeoutError),
        (ConnectionResetError("reset by peer"), ProviderConnectionError),
        (OSError(101, "Network is unreachable"), ProviderConnectionError),
        (RuntimeError("Event loop is closed"), ProviderConnectionError),
        (json.JSONDecodeError("no JSON", "", 0), InvalidResponseError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), InvalidResponseError),
        (NotImplementedError(), None),
        (RecursionError(), None),
        (KeyError("a fault of the adapter"), None),
        (TypeError("a fault of the adapter"), None),
    ],
    ids=repr,
)
def test_errors_of_python_itself(error: Exception, expected: Optional[Type[ProviderError]]) -> None:
    translated = error_of_transport(error)
    assert (None if translated is None else type(translated)) is expected


def test_the_http_library_of_an_sdk(library: Any) -> None:
    class Sdk:
        __name__ = "sdk"
        __version__ = "1.0"
        Timeout = library.Timeout

    assert http_library_of(Sdk()) is library
    Sdk.Timeout = object
    with pytest.raises(ImportError, match=r"sdk 1\.0"):
        http_library_of(Sdk())
