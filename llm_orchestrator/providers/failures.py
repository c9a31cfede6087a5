"""What a provider's failure means: its status, codes and message as one of our errors, for all providers.

A specific code counts before the status, the status before a general code, and words of the message count
only where some providers have no code.
"""

from __future__ import annotations

import json
import math
import time
from collections import abc
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Tuple, Type

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
from llm_orchestrator.providers.failure_words import (
    depends_on_others,
    says_no_credit,
    says_not_taken,
    says_too_long,
)
from llm_orchestrator.types import ADDED_FIELDS, JSON
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.text import one_line
from llm_orchestrator.utils.values import Value

__all__ = [
    "MOST_SHOWN",
    "Failure",
    "error_of_failure",
    "field_at_fault",
    "retry_after_of",
    "says_only_why",
    "unsupported_parameter",
    "words_of",
]

ErrorClass = Type[ProviderError]

#: Codes that say more than the status they come with.
SPECIFIC_CODES: Mapping[str, ErrorClass] = {
    "API_KEY_INVALID": AuthenticationError,
    "ExpiredTokenException": AuthenticationError,
    "InvalidSignatureException": AuthenticationError,
    "UnrecognizedClientException": AuthenticationError,
    "billing_error": QuotaExceededError,
    "Arrearage": QuotaExceededError,
    "billing_hard_limit_reached": QuotaExceededError,
    "context_length_exceeded": ContextLengthError,
    "exceed_context_size_error": ContextLengthError,
    "not_supported_error": InvalidRequestError,
    "exceeded_current_quota_error": QuotaExceededError,
    "insufficient_balance": QuotaExceededError,
    "insufficient_credits": QuotaExceededError,
    "insufficient_quota": QuotaExceededError,
    "insufficient_user_quota": QuotaExceededError,
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

#: Statuses that say only that the request was refused: there the sentence counts, if no code does.
REFUSALS = (None, 400, 422)
#: Statuses under which an empty account is reported where there is no code for it.
MONEY_STATUSES = (None, 400, 403, 412, 422, 429)
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
    "message.output_text.logprobs": "logprobs",
    "presencePenalty": "presence_penalty",
    "reasoning": "reasoning_effort",
    "reasoning.effort": "reasoning_effort",
    "responseLogprobs": "logprobs",
    "stop_sequences": "stop",
    "stream_options.include_usage": "stream_options",
    "stopSequences": "stop",
    "text.format": "response_format",
    "thinking_budget": "reasoning_effort",
    "thinking_level": "reasoning_effort",
    "tool_choice.disable_parallel_tool_use": "parallel_tool_calls",
    "top_logprobs": "logprobs",
    "topK": "top_k",
    "topP": "top_p",
}
#: Codes of a parameter that the model does not take; others mean that its value is wrong (OpenAI).
UNSUPPORTED_CODES = ("extra_forbidden", "unknown_parameter", "unsupported_parameter", "unsupported_value")
#: A parameter's name in a message, in quotes or not.
PARAMETER_NAME = LazyPattern(
    r"[`'\"]([A-Za-z_.]+)[`'\"]|\b([a-z]+_[a-z_]+|(?:top|max)[A-Z]\w*|[a-z]+Penalty|temperature|seed|stop|store)\b"
)
#: Parameters that a message may name where the failure has no field for it.
KNOWN_PARAMETERS = frozenset(WIRE_NAMES.values()) | {
    *ADDED_FIELDS,
    "parallel_tool_calls",
    "seed",
    "temperature",
    "tool_choice",
    "tools",
}


@dataclass(frozen=True, eq=False, repr=False)
class Failure(Value):
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


#: Where hosts put the words of a failure, the usual places first.
WORD_FIELDS = (
    "message",
    "msg",
    "detail",
    "error_msg",
    "error_message",
    "errorMessage",
    "error_description",
    "status_msg",
    "description",
    "reason",
    "title",
)
#: What may stand around them.
AROUND = ("error", "errors", "base_resp", "err", "fault", "Error")
#: So deep in a body words are looked for.
MAX_DEPTH = 5
#: Characters of a body that are shown where its words are not found.
MOST_SHOWN = 200


def words_of(body: Any) -> str:
    """The provider's words: from a field that we know, else the beginning of what it sent."""
    known = _known_words(body)
    if known or not body:
        return known
    return json.dumps(body, ensure_ascii=False, default=str)[:MOST_SHOWN]


def says_only_why(body: JSON, answers: Iterable[str]) -> bool:
    """Whether a body is no answer and says why in words: ``{"base_resp": {"status_msg": ...}}``."""
    return not any(map(body.get, answers)) and bool(_known_words(body))


def _known_words(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth > MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return next(filter(None, (_known_words(item, depth + 1) for item in value)), "")
    if not isinstance(value, abc.Mapping):
        return ""
    found = (_known_words(value.get(name), depth + 1) for name in (*AROUND, *WORD_FIELDS))
    return next(filter(None, found), "")


def field_at_fault(value: Any, depth: int = 0) -> Optional[str]:
    """The field that a validator such as FastAPI's names beside its words: ``"loc": ["body", "seed"]``."""
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, list):
        return next(filter(None, (field_at_fault(item, depth + 1) for item in value)), None)
    if not isinstance(value, abc.Mapping):
        return None
    places = value.get("loc")
    if isinstance(places, list):
        return next((place for place in places if isinstance(place, str) and place != "body"), None)
    found = (field_at_fault(value.get(name), depth + 1) for name in (*AROUND, *WORD_FIELDS))
    return next(filter(None, found), None)


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
        rejection = UnsupportedParameterError(message, parameter=parameter, **fields)
        if depends_on_others(message):
            rejection.named_beside = frozenset(_named(message)) - {parameter}
        return rejection
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
    by_sentence = _class_of_sentence(failure)
    if by_sentence is not None:
        return by_sentence
    if failure.status_code is not None and failure.status_code >= 300:
        return _class_of_status(failure.status_code)
    return next((GENERAL_CODES[code] for code in failure.codes if code in GENERAL_CODES), ServerError)


def _class_of_sentence(failure: Failure) -> Optional[ErrorClass]:
    """What the words say, where status and codes leave it open."""
    general = next((GENERAL_CODES[code] for code in failure.codes if code in GENERAL_CODES), None)
    is_open = failure.status_code is not None or general in (None, InvalidRequestError)
    sentence = " ".join((failure.message, *(code.replace("_", " ") for code in failure.codes)))
    if failure.status_code in REFUSALS and is_open and says_too_long(sentence):
        return ContextLengthError
    if failure.status_code in MONEY_STATUSES and is_open and says_no_credit(sentence):
        return QuotaExceededError
    return ModelNotFoundError if RESPONSES_ONLY_WORDS in sentence.lower() else None


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
    if failure.status_code is None or failure.status_code not in REFUSALS:
        return None
    says_so = says_not_taken(failure.message)
    if failure.parameter:
        has_code = any(code in UNSUPPORTED_CODES for code in failure.codes)
        return WIRE_NAMES.get(failure.parameter, failure.parameter) if has_code or says_so else None
    return next(iter(_named(failure.message)), None) if says_so else None


def _named(message: str) -> Iterator[str]:
    """The parameters that a message names, in its order."""
    named = (quoted or plain for quoted, plain in PARAMETER_NAME.findall(message))
    candidates = (WIRE_NAMES.get(name, name) for name in named)
    return (name for name in candidates if name in KNOWN_PARAMETERS)
