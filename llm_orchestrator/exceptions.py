"""The error family: every error a user of the library can meet, drawn as a tree.

    OrchestratorError
    |-- ConfigurationError              the YAML, a key or an installation is not as needed
    |-- ProviderSwitchError             a history of one provider was sent to another
    |-- InvalidMessagesError            the messages cannot be sent (names the index)
    |-- BudgetExceededError             a configured budget is spent
    `-- ProviderError                   a provider refused, failed, or could not be reached
        |-- AuthenticationError         the key is wrong or missing
        |-- PermissionDeniedError       the key is right but not allowed
        |-- QuotaExceededError          the account is out of money or quota
        |-- RateLimitError              too many requests for now        retried, falls back
        |-- ModelNotFoundError          no such model for this account   falls back
        |-- ContextLengthError          the prompt is too long           falls back
        |-- InvalidRequestError         the request is malformed
        |   `-- UnsupportedParameterError   the model rejects one parameter
        |-- ServerError                 the provider failed              retried, falls back
        |   `-- OverloadedError         the provider is overloaded       retried, falls back
        |-- ProviderConnectionError     no connection                    retried, falls back
        |   `-- ProviderTimeoutError    no answer in time                retried, falls back
        |-- InvalidResponseError        the answer cannot be read        retried, falls back
        |-- StreamInterruptedError      a stream ended before its end
        |-- OutputTruncatedError        structured output was cut
        |-- OutputParseError            structured output does not fit its schema
        `-- AllFallbacksFailedError     every configured model failed

Each class says through ``retryable`` and ``falls_back`` whether the same model, or another model of the same
provider, may succeed where this attempt failed. All errors can be pickled and copied with their fields.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Iterator, List, Optional, Tuple, Type

from llm_orchestrator.types import Attempt, LLMResponse

__all__ = [
    "AllFallbacksFailedError",
    "AuthenticationError",
    "BudgetExceededError",
    "ConfigurationError",
    "ContextLengthError",
    "InvalidMessagesError",
    "InvalidRequestError",
    "InvalidResponseError",
    "ModelNotFoundError",
    "OrchestratorError",
    "OutputParseError",
    "OutputTruncatedError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderSwitchError",
    "ProviderTimeoutError",
    "QuotaExceededError",
    "RateLimitError",
    "ServerError",
    "StreamInterruptedError",
    "UnsupportedParameterError",
]


def _rebuild(cls: Type[OrchestratorError], args: Tuple[Any, ...], state: Dict[str, Any]) -> OrchestratorError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class OrchestratorError(Exception):
    """Base of every error the library raises.

    Attributes:
        attempts: Every request that was sent before the error left the call, in order; empty when none was
            sent.
    """

    attempts: Tuple[Attempt, ...] = ()

    def __reduce__(self) -> Tuple[Any, ...]:
        """Pickle by class, arguments and fields, so that keyword-only constructors survive."""
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(OrchestratorError):
    """The configuration, a key, a file or an installed package is not as the call needs it."""


class NotSupportedError(ConfigurationError):
    """The provider has no such endpoint, to list its models for instance; nothing is wrong."""


class ProviderSwitchError(OrchestratorError):
    """A conversation or history that belongs to one provider was sent to another; nothing was sent."""


class InvalidMessagesError(OrchestratorError):
    """The messages cannot be sent; the text names the index of the first one at fault.

    Args:
        message: What is wrong and what to do.
        index: Position of the message at fault, counted from 0; None when the list as a whole is at fault.
    """

    def __init__(self, message: str, *, index: Optional[int] = None) -> None:
        super().__init__(message)
        self.index = index


class BudgetExceededError(OrchestratorError):
    """A configured budget is spent; nothing was sent."""


class ProviderError(OrchestratorError):
    """A provider refused, failed, or could not be reached.

    Args:
        message: What happened, in the provider's words where it gave any.
        provider: Name of the configured provider entry.
        model: Model the request was for.
        status_code: HTTP status; None when no response came.
        code: The provider's own error code or type.
        request_id: The provider's id of the request, for its support.
        retry_after: Seconds the provider asked to wait; None when it said nothing.
    """

    retryable: ClassVar[bool] = False
    falls_back: ClassVar[bool] = False
    #: What its reader can do, where the provider's words hardly ever say; ends the error's text.
    remedy: ClassVar[str] = ""
    #: At most this many retries on one model, whatever the configuration allows; None: no limit of its own.
    retry_limit: Optional[int] = None
    #: False where the provider said not to try again (the header ``x-should-retry: false``).
    may_retry: bool = True
    #: False where the library found the fault before anything was sent.
    sent: bool = True
    #: True where the provider may have worked on the request, and charge for it, though no answer came.
    may_be_billed: bool = False

    def __init__(
        self,
        message: str,
        *,
        provider: Optional[str] = None,
        model: Optional[str] = None,
        status_code: Optional[int] = None,
        code: Optional[str] = None,
        request_id: Optional[str] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.attempts: Tuple[Attempt, ...] = ()

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message.rstrip('.')}. {self.remedy}" if self.remedy else message


class AuthenticationError(ProviderError):
    """The provider does not accept the key."""

    remedy = "Check the api_key of the provider's entry."


class PermissionDeniedError(ProviderError):
    """The key is valid but not allowed to do this."""

    remedy = "Check with the provider what the key may do."


class QuotaExceededError(ProviderError):
    """The account is out of quota or credit; waiting does not help, so it is never retried."""

    remedy = "Add credit or raise the limit at the provider."


class RateLimitError(ProviderError):
    """Too many requests or tokens for now."""

    retryable = True
    falls_back = True


class ModelNotFoundError(ProviderError):
    """The provider does not offer this model to this account."""

    falls_back = True
    remedy = "Check its name: refresh_models asks what there is."


class ContextLengthError(ProviderError):
    """Prompt and answer together do not fit the model's context window."""

    falls_back = True
    remedy = "Shorten the conversation, or name a fallback model with a larger window."


class InvalidRequestError(ProviderError):
    """The provider, or the library before sending, found the request malformed."""


class UnsupportedParameterError(InvalidRequestError):
    """The model rejects one parameter of the request.

    Args:
        message: What happened.
        parameter: The parameter's name as the caller knows it, for example ``temperature``.
        **fields: The fields of ProviderError.

    Attributes:
        form: The form the parameter was sent in, where its provider knows another one; else None.
    """

    form: Optional[str] = None

    def __init__(self, message: str, *, parameter: str, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.parameter = parameter


class ServerError(ProviderError):
    """The provider failed while handling the request."""

    retryable = True
    falls_back = True


class OverloadedError(ServerError):
    """The provider has no capacity right now."""


class ProviderConnectionError(ProviderError):
    """No connection, or the connection broke before the answer began."""

    retryable = True
    falls_back = True
    may_be_billed = True


class ProviderTimeoutError(ProviderConnectionError):
    """No answer within ``timeout`` or ``total_timeout``; a request that was sent may still be billed."""


class InvalidResponseError(ProviderError):
    """The provider answered with something that is not its documented format; retried once."""

    retryable = True
    falls_back = True
    retry_limit = 1
    may_be_billed = True


class StreamInterruptedError(ProviderError):
    """A stream ended before the provider said it was complete.

    Args:
        message: What happened.
        partial_text: The text received so far.
        partial_response: What is known of the answer; its ``usage.source`` is never ``reported``.
        **fields: The fields of ProviderError.
    """

    may_be_billed = True

    def __init__(
        self,
        message: str,
        *,
        partial_text: str = "",
        partial_response: Optional[LLMResponse] = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.partial_text = partial_text
        self.partial_response = partial_response


class _OutputError(ProviderError):
    """Structured output that cannot be used; the answer was paid for and is kept.

    Args:
        message: What is wrong with the output.
        response: The whole answer, with its usage and cost.
        **fields: The fields of ProviderError.
    """

    def __init__(self, message: str, *, response: Optional[LLMResponse] = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.response = response


class OutputTruncatedError(_OutputError):
    """The model ran out of tokens in the middle of structured output."""


class OutputParseError(_OutputError):
    """The model's structured output is not valid for the requested format."""


class AllFallbacksFailedError(ProviderError):
    """Every model failed; ``attempts`` lists them in order and ``__cause__`` is the first failure."""


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """Walk through an error and everything it was caused by.

    Args:
        error: The error.

    Yields:
        The error, its causes and contexts and the members of groups, each once.
    """
    waiting: List[Optional[BaseException]] = [error]
    seen: List[int] = []
    while waiting:
        current = waiting.pop()
        if current is not None and id(current) not in seen:
            seen.append(id(current))
            yield current
            waiting += [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]
