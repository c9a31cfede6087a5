"""Asking a provider for anything but an answer: its models, one of them, or how many tokens a request has.

A question is a generator that yields requests and is sent their replies; ``ask`` and ``aask`` carry it out.
"""

from __future__ import annotations

import logging
from typing import Any, ContextManager, Generator, List, Optional, Protocol, Set, Tuple, TypeVar, Union, cast

from llm_orchestrator.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InvalidResponseError,
    ModelNotFoundError,
    ProviderError,
)
from llm_orchestrator.providers.addresses import is_of_missing_endpoint
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.sending import Opens, aexchange, exchange
from llm_orchestrator.providers.wire import Limits, WireRequest
from llm_orchestrator.types import JSON, LLMRequest, ModelInfo
from llm_orchestrator.utils.clock import monotonic
from llm_orchestrator.utils.values import evolve

__all__ = ["aask", "ask", "counting", "greeting", "listing", "validation"]

#: More of a listing than any provider has: it may go on without end.
MAX_PAGES = 1000
#: Parameters that say how an answer is chosen: they change no count, and some hosts count only without them.
UNCOUNTED = ("temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty", "presence_penalty")

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
#: Requests that follow from each other: yields one, is sent its reply, returns what came of it.
Requests = Generator[WireRequest, JSON, Result]


class Asked(Opens, Protocol):
    """What is needed of the provider; see ``Adapter`` and ``BaseLLMProvider``."""

    name: str
    timeout: float

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """Build the request for one page of the models."""

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """Translate one page of the listing."""

    def model_request(self, model: str) -> WireRequest:
        """Build the request that asks for one model."""

    def offers(self, model: str, body: JSON) -> bool:
        """Read the reply to ``model_request``."""

    def prepare(
        self, request: LLMRequest, context: Optional[AttemptContext] = None, *, stream: bool
    ) -> Tuple[LLMRequest, WireRequest]:
        """Build what is sent for an answer."""

    def count_request(self, request: LLMRequest, wire: WireRequest) -> WireRequest:
        """Turn it into the request that counts its tokens."""

    def parse_count(self, body: JSON) -> Optional[int]:
        """Read the reply to ``count_request``."""

    def cannot_count(self, reason: str = ..., remedy: str = ...) -> ProviderError:
        """Make the error for a provider that cannot count tokens."""

    def with_headers(self, wire: WireRequest, request: Optional[LLMRequest] = None) -> WireRequest:
        """Add the headers of the entry, and those of a call."""

    def limits(
        self, request: Optional[LLMRequest] = None, context: Optional[AttemptContext] = None
    ) -> Limits:
        """How long one request may take."""

    def errors(
        self, request: Optional[LLMRequest] = None, wire: Optional[WireRequest] = None
    ) -> ContextManager[Any]:
        """A context in which every error becomes one of ours."""


def listing(provider: Asked) -> Requests[List[ModelInfo]]:
    """Ask for page after page."""
    models: List[ModelInfo] = []
    cursor: Optional[str] = None
    seen: Set[Optional[str]] = {cursor}
    while len(seen) <= MAX_PAGES:
        body = yield provider.list_request(cursor)
        if models and not body:
            return models  # Google leaves empty fields out, so that an empty page is an empty object
        with provider.errors():
            page, cursor = provider.parse_models(body)
        models += page
        if not cursor or cursor in seen:
            return models
        seen.add(cursor)
    raise InvalidResponseError(
        f"The list of models has more than {MAX_PAGES} pages. Check base_url.", provider=provider.name
    )


def validation(provider: Asked, model: str) -> Requests[bool]:
    """Ask for one model; is thrown the error when the provider does not know it."""
    try:
        body = yield provider.model_request(model)
        with provider.errors():
            return provider.offers(model, body)
    except ModelNotFoundError:
        return False


def counting(provider: Asked, request: LLMRequest, context: AttemptContext) -> Requests[int]:
    """Ask for the number of tokens of a request; is thrown a 404 where the host has no such endpoint."""
    bare = evolve(request, **dict.fromkeys(UNCOUNTED))
    with provider.errors(request):
        whole, wire = provider.prepare(
            bare, evolve(context, without=context.without.union(UNCOUNTED)), stream=False
        )
        question = provider.count_request(whole, wire)
    uncounted = sorted(set(question.unsupported).intersection(whole.provider_options))
    if uncounted:
        logger.info("%s/%s: counted without %s", provider.name, request.model, ", ".join(uncounted))
    try:
        body = yield question
    except (ProviderError, ConfigurationError) as error:
        if not is_of_missing_endpoint(error, request.model):
            raise
        raise _without_endpoint(provider, request.model, error) from error
    with provider.errors(request, question):
        count = provider.parse_count(body)
        if count is None:
            raise InvalidResponseError("The reply is not a count of tokens. Check base_url, or try again.")
        return count


def _without_endpoint(
    provider: Asked, model: str, error: Union[ProviderError, ConfigurationError]
) -> ProviderError:
    """The error of a host that does not know the path, which says what a call says of a wrong base_url."""
    if isinstance(error, ConfigurationError):
        refusal = provider.cannot_count(
            str(error.args[0]).rstrip("."),
            "If calls succeed, the host has no endpoint for it: read response.usage of an answer.",
        )
    else:
        refusal = provider.cannot_count()
    refusal.provider, refusal.model, refusal.sent = provider.name, model, True
    refusal.status_code, refusal.request_id = error.status_code, error.request_id
    return refusal


def greeting(provider: Asked, model: str) -> Requests[None]:
    """Ask for a model, or for nothing where nobody can be asked: every answer leaves a connection."""
    try:
        question = provider.model_request(model)
    except ConfigurationError:
        question = WireRequest("/")
    try:
        yield question
    except AuthenticationError:
        raise
    except (ProviderError, ConfigurationError) as error:  # not every host tells of single models
        if error.status_code is None:
            raise


def ask(
    provider: Asked,
    requests: Requests[Result],
    request: Optional[LLMRequest] = None,
    context: Optional[AttemptContext] = None,
) -> Result:
    """Carry out a question, which may be about a request and in the limits of its call."""
    context = context or _until_timeout(provider)
    try:
        wire = next(requests)
        while True:
            try:
                with provider.errors(request, wire):
                    limits = provider.limits(request, context)
                    reply = exchange(provider, provider.with_headers(wire, request), limits)
            except (ProviderError, ConfigurationError) as error:
                if request is not None or not getattr(error, "has_other_key", False):
                    wire = requests.throw(error)
            else:
                wire = requests.send(reply.body)
    except StopIteration as end:
        return cast(Result, end.value)


async def aask(
    provider: Asked,
    requests: Requests[Result],
    request: Optional[LLMRequest] = None,
    context: Optional[AttemptContext] = None,
) -> Result:
    """Carry out a question, async; see ``ask``."""
    context = context or _until_timeout(provider)
    try:
        wire = next(requests)
        while True:
            try:
                with provider.errors(request, wire):
                    limits = provider.limits(request, context)
                    reply = await aexchange(provider, provider.with_headers(wire, request), limits)
            except (ProviderError, ConfigurationError) as error:
                if request is not None or not getattr(error, "has_other_key", False):
                    wire = requests.throw(error)
            else:
                wire = requests.send(reply.body)
    except StopIteration as end:
        return cast(Result, end.value)


def _until_timeout(provider: Asked) -> AttemptContext:
    """Questions about models have no time-out of their own: all requests of one share the entry's."""
    return AttemptContext(deadline=monotonic() + provider.timeout)
