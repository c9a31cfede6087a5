"""Waiting for an answer that the provider makes in the background: asked for until it is there.

Asking is part of reading the answer: it is one attempt and one row, however often it takes.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Callable, ContextManager, Mapping, NamedTuple, Optional, Protocol, Union

from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
)
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.sending import WholeReply
from llm_orchestrator.providers.wire import Limits, WireRequest
from llm_orchestrator.types import JSON, LLMRequest
from llm_orchestrator.utils.clock import monotonic
from llm_orchestrator.utils.steps import Steps

__all__ = ["Waits", "asleep", "finishing", "sleep"]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: Failed questions in a row after which the answer is given up; it may exist, and be paid for.
MAX_FAILURES = 5


class Polled(Protocol):
    """What is needed of the provider; see ``Adapter`` and ``BaseLLMProvider``."""

    def poll_request(self, body: JSON) -> Optional[WireRequest]:
        """Build the request that asks how far an answer is."""

    def check_polled(self, body: JSON, headers: Mapping[str, str]) -> None:
        """Raise what the reply to that request is, unless it says how far the answer is."""

    def with_headers(self, wire: WireRequest, request: LLMRequest) -> WireRequest:
        """Add the headers of entry and call."""

    def limits(self, request: LLMRequest, context: AttemptContext) -> Limits:
        """How long one question may take."""

    def errors(self, request: LLMRequest, wire: WireRequest) -> ContextManager[Any]:
        """A context in which every error becomes one of ours."""


class Waits(NamedTuple):
    """What a sync or an async caller waits with.

    Attributes:
        sleep: Waits for so many seconds.
        ask: Sends a request and reads its whole reply.
    """

    sleep: Callable[[float], Any]
    ask: Callable[..., Any]


def sleep(seconds: float) -> None:
    """Wait in this thread."""
    time.sleep(seconds)


async def asleep(seconds: float) -> None:
    """Wait on the running loop."""
    import asyncio

    await asyncio.sleep(seconds)


def finishing(
    provider: Polled, reply: WholeReply, request: LLMRequest, context: AttemptContext, waits: Waits
) -> Steps[WholeReply]:
    """Ask for the answer after growing pauses, until it is there or the call's time is over."""
    pause, failures = FIRST_PAUSE, 0
    while (poll := provider.poll_request(reply.body)) is not None:
        if monotonic() + pause >= context.deadline:
            raise _given_up(ProviderTimeoutError(_still_working(reply.body)))
        yield partial(waits.sleep, pause)
        pause = min(pause * 2, LONGEST_PAUSE)
        try:
            with provider.errors(request, poll):
                limits = provider.limits(request, context)
                told = yield partial(waits.ask, provider, provider.with_headers(poll, request), limits)
                provider.check_polled(told.body, told.headers)
            reply, failures = told, 0
        except (ConfigurationError, ModelNotFoundError) as error:  # address and model were right before
            raise _given_up(_not_found(reply.body, error)) from error
        except ProviderError as error:
            failures += 1
            if not error.retryable or failures >= MAX_FAILURES:
                raise _given_up(error) from error.__cause__
    return reply


def _given_up(error: ProviderError) -> ProviderError:
    """Asked anew it would be made, and paid for, a second time."""
    error.sent = error.may_be_billed = True
    error.may_retry = error.may_fall_back = False
    return error


def _not_found(body: JSON, error: Union[ConfigurationError, ProviderError]) -> ProviderError:
    return InvalidRequestError(
        f"The provider does not find the answer {body.get('id')} that it makes in the background "
        f"(status {error.status_code}). It may be billed all the same: look there before you ask again.",
        status_code=error.status_code,
        request_id=error.request_id,
    )


def _still_working(body: JSON) -> str:
    return (
        f"The provider still works on the answer {body.get('id')} in the background, and total_timeout ends "
        "before the next question. Raise it."
    )
