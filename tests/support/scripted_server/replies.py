"""What the scripted server sends: frozen descriptions of one HTTP reply, its timing and faults included.

A reply says nothing about providers; the dialects in ``tests.support.scripted_server.wire`` build replies in their formats.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Tuple, Union

if TYPE_CHECKING:
    from tests.support.scripted_server.connection import Request
    from tests.support.scripted_server.faults import Fault
    from tests.support.scripted_server.wire_base import Dialect

Pieces = Tuple[bytes, ...]

#: Headers in which the providers name a request.
REQUEST_ID_HEADERS = ("x-request-id", "request-id")


@dataclass(frozen=True)
class Reply:
    """One HTTP reply.

    Attributes:
        status: HTTP status.
        headers: Headers besides the body's length; ``connection: close`` ends the connection afterwards.
        body: A whole body, sent with its length. Not used when there are chunks.
        chunks: A body in chunked transfer coding, one write for each piece; or a function that chooses the
            pieces by the request (None: the request that asks for everything).
        delay: Seconds between the request and the reply's head.
        pause: Seconds before each piece of the body.
        piece_size: Bytes sent at a time; None sends the pieces as they are.
        length_error: Bytes by which the content-length sent differs from the body's length.
        fault: What goes wrong while the reply is sent.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: Union[Pieces, Callable[[Optional[Request]], Pieces], None] = None
    delay: float = 0.0
    pause: float = 0.0
    piece_size: Optional[int] = None
    length_error: int = 0
    fault: Optional[Fault] = None

    @property
    def chunked(self) -> bool:
        """Whether the body travels in chunked transfer coding."""
        return self.chunks is not None and not self.length_error

    @property
    def request_id(self) -> Optional[str]:
        """The id the reply gives to its request; None for providers that give none."""
        return next((self.headers[name] for name in REQUEST_ID_HEADERS if name in self.headers), None)

    def pieces(self, request: Optional[Request] = None) -> Pieces:
        """The body as it is written, piece by piece."""
        chunks = self.chunks(request) if callable(self.chunks) else self.chunks
        pieces = (self.body,) if chunks is None else chunks
        if self.piece_size is None:
            return pieces
        content, size = b"".join(pieces), self.piece_size
        return tuple(content[start : start + size] for start in range(0, len(content), size))

    def content(self, request: Optional[Request] = None) -> bytes:
        """The whole body, for tests that need no server."""
        return b"".join(self.pieces(request))

    def json(self) -> Any:
        """The body of a whole reply as JSON."""
        return json.loads(self.content())

    def but(self, **changes: Any) -> Reply:
        """The same reply with some fields changed, for example ``reply.but(fault=Reset())``."""
        return replace(self, **changes)

    def dripping(self, seconds: float, size: int = 1) -> Reply:
        """The same reply with its body sent a byte (or ``size`` bytes) every so many seconds."""
        return replace(self, pause=seconds, piece_size=size)


#: What a test may queue: a reply, or a function that makes one from the request.
Scripted = Union[Reply, Callable[["Request"], Reply]]


def json_reply(document: Any, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Reply:
    """A whole JSON document."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return Reply(status, {"content-type": "application/json", **(headers or {})}, body)


def html(status: int = 200) -> Reply:
    """A page for people, as captive portals and broken proxies send it in place of the answer."""
    page = b"<!DOCTYPE html><html><body><h1>Please sign in to the network</h1></body></html>"
    return Reply(status, {"content-type": "text/html; charset=utf-8"}, page)


def empty(status: int = 200, content_type: str = "application/json") -> Reply:
    """A reply without a body; ``text/event-stream`` makes it a stream without events."""
    return Reply(status, {"content-type": content_type})


def broken_json(status: int = 200) -> Reply:
    """A JSON document that stops in the middle, although its length is right."""
    return Reply(status, {"content-type": "application/json"}, b'{"id": "broken", "choices": [{"mess')


def redirect(location: str, status: int = 307) -> Reply:
    """A redirect; 307 keeps the method and the body."""
    return Reply(status, {"location": location})


def echo_key(dialect: Dialect, status: int = 401) -> Callable[[Request], Reply]:
    """A refusal whose text and headers repeat the key that was sent, as careless servers and gateways do."""

    def reply(request: Request) -> Reply:
        refusal = dialect.error(status, message=f"Incorrect API key provided: {request.api_key}.")
        return refusal.but(headers={**refusal.headers, "x-rejected-key": request.api_key or ""})

    return reply
