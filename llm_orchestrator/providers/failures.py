"""What a failure means: from a provider's status and code, or an HTTP library's exception, to our error.

The table is written once for all providers. A provider's specific code counts before the status, the status
before its general kind, and the words of the message come last.
"""

from __future__ import annotations

import math
import re
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple, Type

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
from llm_orchestrator.providers.http.library import loaded_http_libraries

__all__ = ["Failure", "causes_of", "error_of_failure", "error_of_transport", "retry_after_of"]

ErrorClass = Type[ProviderError]

#: Codes that say more than the status they come with.
SPECIFIC_CODES: Mapping[str, ErrorClass] = {
    "API_KEY_INVALID": AuthenticationError,
    "ExpiredTokenException": AuthenticationError,
    "InvalidSignatureException": AuthenticationError,
    "UnrecognizedClientException": AuthenticationError,
    "billing_error": QuotaExceededError,
    "billing_hard_limit_reached": QuotaExceededError,
    "context_length_exceeded": ContextLengthError,
    "exceed_context_size_error": ContextLengthError,
    "insufficient_quota": QuotaExceededError,
    "invalid_api_key": AuthenticationError,
    "model_not_found": ModelNotFoundError,
    "overloaded_error": OverloadedError,
    "request_too_large": ContextLengthError,
}

STATUSES: Mapping[int, ErrorClass] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    408: ServerError,
    409: ServerError,
    413: ContextLengthError,
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}

#: Kinds that only count where no error status came, as in an error event of a stream that began with 200.
GENERAL_KINDS: Mapping[str, ErrorClass] = {
    "DEADLINE_EXCEEDED": ServerError,
    "FAILED_PRECONDITION": InvalidRequestError,
    "INTERNAL": ServerError,
    "INVALID_ARGUMENT": InvalidRequestError,
    "NOT_FOUND": ModelNotFoundError,
    "PERMISSION_DENIED": PermissionDeniedError,
    "RESOURCE_EXHAUSTED": RateLimitError,
    "UNAUTHENTICATED": AuthenticationError,
    "UNAVAILABLE": OverloadedError,
    "authentication_error": AuthenticationError,
    "invalid_prompt": InvalidRequestError,
    "invalid_request_error": InvalidRequestError,
    "not_found_error": ModelNotFoundError,
    "permission_error": PermissionDeniedError,
    "rate_limit_error": RateLimitError,
    "rate_limit_exceeded": RateLimitError,
    "server_is_overloaded": OverloadedError,
    "internalServerException": ServerError,
    "modelStreamErrorException": ServerError,
    "modelTimeoutException": ServerError,
    "serviceUnavailableException": OverloadedError,
    "slow_down": RateLimitError,
    "throttlingException": RateLimitError,
    "validationException": InvalidRequestError,
}

#: Words for what some providers give no code for (Anthropic, Gemini and OpenAI-compatible servers).
CONTEXT_LENGTH_WORDS = ("prompt is too long", "input token count", "maximum context length", "context window")
SPEND_LIMIT_SUFFIX = "_spend_limit_reached"
RESPONSES_ONLY_WORDS = "only supported in v1/responses"


@dataclass(frozen=True)
class Failure:
    """What a provider said about a request that failed.

    Attributes:
        message: The provider's words.
        status_code: HTTP status; None for an error event inside a stream.
        codes: The provider's codes and types, most specific first.
        parameter: Name of the parameter at fault, where the provider names one.
        headers: Headers of the reply.
        retry_after: Seconds to wait, where the body says so.
    """

    message: str
    status_code: Optional[int] = None
    codes: Tuple[str, ...] = ()
    parameter: Optional[str] = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: Optional[float] = None


def error_of_failure(failure: Failure) -> ProviderError:
    """Turn what a provider said into the error of ours.

    Args:
        failure: The provider's status, codes and words.

    Returns:
        The error, without provider and model, which its raiser adds.
    """
    message = (
        failure.message or f"The provider answered with status {failure.status_code} and no explanation."
    )
    fields: Dict[str, Any] = {
        "status_code": failure.status_code,
        "code": failure.codes[0] if failure.codes else None,
        "retry_after": (
            retry_after_of(failure.headers) if failure.retry_after is None else failure.retry_after
        ),
    }
    error_class = _class_of(failure)
    parameter = unsupported_parameter(failure) if error_class is InvalidRequestError else None
    if parameter is not None:
        return UnsupportedParameterError(message, parameter=parameter, **fields)
    error = error_class(message, **fields)
    error.may_retry = failure.headers.get("x-should-retry") != "false"
    return error


def _class_of(failure: Failure) -> ErrorClass:
    for code in failure.codes:
        if code in SPECIFIC_CODES:
            return SPECIFIC_CODES[code]
        if code.endswith(SPEND_LIMIT_SUFFIX):
            return QuotaExceededError
    words = failure.message.lower()
    if failure.status_code in (None, 400) and any(phrase in words for phrase in CONTEXT_LENGTH_WORDS):
        return ContextLengthError
    if RESPONSES_ONLY_WORDS in words:
        return ModelNotFoundError
    if failure.status_code is not None and failure.status_code >= 300:
        return _class_of_status(failure.status_code)
    return next((GENERAL_KINDS[code] for code in failure.codes if code in GENERAL_KINDS), ServerError)


def _class_of_status(status: int) -> ErrorClass:
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return ServerError
    return InvalidRequestError if status >= 400 else InvalidResponseError


def retry_after_of(headers: Mapping[str, str]) -> Optional[float]:
    """Read how long a provider asks to wait.

    Args:
        headers: Headers of the reply; ``retry-after-ms`` counts before ``retry-after`` (seconds or a date).

    Returns:
        Seconds, never negative; None when nothing readable is there.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return max(seconds, 0.0)
    return _seconds_until(value) if value else None


def _seconds_until(date: str) -> Optional[float]:
    from email.utils import mktime_tz, parsedate_tz

    try:
        moment = parsedate_tz(date)
        if moment is None:
            return None
        at = mktime_tz((*moment[:9], moment[9] or 0))  # without a zone it is GMT, as HTTP says
    except (ValueError, OverflowError, IndexError):  # which one depends on the text and on Python
        return None
    return max(at - time.time(), 0.0)


def _number(text: Optional[str]) -> Optional[float]:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def error_of_transport(error: BaseException) -> Optional[ProviderError]:
    """Turn an HTTP library's exception, or an SDK's exception caused by one, into the error of ours.

    Args:
        error: The exception as it came out of the SDK.

    Returns:
        A connection, timeout or invalid-response error; None when the exception is of another kind.
    """
    for cause in causes_of(error):
        for library in loaded_http_libraries():
            translated = _error_of_library(cause, library)
            if translated is not None:
                return translated
    for cause in causes_of(error):
        if isinstance(cause, _timeout_classes()):
            return _timeout(cause, sent=True)
        if isinstance(cause, OSError) or type(cause) is RuntimeError:  # what closed clients and loops raise
            unsent = isinstance(cause, (ConnectionRefusedError, socket.gaierror))
            return _no_connection(cause, sent=not unsent)
    if isinstance(error, ValueError):
        return InvalidResponseError(f"The reply cannot be read: {error}. Try again.")
    return None


def _error_of_library(cause: BaseException, library: Any) -> Optional[ProviderError]:
    if isinstance(cause, library.TimeoutException):
        return _timeout(cause, sent=not isinstance(cause, (library.ConnectTimeout, library.PoolTimeout)))
    if isinstance(cause, library.DecodingError):
        return InvalidResponseError(f"The reply cannot be decoded: {cause}. Try again.")
    if isinstance(cause, (library.HTTPError, library.StreamError, library.InvalidURL)):
        return _no_connection(cause, sent=not isinstance(cause, (library.ConnectError, library.InvalidURL)))
    return None


def _timeout_classes() -> Tuple[Type[BaseException], ...]:
    """Sockets had a timeout of their own before Python 3.10, event loops before 3.11."""
    loops = getattr(sys.modules.get("asyncio"), "TimeoutError", TimeoutError)
    return (TimeoutError, socket.timeout, loops)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Follow an exception to what it was raised from, or while handling.

    Args:
        error: The exception.

    Yields:
        The exception itself, then its causes.
    """
    seen = 0
    cause: Optional[BaseException] = error
    while cause is not None and seen < 10:
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        seen += 1


def _timeout(cause: BaseException, *, sent: bool) -> ProviderTimeoutError:
    error = ProviderTimeoutError(
        f"No answer in time ({type(cause).__name__}). "
        "Raise timeout, or try again when the provider is less busy."
    )
    error.may_be_billed = sent
    if sent:
        error.retry_limit = 1  # the provider may be working on it, and bill it
    return error


def _no_connection(cause: BaseException, *, sent: bool) -> ProviderConnectionError:
    detail = str(cause).rstrip(".") or type(cause).__name__
    error = ProviderConnectionError(
        f"No connection to the provider: {detail}. Check the network and base_url."
    )
    error.may_be_billed = sent
    return error


#: What providers call our parameters in their bodies and error texts, where it differs from our name.
WIRE_NAMES: Mapping[str, str] = {
    "disable_parallel_tool_use": "parallel_tool_calls",
    "frequencyPenalty": "frequency_penalty",
    "generation_config.temperature": "temperature",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "output_config.effort": "reasoning_effort",
    "presencePenalty": "presence_penalty",
    "reasoning": "reasoning_effort",
    "reasoning.effort": "reasoning_effort",
    "stop_sequences": "stop",
    "stopSequences": "stop",
    "text.format": "response_format",
    "thinking_budget": "reasoning_effort",
    "thinking_level": "reasoning_effort",
    "tool_choice.disable_parallel_tool_use": "parallel_tool_calls",
    "topK": "top_k",
    "topP": "top_p",
}
#: Codes of a parameter that the model does not take, as against a value that is merely wrong (OpenAI).
UNSUPPORTED_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
#: Words of the same where there is no such code (Anthropic, Gemini).
UNSUPPORTED_WORDS = (
    "deprecated",
    "not support",
    "unsupported",
    "n't support",
    "not allowed",
    "not available",
    "cannot both be specified",
)


def unsupported_parameter(failure: Failure) -> Optional[str]:
    """Name the parameter that a model does not take.

    Args:
        failure: What the provider said.

    Returns:
        The parameter in our name, or in the provider's where we have none; None when the failure is another.
    """
    if failure.status_code != 400:
        return None
    words = failure.message.lower()
    if failure.parameter:
        generic = not any(code in UNSUPPORTED_CODES for code in failure.codes)
        if generic and not any(phrase in words for phrase in UNSUPPORTED_WORDS):
            return None
        return WIRE_NAMES.get(failure.parameter, failure.parameter)
    if not any(phrase in words for phrase in UNSUPPORTED_WORDS):
        return None
    named = re.findall(
        r"[`'\"]([A-Za-z_.]+)[`'\"]|\b([a-z]+_[a-z_]+|temperature|seed|stop)\b", failure.message
    )
    candidates = [WIRE_NAMES.get(quoted or plain, quoted or plain) for quoted, plain in named]
    return next((name for name in candidates if name in KNOWN_PARAMETERS), None)


#: Parameters an error text without a field for it may name.
KNOWN_PARAMETERS = frozenset(WIRE_NAMES.values()) | {
    "parallel_tool_calls",
    "seed",
    "temperature",
    "tool_choice",
    "tools",
}
