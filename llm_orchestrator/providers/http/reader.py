"""The one reader of bytes that come from a provider: server-sent events and whole JSON documents.

It holds no socket and knows no provider: bytes go in, dicts come out, and anything that is not the promised
format is an ``InvalidResponseError``. Memory is bounded by ``MAX_EVENT_BYTES`` however the bytes arrive.
"""

from __future__ import annotations

import json
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional, Tuple

from pydantic_core import from_json

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.utils.json import MAX_DEPTH, is_deeper

__all__ = ["MAX_BODY_BYTES", "MAX_EVENT_BYTES", "BodyReader", "EventReader", "next_chunk", "read_document"]

#: Largest single event or line accepted; inline images are the biggest a provider sends, far below this.
MAX_EVENT_BYTES = 32 * 1024 * 1024
#: Largest whole reply accepted.
MAX_BODY_BYTES = 128 * 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK_LINE = b"\n\n"
_SHOWN_BYTES = 200
#: Data shorter than this may be ``[DONE]`` or nothing, instead of JSON.
_LONGEST_MARK = 20


class BodyReader:
    """Collects the body of a whole reply.

    ``may_hold_halves``: characters of the document may be cut in two.
    """

    def __init__(self) -> None:
        self.ended = False
        self.may_hold_halves = False
        self._chunks: List[bytes] = []
        self._bytes = 0

    def feed(self, chunk: Optional[bytes]) -> None:
        """Take the next bytes."""
        if chunk is None:
            self.ended = True
            return
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        _check_size(self._bytes, MAX_BODY_BYTES)

    def document(self) -> Dict[str, Any]:
        """Read what was collected."""
        document, self.may_hold_halves = _read_document(b"".join(self._chunks))
        return document


async def next_chunk(chunks: AsyncIterator[bytes]) -> Optional[bytes]:
    """Await the next piece of a body."""
    try:
        return await chunks.__anext__()
    except StopAsyncIteration:
        return None


def read_document(body: bytes) -> Dict[str, Any]:
    """Read a whole reply."""
    return _read_document(body)[0]


def _read_document(body: bytes) -> Tuple[Dict[str, Any], bool]:
    if not body or body.isspace():
        raise InvalidResponseError("The provider sent an empty reply. Try again, or check base_url.")
    return _parse_object(body.removeprefix(_BYTE_ORDER_MARK))


class EventReader:
    """Cuts a stream of bytes into the JSON objects of its server-sent events.

    Line ends may be LF, CRLF or CR and bytes may be cut anywhere; comments, pings without data, event names
    and a byte-order mark do not matter. ``[DONE]`` ends the stream and sets ``done``. ``may_hold_halves``:
    characters may be cut in two. A server that does not stream sends a document instead, which is
    ``document`` at the end, or a list of events.
    """

    def __init__(self) -> None:
        self.done = False
        self.may_hold_halves = False
        self.document: Optional[Dict[str, Any]] = None
        self._events = 0
        self._is_document = False
        self._head = b""
        self._at_start = True
        self._held_return = False
        self._rest = bytearray()  # of the event that has not ended yet

    def feed(self, chunk: bytes) -> Iterator[Dict[str, Any]]:
        """Take the next bytes."""
        if self._at_start:
            chunk = self._without_mark(chunk)
        if b"\r" in chunk or self._held_return:
            chunk = self._with_plain_line_ends(chunk)
        if self._is_document or self._begins_document(chunk):
            self._rest += chunk
            _check_size(len(self._rest), MAX_EVENT_BYTES)
            return
        if self._rest:
            chunk = self._take_rest(chunk)
        *blocks, rest = chunk.split(_BLANK_LINE)
        self._rest += rest
        for block in blocks:
            event = self._read_event(block)
            if event is not None:
                yield event
        if self._rest:
            _check_size(len(self._rest), MAX_EVENT_BYTES)

    def end(self) -> List[Dict[str, Any]]:
        """Say that no more bytes will come."""
        if self._is_document:
            return self._events_of_document()
        event = self._last_event()
        if event is None and not self._events and not self.done:
            raise InvalidResponseError(
                f"The provider sent no event stream but {_shown(self._head)}. Check base_url, or try again."
            )
        return [] if event is None else [event]

    def _begins_document(self, chunk: bytes) -> bool:
        """Whether the first bytes are JSON: no line of an event stream begins so."""
        if not self._events and not self._rest.strip():
            self._is_document = chunk.lstrip()[:1] in (b"{", b"[")
        return self._is_document

    def _events_of_document(self) -> List[Dict[str, Any]]:
        """Google's API sends its events as a list where nobody asks for an event stream."""
        body = bytes(self._rest).strip()
        if body.startswith(b"["):
            events = self._parsed(b'{"events":' + body + b"}")["events"]
            if not events or not all(isinstance(event, dict) for event in events):
                raise InvalidResponseError(
                    f"The provider sent {_shown(body)} where events belong. Try again, or check base_url."
                )
            return list(events)
        self.document = self._parsed(body)
        return []

    def _last_event(self) -> Optional[Dict[str, Any]]:
        try:
            return self._read_event(bytes(self._rest))
        except InvalidResponseError:
            return None  # cut in the middle: the stream ended early, which its reader will notice

    def _without_mark(self, chunk: bytes) -> bytes:
        """Hold the first bytes back until they are more than the beginning of a byte-order mark."""
        chunk = self._head + chunk
        self._head = chunk[: _SHOWN_BYTES + 1]
        if len(chunk) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(chunk):
            return b""
        self._at_start = False
        return chunk.removeprefix(_BYTE_ORDER_MARK)

    def _with_plain_line_ends(self, chunk: bytes) -> bytes:
        """Turn CRLF and CR into LF; a CR at the very end waits, since its LF may come with the next chunk."""
        if self._held_return:
            chunk = b"\r" + chunk
        self._held_return = chunk.endswith(b"\r")
        if self._held_return:
            chunk = chunk[:-1]
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take_rest(self, chunk: bytes) -> bytes:
        """Put the bytes behind the rest; take both if an event ends there. Each byte is searched once."""
        searched = len(self._rest) - 1
        self._rest += chunk
        if self._rest.find(_BLANK_LINE, searched) < 0:
            return b""
        taken = bytes(self._rest)
        self._rest.clear()
        return taken

    def _read_event(self, block: bytes) -> Optional[Dict[str, Any]]:
        """Read the lines of an event; a space may follow the colon, which JSON does not mind."""
        start = 5 if block.startswith(b"data:") else block.find(b"\ndata:") + 6
        if start < 6 and block[:5] != b"data:":
            return None
        data = block[start:]
        if b"\n" in data:
            data = b"\n".join([line[5:] for line in block.split(b"\n") if line.startswith(b"data:")])
        if len(data) > MAX_EVENT_BYTES:  # it may have come whole, or with the last piece
            _check_size(len(data), MAX_EVENT_BYTES)
        self._events += 1
        if self.done:
            return None
        if len(data) < _LONGEST_MARK and data.strip() in (b"", b"[DONE]"):
            self.done = bool(data.strip())
            return None
        return self._parsed(data)

    def _parsed(self, data: bytes) -> Dict[str, Any]:
        value, may_hold_halves = _parse_object(data)
        self.may_hold_halves = self.may_hold_halves or may_hold_halves
        return value


def _parse_object(data: bytes) -> Tuple[Dict[str, Any], bool]:
    """Read an object, and tell whether characters in it may be cut in two."""
    may_hold_halves = False
    try:
        # By pydantic's parser, in a third of the time of Python's; texts are not kept in its cache.
        value = from_json(data, cache_strings="keys")
    except ValueError:  # it refuses halves, for its strings cannot hold them
        value, may_hold_halves = _read_patiently(data), True
    if not isinstance(value, dict):
        raise InvalidResponseError(
            f"The provider sent {_shown(data)} where a JSON object belongs. Try again."
        )
    return value, may_hold_halves


def _read_patiently(data: bytes) -> Any:
    """Python's parser accepts more: half of a character that was cut in two, but also endless nesting."""
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidResponseError(
            f"The provider sent {_shown(data)}, which is not valid JSON. Try again."
        ) from error
    if is_deeper(value, MAX_DEPTH):
        raise InvalidResponseError(
            f"The provider sent {_shown(data)}, which is nested more than {MAX_DEPTH} deep. Try again."
        )
    return value


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise InvalidResponseError(
            f"The provider sent more than {limit} bytes at once. Check base_url, or try again."
        )


def _shown(data: bytes) -> str:
    text = data[:_SHOWN_BYTES].decode("utf-8", "replace")
    return repr(text) + ("..." if len(data) > _SHOWN_BYTES else "")
