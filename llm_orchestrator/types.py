"""The frozen values that travel through the library: messages, requests, responses, usage and stream events.

Messages and tool calls are made in ``turns``. Nothing here knows a provider, a file or a socket. Values are
plain dataclasses, so that importing the library stays cheap; ``None`` always means "not told", never zero.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    FrozenSet,
    Mapping,
    Optional,
    Tuple,
    Type,
    Union,
)

from llm_orchestrator.turns import JSON, Message, MessageLike, Messages, ToolCall

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from llm_orchestrator.pricing import CostDetails

__all__ = [
    "JSON",
    "Attempt",
    "Exchange",
    "FinishReason",
    "LLMRequest",
    "LLMResponse",
    "Message",
    "MessageLike",
    "Messages",
    "ModelInfo",
    "ReasoningDelta",
    "StreamEvent",
    "TextDelta",
    "TokenUsage",
    "ToolCall",
    "ToolCallDelta",
]

#: Parameters an answer can do without: left out with a warning where they are not taken.
DROPPABLE_PARAMETERS = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "parallel_tool_calls",
    "reasoning_effort",
)
#: What a call may ask for beside its messages, and a protocol may have no field for.
MODEL_PARAMETERS = (
    *DROPPABLE_PARAMETERS,
    "max_tokens",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
)


class FinishReason(str, enum.Enum):
    """Why the model stopped, the same word for every provider; a value nobody knows becomes ``OTHER``."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"
    OTHER = "other"


@dataclass(frozen=True)
class TokenUsage:
    """What the model read and wrote, in tokens.

    Attributes:
        prompt_tokens: Everything the model read, cached tokens included.
        completion_tokens: Everything the model wrote, reasoning included.
        total_tokens: Prompt and completion together.
        cached_tokens: The part of the prompt read from a cache.
        cache_write_tokens: The part of the prompt written to a cache.
        reasoning_tokens: The part of the completion that was reasoning.
        source: ``reported`` by the provider, ``partial`` (a stream broke off), ``estimated`` or ``missing``.
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


#: The usage of an answer whose provider told none.
MISSING_USAGE = TokenUsage(source="missing")


@dataclass(frozen=True)
class LLMRequest:
    """One call as the application asked for it, checked, and the same for every provider.

    Attributes:
        model: Model to ask.
        messages: The conversation, never empty.
        temperature: Sampling temperature; None is not sent, as for every parameter below.
        max_tokens: Most tokens the model may write, reasoning included.
        top_p: Nucleus sampling share, 0 to 1.
        top_k: Number of candidates sampled from.
        stop: Texts that end the answer.
        seed: Seed for repeatable sampling.
        frequency_penalty: Penalty for frequent tokens, -2 to 2.
        presence_penalty: Penalty for tokens already present, -2 to 2.
        tools: Tools in the OpenAI Chat form.
        tool_choice: ``auto``, ``none``, ``required`` or ``{"type": "function", "function": {"name": ...}}``.
        parallel_tool_calls: Whether the model may ask for several calls at once.
        response_format: ``json_object`` or ``json_schema`` in the OpenAI Chat form.
        output_type: The pydantic class the answer is parsed into.
        reasoning_effort: How much the model should think, in the provider's words.
        cache: ``auto`` to use the provider's prompt cache, ``off`` not to.
        timeout: Seconds to the first byte and of silence between events; None is the provider entry's.
        deadline: When the whole call must have ended, on the clock of ``time.monotonic``.
        extra_headers: HTTP headers of this call alone.
        provider_options: Merged into the provider's JSON body last.
        max_output_tokens: Most tokens the model can write, where the registry knows it.
        capabilities: What the provider's listing says the model can do, where the registry knows it.
        without: Parameters, and forms of parameters, that the model is known to reject; defaults do not set
            them again.
        strict: Refuse parameters the protocol has no field for, instead of leaving them out with a warning.
    """

    model: str
    messages: Tuple[Message, ...]
    temperature: Optional[float] = None
    max_tokens: Optional[int] = None
    top_p: Optional[float] = None
    top_k: Optional[int] = None
    stop: Optional[Tuple[str, ...]] = None
    seed: Optional[int] = None
    frequency_penalty: Optional[float] = None
    presence_penalty: Optional[float] = None
    tools: Tuple[JSON, ...] = ()
    tool_choice: Union[str, JSON, None] = None
    parallel_tool_calls: Optional[bool] = None
    response_format: Optional[JSON] = None
    output_type: Optional[Type[Any]] = None
    reasoning_effort: Optional[str] = None
    cache: Optional[str] = None
    timeout: Optional[float] = None
    deadline: Optional[float] = None
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    provider_options: JSON = field(default_factory=dict)
    max_output_tokens: Optional[int] = None
    capabilities: Optional[JSON] = None
    without: FrozenSet[str] = frozenset()
    strict: bool = False

    def parameters_except(self, *taken: str) -> Tuple[str, ...]:
        """Name the parameters this call sets, but for those that a protocol has a field for.

        Args:
            *taken: Names of parameters with a field.

        Returns:
            The names of the others, for ``WireRequest.unsupported``.
        """
        others = (name for name in MODEL_PARAMETERS if name not in taken)
        return tuple(name for name in others if getattr(self, name) not in (None, ()))


@dataclass(frozen=True)
class Attempt:
    """One request to one model: a plan while only ``model`` and ``without`` are set, a record afterwards.

    Attributes:
        model: Model asked.
        without: Parameters, and forms of parameters, left out because the model rejected them before.
        error: Name of the error class the attempt ended with; None when it answered.
        status_code: HTTP status of the answer, where one came.
        request_id: The provider's id of the request.
        latency: Seconds the attempt took.
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


@dataclass(frozen=True)
class Exchange:
    """What decides the price of an answer beside its usage; dropped once the price is known.

    Attributes:
        api: Which of the provider's APIs answered, in the words of ``pricing.price_usage``.
        request: The JSON body that was sent.
        headers: Headers of the reply that decide a price.
    """

    api: str
    request: JSON
    headers: Mapping[str, str]


@dataclass(frozen=True)
class LLMResponse:
    """A complete answer.

    Attributes:
        content: The answer's text, without reasoning and tool calls.
        model: Model that served the answer, as the provider names it.
        provider: Name of the configured provider entry.
        requested_model: Model that was asked.
        usage: What was read and written, in tokens.
        finish_reason: Why the model stopped.
        raw_finish_reason: The same in the provider's word.
        tool_calls: The calls the model asks the application to make.
        reasoning: The reasoning the provider shows; None when it shows none.
        refusal: Why the model or its provider refused; None when it did not.
        parsed: The answer as an instance of the pydantic class given as ``response_format``.
        message: The assistant turn to append to the conversation.
        cost: Price in US dollars; None when it is not known.
        cost_details: How the cost came about.
        request_id: The provider's id of the request.
        session_id: The session the call belongs to.
        attempts: Every request sent for this answer, in order, failed ones too.
        latency: Seconds from the call to the complete answer.
        warnings: What the library did differently from what was asked, one sentence each.
        raw_response: The provider's JSON; for a stream, the same document assembled from its events.
        exchange: Internal, from the adapter to the cost tracker; None in a response that reaches the
            application.
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
    parsed: Any = None
    message: Optional[Message] = field(default=None, repr=False)
    cost: Optional[Decimal] = None
    cost_details: Optional[CostDetails] = field(default=None, repr=False)
    request_id: Optional[str] = None
    session_id: Optional[str] = None
    attempts: Tuple[Attempt, ...] = ()
    latency: Optional[float] = None
    warnings: Tuple[str, ...] = ()
    raw_response: Optional[JSON] = field(default=None, repr=False)
    exchange: Optional[Exchange] = field(default=None, repr=False, compare=False)

    @property
    def tokens_used(self) -> Dict[str, Optional[int]]:
        """Tokens as a dict with the keys ``prompt``, ``completion`` and ``total``; None where not told."""
        return {
            "prompt": self.usage.prompt_tokens,
            "completion": self.usage.completion_tokens,
            "total": self.usage.total_tokens,
        }

    def _repr_html_(self) -> str:
        from llm_orchestrator.notebook import response_as_html

        return response_as_html(self)


@dataclass(frozen=True)
class TextDelta:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True)
class ReasoningDelta:
    """A piece of the model's visible reasoning."""

    text: str


@dataclass(frozen=True)
class ToolCallDelta:
    """A piece of one tool call; pieces of several calls may interleave.

    Attributes:
        index: Which call of the answer the piece belongs to, counted from 0.
        id: The call's id, with its first piece.
        name: The tool's name, with its first piece.
        arguments: A fragment of the arguments' JSON text.
    """

    index: int
    id: Optional[str] = None
    name: Optional[str] = None
    arguments: str = ""


StreamEvent = Union[TextDelta, ReasoningDelta, ToolCallDelta]


@dataclass(frozen=True)
class ModelInfo:
    """What is known about one model of one provider.

    Attributes:
        name: The model's name as it is sent.
        provider: Name of the configured provider entry.
        deprecated: True when the provider declares it so, or when it vanished from the provider's listing.
        first_seen: When a refresh first listed it (ISO 8601, UTC).
        last_seen: When a refresh last listed it.
        last_validated: When ``validate_model`` last asked the provider about it.
        created_at: When the provider says it was published.
        retires_at: When the provider says it will be switched off.
        context_window: Most tokens of prompt and answer together, as far as told.
        max_output_tokens: Most tokens of an answer.
        display_name: The provider's name for people.
        capabilities: What the provider says the model can do, in its own form.
        exclusion: Why it is not offered as a chat model; None when it is offered.
    """

    name: str
    provider: str
    deprecated: bool = False
    first_seen: Optional[str] = None
    last_seen: Optional[str] = None
    last_validated: Optional[str] = None
    created_at: Optional[str] = None
    retires_at: Optional[str] = None
    context_window: Optional[int] = None
    max_output_tokens: Optional[int] = None
    display_name: Optional[str] = None
    capabilities: Optional[JSON] = None
    exclusion: Optional[str] = None
