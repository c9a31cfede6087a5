"""Errors with the names and fields of the OpenAI SDK's, whose cause is the library's own error.

The SDK is never imported. Where a program has imported it, the errors raised are instances of its classes
too, so that an ``except openai.RateLimitError`` of that program holds.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, ClassVar, Dict, Optional, Tuple, Type

from llm_orchestrator import exceptions as own
from llm_orchestrator.frameworks.openai.completions import completion_of
from llm_orchestrator.frameworks.translation import Translating, counterpart, kind_of
from llm_orchestrator.types import Attempt

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "InternalServerError",
    "LengthFinishReasonError",
    "NotFoundError",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "UnprocessableEntityError",
    "bad_request",
    "translated",
]


class OpenAIError(Exception):
    """Base of these errors; raised itself where the configuration is at fault.

    Attributes:
        message: What happened and what to do.
        attempts: Every request that was sent before the error left the call, in order.
    """

    def __init__(self, message: str, /, **fields: Any) -> None:
        Exception.__init__(self, message)  # the SDK's class beside it takes other arguments
        self.message = message
        self.attempts: Tuple[Attempt, ...] = ()
        self.__dict__.update(fields)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> Tuple[Any, ...]:
        """Pickle by the class that has a place in this module, and the fields."""
        return _rebuilt, (_named(type(self)), self.message, self.__dict__)


class APIError(OpenAIError):
    """A provider refused, failed, or could not be reached.

    Attributes:
        code: The provider's own error code or type.
        param: The parameter that is at fault, where one is named.
        type: The name of the library's own error.
        body: The same as a dict, as the SDK has it.
        request: None; the SDK has the request here.
    """

    code: Optional[str] = None
    param: Optional[str] = None
    type: Optional[str] = None
    body: Optional[Dict[str, Any]] = None
    request: Any = None


class APIResponseValidationError(APIError):
    """An answer is not what was asked for; one that was paid for is in ``completion``."""

    status_code: int = 200
    completion: Any = None


class APIConnectionError(APIError):
    """No connection, or it broke before the answer was complete."""


class APITimeoutError(APIConnectionError):
    """No answer in time."""


class APIStatusError(APIError):
    """A refusal with an HTTP status.

    Attributes:
        status_code: The provider's HTTP status; where nothing was sent, the one that goes with the class.
        request_id: The provider's id of the request.
        response: What is known of the reply: its ``status_code``, and ``headers`` with ``retry-after`` and
            ``x-request-id`` where they are known.
    """

    usual_status: ClassVar[int] = 400
    status_code: int
    request_id: Optional[str] = None
    response: Any = None


class BadRequestError(APIStatusError):
    """The request is invalid; nothing was sent where the library found it so."""


class AuthenticationError(APIStatusError):
    """The provider does not accept the key."""

    usual_status = 401


class PermissionDeniedError(APIStatusError):
    """The key is not allowed to do this."""

    usual_status = 403


class NotFoundError(APIStatusError):
    """The provider does not offer the model."""

    usual_status = 404


class ConflictError(APIStatusError):
    """The request conflicts with another one."""

    usual_status = 409


class UnprocessableEntityError(APIStatusError):
    """The provider understood the request and cannot follow it."""

    usual_status = 422


class RateLimitError(APIStatusError):
    """Too many requests, no credit left, or a configured budget is spent; ``code`` says which."""

    usual_status = 429


class InternalServerError(APIStatusError):
    """The provider failed, or is overloaded."""

    usual_status = 500


class LengthFinishReasonError(OpenAIError):
    """The model reached its token limit before its structured output was complete.

    Attributes:
        completion: The answer, which was paid for.
    """

    completion: Any = None


#: What becomes what; the first that fits counts.
_CLASSES: Tuple[Tuple[Type[own.OrchestratorError], Type[APIError]], ...] = (
    (own.BudgetExceededError, RateLimitError),
    (own.QuotaExceededError, RateLimitError),
    (own.RateLimitError, RateLimitError),
    (own.AuthenticationError, AuthenticationError),
    (own.PermissionDeniedError, PermissionDeniedError),
    (own.ModelNotFoundError, NotFoundError),
    (own.ServerError, InternalServerError),
    (own.ProviderTimeoutError, APITimeoutError),
    (own.ProviderConnectionError, APIConnectionError),
    (own.StreamInterruptedError, APIConnectionError),
    (own.InvalidResponseError, APIResponseValidationError),
    (own.OutputParseError, APIResponseValidationError),
    (own.ProviderError, BadRequestError),
    (own.InvalidMessagesError, BadRequestError),
    (own.ProviderSwitchError, BadRequestError),
)
#: Statuses with a class of their own in the SDK, which the library counts as invalid requests or failures.
_BY_STATUS = {409: ConflictError, 422: UnprocessableEntityError}
#: The SDK's words for what has no code of a provider.
_CODES: Tuple[Tuple[Type[own.OrchestratorError], str], ...] = (
    (own.BudgetExceededError, "budget_exceeded"),
    (own.QuotaExceededError, "insufficient_quota"),
    (own.ContextLengthError, "context_length_exceeded"),
)


def translated() -> Translating:
    """Raise the library's errors in the SDK's shape."""
    return Translating(_translation)


def bad_request(message: str, param: str) -> OpenAIError:
    """Make the error for an argument that is refused before anything is sent."""
    body = {"message": message, "type": "InvalidRequestError", "code": None, "param": param}
    return _raisable(BadRequestError)(message, **_fields(BadRequestError, body))


def _translation(error: own.OrchestratorError) -> OpenAIError:
    kind = kind_of(error)
    if isinstance(kind, own.OutputTruncatedError):
        made = _raisable(LengthFinishReasonError)(str(error))
    else:
        made = _api_error(error, kind)
    made.attempts = error.attempts
    if isinstance(kind, (own.OutputTruncatedError, own.OutputParseError)) and kind.response is not None:
        vars(made)["completion"] = completion_of(kind.response)
    return made


def _api_error(error: own.OrchestratorError, kind: own.OrchestratorError) -> OpenAIError:
    found = counterpart(kind, _CLASSES)
    if found is None:  # the configuration, a closed orchestrator
        return _raisable(OpenAIError)(str(error))
    if issubclass(found, APIStatusError):
        found = _BY_STATUS.get(getattr(error, "status_code", None) or 400, found)
    body = {
        "message": str(error),
        "type": type(kind).__name__,
        "code": counterpart(kind, _CODES) or getattr(error, "code", None),
        "param": getattr(kind, "parameter", None),
    }
    return _raisable(found)(str(error), **_fields(found, body, error))


def _fields(
    made: Type[APIError], body: Dict[str, Any], error: Optional[own.OrchestratorError] = None
) -> Dict[str, Any]:
    """The fields of an error of a class."""
    if not issubclass(made, APIStatusError):
        return {**body, "body": body}
    status = getattr(error, "status_code", None) or made.usual_status
    request_id = getattr(error, "request_id", None)
    known = {"retry-after": getattr(error, "retry_after", None), "x-request-id": request_id}
    headers = {name: str(value) for name, value in known.items() if value is not None}
    # ``request``, too, for the SDK's classes ask for it when a program raises one anew.
    response = SimpleNamespace(status_code=status, headers=headers, request=None)
    return {**body, "body": body, "status_code": status, "request_id": request_id, "response": response}


# ---------------------------------------------------------------- the SDK's own classes

#: One class for each pair of ours and the SDK's, so that two errors of a kind have the same.
_BOTH: Dict[Tuple[Type[Any], Type[Any]], Any] = {}


def _raisable(wanted: Type[OpenAIError]) -> Type[OpenAIError]:
    """The class to raise: where the program has imported the SDK, one that is the SDK's too."""
    theirs = getattr(sys.modules.get("openai"), wanted.__name__, None)
    if not isinstance(theirs, type):
        return wanted
    names = {"__module__": wanted.__module__, "__doc__": wanted.__doc__}
    both: Type[OpenAIError] = _BOTH.setdefault(
        (wanted, theirs), type(wanted.__name__, (wanted, theirs), names)
    )
    return both


def _named(made: Type[OpenAIError]) -> Type[OpenAIError]:
    """The class that has a place in this module."""
    found: Type[OpenAIError] = next(base for base in made.__mro__ if globals().get(base.__name__) is base)
    return found


def _rebuilt(made: Type[OpenAIError], message: str, fields: Dict[str, Any]) -> OpenAIError:
    return _raisable(made)(message, **fields)
