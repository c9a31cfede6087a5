"""What a provider's failure means: its status, codes and message as one of our errors, for all providers.

A specific code counts before the status, the status before a general code, and words of the message count
only where some providers have no code.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple, Type

from llm_orchestrator.exceptions import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    UnsupportedParameterError,
)
from llm_orchestrator.utils.text import one_line

__all__ = ["Failure", "error_of_failure", "retry_after_of", "unsupported_parameter"]

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

#: Codes that count only where no error status came, as in an error event of a stream that began with 200.
GENERAL_CODES: Mapping[str, ErrorClass] = {
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
    "insufficient_system_resource": OverloadedError,
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

#: Words of what some providers have no code for (Anthropic, Gemini and OpenAI-compatible servers).
CONTEXT_LENGTH_WORDS = ("prompt is too long", "input token count", "maximum context length", "context window")
SPEND_LIMIT_SUFFIX = "_spend_limit_reached"
RESPONSES_ONLY_WORDS = "only supported in v1/responses"

#: Names of our parameters in providers' bodies and error texts, where they differ from ours.
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
#: Codes of a parameter that the model does not take; others mean that its value is wrong (OpenAI).
UNSUPPORTED_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
#: Words for the same where there is no such code (Anthropic, Gemini).
UNSUPPORTED_WORDS = (
    "deprecated",
    "not support",
    "unsupported",
    "n't support",
    "not allowed",
    "not available",
    "cannot both be specified",
)
#: A parameter's name in a message, in quotes or not.
PARAMETER_NAME = re.compile(r"[`'\"]([A-Za-z_.]+)[`'\"]|\b([a-z]+_[a-z_]+|temperature|seed|stop)\b")
#: Parameters that a message may name where the failure has no field for it.
KNOWN_PARAMETERS = frozenset(WIRE_NAMES.values()) | {
    "parallel_tool_calls",
    "seed",
    "temperature",
    "tool_choice",
    "tools",
}


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
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    retry_after: Optional[float] = None


def error_of_failure(failure: Failure) -> ProviderError:
    """Make our error of what a provider said; whoever raises it adds provider and model."""
    message = one_line(failure.message) or _without_message(failure)
    wait = retry_after_of(failure.headers) if failure.retry_after is None else failure.retry_after
    fields: Dict[str, Any] = {
        "status_code": failure.status_code,
        "code": one_line(failure.codes[0]) if failure.codes else None,
        "retry_after": wait,
    }
    error_class = _class_of(failure)
    parameter = unsupported_parameter(failure) if error_class is InvalidRequestError else None
    if parameter is not None:
        return UnsupportedParameterError(message, parameter=parameter, **fields)
    error = error_class(message, **fields)
    error.may_retry = failure.headers.get("x-should-retry") != "false"
    return error


def _without_message(failure: Failure) -> str:
    if failure.status_code is None:
        return "The provider reported an error without an explanation."
    return f"The provider answered with status {failure.status_code} and no explanation."


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
    return next((GENERAL_CODES[code] for code in failure.codes if code in GENERAL_CODES), ServerError)


def _class_of_status(status: int) -> ErrorClass:
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return ServerError
    return InvalidRequestError if status >= 400 else InvalidResponseError


def retry_after_of(headers: Mapping[str, str]) -> Optional[float]:
    """The seconds to wait by ``retry-after-ms``, or else by ``retry-after``, which is seconds or a date."""
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


def unsupported_parameter(failure: Failure) -> Optional[str]:
    """The parameter that a model does not take, by our name where it has one; None for another failure."""
    if failure.status_code != 400:
        return None
    words = failure.message.lower()
    says_so = any(phrase in words for phrase in UNSUPPORTED_WORDS)
    if failure.parameter:
        has_code = any(code in UNSUPPORTED_CODES for code in failure.codes)
        return WIRE_NAMES.get(failure.parameter, failure.parameter) if has_code or says_so else None
    if not says_so:
        return None
    named = (quoted or plain for quoted, plain in PARAMETER_NAME.findall(failure.message))
    candidates = (WIRE_NAMES.get(name, name) for name in named)
    return next((name for name in candidates if name in KNOWN_PARAMETERS), None)
