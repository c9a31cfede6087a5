"""All errors that the library raises, as a tree.

    OrchestratorError
    |-- ConfigurationError              the YAML file, a key or a package is missing or cannot be used
    |-- ProviderSwitchError             a history of one provider was sent to another
    |-- InvalidMessagesError            the messages cannot be sent (names the index)
    |-- BudgetExceededError             a configured budget has no room for the call
    |-- TooManyTurnsError               a loop of tools did not end (has what was paid)
    |-- ToolTimeoutError                a tool did not end in time
    |-- ToolServerError                 an MCP server did not start, ended, or failed a call
    `-- ProviderError                   a provider refused, failed, or could not be reached
        |-- AuthenticationError         the key is not accepted, or a cloud's login is missing
        |-- PermissionDeniedError       the key is valid but not allowed to do this
        |-- QuotaExceededError          the account is out of credit or quota
        |-- RateLimitError              too many requests                retried, falls back
        |-- ModelNotFoundError          unknown model for this account   falls back
        |-- ContextLengthError          the prompt is too long           falls back
        |-- InvalidRequestError         the request is invalid
        |   `-- UnsupportedParameterError   the model rejects a parameter
        |-- ServerError                 the provider failed              retried, falls back
        |   `-- OverloadedError         the provider is overloaded       retried, falls back
        |-- ProviderConnectionError     no connection                    retried, falls back
        |   `-- ProviderTimeoutError    no answer in time                retried, falls back
        |-- InvalidResponseError        the answer cannot be read        retried, falls back
        |-- StreamInterruptedError      a stream ended too early
        |-- OutputTruncatedError        structured output was cut off
        |-- OutputParseError            structured output does not match its schema
        `-- AllFallbacksFailedError     every configured model failed

The class attributes ``retryable`` and ``falls_back`` say whether the same model, or another model of the same
provider, may succeed where this attempt failed. All errors can be pickled and copied with their fields.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Dict, FrozenSet, Iterator, List, Optional, Tuple, Type

from llm_orchestrator.types import Attempt, LLMResponse, TokenUsage

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
    "TooManyTurnsError",
    "ToolServerError",
    "ToolTimeoutError",
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
    """The configuration, a key, a file or an installed package is missing or cannot be used.

    Attributes:
        sent: Whether a request was sent, as where its reply shows that ``base_url`` is wrong.
        status_code: HTTP status of that reply.
        request_id: The id of that request.
    """

    sent: bool = False
    may_be_billed: bool = False
    status_code: Optional[int] = None
    request_id: Optional[str] = None


class NotSupportedError(ConfigurationError):
    """The provider cannot list its models, or cannot say whether it offers one."""


def unreadable_module(error: OSError) -> ConfigurationError:
    """The error for a part of the library that cannot be imported with the first call."""
    return ConfigurationError(
        f"A part of the library cannot be loaded: {error.strerror}. "
        "Close files, raise the limit (ulimit -n), or make fewer calls at a time."
    )


class ProviderSwitchError(OrchestratorError):
    """A conversation or history that belongs to one provider was sent to another; nothing was sent."""


class InvalidMessagesError(OrchestratorError):
    """The messages cannot be sent; the text names the index of the first invalid one.

    Args:
        message: What is wrong and what to do.
        index: Position of the invalid message, counted from 0; None when the list as a whole is invalid.
    """

    def __init__(self, message: str, *, index: Optional[int] = None) -> None:
        super().__init__(message)
        self.index = index


class BudgetExceededError(OrchestratorError):
    """A configured budget is spent, or has no room for this call; nothing more was sent.

    Args:
        message: Which budget, how much of it is gone, and what to do.
        budget: Which one: ``session``, ``day``, ``month``, or ``month tag:customer=acme``.
        period: The session's id, the day (``2026-11-29``), or the month (``2026-11``).
        limit: US dollars that may be spent in the period.
        spent: US dollars that are spent; None when the database that knows could not be asked.
        held: US dollars that calls under way have reserved.
        needed: US dollars that this call would have reserved; None where nothing is reserved.
        until: When the period ends, in the budget's time zone; None for a session.
    """

    def __init__(
        self,
        message: str,
        *,
        budget: Optional[str] = None,
        period: Optional[str] = None,
        limit: Optional[Decimal] = None,
        spent: Optional[Decimal] = None,
        held: Optional[Decimal] = None,
        needed: Optional[Decimal] = None,
        until: Optional[datetime] = None,
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.period = period
        self.limit = limit
        self.spent = spent
        self.held = held
        self.needed = needed
        self.until = until


class TooManyTurnsError(OrchestratorError):
    """The model called tools in every turn that ``run`` allows; its conversation can go on.

    Args:
        message: What happened.
        response: The last answer, which was paid for; its usage and cost are those of all turns.
        responses: All answers, the first one first, each with its own usage and cost.
    """

    def __init__(
        self, message: str, *, response: Optional[LLMResponse] = None, responses: Tuple[LLMResponse, ...] = ()
    ) -> None:
        super().__init__(message)
        self.response = response
        self.responses = responses


class ToolTimeoutError(OrchestratorError):
    """A tool did not end within its time limit; ``on_tool_error="raise"`` has it raised."""


class ToolServerError(OrchestratorError):
    """An MCP server did not start, ended, or failed a call; a call's is told to the model, as any tool's."""


class ProviderError(OrchestratorError):
    """A provider refused, failed, or could not be reached.

    Args:
        message: What happened, with the provider's message where it sent one.
        provider: Name of the configured provider entry.
        model: Model the request was for.
        status_code: HTTP status; None when there was no response.
        code: The provider's own error code or type.
        request_id: The provider's id of the request, for its support.
        retry_after: Seconds the provider asked to wait; None when it did not say.
    """

    retryable: ClassVar[bool] = False
    falls_back: ClassVar[bool] = False
    #: What to do; added to the text, because the provider's message hardly ever says.
    remedy: ClassVar[str] = ""
    #: At most this many retries on one model, whatever the configuration allows; None: no further limit.
    retry_limit: Optional[int] = None
    #: False where the provider said not to try again (the header ``x-should-retry: false``).
    may_retry: bool = True
    #: False where the answer may exist and be paid for, so that no other model is to make it again.
    may_fall_back: bool = True
    #: False where the library raised the error before anything was sent.
    sent: bool = True
    #: True where the provider may have processed the request, and may charge for it, though no answer came.
    may_be_billed: bool = False
    #: True where the entry has another key to try at once, or the same one asked for anew.
    has_other_key: bool = False
    #: What the provider told of the usage, where it failed inside an answer.
    usage: Optional[TokenUsage] = None

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

    remedy = "Check the key's permissions at the provider."


class QuotaExceededError(ProviderError):
    """The account is out of quota or credit; waiting does not help, so it is never retried."""

    remedy = "Add credit or raise the limit at the provider."


class RateLimitError(ProviderError):
    """Too many requests or tokens at the moment."""

    retryable = True
    falls_back = True


class ModelNotFoundError(ProviderError):
    """The provider does not offer this model to this account."""

    falls_back = True
    remedy = "Check its name; refresh_models lists what the provider offers."


class ContextLengthError(ProviderError):
    """Prompt and answer together do not fit the model's context window."""

    falls_back = True
    remedy = "Shorten the conversation, or configure a fallback model with a larger context window."


class InvalidRequestError(ProviderError):
    """The request is invalid, as the provider or, before sending, the library found."""


class UnsupportedParameterError(InvalidRequestError):
    """The model rejects a parameter of the request.

    Args:
        message: What happened.
        parameter: The parameter's name as the caller knows it, for example ``temperature``.
        **fields: The fields of ProviderError.

    Attributes:
        form: The form the parameter was sent in, where the provider has another one; else None.
        named_beside: The other parameters that the provider names, where it refuses this one only beside
            others, or in some state; None where it never takes it.
        beside: The parameters of the request beside which it was rejected; empty where that does not matter.
        is_added: The library added the field, and an answer can do without it.
    """

    form: Optional[str] = None
    named_beside: Optional[FrozenSet[str]] = None
    beside: FrozenSet[str] = frozenset()
    is_added: bool = False

    def __init__(self, message: str, *, parameter: str, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.parameter = parameter


class ServerError(ProviderError):
    """The provider failed while handling the request."""

    retryable = True
    falls_back = True


class OverloadedError(ServerError):
    """The provider has no capacity at the moment."""


class ProviderConnectionError(ProviderError):
    """No connection, or the connection broke before the answer began."""

    retryable = True
    falls_back = True
    may_be_billed = True


class ProviderTimeoutError(ProviderConnectionError):
    """No answer within ``timeout`` or ``total_timeout``; a request that was sent may still be billed."""


class InvalidResponseError(ProviderError):
    """The answer is not in the provider's documented format; retried once."""

    retryable = True
    falls_back = True
    retry_limit = 1
    may_be_billed = True


class StreamInterruptedError(ProviderError):
    """A stream ended before the provider reported that it was complete.

    Args:
        message: What happened.
        partial_text: The text received so far.
        partial_response: The answer so far; its ``usage.source`` is ``reported`` only if its end told it.
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
    """Structured output that cannot be used.

    Args:
        message: What is wrong with the output.
        response: The last answer, which was paid for; its usage and cost are those of all of the call.
        **fields: The fields of ProviderError.

    Attributes:
        responses: All answers of the call, the first one first, each with its own usage and cost: several
            where ``reask`` asked again.
    """

    def __init__(self, message: str, *, response: Optional[LLMResponse] = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.response = response
        self.responses: Tuple[LLMResponse, ...] = () if response is None else (response,)


class OutputTruncatedError(_OutputError):
    """The model reached its token limit before its structured output was complete."""


class OutputParseError(_OutputError):
    """The model's structured output does not match the requested format."""


class AllFallbacksFailedError(ProviderError):
    """Every model failed; ``attempts`` lists them in order and ``__cause__`` is the first failure."""


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes, its contexts and the members of groups, each once."""
    remaining: List[Optional[BaseException]] = [error]
    seen: List[int] = []
    while remaining:
        current = remaining.pop()
        if current is not None and id(current) not in seen:
            seen.append(id(current))
            yield current
            remaining += [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]


def forget_frames(error: BaseException) -> None:
    """Free the frames that an error and its causes keep alive, and everything that those refer to."""
    for one in with_causes(error):
        one.__traceback__ = None
