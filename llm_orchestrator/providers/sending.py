"""How one request is sent and its reply read, whatever it asks for.

The time to wait for a reply is limited, and nothing stays open. Sync and async differ only in the lines that
wait. What is asked, and what becomes of the reply, is in ``base``.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Protocol, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.http.deadlines import LoopWatch, ReplyWatch, ThreadWatch, Watch
from llm_orchestrator.providers.http.reader import BodyReader, next_chunk
from llm_orchestrator.providers.wire import Limits, RawReply, WireRequest, abody_of, body_of, close_reply

__all__ = ["Opens", "WholeReply", "aexchange", "aopen_reply", "exchange", "open_reply"]


class WholeReply(NamedTuple):
    """A reply that was read to its end.

    Attributes:
        body: Its JSON object.
        headers: Its headers.
        may_hold_halves: Whether characters in it may be cut in two; its reader knows.
    """

    body: Dict[str, Any]
    headers: Mapping[str, str]
    may_hold_halves: bool


class Opens(Protocol):
    """The part of an adapter that talks."""

    @property
    def is_direct(self) -> bool:
        """Whether its replies keep the limits of a call themselves."""

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request and wait for the head of the reply."""

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """The same for async callers."""

    async def aget_ready(self) -> None:
        """Make what calls on the running loop need, before their time runs."""

    def request_id_of(self, headers: Mapping[str, str]) -> Optional[str]:
        """Find the provider's id of a request."""


def open_reply(adapter: Opens, wire: WireRequest, limits: Limits) -> Tuple[RawReply, Watch]:
    """Send a request; the watch that limits the reply's time has begun."""
    if adapter.is_direct:
        reply = adapter.open_call(wire, limits)
        return reply, ReplyWatch(limits, reply)
    watch = ThreadWatch(limits)
    try:
        with watch.until_open():
            reply = adapter.open_call(wire, limits)
    except BaseException:  # a Ctrl-C, too: there is no reply, so nobody else stops the watch
        watch.stop()
        raise
    watch.attach(reply)
    return reply, watch


async def aopen_reply(adapter: Opens, wire: WireRequest, limits: Limits) -> Tuple[RawReply, Watch]:
    """Send a request, async; see ``open_reply``."""
    if adapter.is_direct:
        reply = await adapter.aopen_call(wire, limits)
        return reply, ReplyWatch(limits, reply)
    await adapter.aget_ready()
    watch = LoopWatch(limits)
    try:
        with watch:
            reply = await adapter.aopen_call(wire, limits)
    except BaseException:  # as in open_reply
        watch.stop()
        raise
    return reply, watch


def exchange(adapter: Opens, wire: WireRequest, limits: Limits) -> WholeReply:
    """Send a request and read the whole reply."""
    if adapter.is_direct:
        return _exchange_direct(adapter, adapter.open_call(wire, limits))
    reply, watch = open_reply(adapter, wire, limits)
    try:
        body = BodyReader()
        chunks = body_of(reply)
        while not body.ended:
            with watch:
                body.feed(next(chunks, None))
        return _whole(body, adapter, reply)
    finally:
        watch.stop()
        reply.close()


async def aexchange(adapter: Opens, wire: WireRequest, limits: Limits) -> WholeReply:
    """Send a request and read the whole reply, async; see ``exchange``."""
    if adapter.is_direct:
        return await _aexchange_direct(adapter, await adapter.aopen_call(wire, limits))
    reply, watch = await aopen_reply(adapter, wire, limits)
    chunks = abody_of(reply)
    try:
        body = BodyReader()
        while not body.ended:
            with watch:
                body.feed(await next_chunk(chunks))
        return _whole(body, adapter, reply)
    finally:
        watch.stop()
        await close_reply(reply, chunks)


def _exchange_direct(adapter: Opens, reply: RawReply) -> WholeReply:
    """Read the rest of a reply that keeps its time itself."""
    try:
        body = BodyReader()
        for piece in reply.iter_bytes():
            body.feed(piece)
        return _whole(body, adapter, reply)
    finally:
        reply.close()


async def _aexchange_direct(adapter: Opens, reply: RawReply) -> WholeReply:
    """Read the rest of a reply that keeps its time itself, async."""
    try:
        body = BodyReader()
        async for piece in reply.aiter_bytes():
            body.feed(piece)
        return _whole(body, adapter, reply)
    finally:
        await reply.aclose()


def _whole(body: BodyReader, adapter: Opens, reply: RawReply) -> WholeReply:
    """Read a whole body; an error about it keeps the request's id, which the provider's support asks for."""
    try:
        return WholeReply(body.document(), reply.headers, body.may_hold_halves)
    except InvalidResponseError as error:
        error.request_id = adapter.request_id_of(reply.headers)
        raise
