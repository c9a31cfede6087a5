"""Asking a provider for its models: all of them page by page, one of them, or any, to open a connection.

A question is a generator that yields requests and is sent their replies; ``ask`` and ``aask`` carry it out.
"""

from __future__ import annotations

from typing import Any, ContextManager, Generator, List, Optional, Protocol, Set, Tuple, TypeVar, cast

from llm_orchestrator.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InvalidResponseError,
    ModelNotFoundError,
    ProviderError,
)
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.sending import Opens, aexchange, exchange
from llm_orchestrator.providers.wire import Limits, WireRequest
from llm_orchestrator.types import JSON, LLMRequest, ModelInfo
from llm_orchestrator.utils.clock import monotonic

__all__ = ["aask", "ask", "greeting", "listing", "validation"]

#: More of a listing than any provider has: it may go on without end.
MAX_PAGES = 1000

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

    def with_headers(self, wire: WireRequest) -> WireRequest:
        """Add the headers of the entry."""

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


def ask(provider: Asked, requests: Requests[Result]) -> Result:
    """Carry out a question."""
    context = _until_timeout(provider)
    try:
        wire = next(requests)
        while True:
            try:
                with provider.errors(wire=wire):
                    limits = provider.limits(context=context)
                    body, _ = exchange(provider, provider.with_headers(wire), limits)
            except (ProviderError, ConfigurationError) as error:
                wire = requests.throw(error)
            else:
                wire = requests.send(body)
    except StopIteration as end:
        return cast(Result, end.value)


async def aask(provider: Asked, requests: Requests[Result]) -> Result:
    """Carry out a question, async; see ``ask``."""
    context = _until_timeout(provider)
    try:
        wire = next(requests)
        while True:
            try:
                with provider.errors(wire=wire):
                    limits = provider.limits(context=context)
                    body, _ = await aexchange(provider, provider.with_headers(wire), limits)
            except (ProviderError, ConfigurationError) as error:
                wire = requests.throw(error)
            else:
                wire = requests.send(body)
    except StopIteration as end:
        return cast(Result, end.value)


def _until_timeout(provider: Asked) -> AttemptContext:
    """Questions have no time-out of their own: all requests of one share the entry's."""
    return AttemptContext(deadline=monotonic() + provider.timeout)
