"""What passes between an adapter's translation and its talking: the request, the reply to read, the limits.

A reply is whatever offers the few members of ``RawReply``; the response objects of the HTTP libraries under
the vendor SDKs do, and ``BufferedReply`` serves adapters that have their bytes from elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import AsyncGeneratorType
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Callable,
    Dict,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Tuple,
    Union,
)

from llm_orchestrator.types import JSON
from llm_orchestrator.utils.clock import monotonic
from llm_orchestrator.utils.hidden import hidden
from llm_orchestrator.utils.values import Value, evolve

if TYPE_CHECKING:
    from llm_orchestrator.providers.forms import Form

__all__ = [
    "BufferedReply",
    "Endpoint",
    "Limits",
    "RawReply",
    "StreamState",
    "WireRequest",
    "abody_of",
    "body_of",
    "close_reply",
]


@dataclass(frozen=True, eq=False, repr=False)
class WireRequest(Value):
    """One HTTP request in the provider's documented form.

    Attributes:
        path: Path below the provider's base URL, with its query where one is needed; ``../`` at its beginning
            leads out of the last part of that URL.
        body: The JSON body; None for a GET.
        headers: Headers beside those the SDK sends.
        api: Which of the provider's APIs it is, in the words of ``pricing.price_usage``.
        unsupported: Parameters that the API, or the model, has no field for; they were left out of the body.
        warnings: What else was done differently from what was asked, one sentence each.
        forms: The form in which a parameter was sent, where the provider knows another one. When the model
            rejects it, the next request is built without that form first.
        content: A body that is not JSON, such as a file; its type is in ``headers``. Bytes go direct only.
    """

    path: str
    body: Optional[Dict[str, Any]] = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    api: str = ""
    unsupported: Tuple[str, ...] = ()
    warnings: Tuple[str, ...] = ()
    forms: Mapping[str, str] = field(default_factory=dict)
    content: Union[bytes, Form, None] = field(default=None, repr=False)

    @property
    def method(self) -> str:
        """``POST`` with a body, ``GET`` without."""
        return "GET" if self.body is None and self.content is None else "POST"

    def narrowed(self, path: str, fields: Iterable[str]) -> WireRequest:
        """Make a request to a path that takes only some of the body's fields.

        Args:
            path: As above.
            fields: What is taken.

        Returns:
            The request, which names the others as ``unsupported``.
        """
        body = self.body or {}
        kept = {name: body[name] for name in fields if name in body}
        return evolve(
            self, path=path, body=kept, unsupported=(*self.unsupported, *sorted(body.keys() - kept))
        )


class Endpoint(NamedTuple):
    """Where an API is, and the headers that its vendor documents for the credential.

    Attributes:
        url: The base URL; a query of it is sent with every request.
        headers: Values by name; nothing is made up for an entry without a key.
    """

    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Endpoint(url={self.url!r}, headers={hidden(self.headers)!r})"


class Limits(NamedTuple):
    """How long one attempt may take.

    Attributes:
        connect: Seconds to establish a connection.
        silence: Seconds to the first byte, and between two events.
        deadline: When the whole call must have ended, on the clock of ``utils.clock``; infinity for never.
        most_bytes: Most bytes of the reply's body; None is what a whole answer may have.
    """

    connect: float
    silence: float
    deadline: float = math.inf
    most_bytes: Optional[int] = None

    def left(self) -> float:
        """Seconds until the deadline, negative when it has passed."""
        return self.deadline - monotonic()

    def head(self) -> float:
        """Seconds to wait for the head of the reply: the silence allowed, or what is left if that is less."""
        return max(min(self.silence, self.left()), 0.001)


class RawReply(Protocol):
    """An open HTTP reply with status 2xx whose body is still to be read; satisfied by httpx and httpx2."""

    @property
    def status_code(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, names in any case."""

    def iter_bytes(self) -> Iterator[bytes]:
        """The body, chunk by chunk."""

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body, chunk by chunk, for async callers."""

    def close(self) -> None:
        """Release the connection."""

    async def aclose(self) -> None:
        """Release the connection, for async callers."""


def body_of(reply: RawReply) -> Iterator[bytes]:
    """Read a reply's body, undecoded where nothing encoded it: that saves a step for each chunk.

    Args:
        reply: The open reply.

    Returns:
        The body, chunk by chunk.
    """
    read: Callable[[], Iterator[bytes]] = getattr(reply, _reader_name(reply, ""))
    return read()


def abody_of(reply: RawReply) -> AsyncIterator[bytes]:
    """Read a reply's body, async; see ``body_of``.

    Args:
        reply: The open reply.

    Returns:
        The body, chunk by chunk.
    """
    read: Callable[[], AsyncIterator[bytes]] = getattr(reply, _reader_name(reply, "a"))
    return read()


def _reader_name(reply: RawReply, prefix: str) -> str:
    """HTTP libraries also offer their bytes as they came, but once: a recorder may have been there."""
    raw = f"{prefix}iter_raw"
    is_fresh = hasattr(reply, raw) and not getattr(reply, "is_stream_consumed", False)
    return raw if is_fresh and "content-encoding" not in reply.headers else f"{prefix}iter_bytes"


async def close_reply(reply: RawReply, chunks: AsyncIterator[bytes]) -> None:
    """Release the connection of a reply that was read, in part or whole.

    The HTTP libraries read through a chain of generators. Left to the garbage collector its links are closed
    at once, get in each other's way and print errors; closed from the outside in, they do not.

    Args:
        reply: The open reply.
        chunks: Its body, as ``aiter_bytes`` gave it.
    """
    try:
        if isinstance(chunks, AsyncGeneratorType) and not chunks.ag_running:
            await chunks.aclose()  # one that somebody still reads ends when its connection is closed
    finally:
        await reply.aclose()


class BufferedReply:
    """A reply whose bytes come from an iterable in this process.

    Args:
        chunks: Chunks of the body.
        headers: Headers of the reply.
    """

    status_code = 200

    def __init__(self, chunks: Iterable[bytes], headers: Optional[Mapping[str, str]] = None) -> None:
        self._chunks = iter(chunks)
        self.headers: Mapping[str, str] = dict(headers or {})

    def iter_bytes(self) -> Iterator[bytes]:
        """The body, chunk by chunk."""
        return self._chunks

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body, chunk by chunk, for async callers."""
        for chunk in self._chunks:
            yield chunk

    def wait_until(self, moment: float = math.inf) -> None:
        """Bound all waits for the body: there are none here."""

    def interrupt(self) -> None:
        """Make a waiting read end: there is none here."""

    def close(self) -> None:
        """Stop the source of the bytes, where it can be stopped."""
        stop = getattr(self._chunks, "close", None)
        if stop is not None:
            stop()

    async def aclose(self) -> None:
        """Stop the source of the bytes, where it can be stopped."""
        self.close()


class StreamState:
    """The memory of one stream: the caller owns it, ``parse_event`` fills it.

    Attributes:
        headers: Headers of the streamed reply.
        reply: The reply assembled so far, in whatever form the adapter's ``assemble_reply`` understands.
        complete: The provider has said that the answer is whole.
        done: Nothing worth reading follows.
        is_counted: The provider told the usage to its end, though the answer failed.
        notes: What an adapter remembers beside the reply.
    """

    __slots__ = ("complete", "done", "headers", "is_counted", "notes", "reply")

    def __init__(self, headers: Optional[JSON] = None) -> None:
        self.headers: JSON = headers or {}
        self.reply: Dict[str, Any] = {}
        self.notes: Dict[str, Any] = {}
        self.complete = False
        self.done = self.is_counted = False
