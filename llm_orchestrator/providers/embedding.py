"""Vectors of texts: the request for them, and the reply, of which nothing is believed that is not a vector.

A provider answers one batch of texts here; a call puts the batches together.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidResponseError, ProviderError
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.http.redaction import Redactor
from llm_orchestrator.providers.reading import as_mappings
from llm_orchestrator.providers.sending import WholeReply
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.request.options import misnamed
from llm_orchestrator.types import (
    JSON,
    MISSING_USAGE,
    EmbeddingRequest,
    Exchange,
    LLMRequest,
    LLMResponse,
    TokenUsage,
)
from llm_orchestrator.utils.text import one_line
from llm_orchestrator.utils.values import evolve

__all__ = ["API", "Embedded", "EmbeddingReply", "embedded", "in_order", "prepare", "read_only"]

#: The name of the API in ``pricing.price_usage``.
API = "embeddings"


class EmbeddingReply(NamedTuple):
    """What an adapter reads of a reply; the vectors are checked by whoever asked for them.

    Attributes:
        vectors: What stands where the vectors belong, in the order of the texts.
        usage: How many tokens were read.
        model: The model as the provider names it; empty where it does not.
    """

    vectors: Sequence[Any]
    usage: TokenUsage = MISSING_USAGE
    model: str = ""


class Embeds(Protocol):
    """What is needed of the provider; see ``Adapter`` and ``BaseLLMProvider``."""

    name: str
    price_headers: ClassVar[Tuple[str, ...]]

    def embedding_request(self, request: EmbeddingRequest) -> WireRequest:
        """Translate a request for vectors."""

    def parse_embeddings(self, body: JSON) -> EmbeddingReply:
        """Read the reply."""

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Refuse headers that HTTP cannot carry."""

    def with_headers(self, wire: WireRequest, request: LLMRequest) -> WireRequest:
        """Add the headers of the entry, and those of the call."""

    def redactor_for(self, request: LLMRequest) -> Redactor:
        """Find what keeps the credentials of the call secret."""

    def request_id_of(self, headers: Mapping[str, str]) -> Optional[str]:
        """Find the provider's id of the request."""


class Embedded(NamedTuple):
    """The vectors of one batch, and what else is known of the reply, as of an answer without text."""

    vectors: List[List[float]]
    answer: LLMResponse

    @property
    def usage(self) -> TokenUsage:
        """How many tokens were read."""
        return self.answer.usage


def prepare(provider: Embeds, request: EmbeddingRequest) -> WireRequest:
    """Build what is sent; the options of the entry are those of answers and have no say here."""
    try:
        wire = provider.embedding_request(request)
        provider.check_headers(request.extra_headers)
    except ProviderError as error:
        error.sent = False
        raise
    warnings = misnamed(request.provider_options)
    wire = evolve(wire, api=wire.api or API, warnings=wire.warnings + warnings)
    return provider.with_headers(wire, request)


def embedded(
    provider: Embeds,
    reply: WholeReply,
    request: EmbeddingRequest,
    wire: WireRequest,
    context: AttemptContext,
) -> Embedded:
    """Make the vectors of a whole reply; an error about them keeps the usage, for they were paid for."""
    body, headers = reply.body, reply.headers
    kept = {name: value for name, value in body.items() if not isinstance(value, list)}  # no vectors
    price_headers = {name: headers[name] for name in provider.price_headers if name in headers}
    context.exchange = Exchange(wire.api, wire.body or {}, price_headers)
    read = provider.parse_embeddings(body)
    try:
        vectors = _checked(read.vectors, request, context.vector_length)
    except ProviderError as error:
        error.usage, error.request_id = read.usage, provider.request_id_of(headers)
        raise
    redact = provider.redactor_for(request).redact  # a server may repeat a key
    return Embedded(
        vectors,
        LLMResponse(
            "",
            one_line(redact(read.model or request.model)),
            provider.name,
            requested_model=request.model,
            usage=read.usage,
            request_id=one_line(redact(provider.request_id_of(headers) or "")) or None,
            warnings=wire.warnings,
            raw_response=kept,
        ),
    )


def read_only(usage: TokenUsage) -> TokenUsage:
    """The usage of vectors, for which a model reads and writes nothing."""
    if usage.source == "missing":
        return usage
    total = usage.prompt_tokens if usage.total_tokens is None else usage.total_tokens
    read = total if usage.prompt_tokens is None else usage.prompt_tokens
    return evolve(usage, prompt_tokens=read, completion_tokens=0, total_tokens=total)


def in_order(entries: Any) -> List[JSON]:
    """The entries of a reply in the order that their ``index`` tells; as they came where none has one."""
    listed = as_mappings(entries)
    places = {entry.get("index"): entry for entry in listed if type(entry.get("index")) is int}
    if not places:
        return listed
    if places.keys() != set(range(len(listed))):
        raise _not_vectors("its entries are not numbered one by one")
    return [places[place] for place in range(len(listed))]


def _checked(vectors: Sequence[Any], request: EmbeddingRequest, length: Optional[int]) -> List[List[float]]:
    if len(vectors) != len(request.messages):
        raise _not_vectors(f"it has {len(vectors)} vectors for {len(request.messages)} texts")
    checked = [_vector(vector) for vector in vectors]
    lengths = sorted({len(vector) for vector in checked} | ({length} if length else set()))
    if len(lengths) > 1:
        raise _not_vectors(f"its vectors are of different lengths, such as {lengths[0]} and {lengths[-1]}")
    if request.dimensions is not None and lengths != [request.dimensions]:
        error = _not_vectors(
            f"it has vectors of {lengths[0]} numbers, and {request.dimensions} were asked for",
            "Leave dimensions out, or ask a model that can shorten its vectors.",
        )
        error.retry_limit = 0  # a host that does not know the parameter will not know it the next time
        raise error
    return checked


def _vector(value: Any) -> List[float]:
    """One vector: finite numbers, and at least one."""
    try:
        if isinstance(value, list) and value and {*map(type, value)} <= {int, float}:
            numbers = [float(number) for number in value]
            if all(map(math.isfinite, numbers)):
                return numbers
    except OverflowError:  # a whole number of very many digits
        pass
    raise _not_vectors("what should be a vector is not a list of numbers")


def _not_vectors(fault: str, remedy: str = "Check base_url and the model, or try again.") -> ProviderError:
    return InvalidResponseError(f"The reply does not hold the vectors of the texts: {fault}. {remedy}")
