"""Requests as bytes and bytes as replies, without a socket: shared by the sync and the async connections.

httptools cuts a reply into its parts. What it leaves open is judged here: limits, interim replies, where a
body ends, packing, and bytes that nobody asked for.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Deque, Mapping, Optional

import httptools

from llm_orchestrator.exceptions import ConfigurationError, InvalidRequestError
from llm_orchestrator.providers.http.core.encodings import STEP_BYTES, Unpacker, unpacker_for
from llm_orchestrator.providers.http.core.network_errors import broken_reply, connection_lost
from llm_orchestrator.providers.http.core.origins import Origin
from llm_orchestrator.providers.http.core.reply_headers import ReplyHeaders
from llm_orchestrator.utils.hidden import HiddenBytes
from llm_orchestrator.utils.lazy import LazyPattern

__all__ = ["MAX_BODY_BYTES", "MAX_HEAD_BYTES", "ReplyParser", "header_bytes", "request_bytes"]

MAX_HEAD_BYTES = 64 * 1024
#: Of a body, unpacked.
MAX_BODY_BYTES = 128 * 1024 * 1024
MAX_ERROR_BODY_BYTES = 1024 * 1024
#: Replies 1xx before the one that counts.
MAX_INTERIM_REPLIES = 100
#: Packed so tightly, and so large, is no text that a model wrote.
BOMB_BYTES, BOMB_RATIO = 16 * 1024 * 1024, 100

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_IDLE_SECONDS = LazyPattern(r"timeout\s*=\s*(\d{1,6})", re.IGNORECASE)
_PATH = re.compile(r"/[\x21-\x7e]*")
#: Written by ``request_bytes``; a second one would contradict it, or change what the connection is.
_OWN_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


def header_bytes(headers: Mapping[str, str]) -> bytes:
    """Write the header lines that an adapter sends with each request.

    Args:
        headers: Values by name.

    Returns:
        The lines, for ``request_bytes``.

    Raises:
        ConfigurationError: A header cannot be sent; its value is not shown.
    """
    return HiddenBytes(b"".join(_header_line(name, value.strip()) for name, value in headers.items()))


def _header_line(name: str, value: str) -> bytes:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} cannot be the name of a header. Correct it in headers.")
    if name.lower() in _OWN_HEADERS:
        raise ConfigurationError(f"The header {name} is written by the library. Remove it from headers.")
    if not _VALUE.fullmatch(value):
        raise ConfigurationError(
            f"The header {name} has a character that HTTP cannot send. Look for a line break in its value."
        )
    return f"{name}: {value}\r\n".encode("latin-1")


def request_bytes(origin: Origin, method: str, path: str, headers: bytes, body: Optional[bytes]) -> bytes:
    """Write a whole request, to be sent at once.

    Args:
        origin: Where it goes.
        method: HTTP method.
        path: Path with query, percent-encoded.
        headers: Header lines from ``header_bytes``.
        body: The body; None for none.

    Returns:
        Head and body.

    Raises:
        InvalidRequestError: The path has characters that a path cannot have; nothing was sent.
    """
    if not _PATH.fullmatch(path):
        error = InvalidRequestError("The path of the request is not percent-encoded. Check the model's name.")
        error.sent = False
        raise error
    authority, authorization = origin.authority, b""
    if origin.proxy is not None and not origin.is_tls:
        path, authorization = f"http://{authority}{path}", origin.proxy.authorization
    head = f"{method} {path} HTTP/1.1\r\nhost: {authority}\r\naccept-encoding: gzip, deflate\r\n"
    length = b"" if body is None else b"content-length: %d\r\n" % len(body)
    return HiddenBytes(b"".join((head.encode("ascii"), authorization, headers, length, b"\r\n", body or b"")))


_NO_HEADERS = ReplyHeaders(b"")


class ReplyParser:
    """Reads the replies of one connection, one after the other.

    Attributes:
        status: Status of the reply; 0 before its head is whole.
        headers: Its headers.
        head_done: The head is whole.
        complete: The reply has ended, or none was asked for.
        spoiled: Bytes came that nobody asked for, or the connection is otherwise not fit for another request.
        began: The first byte of the reply has come.
        unread: Bytes of the body that nobody has taken yet.
    """

    # The parser calls the methods that begin with ``on_``. It hides what they raise in its own error, so they
    # leave a note instead; what a signal raises in them is taken out of that error again.

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self.complete = True
        self.spoiled = False
        self._is_kept_alive = False
        self._pieces: Deque[bytes] = deque()
        self._reset(has_body=False)

    def _reset(self, has_body: bool) -> None:
        self.status = 0
        self.headers = _NO_HEADERS
        self._head = b""  # what has come of it
        self.head_done = self.began = False
        self.unread = 0
        self._has_body = has_body
        self._interim_replies = 0
        self._ends_with_connection = False
        self._fault = ""
        self._idle_bytes = 0  # since the last sign of progress
        self._unpacker: Optional[Unpacker] = None
        self._size = 0
        self._limit = MAX_BODY_BYTES

    def begin(self, method: str, most_bytes: Optional[int] = None) -> None:
        """Expect the reply to a request that is about to be sent."""
        if self.spoiled:
            error = broken_reply("it came before the request")
            error.sent = error.may_be_billed = False
            raise error
        self._reset(has_body=method not in {"HEAD", "CONNECT"})
        self._limit = most_bytes or MAX_BODY_BYTES
        self._pieces.clear()
        self.complete = self._is_kept_alive = False

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent on the same connection."""
        return self.complete and self._is_kept_alive and not self.spoiled

    def feed(self, data: bytes) -> None:
        """Take bytes that came."""
        if self.complete:
            self.spoiled = True
            return
        self.began = True
        self._idle_bytes += len(data)
        if not self.head_done:
            self._head += data
        self._parse(data)
        if self._fault:
            raise broken_reply(self._fault, self.status)
        if self._idle_bytes > MAX_HEAD_BYTES:
            part = "chunk or trailer" if self.head_done else "head"
            raise broken_reply(f"its {part} is larger than {MAX_HEAD_BYTES} bytes", self.status)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error, httptools.HttpParserCallbackError) and error.__context__ is not None:
                raise error.__context__ from None  # a Ctrl-C, say, while one of the methods below ran
            if self.complete:
                self.spoiled = True  # the error is about what came after this reply
            elif self.head_done:
                raise connection_lost(f"the reply broke off, for {_words_of(error)}") from None
            else:
                raise broken_reply(self._fault or _words_of(error), self.status) from None

    def end(self, *, is_clean: bool) -> None:
        """Take the end of the connection."""
        if self.complete:
            self.spoiled = True
        elif not self.head_done:
            raise connection_lost("it was closed before the reply")
        elif self._ends_with_connection and is_clean:
            self.complete = True
        else:
            raise connection_lost("it was closed in the middle of the reply")

    def take(self) -> bytes:
        """Hand out what has come of the body, unpacked."""
        piece = self._take_plain() if self._unpacker is None else self._take_unpacked(self._unpacker)
        self._size += len(piece)
        if self._size > self._limit:
            raise broken_reply(f"its body is larger than {self._limit} bytes", self.status)
        return piece

    @property
    def is_packed(self) -> bool:
        """Whether few bytes of the body can be a lot of work."""
        return self._unpacker is not None

    def finish(self) -> None:
        """Check the end of a body that was taken whole."""
        if self._unpacker is not None:
            self._unpacker.end()

    def release(self) -> None:
        """Let go of the parser, which holds this object in turn: without the circle both end at once."""
        self._parser = None

    def idle_seconds(self) -> Optional[float]:
        """How long the server keeps the idle connection, where it says so."""
        told = self.headers.get("keep-alive")
        found = _IDLE_SECONDS.search(told) if told else None
        return float(found[1]) if found else None

    def _take_plain(self) -> bytes:
        """What has come, but not more at a time than is unpacked at a time: to read it takes time, too."""
        pieces = self._pieces
        if len(pieces) > 1 and self.unread <= STEP_BYTES:
            piece = b"".join(pieces)
            pieces.clear()
        else:
            piece = pieces.popleft() if pieces else b""
        self.unread -= len(piece)
        return piece

    def _take_unpacked(self, unpacker: Unpacker) -> bytes:
        piece = unpacker.step()
        while not piece and self._pieces:
            packed = self._pieces.popleft()
            self.unread -= len(packed)
            unpacker.feed(packed)
            piece = unpacker.step()
        size = self._size + len(piece)
        if size > BOMB_BYTES and size > BOMB_RATIO * unpacker.packed:
            raise broken_reply(f"its body unpacks to over {BOMB_RATIO} times its size", self.status)
        return piece

    def on_message_begin(self) -> None:
        """A second reply began behind the one asked for."""
        if self.complete:
            self.spoiled = True

    def on_headers_complete(self) -> None:
        """The head of a reply, interim or not."""
        if self.complete or self._fault:
            return
        status: int = self._parser.get_status_code()
        head = self._take_head()
        if len(head) > MAX_HEAD_BYTES:
            self._fault = f"its head is larger than {MAX_HEAD_BYTES} bytes"
        elif status < 200:
            self._note_interim(status)
        else:
            self._idle_bytes = 0
            self.status = status
            self.headers, self._head = ReplyHeaders(head), b""  # what follows it is the body
            self._judge_head()
            self.head_done = not self._fault

    def on_body(self, piece: bytes) -> None:
        """A piece of the body, without what frames it."""
        if self.complete:
            return
        self._idle_bytes = 0
        self.unread += len(piece)
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The end of a reply, interim or not."""
        if self.head_done and not self.complete:
            self.complete = True
            self._idle_bytes = 0
            self._is_kept_alive = self._parser.should_keep_alive()

    def _take_head(self) -> bytes:
        """Cut off a head that is whole, with the end of its last line; empty lines may stand before it."""
        came = self._head.lstrip(b"\r\n")
        end = came.index(b"\r\n\r\n") + 2
        self._head = came[end + 2 :]
        return came[:end]

    def _note_interim(self, status: int) -> None:
        self._interim_replies += 1
        if status == 101 or status < 100:
            self._fault = f"it has the status {status}, which was not asked for"
        elif self._interim_replies > MAX_INTERIM_REPLIES:
            self._fault = f"over {MAX_INTERIM_REPLIES} interim replies came before it"

    def _judge_head(self) -> None:
        """Decide how the body ends and how it is packed."""
        version = self._parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            self._fault = f"it is HTTP/{version}, not HTTP/1.1"
        coding = self.headers.get("transfer-encoding")
        if coding and coding.strip().lower() != "chunked":
            self._fault = "its transfer-encoding is not chunked"
        if self.status >= 300:
            self._limit = MAX_ERROR_BODY_BYTES
        if not self._has_body:
            self.complete = self.spoiled = True  # the parser waits for a body that will not come
        elif not self._fault:
            self._ends_with_connection = not coding and "content-length" not in self.headers
            self._choose_unpacker(self.headers.get("content-encoding"))

    def _choose_unpacker(self, packing: Optional[str]) -> None:
        try:
            self._unpacker = unpacker_for(packing, self.status) if packing else None
        except Exception as error:  # noqa: BLE001 (kept for ``feed``, see above)
            self._fault = str(error)


def _words_of(error: Exception) -> str:
    words = str(error).strip()
    return f"it is not valid HTTP ({words})" if words else "it is not valid HTTP"
