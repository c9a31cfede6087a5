"""``LLMRequest`` and ``EmbeddingRequest``: the checked arguments of a call, the same for every provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping, Optional, Tuple, Union

from llm_orchestrator.types.messages import Message
from llm_orchestrator.utils.json import JSON
from llm_orchestrator.utils.values import Value

__all__ = [
    "ADDED_FIELDS",
    "DROPPABLE_PARAMETERS",
    "MODEL_PARAMETERS",
    "EmbeddingRequest",
    "LLMRequest",
]

#: Optional parameters: left out with a warning where a model or protocol does not support them.
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
#: Fields of a body that the library adds by itself; a host that refuses one is not sent it.
ADDED_FIELDS = ("include", "prompt_cache_options", "store", "stream_options")
#: All parameters of a call that a protocol may have no field for.
MODEL_PARAMETERS = (
    *DROPPABLE_PARAMETERS,
    "max_tokens",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "logprobs",
)


@dataclass(frozen=True, eq=False, repr=False)
class LLMRequest(Value):
    """The checked arguments of a call, in the same form for every provider.

    Attributes:
        model: Model to ask.
        messages: The conversation, never empty.
        temperature: Sampling temperature; None is not sent, as for every parameter below.
        max_tokens: Most tokens the model may write, reasoning included.
        top_p: Nucleus sampling threshold, 0 to 1.
        top_k: Number of candidates to sample from.
        stop: Strings that end the answer.
        seed: Seed for repeatable sampling.
        frequency_penalty: Penalty for frequent tokens, -2 to 2.
        presence_penalty: Penalty for tokens already present, -2 to 2.
        tools: Tools in the OpenAI Chat form.
        tool_choice: ``auto``, ``none``, ``required`` or ``{"type": "function", "function": {"name": ...}}``.
        parallel_tool_calls: Whether the model may ask for several calls at once.
        response_format: ``json_object`` or ``json_schema`` in the OpenAI Chat form.
        output_type: The type the answer is parsed into: a class, or whatever else pydantic can check.
        reasoning_effort: How much the model should reason, as a value the provider knows.
        logprobs: How many of the likeliest tokens are told at each place, beside how likely the answer's own
            tokens are; True for the latter alone.
        cache: ``auto`` to use the provider's prompt cache, ``1h`` to keep it for an hour, ``off`` not to.
        timeout: Seconds to the first byte and of silence between events; None is the provider entry's.
        extra_headers: HTTP headers of this call alone.
        tags: The caller's tags for the ledger; not sent.
        provider_options: Merged into the provider's JSON body last.
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
    output_type: Any = None
    reasoning_effort: Optional[str] = None
    logprobs: Union[bool, int, None] = None
    cache: Optional[str] = None
    timeout: Optional[float] = None
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    provider_options: JSON = field(default_factory=dict)

    def parameters_except(self, *taken: str) -> Tuple[str, ...]:
        """Name the parameters this call sets and a protocol has no field for.

        Args:
            *taken: Names of the parameters that the protocol has a field for.

        Returns:
            The names of the others, for ``WireRequest.unsupported``.
        """
        others = (name for name in MODEL_PARAMETERS if name not in taken)
        return tuple(name for name in others if getattr(self, name) not in (None, ()))


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingRequest(LLMRequest):
    """The checked arguments of ``embed``: a request whose messages are the texts, a user turn each.

    Attributes:
        dimensions: How many numbers each vector is to have; None is the model's own length.
        batch_size: Most texts in one request; None is the provider's limit. It is not sent.
    """

    dimensions: Optional[int] = None
    batch_size: Optional[int] = None

    @property
    def texts(self) -> List[str]:
        """The texts, in order."""
        return [message.text for message in self.messages]
