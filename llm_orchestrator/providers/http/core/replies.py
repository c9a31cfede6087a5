"""What the replies of sync and async connections share."""

from __future__ import annotations

import math
from typing import AsyncIterator, Iterator, Optional

from llm_orchestrator.exceptions import ProviderConnectionError
from llm_orchestrator.providers.http.core.clock import Clock
from llm_orchestrator.providers.http.core.messages import ReplyParser

__all__ = ["BaseReply"]


class BaseReply:
    """An open reply, whatever its status; its body is read by iterating, unpacked and within its limits.

    The connection is free again when the body has been read to its end, and closed when the reply is closed
    or dropped before.

    Args:
        parser: Reads the reply.
        clock: The time of the call.
    """

    #: Finalizers may close it at any moment, in any thread.
    closes_without_lock = True

    def __init__(self, parser: ReplyParser, clock: Clock) -> None:
        self.status_code = parser.status
        self.headers = parser.headers
        self._parser = parser
        self._clock = clock
        clock.answered()
        self._has_ended = False

    def wait_until(self, moment: float = math.inf) -> None:
        """Bound all waits for the body, whatever comes meanwhile: not every byte is a sign of the answer.

        Args:
            moment: When they end, on the clock of ``time.monotonic``; the limits of the call hold beside it.
        """
        self._clock.wait_until = moment

    def iter_bytes(self) -> Iterator[bytes]:
        """The body, piece by piece, for sync callers."""
        raise NotImplementedError("this reply is read with aiter_bytes")

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body, piece by piece, for async callers."""
        raise NotImplementedError("this reply is read with iter_bytes")

    def close(self) -> None:
        """Release the connection, for sync callers; twice is fine."""
        raise NotImplementedError("this reply is closed with aclose")

    async def aclose(self) -> None:
        """Release the connection, for async callers; twice is fine."""
        raise NotImplementedError("this reply is closed with close")

    def _take(self) -> Optional[bytes]:
        """What has come of the body; nothing when more must come first, None at its end."""
        if self._has_ended:
            return None
        if self._parser.is_packed:
            self._clock.left()  # what has come already may be unpacked for longer than the call may last
        piece = self._parser.take()
        if not piece and self._parser.complete:
            self._parser.finish()
            self._has_ended = True
            return None
        return piece

    def _closed_error(self) -> ProviderConnectionError:
        return ProviderConnectionError("The reply was closed before its end. Read it before it is closed.")
