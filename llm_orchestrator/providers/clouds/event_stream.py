"""Amazon's binary event stream as server-sent events, which everything else reads."""

from __future__ import annotations

import base64
import json
import math
from typing import Any, AsyncIterator, Iterator

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.wire import RawReply
from llm_orchestrator.utils.json import read_json

__all__ = ["as_server_sent_events"]

EVENT_STREAM = "application/vnd.amazon.eventstream"


def as_server_sent_events(reply: RawReply) -> RawReply:
    """Make a reply in Amazon's format read as server-sent events; others are handed back as they are."""
    is_stream = str(reply.headers.get("content-type", "")).startswith(EVENT_STREAM)
    return _EventStream(reply) if is_stream else reply


class _EventStream:
    """A reply in Amazon's event-stream format that reads as server-sent events."""

    def __init__(self, reply: RawReply) -> None:
        from botocore.eventstream import EventStreamBuffer

        self._reply = reply
        self._timed: Any = reply  # asked for its time only where it is one of our own core's
        self._buffer = EventStreamBuffer()
        self.status_code = reply.status_code
        self.headers = reply.headers
        self.extensions = getattr(reply, "extensions", {})  # where the socket is found when time is up

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as server-sent events."""
        for chunk in self._reply.iter_bytes():
            yield self._events(chunk)

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body as server-sent events, for async callers."""
        async for chunk in self._reply.aiter_bytes():
            yield self._events(chunk)

    def wait_until(self, moment: float = math.inf) -> None:
        """Bound all waits for the body, where the connection keeps the time itself."""
        self._timed.wait_until(moment)

    def interrupt(self) -> None:
        """Make a waiting read end at once, where the connection keeps the time itself."""
        self._timed.interrupt()

    def close(self) -> None:
        """Release the connection."""
        self._reply.close()

    async def aclose(self) -> None:
        """Release the connection, for async callers."""
        await self._reply.aclose()

    def _events(self, chunk: bytes) -> bytes:
        from botocore.eventstream import ParserError

        try:
            self._buffer.add_data(chunk)
            return b"".join(_event(message) for message in self._buffer)
        except (ParserError, ValueError, TypeError) as error:
            raise InvalidResponseError(f"The event stream is damaged: {error}. Try again.") from error


def _event(message: Any) -> bytes:
    """One message as a server-sent event; an exception in the stream reads as Anthropic's error event."""
    content = read_json((message.payload or b"{}").decode("utf-8"))
    if not isinstance(content, dict):
        raise ValueError("a message is not a JSON object")
    kind = message.headers.get(":exception-type") or message.headers.get(":error-code")
    if kind:
        text = content.get("message") or message.headers.get(":error-message") or ""
        data = json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()
    else:
        data = base64.b64decode(content.get("bytes") or "", validate=True)
    return b"data: " + data + b"\n\n" if data else b""
