"""``LLMResponse``, with its usage, its finish reason and the attempts that were made for it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Callable, Dict, FrozenSet, Generic, Mapping, Optional, Tuple

from llm_orchestrator.types.citation import Citation
from llm_orchestrator.types.cost import CostDetails
from llm_orchestrator.types.hosted_call import HostedCall
from llm_orchestrator.types.logprob import TokenLogprob
from llm_orchestrator.types.media import Media
from llm_orchestrator.types.messages import Message, ToolCall
from llm_orchestrator.types.plain import plain_fields, plain_json
from llm_orchestrator.utils.json import JSON
from llm_orchestrator.utils.money import format_cost
from llm_orchestrator.utils.values import Value

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    #: What an answer is parsed into; a type checker takes ``LLMResponse`` alone for ``LLMResponse[Any]``.
    Parsed_co = TypeVar("Parsed_co", default=Any, covariant=True)
else:  # the defaults of typing's own TypeVar came with Python 3.13
    from typing import TypeVar

    Parsed_co = TypeVar("Parsed_co", covariant=True)

__all__ = ["MISSING_USAGE", "Attempt", "Exchange", "FinishReason", "LLMResponse", "Parsed_co", "TokenUsage"]


class _WrittenAsDict:
    """Has pydantic write a mapping of any class; by itself it knows only a dict."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        return {**handler(source), "serialization": core_schema.plain_serializer_function_ser_schema(dict)}


class FinishReason(str, enum.Enum):
    """Why the model stopped, in the same words for every provider; an unknown value becomes ``OTHER``."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"
    OTHER = "other"


#: Characters of an answer's text that ``str`` shows.
_SHOWN = 100


@dataclass(frozen=True, eq=False, repr=False)
class TokenUsage(Value):
    """How many tokens the model read and wrote.

    Attributes:
        prompt_tokens: Everything the model read, cached tokens included.
        completion_tokens: Everything the model wrote, reasoning included.
        total_tokens: Prompt and completion together.
        cached_tokens: The part of the prompt read from a cache.
        cache_write_tokens: The part of the prompt written to a cache.
        reasoning_tokens: The part of the completion that was reasoning.
        source: ``reported`` by the provider, ``partial`` (the stream was interrupted), ``estimated`` or
            ``missing``.
        raw: The provider's own usage object; for a stream, merged from its events as the provider defines.
    """

    prompt_tokens: Optional[int] = None
    completion_tokens: Optional[int] = None
    total_tokens: Optional[int] = None
    cached_tokens: Optional[int] = None
    cache_write_tokens: Optional[int] = None
    reasoning_tokens: Optional[int] = None
    source: str = "reported"
    raw: Any = field(default=None, repr=False)

    def to_dict(self) -> Dict[str, Any]:
        """Return the usage as a dict for JSON.

        Returns:
            Every attribute by name.
        """
        return plain_fields(self)

    def to_json(self) -> str:
        """Return the usage as JSON.

        Returns:
            The text of what ``to_dict`` returns.
        """
        return plain_json(self)


#: The usage of an answer for which the provider reported none.
MISSING_USAGE = TokenUsage(source="missing")


@dataclass(frozen=True, eq=False, repr=False)
class Attempt(Value):
    """One request to one model: a plan while only ``model`` and ``without`` are set, a record afterwards.

    Attributes:
        model: Model asked.
        without: Parameters, and forms of parameters, left out because the model rejected them before.
        error: Name of the error class the attempt ended with; None when it succeeded.
        status_code: HTTP status of the reply; None when there was none.
        request_id: The provider's id of the request.
        latency: How long the attempt took, in seconds.
        started_at: When the request was about to be sent (UTC).
        time_to_first_token: Seconds to the first piece of a streamed answer.
    """

    model: str
    without: FrozenSet[str] = frozenset()
    error: Optional[str] = None
    status_code: Optional[int] = None
    request_id: Optional[str] = None
    latency: Optional[float] = None
    started_at: Optional[datetime] = None
    time_to_first_token: Optional[float] = None


@dataclass(frozen=True, eq=False, repr=False)
class Exchange(Value):
    """What the price of an answer depends on besides its usage; dropped once the price is known.

    Attributes:
        api: Which of the provider's APIs answered, by its name in ``pricing.price_usage``.
        request: The JSON body that was sent; for a request that got no answer, the call's provider options.
        headers: Headers of the reply that the price depends on.
        batch: Whether the request was part of a batch.
    """

    api: str
    request: JSON
    headers: Mapping[str, str] = field(repr=False)
    batch: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class LLMResponse(Value, Generic[Parsed_co]):
    """The complete answer to a call; ``LLMResponse[City]`` where ``response_format`` is the class ``City``.

    Attributes:
        content: The answer's text, without reasoning and tool calls.
        model: Model that served the answer, as the provider names it.
        provider: Name of the configured provider entry.
        requested_model: Model that was asked for.
        usage: How many tokens were read and written.
        finish_reason: Why the model stopped.
        raw_finish_reason: The finish reason as the provider sent it.
        tool_calls: The calls the model asks the application to make.
        reasoning: The reasoning text the provider sent; None when it sent none.
        refusal: Why the model or its provider refused; None when it did not.
        alternatives: The texts of the other answers, where the provider was asked for several.
        parsed: The answer as a value of the type given as ``response_format``; None without one, and for a
            refusal or a tool call.
        message: The assistant message to append to the conversation.
        cost: Price in US dollars; None when it is not known.
        cost_details: How the cost was computed.
        request_id: The provider's id of the request.
        session_id: The session the call belongs to.
        attempts: Every request sent for this answer, in order, failed ones too.
        latency: Seconds from the call to the complete answer.
        warnings: Where the library deviated from what was asked, one sentence each.
        raw_response: The provider's JSON; for a stream, the same document assembled from its events.
        headers: The headers of the reply about rate limits, tracing and time, names in lower case; of an
            answer in several parts, those of the last. They are looked for when they are read: make a dict of
            them for ``json``, as ``to_dict`` does.
        citations: The sources that the answer names, in their order.
        images: The images that the model made, in their order.
        audio: The sound that the model made; None without.
        cache_miss_reason: Why the prompt cache was not used, in the provider's word; None when it was, and
            where the call did not ask for it.
        logprobs: How likely the model found each token of its text, where the call asked for it; of an answer
            in several parts, those of the last.
        hosted_calls: What tools did that the provider runs itself, such as its search, in their order.
    """

    content: str
    model: str
    provider: str
    requested_model: Optional[str] = None
    usage: TokenUsage = MISSING_USAGE
    finish_reason: FinishReason = FinishReason.OTHER
    raw_finish_reason: Optional[str] = None
    tool_calls: Tuple[ToolCall, ...] = ()
    reasoning: Optional[str] = None
    refusal: Optional[str] = None
    parsed: Optional[Parsed_co] = None
    message: Optional[Message] = field(default=None, repr=False)
    cost: Optional[Decimal] = None
    cost_details: Optional[CostDetails] = field(default=None, repr=False)
    request_id: Optional[str] = None
    session_id: Optional[str] = None
    attempts: Tuple[Attempt, ...] = ()
    latency: Optional[float] = None
    warnings: Tuple[str, ...] = ()
    raw_response: Optional[JSON] = field(default=None, repr=False)
    alternatives: Tuple[str, ...] = ()
    headers: Annotated[Mapping[str, str], _WrittenAsDict()] = field(default_factory=dict, repr=False)
    citations: Tuple[Citation, ...] = ()
    images: Tuple[Media, ...] = ()
    audio: Optional[Media] = None
    cache_miss_reason: Optional[str] = None
    logprobs: Tuple[TokenLogprob, ...] = ()
    hosted_calls: Tuple[HostedCall, ...] = ()

    def __str__(self) -> str:
        """Show the answer in at most 200 characters; ``repr`` shows all of it."""
        text = self.content if len(self.content) <= _SHOWN else f"{self.content[:_SHOWN]}..."
        total = "unknown" if self.usage.total_tokens is None else self.usage.total_tokens
        facts = f"{self.provider}/{self.model}, {self.finish_reason.value}, {total} tokens"
        return f"{text!r} ({facts}, {format_cost(self.cost)})"[:200]

    def to_dict(self) -> Dict[str, Any]:
        """Return the answer as a dict for JSON, with all that is known of it.

        Returns:
            Every attribute by name: money as text, enums by their value, times in ISO 8601, an instance in
            ``parsed`` as its fields.
        """
        return plain_fields(self)

    def to_json(self) -> str:
        """Return the answer as JSON.

        Returns:
            The text of what ``to_dict`` returns.
        """
        return plain_json(self)

    @property
    def tokens_used(self) -> Dict[str, Optional[int]]:
        """Tokens as a dict with the keys ``prompt``, ``completion`` and ``total``; None where unknown."""
        return {
            "prompt": self.usage.prompt_tokens,
            "completion": self.usage.completion_tokens,
            "total": self.usage.total_tokens,
        }
