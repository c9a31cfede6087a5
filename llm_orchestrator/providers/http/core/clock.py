"""The time of one call, and the error when it is over."""

from __future__ import annotations

import math

from llm_orchestrator.exceptions import ProviderTimeoutError
from llm_orchestrator.providers.wire import Limits
from llm_orchestrator.utils.clock import monotonic

__all__ = ["Clock"]


class Clock:
    """How long the wait that begins now may last.

    Waiting for a free connection and connecting share one limit, and so do all waits for the head of the
    reply, which may come byte by byte. While a long request is sent, only silence counts.
    """

    __slots__ = (
        "_connect",
        "_deadline",
        "_is_connecting",
        "_opening_until",
        "_silence",
        "request_may_be_sent",
        "wait_until",
    )

    def __init__(self, limits: Limits) -> None:
        self._connect = limits.connect
        self._silence = limits.silence
        self._deadline = limits.deadline
        self._is_connecting = False
        self._opening_until = self.wait_until = monotonic() + limits.silence
        self.request_may_be_sent = False

    def left(self) -> float:
        """Seconds that the wait which begins now may last."""
        now = monotonic()
        left = min(self._silence, self._deadline - now, self.wait_until - now)
        if left <= 0:
            raise self.timeout()
        return left

    def connecting(self) -> None:
        """A connection is being opened: all of its steps share one limit."""
        self._is_connecting = True
        self.wait_until = min(monotonic() + self._connect, self._opening_until)

    def connected(self) -> None:
        """The connection is open."""
        self._is_connecting = False
        self.wait_until = self._opening_until

    def sending(self) -> None:
        """The request is being sent."""
        self.request_may_be_sent = True
        self.wait_until = math.inf

    def sent(self) -> None:
        """The request was sent whole; its reply is due."""
        self.wait_until = monotonic() + self._silence

    def answered(self) -> None:
        """The head of the reply is there: from now on only silence counts, and the call's end."""
        self.wait_until = math.inf

    def timeout(self) -> ProviderTimeoutError:
        """The error of a wait that lasted too long."""
        error = ProviderTimeoutError(
            f"The answer did not arrive in time: {self._passed_limit()}. Raise the limit, or try again."
        )
        error.sent = error.may_be_billed = self.request_may_be_sent
        if self.request_may_be_sent:
            error.retry_limit = 1  # the provider may be working on it, and bill it
        return error

    def _passed_limit(self) -> str:
        if monotonic() >= self._deadline:
            return "total_timeout is over"
        if self._is_connecting:
            return f"no connection within {self._connect:g} s"
        if not self.request_may_be_sent:
            return f"no free connection for {self._silence:g} s"
        return f"no event for {self._silence:g} s"
