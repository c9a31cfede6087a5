"""Error bodies in bounded time and size: the vendors' SDKs read them in their own call, without limits.

These response hooks of the SDKs' HTTP clients read an error body first, and leave the SDK what has come. The
status is enough when the body breaks off; silence is a timeout.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Mapping

from llm_orchestrator.providers.http.deadlines import watch_reply
from llm_orchestrator.providers.http.library import library_of_response
from llm_orchestrator.utils.values import Value

__all__ = [
    "MAX_ERROR_BODY_BYTES",
    "BadStatusError",
    "ErrorReply",
    "abound_error_body",
    "bad_status",
    "bound_error_body",
    "with_bounded_error_bodies",
]

logger = logging.getLogger(__name__)

#: More of an error body than anyone reads.
MAX_ERROR_BODY_BYTES = 1024 * 1024


def with_bounded_error_bodies(client: Any) -> Any:
    """Add the hook to the HTTP client that an OpenAI or Anthropic SDK client made for itself."""
    hook = abound_error_body if hasattr(client._client, "aclose") else bound_error_body
    client._client.event_hooks = {"response": [hook]}
    return client


def bound_error_body(response: Any) -> None:
    """Watch a reply from its head on, and buffer the body of a bad status; a hook for sync clients."""
    watch_reply(response)
    if response.is_success:
        return
    library, content = library_of_response(response), bytearray()
    try:
        for piece in response.stream:
            content += piece
            if len(content) > MAX_ERROR_BODY_BYTES:
                break
    except (library.NetworkError, library.ProtocolError) as error:
        logger.debug("An error body broke off: %s", type(error).__name__)
    finally:
        response.stream.close()
    response.stream = library.ByteStream(bytes(content))


async def abound_error_body(response: Any) -> None:
    """Buffer the body of a bad status; a hook for async clients, whose caller keeps the time."""
    if response.is_success:
        return
    library, content = library_of_response(response), bytearray()
    try:
        async for piece in response.stream:
            content += piece
            if len(content) > MAX_ERROR_BODY_BYTES:
                break
    except (library.NetworkError, library.ProtocolError) as error:
        logger.debug("An error body broke off: %s", type(error).__name__)
    finally:
        await response.stream.aclose()
    response.stream = library.ByteStream(bytes(content))


@dataclass(frozen=True, eq=False, repr=False)
class ErrorReply(Value):
    """A reply with a bad status, read to its end; its repr shows nothing that may hold a key."""

    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    request: Any = field(repr=False, default=None)


class BadStatusError(Exception):
    """The provider answered with another status than 200."""

    def __init__(self, response: ErrorReply) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response


def bad_status(
    status_code: int, headers: Mapping[str, str], content: bytes, request: Any = None
) -> BadStatusError:
    """Make the error of a reply; some wrap the error in an array."""
    content = content.strip()
    if content.startswith(b"[") and content.endswith(b"]"):
        content = content[1:-1]
    return BadStatusError(ErrorReply(status_code, headers, content, request))
